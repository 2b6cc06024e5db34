//! The settings of the door, as flags and environment.

use std::time::Duration;

use clap::builder::{RangedU64ValueParser, Resettable};
use clap::{Args, FromArgMatches};
use common::human;

use super::origins::Origins;
use super::rate::Rate;
use super::source::TrustedProxies;

/// From where, how often, how large and how slow requests may be.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits of requests")]
pub struct DoorArgs {
    /// How long a request may take before it is answered with 503
    #[arg(long, env = "API_REQUEST_TIMEOUT", default_value = "35s", value_parser = human::duration)]
    pub request_timeout: Duration,
    /// Requests a second with one key, and after a colon how many at once; 0: no limit
    #[arg(long, env = "RATE_LIMIT_PER_KEY", default_value = "100:1000")]
    pub rate_limit_per_key: Rate,
    /// Requests a second from one address (IPv6: one /64), whatever their key
    #[arg(long, env = "RATE_LIMIT_PER_ADDRESS", default_value = "200:2000")]
    pub rate_limit_per_address: Rate,
    /// Wrong keys a second from one address; beyond it, keys that are not known there are refused
    /// unlooked
    #[arg(long, env = "RATE_LIMIT_WRONG_KEYS", default_value = "0.1:20")]
    pub rate_limit_wrong_keys: Rate,
    /// Proxies whose X-Forwarded-For is believed: networks separated by commas; none, unless set
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: TrustedProxies,
    /// Pages of which origins may use the API from a browser, separated by commas; none, unless set
    #[arg(long, env = "CORS_ORIGINS", default_value = "")]
    pub cors_origins: Origins,
    /// How large a body may be
    #[arg(long, env = "API_MAX_BODY", default_value = "1MiB", value_parser = human::bytes)]
    pub max_body_bytes: usize,
    /// How long a body may take to arrive
    #[arg(long, env = "API_BODY_TIMEOUT", default_value = "10s", value_parser = human::duration)]
    pub body_timeout: Duration,
    /// How many bytes path and query may have together
    #[arg(long, env = "API_MAX_URI_BYTES", default_value = "8192",
        value_parser = RangedU64ValueParser::<usize>::new().range(256..=65_534))]
    pub max_uri_bytes: usize,
}

impl Default for DoorArgs {
    /// As where nothing is set.
    fn default() -> Self {
        let command = Self::augment_args(clap::Command::new("defaults"));
        let command = command.mut_args(|arg| arg.env(Resettable::Reset));
        let matches = command.get_matches_from(["defaults"]);
        Self::from_arg_matches(&matches).expect("each has a default")
    }
}
