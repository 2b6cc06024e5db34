//! How the receiver misbehaves. All faults can be combined; they apply in this order:
//!
//! 1. `--delay`: every request waits;
//! 2. `--hang`: it is never answered;
//! 3. `--status` that is no success: this is the answer, whatever came;
//! 4. what is wrong with the request itself (401, 413, 400);
//! 5. `--fail-rate`: that share of what is left is answered 500.
//!
//! What passes all five is received and answered 204, or with a `--status` that is a success.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use clap::builder::BoolishValueParser;
use common::human;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The faults that were asked for.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Faults, in the order in which they apply")]
pub struct Faults {
    /// Wait before every answer.
    #[arg(long, env = "WEBHOOK_DELAY", default_value = "0s", value_parser = human::duration)]
    pub delay: Duration,
    /// Never answer.
    #[arg(long, env = "WEBHOOK_HANG", value_parser = BoolishValueParser::new())]
    pub hang: bool,
    /// Answer every request with this status; a 2xx replaces the 204 of what is received.
    #[arg(long, env = "WEBHOOK_STATUS", value_name = "CODE", value_parser = status)]
    pub status: Option<StatusCode>,
    /// The share of requests that is answered 500, from 0 to 1.
    #[arg(long, env = "WEBHOOK_FAIL_RATE", default_value = "0", value_parser = share)]
    pub fail_rate: f64,
    /// Which requests are answered 500, by the order in which they come; random unless given.
    #[arg(long, env = "WEBHOOK_SEED")]
    pub seed: Option<u64>,
}

impl Faults {
    /// The answer to every request, if it is to be a failure.
    pub fn refusal(&self) -> Option<StatusCode> {
        self.status.filter(|status| !status.is_success())
    }

    /// The answer to what is received.
    pub fn success(&self) -> StatusCode {
        self.status.unwrap_or(StatusCode::NO_CONTENT)
    }
}

/// Decides which requests fail: by their number, so that a seed repeats it and nothing is locked.
#[derive(Debug)]
pub struct Dice {
    share: f64,
    seed: u64,
    thrown: AtomicU64,
}

impl Dice {
    /// Dice that fail the share of requests that `faults` names.
    pub fn new(faults: &Faults) -> Self {
        Self {
            share: faults.fail_rate,
            seed: faults.seed.unwrap_or_else(rand::random),
            thrown: AtomicU64::default(),
        }
    }

    /// Whether the next request fails.
    pub fn fails(&self) -> bool {
        let number = self.thrown.fetch_add(1, Ordering::Relaxed);
        let throw: f64 = SmallRng::seed_from_u64(self.seed.wrapping_add(number)).random();
        throw < self.share
    }
}

/// Reads a status that can be an answer: a 1xx is not one.
fn status(text: &str) -> Result<StatusCode, String> {
    text.parse::<u16>()
        .ok()
        .filter(|code| (200..=599).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| format!("{text:?} is not a status to answer with: 200 to 599"))
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("{text:?} is not a share: a number from 0 to 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dice(share: f64, seed: u64) -> Dice {
        let thrown = AtomicU64::default();
        Dice {
            share,
            seed,
            thrown,
        }
    }

    fn throws(dice: &Dice) -> Vec<bool> {
        (0..2_000).map(|_| dice.fails()).collect()
    }

    #[test]
    fn a_seed_repeats_which_requests_fail() {
        assert_eq!(throws(&dice(0.3, 7)), throws(&dice(0.3, 7)));
        assert_ne!(throws(&dice(0.3, 7)), throws(&dice(0.3, 8_000)));
    }

    #[test]
    fn about_the_share_fails_and_the_extremes_are_exact() {
        for (share, least, most) in [(0.0, 0, 0), (0.3, 500, 700), (1.0, 2_000, 2_000)] {
            let failed = throws(&dice(share, 1)).into_iter().filter(|f| *f).count();
            assert!((least..=most).contains(&failed), "{share}: {failed}");
        }
    }

    #[test]
    fn what_is_no_status_and_no_share_is_named() {
        for text in ["99", "199", "600", "ok", ""] {
            assert!(status(text).unwrap_err().contains("200 to 599"), "{text}");
        }
        for text in ["2", "-0.1", "NaN", "half"] {
            assert!(share(text).unwrap_err().contains("from 0 to 1"), "{text}");
        }
    }
}
