//! TLS to Postgres, as `sslmode=verify-full` asks for it.

use e2e::log::Log;
use e2e::program::Program;
use e2e::stage::{Stage, setting, until};

/// A password that would be seen anywhere, as a URL has it, and what it says.
const IN_A_URL: &str = "Wr0ng-p4ss%25w%22ord";
const WRONG: &str = "Wr0ng-p4ss%w\"ord";

const LISTENS: [(&str, &str); 2] = [
    ("api", "API_LISTEN"),
    ("processor", "PROCESSOR_ADMIN_LISTEN"),
];

/// The database of a stage, asked for with TLS, under that host name and authority.
fn url(stage: &Stage, host: &str, authority: &str) -> String {
    let url = stage.database_url.replace("127.0.0.1", host);
    let directory = setting("TEST_CERTIFICATES");
    format!("{url}?sslmode=verify-full&sslrootcert={directory}/{authority}.crt")
}

fn start((name, listen): (&str, &str), stage: &Stage, url: &str, log: &Log) -> Program {
    let mut settings = stage.settings();
    settings.push(("DATABASE_URL", url));
    Program::start_logged(name, listen, &settings, log)
}

#[tokio::test]
async fn a_postgres_that_is_vouched_for_is_spoken_to_by_tls() {
    let stage = Stage::new().await;
    for (name, listen) in LISTENS {
        let log = Log::new();
        let program = start(
            (name, listen),
            &stage,
            &url(&stage, "localhost", "ca"),
            &log,
        );
        until(name, async || program.component("postgres").await == "ok").await;
        let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
            WHERE datname = current_database() AND application_name = $1 AND ssl";
        let mut db = stage.database().await;
        let count = sqlx::query_scalar::<_, i64>(encrypted).bind(name);
        assert!(count.fetch_one(&mut db).await.unwrap() > 0);
    }
}

/// Each program ends, says why, and does not show the password.
async fn each_ends(stage: &Stage, url: &str, why: &[&str]) {
    for program in LISTENS {
        let log = Log::new();
        let ended = start(program, stage, url, &log).outcome().await;
        let said = log.text();
        assert!(!ended.success(), "{said}");
        assert!(why.iter().any(|why| said.contains(why)), "{said}");
        for password in [WRONG, IN_A_URL] {
            assert!(!said.contains(password), "{said}");
        }
    }
}

#[tokio::test]
async fn one_that_is_not_is_not_and_the_password_is_not_shown() {
    let stage = Stage::new().await;
    let with_password = |url: String| url.replacen(":webhooks@", &format!(":{IN_A_URL}@"), 1);
    for (host, authority, why) in [
        ("localhost", "stranger", "UnknownIssuer"),
        ("127.0.0.1", "ca", "not valid for name"),
        ("localhost", "ca", "password authentication failed"),
        ("localhost", "none", "No such file"),
    ] {
        let url = with_password(url(&stage, host, authority));
        each_ends(&stage, &url, &[why]).await;
    }
    for broken in [
        format!("postgres://webhooks:{IN_A_URL}@localhost:port/x"),
        format!("postgres://webhooks:{IN_A_URL}@localhost/x?sslmode=sometimes"),
        format!("webhooks:{IN_A_URL}@localhost"),
    ] {
        each_ends(&stage, &broken, &["DATABASE_URL"]).await;
    }
}
