//! A subscription as it is shown: its settings, and how its deliveries fare.
//!
//! However many are shown, what stands in other tables is asked for with one query a table.

mod certificate;
mod signing;

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use common::human;
use common::oauth2::{ClientCredentials, Method};
use common::secrets::Keyring;
use common::store::subscriptions::{self, AuthKind, Coalesce, Ordering, Row, State};
use common::store::{circuits, cursors, undelivered};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::store::{client_certificates, public_keys};
use certificate::ClientCertificate;
use signing::SignedBy;

/// From which share of the topic's retention on a person should look after what is held back.
const RETENTION_WARNING: f32 = 0.5;

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11", "owner": "acme", "name": "my-web-hook",
    "description": "Web hook - Test", "url": "http://localhost:9099", "auth": {"kind": "bearer"},
    "header_names": ["X-Team"], "client_certificate": {
        "subject": "CN=temperature-webhooks", "serial": "a10b",
        "fingerprint_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "not_after": "2027-11-23T00:00:00Z"
    },
    "permitted_origin": null, "signing_algorithm": "ed25519", "public_keys": [{
        "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        "key": "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "ends_at": null
    }],
    "public_keys_url": "/.well-known/webhook-keys.json?set=6b0c1c9e-5d0b-4f0f-8c35-0d4b9b0a4a1e",
    "event_types": null, "cities": ["Tokyo", "Berlin"], "filter": "event.reading > 30",
    "retry_schedule": ["5s", "30s", "10m"], "max_age": "6h", "timeout": null, "rate_limit": null,
    "max_in_flight": null, "ordering": "none", "coalesce": "none", "disable_after": null,
    "state": "active", "disabled_reason": null, "disabled_at": null,
    "circuit": {
        "state": "open", "failing_since": "2026-11-23T21:00:00Z",
        "last_failure": "connect_refused", "last_failure_at": "2026-11-23T21:00:40Z",
        "opened_at": "2026-11-23T21:00:40Z", "next_probe_at": "2026-11-23T21:00:45Z"
    },
    "held_back": {
        "since": "2026-11-23T21:00:40Z", "partitions": 8, "retention_used": 0.62,
        "warning": "62 % of the topic's retention is used up; at 80 % what would be lost is copied"
    },
    "expired": 0, "superseded": 12,
    "created_at": "2026-11-23T20:00:00Z", "updated_at": "2026-11-23T20:00:00Z"
}))]
pub struct Subscription {
    id: Uuid,
    /// Whose it is; `null`: nobody's but the admins'.
    owner: Option<String>,
    name: String,
    description: Option<String>,
    /// Where deliveries go.
    url: String,
    /// How deliveries authenticate; what is secret of it is never read back.
    auth: Auth,
    /// The names of what else each delivery carries.
    header_names: Vec<String>,
    /// What it shows of who we are; `null`: nothing.
    client_certificate: Option<ClientCertificate>,
    /// As whom its receiver has permitted deliveries, which say so in `WebHook-Request-Origin`;
    /// `null`: it was not asked.
    permitted_origin: Option<String>,
    #[serde(flatten)]
    signed_by: SignedBy,
    /// `null`: every type but operational ones.
    event_types: Option<Vec<String>>,
    /// `null`: every city.
    cities: Option<Vec<String>>,
    /// `null`: each event of these types and cities.
    filter: Option<String>,
    /// Here and below `null` means the processor's default.
    retry_schedule: Option<Vec<String>>,
    max_age: Option<String>,
    timeout: Option<String>,
    rate_limit: Option<f64>,
    max_in_flight: Option<i32>,
    ordering: Ordering,
    coalesce: Coalesce,
    disable_after: Option<String>,
    // Inline, here and below: schemas of the same name would be one in the document.
    #[schema(inline)]
    state: State,
    /// Why it is disabled.
    disabled_reason: Option<String>,
    /// Since when it is.
    disabled_at: Option<DateTime<Utc>>,
    circuit: Circuit,
    /// What it has yet to get, while it is detached from the log.
    held_back: Option<HeldBack>,
    /// How many events were too old for it.
    expired: i64,
    /// How many readings a newer one of their city took the place of.
    superseded: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A subscription that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11", "name": "my-web-hook",
    "description": "Web hook - Test", "url": "http://localhost:9099", "auth": {"kind": "bearer"},
    "header_names": [], "client_certificate": null, "permitted_origin": null, "signing_algorithm": "hmac_sha256", "public_keys": [], "public_keys_url": null,
    "event_types": null, "cities": null, "filter": null, "retry_schedule": null, "max_age": null,
    "timeout": null, "rate_limit": null, "max_in_flight": null, "ordering": "none",
    "coalesce": "none", "disable_after": null, "state": "active", "disabled_reason": null,
    "disabled_at": null,
    "circuit": {
        "state": "closed", "failing_since": null, "last_failure": null, "last_failure_at": null,
        "opened_at": null, "next_probe_at": null
    },
    "held_back": null, "expired": 0, "superseded": 0,
    "created_at": "2026-11-23T20:00:00Z", "updated_at": "2026-11-23T20:00:00Z",
    "signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
}))]
pub struct NewlyMade {
    #[serde(flatten)]
    pub subscription: Subscription,
    /// What its deliveries are signed with (Standard Webhooks). It is shown this once; `null` for
    /// `ed25519`, of which nobody needs more than the public key.
    pub signing_secret: Option<String>,
}

