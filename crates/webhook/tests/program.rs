//! The program as it is run: its flags, its output and its end.

#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod client;

use std::process::{Output, Stdio};

use client::DEADLINE;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

fn webhook(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook"));
    command
        .args(["--listen", "127.0.0.1:0", "--log-format", "json"])
        .args(flags);
    command
        .kill_on_drop(true)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

async fn address(log: &mut Lines<BufReader<ChildStderr>>) -> String {
    let line = log
        .next_line()
        .await
        .unwrap()
        .expect("a line says where it listens");
    let line: Value = serde_json::from_str(&line).unwrap();
    line["fields"]["address"].as_str().unwrap().to_owned()
}

async fn start(flags: &[&str]) -> (Child, String, Lines<BufReader<ChildStdout>>) {
    let mut child = webhook(flags).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = address(&mut log).await;
    let printed = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, format!("http://{address}"), printed)
}

async fn terminate(child: &mut Child) {
    let pid = child.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    let ended = tokio::time::timeout(DEADLINE, child.wait()).await;
    assert!(ended.expect("it stops").unwrap().success());
}

#[tokio::test]
async fn a_line_is_printed_for_each_request_and_all_are_in_the_metrics() {
    let (mut child, url, mut printed) = start(&[]).await;
    let client = client::build();
    let body = r#"{"city":"Tokyo","reading":23,"unit":"C","timestamp":"2026-11-23T21:00:00Z"}"#;
    for attempt in ["1", "2"] {
        let post = client
            .post(&url)
            .header("webhook-id", "abc")
            .header("webhook-attempt", attempt);
        post.body(body).send().await.unwrap();
    }
    client.post(&url).send().await.unwrap();

    let metrics = client
        .get(format!("{url}/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for result in ["distinct", "duplicate", "refused"] {
        let line = format!("webhook_requests_total{{result=\"{result}\"}} 1");
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
    terminate(&mut child).await;
    let shown = "Tokyo 23.0 C at 2026-11-23T21:00:00Z, id abc, attempt";
    let refusal = "not received: the header webhook-id is missing: it tells one event from another";
    for line in [
        format!("{shown} 1"),
        format!("{shown} 2, duplicate"),
        refusal.to_owned(),
    ] {
        assert_eq!(printed.next_line().await.unwrap(), Some(line));
    }
    assert_eq!(printed.next_line().await.unwrap(), None);
}

#[tokio::test]
async fn nothing_is_printed_when_quiet() {
    let (mut child, url, mut printed) = start(&["--quiet"]).await;
    let client = client::build();
    client
        .post(&url)
        .header("webhook-id", "abc")
        .send()
        .await
        .unwrap();
    terminate(&mut child).await;
    assert_eq!(printed.next_line().await.unwrap(), None);
}

#[tokio::test]
async fn a_wrong_flag_ends_it_with_a_message_that_names_it() {
    for (flags, why) in [
        (["--fail-rate", "2"], "a number from 0 to 1"),
        (["--status", "99"], "200 to 599"),
        (["--delay", "soon"], "is not a duration"),
        (["--remember", "0"], "--remember"),
        (["--token", ""], "--token"),
        (["--listen", "here"], "--listen"),
    ] {
        let Output { status, stderr, .. } = webhook(&flags).output().await.unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(2), "{flags:?}");
        assert!(
            stderr.contains(why) && stderr.contains(flags[0]),
            "{flags:?}: {stderr}"
        );
    }
}

#[tokio::test]
async fn a_port_in_use_ends_it_with_a_message_that_names_it() {
    let (_child, url, _printed) = start(&[]).await;
    let address = url.trim_start_matches("http://");
    let mut second = Command::new(env!("CARGO_BIN_EXE_webhook"));
    let Output { status, stderr, .. } = second.args(["--listen", address]).output().await.unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(
        String::from_utf8(stderr)
            .unwrap()
            .contains(&format!("listening on {address}"))
    );
}
