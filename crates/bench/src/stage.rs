//! The stage of one case: a database and a topic of its own, and who subscribed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use common::kafka::{KafkaArgs, KafkaSecurity};
use common::secrets::Keyring;
use common::store::{self, StoreArgs, subscriptions};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::time::Instant;
use uuid::Uuid;

use crate::load::city;
use crate::program::Processor;

/// Seals the secrets of the subscriptions.
pub const SECRETS_KEYS: &str = "bench:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// How many partitions the topic has.
pub const PARTITIONS: i32 = 12;

/// How long the processor may take until it owns all of them.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);

/// Where the servers are, and what there is the case's.
#[derive(Debug)]
pub struct Stage {
    /// The broker and the topic.
    pub kafka: KafkaArgs,
    /// The database.
    pub database_url: String,
    db: PgPool,
}

impl Stage {
    /// A stage on which nothing is yet.
    ///
    /// # Errors
    /// That one of the servers refuses.
    pub async fn new(server: &str, brokers: &str) -> anyhow::Result<Self> {
        let name = format!("bench_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(server)
            .await
            .context("connecting to Postgres")?;
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&mut admin).await?;
        let stage = Self::again(server, brokers, name).await?;
        create_topic(&stage.kafka).await?;
        Ok(stage)
    }

    /// The stage of that name, as it was left.
    ///
    /// # Errors
    /// That one of the servers refuses.
    pub async fn again(server: &str, brokers: &str, name: String) -> anyhow::Result<Self> {
        let (base, _) = server
            .rsplit_once('/')
            .context("DATABASE_URL names a database")?;
        let database_url = format!("{base}/{name}");
        let args = StoreArgs {
            database_url: database_url.clone().into(),
        };
        let kafka = KafkaArgs {
            kafka_brokers: brokers.into(),
            kafka_topic: name,
            security: KafkaSecurity::default(),
        };
        Ok(Self {
            db: store::connect(&args, "bench", 1).await?,
            database_url,
            kafka,
        })
    }

    /// Subscribes each URL to a city of its own, the first to the first.
    ///
    /// # Errors
    /// That Postgres refuses.
    pub async fn subscribe(&self, urls: &[String]) -> anyhow::Result<()> {
        let cities: Vec<_> = (0..).map(city).map(Some).take(urls.len()).collect();
        self.subscribe_each(urls, &cities).await
    }

    /// Subscribes each URL to one city, the first to the first, or to all of them.
    ///
    /// # Errors
    /// That Postgres refuses.
    pub async fn subscribe_each(
        &self,
        urls: &[String],
        cities: &[Option<String>],
    ) -> anyhow::Result<()> {
        let ids: Vec<Uuid> = urls.iter().map(|_| Uuid::now_v7()).collect();
        let subscribed = sqlx::query(
            r"
            INSERT INTO subscriptions (id, name, url, cities)
            SELECT id, url, url, CASE WHEN city IS NOT NULL THEN ARRAY[city] END
            FROM UNNEST($1::uuid[], $2::text[], $3::text[]) AS wanted (id, city, url)
            ",
        );
        let subscribed = subscribed.bind(ids).bind(cities).bind(urls);
        subscribed.execute(&self.db).await.context("subscribing")?;
        self.seal().await
    }

    /// Gives subscriptions their secrets, as `api` does that makes them: else a processor would when it
    /// starts, as after an upgrade.
    async fn seal(&self) -> anyhow::Result<()> {
        let keyring = Keyring::new(&SECRETS_KEYS.into())?;
        let sealing = subscriptions::seal_all(&self.db, &keyring);
        sealing.await.map(drop).context("sealing")
    }

    /// Subscribes one URL to these cities.
    ///
    /// # Errors
    /// That Postgres refuses.
    pub async fn subscribe_to(&self, url: &str, cities: &[String]) -> anyhow::Result<Uuid> {
        let id = Uuid::now_v7();
        let sql = "INSERT INTO subscriptions (id, name, url, cities) VALUES ($1, $2, $2, $3)";
        let subscribed = sqlx::query(sql).bind(id).bind(url).bind(cities);
        subscribed.execute(&self.db).await.context("subscribing")?;
        self.seal().await?;
        Ok(id)
    }

    /// A subscription becomes active, or paused.
    ///
    /// # Errors
    /// That Postgres refuses.
    pub async fn set_state(&self, id: Uuid, state: &str) -> anyhow::Result<()> {
        let changed = sqlx::query("UPDATE subscriptions SET state = $2 WHERE id = $1");
        let changed = changed.bind(id).bind(state).execute(&self.db);
        changed.await.context("changing a state").map(drop)
    }

    /// What goes to that port is to go there by TLS.
    ///
    /// # Errors
    /// That Postgres refuses.
    pub async fn ask_for_tls(&self, port: u16) -> anyhow::Result<()> {
        let (http, https) = (
            format!("http://127.0.0.1:{port}/"),
            format!("https://127.0.0.1:{port}/"),
        );
        let moved = sqlx::query(
            "UPDATE subscriptions SET url = replace(url, $1, $2) WHERE starts_with(url, $1)",
        );
        moved
            .bind(http)
            .bind(https)
            .execute(&self.db)
            .await
            .context("changing URLs")?;
        Ok(())
    }

    /// Waits until the processor owns all partitions and has chosen where to begin.
    ///
    /// # Errors
    /// That it takes too long, or has ended.
    pub async fn until_owned(&self, processor: &mut Processor) -> anyhow::Result<()> {
        let owned = "SELECT count(next_offset) FROM progress";
        self.until(processor, owned, PARTITIONS.into(), START_LIMIT)
            .await
    }

    /// Waits until a number out of the database is no less than that.
    ///
    /// # Errors
    /// That it takes too long, or the processor has ended.
    pub async fn until(
        &self,
        processor: &mut Processor,
        sql: &'static str,
        at_least: i64,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        while self.count(sql).await? < at_least {
            processor.check()?;
            if Instant::now() > deadline {
                bail!("'{sql}' is not {at_least} after {limit:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// One number out of the database.
    ///
    /// # Errors
    /// That Postgres refuses.
    pub async fn count(&self, sql: &'static str) -> anyhow::Result<i64> {
        sqlx::query_scalar(sql)
            .fetch_one(&self.db)
            .await
            .context(sql)
    }

    /// How many attempts were made, by the class of their failure.
    ///
    /// # Errors
    /// That Postgres refuses.
    pub async fn attempts(&self) -> anyhow::Result<BTreeMap<String, i64>> {
        let sql = "SELECT COALESCE(failure, 'delivered'), count(*) FROM attempts
                   WHERE total_us IS NOT NULL GROUP BY 1";
        let made: Vec<(String, i64)> =
            sqlx::query_as(sql).fetch_all(&self.db).await.context(sql)?;
        Ok(made.into_iter().collect())
    }
}

async fn create_topic(kafka: &KafkaArgs) -> anyhow::Result<()> {
    let admin: AdminClient<_> = kafka.client_config("bench").create()?;
    let topic = NewTopic::new(&kafka.kafka_topic, PARTITIONS, TopicReplication::Fixed(1));
    let made = admin.create_topics([&topic], &AdminOptions::new()).await?;
    for result in made {
        result.map_err(|(topic, code)| anyhow::anyhow!("creating the topic {topic}: {code}"))?;
    }
    Ok(())
}
