//! Signing in at the provider: the authorization code flow (OpenID Connect Core 1.0, section 3.1) with
//! PKCE (RFC 7636).
//!
//! What a sign-in has to remember, an [`Attempt`], is kept by who signs in, not here: so it outlasts a
//! restart and is good at each replica. It is given to them sealed, and they show it again with what
//! the provider sent them back with. A code that is no answer to that attempt is not shown to the
//! provider; an ID token that does not have its nonce lets nobody in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use outbound::oauth2;
use ring::digest;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use url::Url;
use url::form_urlencoded::Serializer;
use utoipa::ToSchema;

use super::args::OidcArgs;
use super::fetch::{Discovery, Form, Provider, trustworthy};
use super::token::Claims;
use crate::access::keys::random;
use crate::error::ApiError;

/// How long somebody may take at the provider.
pub const MAX_AGE: Duration = Duration::from_mins(10);

/// How far the clocks of two replicas may be apart.
const LEEWAY_SECONDS: i64 = 30;

/// How many codes the provider is asked about at once; more are told to try again.
const AT_ONCE: usize = 16;

/// That there is nowhere to sign in.
pub const NO_PROVIDER: ApiError = ApiError::Forbidden("nobody signs in by a provider here");

const STRANGE: ApiError =
    ApiError::Forbidden("this sign-in was begun elsewhere, or too long ago: begin again");
const BUSY: ApiError = ApiError::RateLimited {
    which: "to sign in at once",
    wait: Duration::from_secs(1),
};
const REFUSED: ApiError = ApiError::Forbidden("the provider did not let this sign-in be");

/// We, as a client of the provider.
pub struct SignIn {
    provider: Arc<Provider>,
    client_id: String,
    client_secret: Option<SecretString>,
    scopes: String,
    places: Semaphore,
}

/// What a sign-in that has begun has to remember. All of it is random, and only they know it who began.
#[derive(Serialize, Deserialize)]
pub struct Attempt {
    state: String,
    nonce: String,
    verifier: String,
    /// In seconds since the Unix epoch, by the clock of who began it.
    began: i64,
}

/// What the provider sent somebody back with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Returned {
    /// What `POST /sign-ins` gave.
    pub attempt: String,
    /// The parameter `code` that the provider added.
    #[schema(value_type = String)]
    code: SecretString,
    /// The parameter `state`.
    state: String,
    /// The parameter `iss`, if there is one (RFC 9207).
    iss: Option<String>,
}

impl Attempt {
    /// A new one.
    fn new() -> Self {
        let text = || BASE64_URL_SAFE_NO_PAD.encode(random::<32>());
        Self {
            state: text(),
            nonce: text(),
            verifier: text(),
            began: chrono::Utc::now().timestamp(),
        }
    }

    /// What the provider may know of the verifier (RFC 7636, section 4.2).
    fn challenge(&self) -> String {
        let digest = digest::digest(&digest::SHA256, self.verifier.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(digest)
    }

    /// Another replica may have begun it, whose clock is not quite ours.
    fn is_in_time(&self, now: i64) -> bool {
        let age = now - self.began;
        age >= -LEEWAY_SECONDS && age.unsigned_abs() <= MAX_AGE.as_secs()
    }
}

/// Whether it is what was begun that came back.
///
/// # Errors
/// That it is not.
pub fn check(attempt: &Attempt, returned: &Returned, issuer: &str) -> Result<(), ApiError> {
    let is_of_issuer = returned.iss.as_deref().is_none_or(|iss| iss == issuer);
    let is_in_time = attempt.is_in_time(chrono::Utc::now().timestamp());
    // Both are shown by the same party, so no time tells it anything.
    let is_ours = attempt.state == returned.state;
    if is_of_issuer && is_in_time && is_ours {
        Ok(())
    } else {
        Err(STRANGE)
    }
}

/// Whether an ID token is for that attempt, and for us (OpenID Connect Core 1.0, section 3.1.3.7).
///
/// # Errors
/// That it is not.
pub fn check_claims(attempt: &Attempt, claims: &Claims, client_id: &str) -> Result<(), ApiError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let is_for_us = match claims.get("azp") {
        None => true,
        Some(party) => party.as_str() == Some(client_id),
    };
    if is_for_us && text("nonce") == Some(&attempt.nonce) {
        Ok(())
    } else {
        Err(STRANGE)
    }
}

impl SignIn {
    /// As the settings say, if they say so.
    pub fn new(args: &OidcArgs, provider: Arc<Provider>) -> Option<Self> {
        Some(Self {
            provider,
            client_id: args.client_id.clone()?,
            client_secret: args.client_secret.clone(),
            scopes: args.scopes.clone(),
            places: Semaphore::new(AT_ONCE),
        })
    }

    /// Who we are there.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Where to send somebody, and what of that is to be remembered.
    ///
    /// # Errors
    /// That the provider does not answer, or has no place to sign in.
    pub async fn begin(&self, redirect_uri: &str) -> Result<(Url, Attempt), ApiError> {
        let endpoint = self.authorization_endpoint().await;
        let endpoint = endpoint.map_err(ApiError::ProviderUnavailable)?;
        let attempt = Attempt::new();
        Ok((self.url(endpoint, redirect_uri, &attempt), attempt))
    }

