//! The flags and environment of `api`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use clap::{Parser, ValueEnum};
use common::attempt_log::AttemptLog;
use common::human;
use common::kafka::KafkaArgs;
use common::secrets::SecretsArgs;
use common::statistics::StatisticsArgs;
use common::store::StoreArgs;
use common::telemetry::TelemetryArgs;
use outbound::EgressArgs;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::access::{Access, OidcArgs, keys};
use crate::command::Command;
use crate::door::DoorArgs;
use crate::live;
use crate::server::ServerArgs;
use crate::sessions;
use crate::statistics::{Settings, percent};

/// What it takes to serve everybody on an address that others reach.
const I_KNOW: &str = "yes-i-know";

/// Whether callers are asked who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// Each shows a key.
    On,
    /// Nobody is asked and everybody may do everything: for development.
    Off,
}

/// Serves the API, or does one of the commands.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Config {
    /// What to do; serve, unless given.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Whether callers are asked for a key; `off` is for development, on a loopback address
    #[arg(
        long,
        env = "AUTH",
        value_enum,
        default_value = "on",
        overrides_with = "auth"
    )]
    pub auth: Auth,
    /// `yes-i-know` lets AUTH=off serve an address that others may reach
    #[arg(long, env = "AUTH_INSECURE")]
    pub auth_insecure: Option<String>,
    /// The first admin's key, at least 32 characters of visible ASCII; others are made with it
    #[arg(long, env = "ADMIN_API_KEY", hide_env_values = true)]
    pub admin_api_key: Option<SecretString>,
    /// After how long without a page one has to sign in to the console again
    #[arg(long, env = "CONSOLE_IDLE", default_value = "1h", value_parser = human::duration)]
    pub console_idle: Duration,
    /// After how long one has to in any case
    #[arg(long, env = "CONSOLE_LIFETIME", default_value = "12h", value_parser = human::duration)]
    pub console_lifetime: Duration,
    /// Where browsers reach this, for links and for signing in; where it listens, unless given
    #[arg(long, env = "PUBLIC_URL", value_parser = public_url)]
    pub public_url: Option<String>,
    /// After how long a link to the console that nobody used is none
    #[arg(long, env = "PORTAL_LINK_LIFETIME", default_value = "5m", value_parser = human::duration)]
    pub portal_link_lifetime: Duration,
    /// Which sites may show the console in a frame: origins, separated by commas; none, unless given
    #[arg(long, env = "CONSOLE_FRAME_ANCESTORS", value_delimiter = ',', value_parser = public_url)]
    pub console_frame_ancestors: Vec<String>,
    /// For how many days the audit is kept
    #[arg(long, env = "AUDIT_KEPT_DAYS", default_value_t = 400, value_parser = clap::value_parser!(i32).range(1..=36_500))]
    pub audit_kept_days: i32,
    /// Where to listen, for the API and the probes alike.
    #[arg(long, env = "API_LISTEN", default_value = "127.0.0.1:9090")]
    pub listen: SocketAddr,
    /// Which attempts the processor records: what it is told too.
    #[arg(long, env = "ATTEMPT_LOG", value_enum, default_value = "all")]
    pub attempt_log: AttemptLog,
    /// How many may listen to the record at once.
    #[arg(long, env = "LIVE_LISTENERS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub live_listeners: u32,
    /// How many of these may be of one owner.
    #[arg(long, env = "LIVE_LISTENERS_PER_OWNER", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub live_listeners_per_owner: u32,
    /// How often the record is looked at while somebody listens.
    #[arg(long, env = "LIVE_POLL", default_value = "500ms", value_parser = human::duration)]
    pub live_poll: Duration,
    /// How long a test delivery may take to a subscription that does not say; as for the processor.
    #[arg(long, env = "ATTEMPT_TIMEOUT", default_value = "10s", value_parser = human::duration)]
    pub attempt_timeout: Duration,
    /// How many attempts should succeed, in percent: what error budgets are reckoned from
    #[arg(long, env = "SLO_SUCCESS", default_value = "99.9", value_parser = percent)]
    pub slo_success: f64,
    /// After how long of nothing but failures a subscription is disabled; as for the processor.
    #[arg(long, env = "DISABLE_AFTER", default_value = "5days", value_parser = human::duration)]
    pub disable_after: Duration,
    /// For how long statistics are kept; as for the processor.
    #[command(flatten)]
    pub statistics: StatisticsArgs,
    /// As whom receivers are asked whether they want deliveries: the domain name of this system
    #[arg(long, env = "SENDER_ORIGIN", default_value = "localhost", value_parser = origin)]
    pub sender_origin: String,
    /// How long requests may go on after a signal to stop.
    #[arg(long, env = "API_DRAIN_TIMEOUT", default_value = "15s", value_parser = human::duration)]
    pub drain_timeout: Duration,
    /// How many connections to Postgres are open at most.
    #[arg(long, env = "API_CONNECTIONS", default_value_t = 10)]
    pub connections: u32,
    /// From where, how often, how large and how slow requests may be.
    #[command(flatten)]
    pub door: DoorArgs,
    /// How many connections there are, and whether they use TLS.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Where Postgres is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where Kafka is, which replays and previews look things up in.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// Where subscriptions may point, and test deliveries go; as for the processor.
    #[command(flatten)]
    pub egress: EgressArgs,
    /// What seals and opens the secrets of subscriptions; as for the processor.
    #[command(flatten)]
    pub secrets: SecretsArgs,
    /// Whose tokens are accepted beside keys.
    #[command(flatten)]
    pub oidc: OidcArgs,
    /// How logs are written.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

