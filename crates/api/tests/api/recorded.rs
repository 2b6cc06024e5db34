//! Rows of the record, as the processor would have written them.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// The topic they are of.
pub const TOPIC: &str = "updates";

/// One row.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub subscription: Uuid,
    pub offset: i64,
    pub replay: Option<Uuid>,
    pub topic: String,
    pub event_id: String,
    pub number: i32,
    pub outcome: &'static str,
    pub status: Option<i32>,
    pub failure: Option<&'static str>,
    pub city: &'static str,
    pub seconds_ago: f64,
    pub posted: bool,
}

impl Recorded {
    /// An event that was delivered at the first attempt, so many seconds ago as its offset is.
    pub fn new(subscription: Uuid, offset: i32) -> Self {
        Self {
            subscription,
            offset: offset.into(),
            replay: None,
            topic: TOPIC.into(),
            event_id: format!("event-{offset}"),
            number: 1,
            outcome: "delivered",
            status: Some(204),
            failure: None,
            city: "Tokyo",
            seconds_ago: offset.into(),
            posted: true,
        }
    }

    /// An attempt at it that failed with 500.
    pub fn failed(self, outcome: &'static str) -> Self {
        Self {
            outcome,
            status: Some(500),
            failure: Some("http_5xx"),
            ..self
        }
    }

    /// What became of it without a POST.
    pub fn unposted(self, outcome: &'static str) -> Self {
        Self {
            outcome,
            status: None,
            number: 0,
            posted: false,
            ..self
        }
    }

    pub async fn write(&self, db: &PgPool) -> DateTime<Utc> {
        let failed = self.failure.is_some();
        sqlx::query_scalar(
            "INSERT INTO attempts (topic, attempted_at, subscription_id, partition, event_offset,
                event_id, replay_id, event_key, number, outcome, status, failure, total_us, dns_us,
                connect_us, tls_us, first_byte_us, remote_address, reused, tls_version,
                certificate_days, request_headers, response_headers, response)
             SELECT $13, now() - make_interval(secs => $1), $2, 3, $3, $4, $5, $6, $7, $8::outcome,
                $9, $10, CASE WHEN $11 THEN 78112 END, 1204, 11870, NULL, 40018, '203.0.113.7:443',
                false, 'TLS 1.3', 69, CASE WHEN $12 THEN '{\"authorization\":\"[redacted]\"}' END,
                CASE WHEN $12 THEN '{\"x-why\":\"disk\"}' END, CASE WHEN $12 THEN 'no disk' END
             RETURNING attempted_at",
        )
        .bind(self.seconds_ago)
        .bind(self.subscription)
        .bind(self.offset)
        .bind(&self.event_id)
        .bind(self.replay)
        .bind(self.city)
        .bind(self.number)
        .bind(self.outcome)
        .bind(self.status)
        .bind(self.failure)
        .bind(self.posted)
        .bind(failed)
        .bind(&self.topic)
        .fetch_one(db)
        .await
        .expect("a row")
    }

    /// Lets it wait, due in an hour.
    pub async fn wait(&self, db: &PgPool) {
        sqlx::query(
            "INSERT INTO pending_deliveries (subscription_id, topic, partition, event_offset,
                event_id, payload, attempts, due_at, replay_id, event_key)
             VALUES ($1, $2, 3, $3, $4, '{\"pending\":true}', $5, now() + interval '1 hour', $6, $7)",
        )
        .bind(self.subscription)
        .bind(&self.topic)
        .bind(self.offset)
        .bind(&self.event_id)
        .bind(self.number)
        .bind(self.replay)
        .bind(self.city)
        .execute(db)
        .await
        .expect("a pending delivery");
    }
}
