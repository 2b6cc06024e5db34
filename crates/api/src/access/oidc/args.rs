//! The settings of an OIDC provider, as flags and environment: whose tokens are accepted
//! (`OIDC_AUDIENCE`), and with whom people sign in to the console (`OIDC_CLIENT_ID`).

use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use common::human;
use secrecy::SecretString;
use url::{Host, Url};

/// Whose tokens are accepted beside keys, and what their claims mean; with whom people sign in.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "OIDC")]
pub struct OidcArgs {
    /// Trust this OAuth2 / OIDC provider: its issuer, as its tokens name it
    #[arg(long = "oidc-issuer", env = "OIDC_ISSUER")]
    pub issuer: Option<String>,
    /// Accept its tokens beside keys, which must have one of these audiences, separated by commas
    #[arg(
        long = "oidc-audience",
        env = "OIDC_AUDIENCE",
        value_delimiter = ',',
        requires = "issuer"
    )]
    pub audience: Vec<String>,
    /// Let people sign in to the console there, as this client of it
    #[arg(long = "oidc-client-id", env = "OIDC_CLIENT_ID", requires = "issuer")]
    pub client_id: Option<String>,
    /// The client's secret, if it has one
    #[arg(
        long = "oidc-client-secret",
        env = "OIDC_CLIENT_SECRET",
        hide_env_values = true,
        requires = "client_id"
    )]
    pub client_secret: Option<SecretString>,
    /// Which scopes are asked for then, with spaces between them; `openid` is one
    #[arg(long = "oidc-scopes", env = "OIDC_SCOPES", default_value = "openid")]
    pub scopes: String,
    /// The claim with the role: a name, or a JSON pointer as in `/realm_access/roles`
    #[arg(
        long = "oidc-role-claim",
        env = "OIDC_ROLE_CLAIM",
        default_value = "roles"
    )]
    pub role_claim: String,
    /// What the role of an admin is called there
    #[arg(
        long = "oidc-admin-value",
        env = "OIDC_ADMIN_VALUE",
        default_value = "admin"
    )]
    pub admin_value: String,
    /// What the role of a subscriber is called there
    #[arg(
        long = "oidc-subscriber-value",
        env = "OIDC_SUBSCRIBER_VALUE",
        default_value = "subscriber"
    )]
    pub subscriber_value: String,
    /// The claim with the owner whose subscriptions a subscriber reaches, likewise
    #[arg(
        long = "oidc-owner-claim",
        env = "OIDC_OWNER_CLAIM",
        default_value = "sub"
    )]
    pub owner_claim: String,
    /// The claim with the scopes, likewise; without it a token has `read` and `write`
    #[arg(long = "oidc-scope-claim", env = "OIDC_SCOPE_CLAIM")]
    pub scope_claim: Option<String>,
    /// After how long the provider's keys are asked for again
    #[arg(long = "oidc-keys-age", env = "OIDC_KEYS_AGE", default_value = "10m", value_parser = human::duration)]
    pub keys_age: Duration,
    /// How soon they are asked for again after a failure, or for a key that is not among them
    #[arg(long = "oidc-keys-pause", env = "OIDC_KEYS_PAUSE", default_value = "10s", value_parser = human::duration)]
    pub keys_pause: Duration,
    /// For how long they are used while the provider does not answer
    #[arg(long = "oidc-keys-kept", env = "OIDC_KEYS_KEPT", default_value = "24h", value_parser = human::duration)]
    pub keys_kept: Duration,
}

impl OidcArgs {
    /// The issuer, where there is one.
    ///
    /// # Errors
    /// What is wrong with these settings.
    pub fn check(&self) -> anyhow::Result<Option<Url>> {
        ensure!(
            self.keys_kept >= self.keys_age,
            "OIDC_KEYS_KEPT ({:?}) must not be shorter than OIDC_KEYS_AGE ({:?})",
            self.keys_kept,
            self.keys_age,
        );
        ensure!(
            self.admin_value != self.subscriber_value,
            "OIDC_ADMIN_VALUE and OIDC_SUBSCRIBER_VALUE must differ"
        );
        let Some(issuer) = &self.issuer else {
            return Ok(None);
        };
        ensure!(
            self.audience.iter().all(|audience| !audience.is_empty()),
            "OIDC_AUDIENCE has an empty part"
        );
        ensure!(
            !self.audience.is_empty() || self.client_id.is_some(),
            "OIDC_ISSUER needs OIDC_AUDIENCE, to accept its tokens, or OIDC_CLIENT_ID, to sign in there"
        );
        ensure!(
            self.client_id.as_deref() != Some(""),
            "OIDC_CLIENT_ID is empty"
        );
        ensure!(
            self.scopes.split(' ').any(|scope| scope == "openid"),
            "OIDC_SCOPES ({}) must have openid among them",
            self.scopes
        );
        let url: Url = issuer.parse().context("OIDC_ISSUER is no URL")?;
        ensure!(
            is_trustworthy(&url) && url.query().is_none() && url.fragment().is_none(),
            "OIDC_ISSUER ({issuer}) must be https, or http on this machine, without a query"
        );
        Ok(Some(url))
    }
}

/// Whether nobody on the way can change what is answered there.
pub fn is_trustworthy(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let has_host = url.host().is_some();
    (url.scheme() == "https" && has_host) || (url.scheme() == "http" && is_here)
}
