//! Who may do what: each request comes from a [`Caller`], or goes no further than an open route.
//!
//! What a route needs is said once, where it is described: its `security` in the document. [`Guard`]
//! enforces what the finished document says, so that the two cannot differ; a route that says
//! nothing is for admins. Handlers take the [`Caller`], and ask the store for what is in its reach:
//! another owner's is not found, as if it did not exist. `access::keys` knows the form of keys,
//! `api_keys` makes and revokes them; `access::oidc` knows tokens.

mod guard;
pub mod keys;
mod needs;
mod oidc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use clap::ValueEnum;
use common::store::subscriptions::Row;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::door::Source;
use crate::error::ApiError;
use keys::KnownKey;

pub use guard::Guard;
pub use needs::{Needs, SCHEME};
pub use oidc::{Attempt, NO_PROVIDER, Oidc, OidcArgs, Returned};

/// What a caller may reach.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type, ValueEnum,
)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// The subscriptions of its owner, and what belongs to them.
    Subscriber,
}

impl Role {
    /// As it is written.
    pub fn label(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Subscriber => "subscriber",
        }
    }
}

/// What a caller may do with what it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look.
    Read,
    /// Change.
    Write,
}

impl Scope {
    /// As it is written.
    pub fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// Those whose labels are among these.
    pub fn among(labels: &[String]) -> Vec<Self> {
        let has = |scope: &Self| labels.iter().any(|label| label == scope.label());
        [Self::Read, Self::Write].into_iter().filter(has).collect()
    }
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What it may reach.
    pub role: Role,
    /// Whose subscriptions a subscriber reaches; an admin has none.
    pub owner: Option<String>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// As the audit names it: `key:` or `session:` and its id, `oidc:` and the token's subject,
    /// `portal-link:` and the link's id, `admin-key`, `off`, `command`.
    pub who: String,
    /// The key by which it asks, if the database has it.
    pub key: Option<Uuid>,
    /// Whether that is a session's.
    pub in_session: bool,
    /// From where it asks.
    pub address: Option<String>,
    /// Under which id its request is logged.
    pub request_id: String,
}

impl Caller {
    /// One that may do everything, by that name.
    pub fn admin(who: &str) -> Self {
        Self {
            role: Role::Admin,
            owner: None,
            scopes: vec![Scope::Read, Scope::Write],
            who: who.to_owned(),
            key: None,
            in_session: false,
            address: None,
            request_id: String::new(),
        }
    }

    /// Whose rows it reaches; `None`: everybody's.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The subscription, if it is in its reach.
    ///
    /// # Errors
    /// The same for one of another owner as for none.
    pub fn reach(&self, row: Option<Row>) -> Result<Row, ApiError> {
        row.filter(|row| self.role == Role::Admin || row.owner == self.owner)
            .ok_or(ApiError::NotFound("subscription"))
    }

    fn may(&self, needs: Needs) -> Result<(), ApiError> {
        let (role, scope) = match needs {
            Needs::Nobody | Needs::Anybody => return Ok(()),
            Needs::Scope(scope) => (self.role, scope),
            Needs::Admin(scope) => (Role::Admin, scope),
        };
        if self.role != role {
            return Err(ApiError::Forbidden("this is for admins"));
        }
        if !self.scopes.contains(&scope) {
            return Err(ApiError::Forbidden("the key has not the scope for this"));
        }
        Ok(())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    /// Without the guard before it there is none, and nobody is let in.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>();
        caller.cloned().ok_or(ApiError::Unauthorized)
    }
}

/// Somebody at a route that is open to anybody: nobody yet.
#[derive(Clone, Debug)]
pub struct Stranger {
    address: Option<String>,
    request_id: String,
}

impl Stranger {
    /// That it is this caller who asks.
    pub fn is(self, caller: Caller) -> Caller {
        Caller {
            address: self.address,
            request_id: self.request_id,
            ..caller
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Stranger {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let source = parts.extensions.get::<Source>();
        Ok(Self {
            address: source.map(|source| source.0.to_string()),
            request_id: guard::request_id(&parts.extensions),
        })
    }
}

/// How callers are known.
#[derive(Clone, Debug)]
pub enum Access {
    /// Nobody is asked; everybody is an admin.
    Off,
    /// By keys, and by tokens.
    On(Known),
}

/// What is known of callers beside the keys in the database.
#[derive(Clone, Debug, Default)]
pub struct Known {
    admin: Option<Box<KnownKey>>,
    oidc: Option<Oidc>,
}

impl Access {
    /// By keys, of which `admin` is one that no database has.
    pub fn by_keys(admin: Option<&SecretString>) -> Self {
        Self::On(Known {
            admin: admin.map(|key| Box::new(KnownKey::new(key))),
            oidc: None,
        })
    }

    /// The provider, where there is one.
    pub fn oidc(&self) -> Option<&Oidc> {
        match self {
            Self::Off => None,
            Self::On(known) => known.oidc.as_ref(),
        }
    }

    /// By tokens of that provider as well.
    #[must_use]
    pub fn and_tokens_of(self, oidc: Option<Oidc>) -> Self {
        match self {
            Self::Off => Self::Off,
            Self::On(known) => Self::On(Known { oidc, ..known }),
        }
    }
}
