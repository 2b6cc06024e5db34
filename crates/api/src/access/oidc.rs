//! An OAuth2 / OIDC provider: its tokens, accepted beside keys, and signing in there.
//!
//! Tokens are JWTs that it signed for this audience. `token` says whether one is in force and `claims`
//! whom it lets in, both without any I/O; `keys` has the provider's keys, which `fetch` asks for and
//! `jwk` reads. `sign_in` sends people there, and knows who came back. There is one provider, of the
//! operator's choice.

mod args;
mod claims;
mod fetch;
mod jwk;
mod keys;
mod sign_in;
mod token;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::ClientConfig;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::claims::Mapping;
use self::fetch::Provider;
use self::keys::{Keys, Missing, Pace};
use self::sign_in::SignIn;
use self::token::{Claims, Expected, Invalid, Unverified};
use super::Caller;
use crate::error::ApiError;

pub use self::args::OidcArgs;
pub use self::sign_in::{Attempt, NO_PROVIDER, Returned};

/// The one provider of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Oidc(Arc<Trusted>);

#[derive(Debug)]
struct Trusted {
    expected: Expected,
    mapping: Mapping,
    keys: Keys,
    sign_in: Option<SignIn>,
}

impl Oidc {
    /// The provider that the settings name, if they do; `tls` says whose certificates it may have.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(args: &OidcArgs, tls: ClientConfig) -> anyhow::Result<Option<Self>> {
        let (Some(_), Some(issuer)) = (args.check()?, &args.issuer) else {
            return Ok(None);
        };
        let provider = Arc::new(Provider::new(issuer, tls)?);
        let pace = Pace {
            age: args.keys_age,
            pause: args.keys_pause,
            kept: args.keys_kept,
        };
        Ok(Some(Self(Arc::new(Trusted {
            expected: Expected {
                issuer: issuer.clone(),
                audiences: args.audience.clone(),
            },
            mapping: Mapping::new(args),
            sign_in: SignIn::new(args, provider.clone()),
            keys: Keys::new(provider, pace),
        }))))
    }

    /// Whom the token lets in.
    pub(super) async fn caller(&self, token: &str) -> Result<Caller, ApiError> {
        let claims = self.claims(token, &self.0.expected).await;
        let claims = claims.map_err(|unusable| {
            tracing::debug!(reason = %unusable, "a token is refused");
            ApiError::from(unusable)
        })?;
        self.0.mapping.caller(&claims).map_err(ApiError::Forbidden)
    }

    /// Begins signing in: where to send somebody, who then comes back to `redirect_uri`, and what only
    /// they may know until then.
    ///
    /// # Errors
    /// That nobody signs in there, or that the provider does not answer.
    pub async fn begin(&self, redirect_uri: &str) -> Result<(Url, Attempt), ApiError> {
        self.sign_in()?.begin(redirect_uri).await
    }

    /// Who signed in, as what came back says.
    ///
    /// # Errors
    /// That it is not what was begun, that the provider refuses or does not answer, or that whom it
    /// names has no role here.
    pub async fn finish(
        &self,
        attempt: &Attempt,
        returned: &Returned,
        redirect_uri: &str,
    ) -> Result<Caller, ApiError> {
        let sign_in = self.sign_in()?;
        sign_in::check(attempt, returned, &self.0.expected.issuer)?;
        let token = sign_in.token(attempt, returned, redirect_uri).await?;
        let expected = Expected {
            issuer: self.0.expected.issuer.clone(),
            audiences: vec![sign_in.client_id().to_owned()],
        };
        let claims = self.claims(&token, &expected).await;
        let claims = claims.map_err(|unusable| {
            // Nobody gets in while this is so: the provider and our settings do not go together.
            tracing::warn!(reason = %unusable, "an ID token of the provider is refused");
            ApiError::from(unusable)
        })?;
        sign_in::check_claims(attempt, &claims, sign_in.client_id())?;
        self.0.mapping.caller(&claims).map_err(ApiError::Forbidden)
    }

    fn sign_in(&self) -> Result<&SignIn, ApiError> {
        self.0.sign_in.as_ref().ok_or(NO_PROVIDER)
    }

    async fn claims(&self, token: &str, expected: &Expected) -> Result<Claims, Unusable> {
        let unverified = Unverified::read(token)?;
        let key = self.0.keys.find(&unverified).await;
        let key = key.map_err(|missing| match missing {
            Missing::Unknown => Unusable::Invalid(Invalid::Key),
            Missing::Away => Unusable::NoKeys,
        })?;
        let claims = unverified.verify(&key)?;
        expected.check(&claims, now())?;
        Ok(claims)
    }

    /// Has the provider's keys at hand, until `stop`.
    ///
    /// # Errors
    /// None: a provider that does not answer is asked again.
    pub async fn keep_fresh(self, stop: CancellationToken) -> anyhow::Result<()> {
        self.0.keys.keep_fresh(stop).await;
        Ok(())
    }
}

/// Why a token says nothing.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("the provider does not tell its keys")]
    NoKeys,
}

impl From<Unusable> for ApiError {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Invalid(_) => Self::InvalidToken,
            Unusable::NoKeys => Self::ProviderUnavailable(unusable.into()),
        }
    }
}

/// In seconds since the Unix epoch, as tokens have it.
fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}
