//! The HTTP client of the tests.

use std::time::Duration;

use reqwest::Client;

/// No answer takes longer, unless the receiver hangs.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub fn build() -> Client {
    // reqwest wants one even for plain HTTP; whichever test comes first installs it.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    Client::builder().timeout(DEADLINE).build().unwrap()
}