    async fn authorization_endpoint(&self) -> anyhow::Result<Url> {
        let discovery = self.provider.discovery().await?;
        let endpoint = discovery.authorization_endpoint.as_deref();
        trustworthy(
            endpoint.context("no authorization_endpoint")?,
            "authorization_endpoint",
        )
    }

    fn url(&self, mut endpoint: Url, redirect_uri: &str, attempt: &Attempt) -> Url {
        endpoint.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", redirect_uri),
            ("scope", &self.scopes),
            ("state", &attempt.state),
            ("nonce", &attempt.nonce),
            ("code_challenge", &attempt.challenge()),
            ("code_challenge_method", "S256"),
        ]);
        endpoint
    }

    /// The ID token for a code, as the provider gives it.
    ///
    /// # Errors
    /// That it refuses the code, or does not answer.
    pub async fn token(
        &self,
        attempt: &Attempt,
        returned: &Returned,
        redirect_uri: &str,
    ) -> Result<String, ApiError> {
        let _place = self.places.try_acquire().map_err(|_| BUSY)?;
        let asked = self.exchange(attempt, returned, redirect_uri).await;
        let (status, mut answer) = asked.map_err(ApiError::ProviderUnavailable)?;
        if status != StatusCode::OK {
            let reason = answer["error"].as_str().unwrap_or_default();
            tracing::warn!(%status, reason, "the OIDC provider refuses a code");
            return Err(REFUSED);
        }
        match answer.get_mut("id_token").map(Value::take) {
            Some(Value::String(token)) => Ok(token),
            _ => Err(ApiError::ProviderUnavailable(anyhow!(
                "it gave no id_token"
            ))),
        }
    }

    async fn exchange(
        &self,
        attempt: &Attempt,
        returned: &Returned,
        redirect_uri: &str,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let discovery = self.provider.discovery().await?;
        let endpoint = discovery.token_endpoint.as_deref();
        let endpoint = trustworthy(endpoint.context("no token_endpoint")?, "token_endpoint")?;
        let form = self.form(&discovery, attempt, returned, redirect_uri);
        self.provider.post(&endpoint, form).await
    }

    fn form(
        &self,
        discovery: &Discovery,
        attempt: &Attempt,
        returned: &Returned,
        redirect_uri: &str,
    ) -> Form {
        let mut form = Serializer::new(String::new());
        form.extend_pairs([
            ("grant_type", "authorization_code"),
            ("code", returned.code.expose_secret()),
            ("redirect_uri", redirect_uri),
            ("client_id", &self.client_id),
            ("code_verifier", &attempt.verifier),
        ]);
        let mut authorization = None;
        if let Some(secret) = &self.client_secret {
            if takes_basic(discovery) {
                authorization = Some(oauth2::basic(&self.client_id, secret.expose_secret()));
            } else {
                form.append_pair("client_secret", secret.expose_secret());
            }
        }
        Form {
            body: form.finish(),
            authorization,
        }
    }
}

/// Whether a secret travels in a header there: what all have to take who do not say (OpenID Connect
/// Discovery 1.0, section 3).
fn takes_basic(discovery: &Discovery) -> bool {
    let methods = discovery.token_endpoint_auth_methods_supported.as_ref();
    methods.is_none_or(|all| all.iter().any(|one| one == "client_secret_basic"))
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignIn").field(&self.client_id).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn returned(state: &str, iss: Option<&str>) -> Returned {
        Returned {
            attempt: String::new(),
            code: "code".into(),
            state: state.into(),
            iss: iss.map(Into::into),
        }
    }

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let attempt = Attempt {
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into(),
            ..Attempt::new()
        };
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(attempt.challenge(), challenge);
    }

    #[test]
    fn what_comes_back_must_be_what_was_begun_and_soon() {
        let attempt = Attempt::new();
        let state = attempt.state.clone();
        let check = |attempt: &Attempt, state: &str, iss| {
            check(attempt, &returned(state, iss), "https://issuer").is_ok()
        };
        assert!(check(&attempt, &state, None));
        assert!(check(&attempt, &state, Some("https://issuer")));
        assert!(!check(&attempt, &state, Some("https://other")));
        assert!(!check(&attempt, &Attempt::new().state, None));
        for age in [601, -60] {
            let began = attempt.began - age;
            let attempt = Attempt {
                state: state.clone(),
                began,
                ..Attempt::new()
            };
            assert!(!check(&attempt, &state, None), "{age}");
        }
    }

    #[test]
    fn an_id_token_is_for_one_attempt_and_one_client() {
        let attempt = Attempt::new();
        let check = |claims: Value| {
            let claims = claims.as_object().expect("an object");
            check_claims(&attempt, claims, "us").is_ok()
        };
        assert!(check(json!({"nonce": attempt.nonce})));
        assert!(check(json!({"nonce": attempt.nonce, "azp": "us"})));
        assert!(!check(json!({"nonce": attempt.nonce, "azp": "others"})));
        assert!(!check(json!({"nonce": attempt.nonce, "azp": 7})));
        assert!(!check(json!({"nonce": "another"})));
        assert!(!check(json!({})));
    }
}
