//! Secrets get in by every way there is, while much fails, and none of them comes out: not in what
//! the programs print and log at the finest level, not in answers, not in metrics.

mod echo;
mod inputs;
mod run;
mod search;

use e2e::stage::until;
use rcgen::{CertificateParams, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};

use inputs::{FIELDS, Field, MISTAKES, TOKEN_ENDPOINT, WRONG_BODIES, core, with_a_key};
use run::Run;

/// What all endpoints get.
const EVENTS: usize = 3;

#[tokio::test]
async fn no_secret_comes_out_where_logs_are_for_people() {
    nothing_comes_out("human").await;
}

#[tokio::test]
async fn no_secret_comes_out_where_logs_are_json() {
    nothing_comes_out("json").await;
}

async fn nothing_comes_out(format: &str) {
    let mut run = Run::start(format).await;
    subscribe_everywhere(&mut run).await;
    show_keys(&mut run).await;
    ask_wrongly(&mut run).await;
    use_keys(&mut run).await;
    run.publish(EVENTS).await;
    until("some are dead", async || {
        run.stage.count("SELECT count(*) FROM dead_letters").await > 0
    })
    .await;
    look_at_everything(&mut run).await;
    make_mistakes(&mut run).await;
    run.fail_to_log_in().await;
    let found = run.end().await;
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

/// A subscription with each secret to each endpoint, tried and changed.
async fn subscribe_everywhere(run: &mut Run) {
    for endpoint in run.endpoints() {
        for field in FIELDS {
            let body = body(run, field);
            let mut new = json!({"name": format!("{} {endpoint}", field.name), "url": endpoint});
            merge(&mut new, &body);
            // Not all of them agree, if they are asked first.
            let first = run
                .ask(Method::POST, "/subscriptions", &new.to_string())
                .await;
            let asked = new.as_object_mut().unwrap().remove("verify").is_some();
            let made = if asked && !first["id"].is_string() {
                run.make("/subscriptions", &new).await
            } else {
                first
            };
            let path = format!(
                "/subscriptions/{}",
                made["id"].as_str().expect("it is made")
            );
            for test in ["/test", "/auth/test"] {
                run.ask(Method::POST, &format!("{path}{test}"), "{}").await;
            }
            let soon = json!({"grace_period": "1h"});
            run.make(&format!("{path}/secret/rotate"), &soon).await;
            run.ask(Method::GET, &path, "").await;
            if new["signing_secret"].is_null() {
                run.ask(Method::PATCH, &path, &body.to_string()).await;
            }
        }
    }
}

/// A private key wherever one is taken, and where none is; then another's certificate beside it.
async fn show_keys(run: &mut Run) {
    let [own, other] = [(); 2].map(|()| KeyPair::generate().unwrap());
    for (key, certified) in [(&own, &own), (&own, &other)] {
        let pem = key.serialize_pem();
        run.look_for_key(&pem);
        let certificate = CertificateParams::new([]).unwrap().self_signed(certified);
        let certificate = certificate.unwrap().pem();
        for (endpoint, body) in run.endpoints().iter().zip(with_a_key(&certificate, &pem)) {
            let mut new = json!({"name": "with a key", "url": endpoint});
            merge(&mut new, &body);
            let new = new.to_string();
            let made = run.ask(Method::POST, "/subscriptions", &new).await;
            let Some(id) = made["id"].as_str().map(str::to_owned) else {
                continue;
            };
            let path = format!("/subscriptions/{id}");
            for test in ["/test", "/auth/test"] {
                run.ask(Method::POST, &format!("{path}{test}"), "{}").await;
            }
            run.ask(Method::PATCH, &path, &body.to_string()).await;
        }
    }
}

/// What a subscription is told, with a secret that is looked for from now on.
fn body(run: &mut Run, field: &Field) -> Value {
    let secret = run.secret(field.name, field.secret);
    let text = (field.body)(&secret).to_string();
    serde_json::from_str(&text.replace(TOKEN_ENDPOINT, run.token_endpoint())).unwrap()
}

/// Each secret in bodies that are wrong in one way or another, wherever one is taken.
async fn ask_wrongly(run: &mut Run) {
    let first = run.first().await;
    let paths = [
        (Method::POST, "/subscriptions".to_owned()),
        (Method::PATCH, first.clone()),
        (Method::POST, format!("{first}/secret/rotate")),
        (Method::POST, "/api-keys".into()),
        (Method::POST, "/dlqs".into()),
        (Method::POST, "/dlqs/groups".into()),
        (Method::POST, "/subscriptions/preview".into()),
    ];
    for field in FIELDS {
        let text = body(run, field).to_string();
        let secret = run.secret(field.name, field.secret);
        for body in wrong_bodies(&text, &secret) {
            for (method, path) in &paths {
                run.ask(method.clone(), path, &body).await;
            }
        }
    }
}

fn wrong_bodies(text: &str, secret: &str) -> Vec<String> {
    let quoted = json!(secret).to_string();
    let cut = &text[..text.len() - 1];
    let mut bodies = vec![
        cut.to_owned(),
        text.to_owned(),
        format!("{text}{text}"),
        format!("{cut},\"name\":5}}"),
        format!("{cut},\"unheard_of\":{quoted}}}"),
        format!("[{text}]"),
        quoted.clone(),
        // What is escaped in a URL is not seen to be a secret: without that it has to do.
        json!({"url": format!("http://me:{}@localhost/", core("InAUrl"))}).to_string(),
    ];
    let open = &quoted[..quoted.len() - 1];
    for (from, to) in [
        (&*quoted, format!("[{quoted}]")),
        (&*quoted, format!("{{\"a\":{quoted}}}")),
        (&*quoted, format!("{open}\\n\"")),
        (&*quoted, "5".into()),
        ("auth", "auht".into()),
        ("kind", "knid".into()),
    ] {
        bodies.push(text.replacen(from, &to, 1));
    }
    bodies.extend(WRONG_BODIES.iter().map(|wrong| wrong(secret).to_string()));
    bodies
}

/// Keys of the API where they belong, and where they do not.
async fn use_keys(run: &mut Run) {
    let made = run
        .make("/api-keys", &json!({"name": "a", "role": "admin"}))
        .await;
    let key = made["key"].as_str().unwrap().to_owned();
    let wrong = run.secret("WrongKey", inputs::header_text);
    for (name, value) in [
        ("authorization", format!("Bearer {wrong}")),
        ("authorization", format!("Basic {wrong}")),
        ("authorization", format!("Bearer {key}")),
        ("cookie", format!("session={wrong}")),
        ("proxy-authorization", format!("Basic {wrong}")),
        ("x-api-key", wrong.clone()),
    ] {
        run.ask_with(Method::GET, "/subscriptions", (name, &value))
            .await;
    }
    assert_eq!(run.sign_in(Some(&wrong)).await, None);
    let wrong = core("WrongKey");
    for path in [
        format!("/api-keys/{wrong}"),
        format!("/subscriptions?limit={wrong}&key={wrong}"),
        format!("/nowhere?access_token={wrong}"),
    ] {
        run.ask(Method::GET, &path, "").await;
    }
    let id = made["id"].as_str().unwrap();
    run.ask(Method::DELETE, &format!("/api-keys/{id}"), "")
        .await;
    run.ask_with(
        Method::GET,
        "/subscriptions",
        ("authorization", &format!("Bearer {key}")),
    )
    .await;
}

/// Every document that is to be had without knowing an id, and what programs say of themselves.
async fn look_at_everything(run: &mut Run) {
    let document = run.ask(Method::GET, "/openapi.json", "").await;
    let paths = document["paths"].as_object().unwrap();
    let plain = paths.iter().filter(|(path, item)| {
        !path.contains('{') && item.get("get").is_some() && !path.contains("stream")
    });
    for (path, _) in plain {
        run.ask(Method::GET, path, "").await;
    }
    let running = run.ask(Method::GET, "/instances", "").await.to_string();
    for told in [
        "\"processor\"",
        "\"SECRETS_KEYS\"",
        "\"KAFKA_SASL_PASSWORD\"",
    ] {
        assert!(running.contains(told), "{told}: {running}");
    }
    let first = run.first().await;
    run.ask(Method::GET, &first, "").await;
    let cookie = run.sign_in(None).await.expect("an admin is let in");
    for page in [
        "/console/subscriptions",
        "/console/deliveries",
        "/console/dead-letters",
        "/console/keys",
        "/console/audit",
        "/console/configuration",
        &format!("/console{first}"),
        &format!("/console{first}/edit"),
    ] {
        let shown = run.ask_with(Method::GET, page, ("cookie", &cookie)).await;
        assert!(
            shown.starts_with("200") && shown.contains("<html"),
            "{page}: {shown}"
        );
    }
    run.look_at_the_others().await;
}

/// Programs that do not start.
async fn make_mistakes(run: &mut Run) {
    for (program, setting, value) in MISTAKES {
        let secret = run.secret(setting, inputs::core_alone);
        run.fail_to_start(program, (setting, &value(&secret))).await;
    }
}

fn merge(into: &mut Value, other: &Value) {
    let other = other.as_object().unwrap().clone();
    into.as_object_mut().unwrap().extend(other);
}