impl Config {
    /// Checks what no field can check by itself.
    ///
    /// # Errors
    /// Which two settings do not go together.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.door.request_timeout > self.attempt_timeout,
            "API_REQUEST_TIMEOUT ({:?}) must be longer than ATTEMPT_TIMEOUT ({:?}), or no test \
             delivery is seen to time out",
            self.door.request_timeout,
            self.attempt_timeout,
        );
        self.kafka.check()?;
        ensure!(
            self.server.head_timeout < self.drain_timeout,
            "API_HEAD_TIMEOUT ({:?}) must be shorter than API_DRAIN_TIMEOUT ({:?}), or whoever sends \
             half a head keeps a stop from being clean",
            self.server.head_timeout,
            self.drain_timeout,
        );
        self.oidc.check()?;
        self.statistics.check()?;
        self.check_auth()
    }

    fn check_auth(&self) -> anyhow::Result<()> {
        ensure!(
            self.auth == Auth::On
                || self.listen.ip().is_loopback()
                || self.auth_insecure.as_deref() == Some(I_KNOW),
            "AUTH=off lets everybody do everything, and API_LISTEN ({}) is not a loopback address: \
             use AUTH=on, or AUTH_INSECURE={I_KNOW}",
            self.listen,
        );
        let admin = self.admin_api_key.as_ref();
        ensure!(
            admin.is_none_or(|key| keys::is_strong(key.expose_secret())),
            "ADMIN_API_KEY must have {} to 1024 characters of visible ASCII",
            keys::MIN_ADMIN_KEY_CHARS,
        );
        Ok(())
    }

    /// How many may listen, and how often is looked.
    pub(crate) fn live(&self) -> live::Settings {
        let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        live::Settings {
            listeners: size(self.live_listeners),
            listeners_per_owner: size(self.live_listeners_per_owner),
            poll: self.live_poll,
        }
    }

    /// What statistics are judged by.
    pub(crate) fn settings_of_statistics(&self) -> Settings {
        Settings {
            kept: self.statistics,
            slo_success: self.slo_success,
            disable_after: self.disable_after,
        }
    }

    /// How the console lets people in.
    pub(crate) fn console(&self) -> console::Settings {
        console::Settings {
            asks_for_keys: self.auth == Auth::On,
            has_provider: self.auth == Auth::On && self.oidc.client_id.is_some(),
            by_tls: self.is_by_tls(),
            idle: self.console_idle,
            lifetime: self.console_lifetime,
            frame_ancestors: self.console_frame_ancestors.clone(),
        }
    }

    /// Where browsers reach this, and how long what they sign in with lasts.
    pub(crate) fn sessions(&self) -> sessions::Settings {
        sessions::Settings {
            lifetime: self.console_lifetime,
            link_lifetime: self.portal_link_lifetime,
            public_url: self.public_url.clone().unwrap_or_else(|| self.own_url()),
        }
    }

    fn is_by_tls(&self) -> bool {
        let public = self.public_url.as_deref().unwrap_or("");
        public.starts_with("https:")
            || self.server.tls_cert.is_some()
            || !self.listen.ip().is_loopback()
    }

    fn own_url(&self) -> String {
        let scheme = if self.server.tls_cert.is_some() {
            "https"
        } else {
            "http"
        };
        let (ip, port) = (self.listen.ip(), self.listen.port());
        if ip.is_unspecified() || ip.is_loopback() {
            return format!("{scheme}://localhost:{port}");
        }
        format!("{scheme}://{}", self.listen)
    }

    /// How callers are known.
    pub(crate) fn access(&self) -> Access {
        match self.auth {
            Auth::Off => Access::Off,
            Auth::On => Access::by_keys(self.admin_api_key.as_ref()),
        }
    }
}

