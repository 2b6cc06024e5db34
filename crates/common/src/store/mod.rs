//! Postgres: the connection, the migrations, and the tables that more than one service uses.
//!
//! One table, one file, all its SQL. Tables of one service alone live with that service.

pub mod attempts;
pub mod circuits;
pub mod cursors;
pub mod dead_letters;
pub mod instances;
pub mod pending_deliveries;
pub mod replays;
pub mod statistics;
pub mod subscriptions;
pub mod undelivered;

use std::time::Duration;

use anyhow::{Context, ensure};
use metrics::{describe_gauge, gauge};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::time::Instant;

/// The schema, as `migrations/` builds it.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// How long a query waits for a connection before the database counts as away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a service waits at its start for a Postgres that starts too.
const START_LIMIT: Duration = Duration::from_secs(30);

/// After how long Postgres ends a transaction whose client is silent. A program that is stopped, or
/// cut off, in the middle of one would hold its locks for ever.
const SILENCE_LIMIT: &str = "10s";

const CONNECTIONS: &str = "database_connections";
const CONNECTIONS_LIMIT: &str = "database_connections_limit";

/// Where Postgres is.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    /// Postgres, as a URL.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "postgres://webhooks:webhooks@localhost:5434/webhooks"
    )]
    pub database_url: SecretString,
}

/// Connects, waiting a while for a database that does not answer yet, and brings the
/// schema up to date under a lock, so that replicas may start at once.
///
/// # Errors
/// That the URL is none, that the database does not answer, or that a migration failed.
pub async fn connect(
    args: &StoreArgs,
    application: &str,
    connections: u32,
) -> anyhow::Result<PgPool> {
    let options = options(args.database_url.expose_secret()).context("reading DATABASE_URL")?;
    let options = options.application_name(application).options([
        ("idle_in_transaction_session_timeout", SILENCE_LIMIT),
        // A notice that the schema is there already tells nobody anything.
        ("client_min_messages", "warning"),
        // Each of our queries is short; to compile one takes longer than to run it, and is done for
        // each anew.
        ("jit", "off"),
    ]);
    describe_gauge!(CONNECTIONS, "Connections to Postgres, by state");
    describe_gauge!(
        CONNECTIONS_LIMIT,
        "How many connections to Postgres there may be"
    );
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options);
    await_answer(&pool, &place)
        .await
        .with_context(|| format!("connecting to Postgres at {place}"))?;
    MIGRATIONS
        .run(&pool)
        .await
        .context("migrating the database")?;
    Ok(pool)
}

/// No error repeats the text: it has a password.
fn options(url: &str) -> anyhow::Result<PgConnectOptions> {
    let (scheme, _) = url.split_once("://").unwrap_or_default();
    ensure!(
        matches!(scheme, "postgres" | "postgresql"),
        "it is no URL of a Postgres, as postgres://user:password@host:5432/database is one",
    );
    Ok(url.parse()?)
}

/// Says how many connections of the pool are in use, and how many there may be.
pub fn observe_pool(pool: &PgPool) {
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    let used = pool.size().saturating_sub(idle);
    gauge!(CONNECTIONS, "state" => "idle").set(idle);
    gauge!(CONNECTIONS, "state" => "used").set(used);
    gauge!(CONNECTIONS_LIMIT).set(pool.options().get_max_connections());
}

/// Tries until the database answers. Only silence is waited out: a refusal, such as of the
/// password, is final.
async fn await_answer(pool: &PgPool, place: &str) -> sqlx::Result<()> {
    let began = Instant::now();
    loop {
        match pool.acquire().await {
            Err(sqlx::Error::PoolTimedOut) if began.elapsed() < START_LIMIT => {
                tracing::warn!(place, "waiting for Postgres");
            }
            answered => return answered.map(drop),
        }
    }
}