/// How deliveries authenticate to the receiver.
#[derive(Debug, Serialize, ToSchema)]
#[allow(
    clippy::struct_field_names,
    reason = "OAuth 2.0 has the name `client_auth`"
)]
pub struct Auth {
    kind: AuthKind,
    /// Of `oauth2`, as is what follows: where tokens are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_url: Option<String>,
    /// As whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_auth: Option<Method>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
}

impl Auth {
    fn of(row: &Row, keyring: &Keyring) -> Self {
        let opened = credentials(row, keyring);
        let method = opened.as_ref().map(|it| it.client_auth.method());
        let mut auth = Self {
            kind: row.auth_kind,
            token_url: None,
            client_id: None,
            client_auth: method,
            scope: None,
            audience: None,
        };
        if let Some(opened) = opened {
            auth.token_url = Some(opened.token_url);
            auth.client_id = Some(opened.client_id);
            (auth.scope, auth.audience) = (opened.scope, opened.audience);
        }
        auth
    }
}

/// The client credentials of that subscription, if it has some that can be opened.
pub fn credentials(of: &Row, keyring: &Keyring) -> Option<ClientCredentials> {
    if of.auth_kind != AuthKind::Oauth2 {
        return None;
    }
    match of.secrets(keyring).ok()?.auth {
        subscriptions::Auth::Oauth2(credentials) => Some(credentials),
        _ => None,
    }
}

/// What its receiver's failures led to.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Circuit {
    #[schema(inline)]
    state: circuits::State,
    /// The first failure after the last success.
    failing_since: Option<DateTime<Utc>>,
    /// The class of the latest failure.
    last_failure: Option<String>,
    /// When that was.
    last_failure_at: Option<DateTime<Utc>>,
    /// Since when it is open.
    opened_at: Option<DateTime<Utc>>,
    /// When one request will find out whether the receiver is back.
    next_probe_at: Option<DateTime<Utc>>,
}

impl From<circuits::Row> for Circuit {
    fn from(row: circuits::Row) -> Self {
        let is_open = row.state == circuits::State::Open;
        Self {
            state: row.state,
            failing_since: row.failing_since,
            last_failure: row.last_failure,
            last_failure_at: row.last_failure_at,
            opened_at: row.opened_at,
            next_probe_at: row.probe_at.filter(|_| is_open),
        }
    }
}

/// What a subscription that is detached from the log has yet to get.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeldBack {
    since: DateTime<Utc>,
    partitions: i64,
    /// How much of the topic's retention has gone by for the first of it, 0 to 1.
    retention_used: f32,
    /// There from 0.5 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

