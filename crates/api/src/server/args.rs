//! The settings of connections, as flags and environment.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use common::human;

/// How many connections there are, how long they may dawdle, and whether they use TLS.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connections")]
pub struct ServerArgs {
    /// How many connections are open at most; others wait
    #[arg(long, env = "API_MAX_CONNECTIONS", default_value = "1024",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub max_connections: usize,
    /// How long the head of a request may take to arrive, from when it is waited for; shorter than the
    /// drain
    #[arg(long, env = "API_HEAD_TIMEOUT", default_value = "10s", value_parser = human::duration)]
    pub head_timeout: Duration,
    /// How many bytes a request's line and headers may have together
    #[arg(long, env = "API_MAX_HEAD_BYTES", default_value = "32768",
        value_parser = RangedU64ValueParser::<usize>::new().range(1024..=1_048_576))]
    pub max_head_bytes: usize,
    /// How many headers a request may have
    #[arg(long, env = "API_MAX_HEADERS", default_value = "100",
        value_parser = RangedU64ValueParser::<usize>::new().range(10..=1000))]
    pub max_headers: usize,
    /// How long a client may take nothing of what it is sent
    #[arg(long, env = "API_WRITE_TIMEOUT", default_value = "30s", value_parser = human::duration)]
    pub write_timeout: Duration,
    /// Serve TLS with the certificates in this PEM file, the server's first
    #[arg(long, env = "TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, env = "TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// How often to look whether the files of TLS have changed
    #[arg(long, env = "TLS_RELOAD_INTERVAL", default_value = "10s", value_parser = human::duration)]
    pub tls_reload_interval: Duration,
    /// How long a TLS handshake may take
    #[arg(long = "tls-handshake-timeout", env = "TLS_HANDSHAKE_TIMEOUT", default_value = "10s", value_parser = human::duration)]
    pub handshake_timeout: Duration,
}