/// Letters, digits, hyphens and dots: more is in no domain name.
fn origin(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if !(1..=253).contains(&text.len()) || !text.chars().all(fits) {
        return Err("it must be a domain name of 1 to 253 characters".into());
    }
    Ok(text.to_owned())
}

/// Scheme and authority, as a browser names an origin (RFC 6454, section 6.2).
fn public_url(text: &str) -> Result<String, String> {
    let wrong = || "it must be http:// or https:// and a host, and no more".to_owned();
    let url: Url = text.parse().map_err(|_| wrong())?;
    let is_origin = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_origin || text.ends_with('/') {
        return Err(wrong());
    }
    Ok(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: &[&str]) -> Result<(), String> {
        let config =
            Config::parse_from([&["api", "--auth", "off", "--secrets-keys", "-"], flags].concat());
        config.check().map_err(|error| error.to_string())
    }

    #[test]
    fn everybody_is_let_in_on_this_machine_only_unless_somebody_insists() {
        let outside = "--listen=0.0.0.0:9090";
        assert_eq!(check(&["--listen=127.0.0.1:1"]), Ok(()));
        assert_eq!(check(&["--listen=[::1]:1"]), Ok(()));
        assert!(check(&[outside]).is_err_and(|said| said.contains("AUTH_INSECURE=yes-i-know")));
        assert!(check(&[outside, "--auth-insecure=yes"]).is_err());
        assert_eq!(check(&[outside, "--auth-insecure=yes-i-know"]), Ok(()));
        assert_eq!(check(&[outside, "--auth=on"]), Ok(()));
    }

    #[test]
    fn a_public_url_is_an_origin() {
        for (text, origin) in [
            (
                "https://hooks.example.com",
                Some("https://hooks.example.com"),
            ),
            (
                "https://hooks.example.com:443",
                Some("https://hooks.example.com"),
            ),
            ("http://[::1]:9090", Some("http://[::1]:9090")),
            ("https://hooks.example.com/", None),
            ("https://hooks.example.com/console", None),
            ("https://me@hooks.example.com", None),
            ("ftp://hooks.example.com", None),
            ("hooks.example.com", None),
            ("'none'", None),
        ] {
            assert_eq!(public_url(text).ok().as_deref(), origin, "{text}");
        }
    }

    #[test]
    fn a_weak_admin_key_is_refused_and_not_repeated() {
        for key in ["short-secret", "it has thirty-two characters and spaces"] {
            let said = check(&[&format!("--admin-api-key={key}")]).expect_err(key);
            assert!(
                said.contains("ADMIN_API_KEY") && !said.contains(key),
                "{said}"
            );
        }
        assert_eq!(
            check(&["--admin-api-key=0123456789abcdef0123456789abcdef"]),
            Ok(())
        );
    }
}
