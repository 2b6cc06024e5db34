//! `/.well-known/webhook-keys.json`: the public keys that deliveries are signed with, as a JWK Set
//! (RFC 7517) of Ed25519 keys (RFC 8037).
//!
//! For anybody, and so it says of no key whose it is: a `kid` is the thumbprint of its key, and a
//! set of keys has a random name that its subscription shows.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest;
use serde::{Deserialize, Serialize};
use signature::PublicKey;
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::error::ApiError;
use crate::extract::Query;
use crate::fields::Text;
use crate::refusals;
use crate::state::AppState;
use crate::store::public_keys::{self, Row};

/// Where they are.
const PATH: &str = "/.well-known/webhook-keys.json";

/// How many keys are shown at most.
const MAX_KEYS: i64 = 1000;

/// Shorter than any grace period that is of use: who keeps an answer so long has the new key before
/// the old one ends.
const CACHE: &str = "public, max-age=300";

/// A set of keys (RFC 7517, section 8.5.2).
const JWK_SET: &str = "application/jwk-set+json";

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list))
}

/// Where the keys of that set are, on this host.
pub fn path(key_set: Uuid) -> String {
    format!("{PATH}?set={key_set}")
}

/// The thumbprint by which a key is named (RFC 7638, section 3; RFC 8037, appendix A.3).
pub fn kid(key: &PublicKey) -> String {
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.as_bytes());
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let thumbprint = digest::digest(&digest::SHA256, members.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(thumbprint)
}

/// A set of keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"keys": [{
    "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "use": "sig", "alg": "EdDSA"
}]}))]
pub struct KeySet {
    keys: Vec<Jwk>,
}

/// A public key (RFC 8037, section 2).
#[derive(Debug, Serialize, ToSchema)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    /// The 32 bytes of the key, in base64url.
    x: String,
    /// The key's thumbprint (RFC 7638).
    kid: String,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
}

impl From<Row> for Jwk {
    fn from(row: Row) -> Self {
        Self {
            kty: "OKP",
            crv: "Ed25519",
            x: BASE64_URL_SAFE_NO_PAD.encode(row.key),
            kid: row.kid,
            usage: "sig",
            alg: "EdDSA",
        }
    }
}

/// Which keys to show: those that match everything that is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Those of one subscription, whose `public_keys_url` names it: it stays the same when keys are
    /// exchanged.
    set: Option<Uuid>,
    /// That one.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200)]
    kid: Option<Text>,
}

/// List the public keys that deliveries are signed with
///
/// A JWK Set with the Ed25519 keys that sign now, old ones until their grace period is over; the
/// newest 1,000 of all, unless a `set` is named. It may be kept for 5 minutes. A signature names no
/// key: any key of a subscription's set may have made it.
#[utoipa::path(get, path = "/.well-known/webhook-keys.json", tag = "subscriptions", security(()),
    params(Wanted), responses(
    (status = 200, body = KeySet, content_type = "application/jwk-set+json",
     description = "The keys",
     headers(("cache-control" = String, description = "For how long it may be kept"))),
    refusals::Keys,
))]
async fn list(
    State(db): State<PgPool>,
    Query(wanted): Query<Wanted>,
) -> Result<impl IntoResponse, ApiError> {
    let kid = wanted.kid.map(String::from);
    let rows = public_keys::list(&db, wanted.set, kid.as_deref(), MAX_KEYS).await?;
    let set = KeySet {
        keys: rows.into_iter().map(Jwk::from).collect(),
    };
    Ok((
        [(CONTENT_TYPE, JWK_SET), (CACHE_CONTROL, CACHE)],
        axum::Json(set),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        // RFC 8037, appendices A.2 and A.3.
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(x).expect("base64url");
        let text = format!("whpk_{}", base64::prelude::BASE64_STANDARD.encode(bytes));
        let key: PublicKey = text.parse().expect("a key");
        assert_eq!(kid(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