impl From<cursors::HeldBack> for HeldBack {
    fn from(held: cursors::HeldBack) -> Self {
        let warning = (held.retention_used >= RETENTION_WARNING).then(|| {
            format!(
                "{:.0} % of the topic's retention is used up; at 80 % what would be lost is copied",
                held.retention_used * 100.0
            )
        });
        Self {
            since: held.since,
            partitions: held.partitions,
            retention_used: held.retention_used,
            warning,
        }
    }
}

/// The subscription of that row.
///
/// # Errors
/// The database's.
pub async fn one(db: &PgPool, keyring: &Keyring, row: Row) -> sqlx::Result<Subscription> {
    let mut fare = Fare::of(db, &[row.id]).await?;
    Ok(fare.show(row, keyring))
}

/// The subscriptions of those rows.
///
/// # Errors
/// The database's.
pub async fn all(
    db: &PgPool,
    keyring: &Keyring,
    rows: Vec<Row>,
) -> sqlx::Result<Vec<Subscription>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut fare = Fare::of(db, &ids).await?;
    Ok(rows
        .into_iter()
        .map(|row| fare.show(row, keyring))
        .collect())
}

/// How the deliveries of some subscriptions fare.
struct Fare {
    circuits: HashMap<Uuid, circuits::Row>,
    held_back: HashMap<Uuid, cursors::HeldBack>,
    undelivered: HashMap<Uuid, undelivered::Counts>,
    public_keys: HashMap<Uuid, Vec<public_keys::Row>>,
    certificates: HashMap<Uuid, client_certificates::Row>,
}

impl Fare {
    async fn of(db: &PgPool, ids: &[Uuid]) -> sqlx::Result<Self> {
        let circuits = circuits::get_all(db, ids).await?.into_iter();
        let held_back = cursors::held_back(db, ids).await?.into_iter();
        let undelivered = undelivered::counts(db, ids).await?.into_iter();
        let certificates = client_certificates::of_all(db, ids).await?.into_iter();
        let mut keys: HashMap<Uuid, Vec<_>> = HashMap::new();
        for row in public_keys::of_all(db, ids).await? {
            keys.entry(row.subscription_id).or_default().push(row);
        }
        Ok(Self {
            circuits: circuits.map(|row| (row.subscription_id, row)).collect(),
            held_back: held_back.map(|row| (row.subscription_id, row)).collect(),
            undelivered: undelivered.map(|row| (row.subscription_id, row)).collect(),
            public_keys: keys,
            certificates: certificates.map(|row| (row.subscription_id, row)).collect(),
        })
    }

    /// The subscription of that row, which is shown once.
    fn show(&mut self, row: Row, keyring: &Keyring) -> Subscription {
        let circuit = self.circuits.remove(&row.id);
        let undelivered = self.undelivered.remove(&row.id);
        Subscription {
            auth: Auth::of(&row, keyring),
            id: row.id,
            owner: row.owner,
            name: row.name,
            description: row.description,
            url: row.url,
            header_names: row.header_names,
            client_certificate: self.certificates.remove(&row.id).map(Into::into),
            permitted_origin: row.permitted_origin,
            signed_by: self.public_keys.remove(&row.id).unwrap_or_default().into(),
            event_types: row.event_types,
            cities: row.cities,
            filter: row.filter,
            retry_schedule: row
                .retry_schedule_ms
                .map(|steps| steps.into_iter().map(written).collect()),
            max_age: row.max_age_ms.map(written),
            timeout: row.timeout_ms.map(written),
            rate_limit: row.rate_limit,
            max_in_flight: row.max_in_flight,
            ordering: row.ordering,
            coalesce: row.coalesce,
            disable_after: row.disable_after_ms.map(written),
            state: row.state,
            disabled_reason: row.disabled_reason,
            disabled_at: row.disabled_at,
            circuit: circuit.map(Circuit::from).unwrap_or_default(),
            held_back: self.held_back.remove(&row.id).map(HeldBack::from),
            expired: undelivered.as_ref().map_or(0, |counts| counts.expired),
            superseded: undelivered.as_ref().map_or(0, |counts| counts.superseded),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn written(milliseconds: i64) -> String {
    human::written(Duration::from_millis(
        milliseconds.try_into().unwrap_or_default(),
    ))
}
