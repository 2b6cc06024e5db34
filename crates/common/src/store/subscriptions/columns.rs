//! The types of single columns: what a subscription's state, order, coalescing and token may be.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};
use utoipa::ToSchema;

/// Whether a subscription gets events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = SubscriptionState)]
pub enum State {
    /// It does.
    Active,
    /// It does not, until somebody resumes it: what happens meanwhile is delivered then.
    Paused,
    /// It does not: `disabled_reason` says why. Pending deliveries wait.
    Disabled,
}

/// In which order a subscription's deliveries go out.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema, sqlx::Type,
)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// Any: a retry comes after later events.
    #[default]
    None,
    /// Each city's in the order of the log: one that fails holds back that city, no other.
    PerKey,
}

/// What of a city's readings is delivered when a subscription is behind.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema, sqlx::Type,
)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Coalesce {
    /// Each of them.
    #[default]
    None,
    /// The newest; the others count as superseded.
    LatestPerKey,
}

/// How a subscription's deliveries authenticate to its receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    /// Not at all, beyond their signature.
    #[default]
    None,
    /// `Authorization: Bearer …`
    Bearer,
    /// `Authorization: Basic …`
    Basic,
    /// A header of its own.
    Header,
    /// `Authorization: Bearer …`, with a token that a token endpoint gives.
    Oauth2,
}

impl AuthKind {
    /// As the column has it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::Header => "header",
            Self::Oauth2 => "oauth2",
        }
    }
}

/// The longest [`AuthKey`], in bytes.
pub const MAX_AUTH_KEY_BYTES: usize = 1024;

/// The bearer token of the POSTs to one subscription: visible ASCII, so that it fits in a
/// header. Prints as redacted.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "SecretString")]
pub struct AuthKey(SecretString);

impl TryFrom<SecretString> for AuthKey {
    type Error = &'static str;

    fn try_from(key: SecretString) -> Result<Self, Self::Error> {
        let bytes = key.expose_secret().as_bytes();
        if !(1..=MAX_AUTH_KEY_BYTES).contains(&bytes.len()) {
            return Err("must have 1 to 1024 characters");
        }
        if !bytes.iter().all(u8::is_ascii_graphic) {
            return Err("must be visible ASCII without spaces");
        }
        Ok(Self(key))
    }
}

impl AuthKey {
    /// The token itself, for the header and the database only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl Type<Postgres> for AuthKey {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl Decode<'_, Postgres> for AuthKey {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(<String as Decode<Postgres>>::decode(value)?.into()))
    }
}
