//! Where the tokens of one client come from: what is held, whether it is being fetched, and the
//! breaker of its token endpoint. Pure: it is told what happened and when.
//!
//! A token is renewed from [`RENEW_AT`] of its life on, or earlier by up to [`JITTER`] of it, while it
//! still serves. Without one, all wait for the one who fetches; but once that has failed nobody waits
//! for the token endpoint: there is one request, a probe, after a back-off that doubles, and
//! everybody else is told when to ask again. A receiver that refuses a token has another fetched, once
//! for all that used it, and no more often than each [`FORCE_INTERVAL`].

use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::error::{TokenError, TokenFailure};
use super::response::Granted;

/// After so much of its life a token is renewed, …
const RENEW_AT: f64 = 0.8;
/// … or up to so much of it earlier, so that those which were given together are not renewed together.
const JITTER: f64 = 0.1;

/// The wait after a first failure. Each that follows doubles it, …
pub const FIRST_DELAY: Duration = Duration::from_secs(1);
/// … up to this.
pub const LONGEST_DELAY: Duration = Duration::from_mins(5);

/// How often tokens are renewed because receivers refuse them.
pub const FORCE_INTERVAL: Duration = Duration::from_secs(10);

/// A token that may be used now. It is told from those before and after it by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// `Bearer …`, which does not print.
    pub header: HeaderValue,
    number: u64,
}

#[derive(Debug)]
struct Held {
    bearer: Bearer,
    renew_at: Instant,
    expires_at: Instant,
}

/// What is to be done by who asks for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Use this.
    Use(Bearer),
    /// Use this, and fetch the next one beside.
    Renew(Bearer),
    /// Fetch one: nobody else does.
    Fetch,
    /// Wait until it is fetched.
    Wait,
    /// None is to be had, for that reason. Ask again after that time.
    Postpone(Duration, TokenFailure),
    /// Nothing: one was fetched a moment ago because it was refused.
    Stand,
}

/// One client's.
#[derive(Debug, Default)]
pub struct Source {
    held: Option<Held>,
    fetching: bool,
    number: u64,
    forced_at: Option<Instant>,
    breaker: Breaker,
}

/// Its token endpoint, while that fails.
#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    last: Option<TokenFailure>,
    probe_at: Option<Instant>,
}

impl Source {
    /// Whether somebody fetches.
    pub fn is_fetching(&self) -> bool {
        self.fetching
    }

    /// A token is needed. Who is told to fetch one says what came of it by [`Source::fetched`].
    pub fn ask(&mut self, now: Instant) -> Answer {
        let held = self.held.as_ref().filter(|held| now < held.expires_at);
        if let Some(held) = held {
            let bearer = held.bearer.clone();
            let renews = now >= held.renew_at && !self.fetching && self.breaker.wait(now).is_none();
            self.fetching |= renews;
            return if renews {
                Answer::Renew(bearer)
            } else {
                Answer::Use(bearer)
            };
        }
        if self.fetching {
            return match self.breaker.last {
                None => Answer::Wait,
                Some(failure) => Answer::Postpone(FIRST_DELAY, failure),
            };
        }
        if let Some((wait, failure)) = self.breaker.wait(now) {
            return Answer::Postpone(wait, failure);
        }
        self.fetching = true;
        Answer::Fetch
    }

    /// A receiver refused that token: another is needed.
    pub fn refused(&mut self, bearer: &Bearer, now: Instant) -> Answer {
        let is_held = |held: &Held| held.bearer.number == bearer.number;
        if self.held.as_ref().is_some_and(is_held) {
            let forced = |at: Instant| now - at < FORCE_INTERVAL;
            if self.forced_at.is_some_and(forced) {
                return Answer::Stand;
            }
            self.forced_at = Some(now);
            self.held = None;
        }
        self.ask(now)
    }

    /// What came of a request that began at `began_at`. `jitter` is uniform in `[0, 1)`.
    pub fn fetched(
        &mut self,
        result: Result<Granted, TokenError>,
        began_at: Instant,
        now: Instant,
        jitter: f64,
    ) {
        self.fetching = false;
        match result {
            Ok(granted) => {
                self.breaker = Breaker::default();
                self.number += 1;
                let life = granted.life();
                self.held = Some(Held {
                    bearer: Bearer {
                        header: granted.header,
                        number: self.number,
                    },
                    renew_at: began_at + life.mul_f64(RENEW_AT - JITTER * jitter),
                    expires_at: began_at + life,
                });
            }
            Err(error) => self.breaker.fail(error, now, jitter),
        }
    }
}

impl Breaker {
    /// For how long it keeps requests back, and why.
    fn wait(&self, now: Instant) -> Option<(Duration, TokenFailure)> {
        let (probe_at, failure) = self.probe_at.zip(self.last)?;
        (probe_at > now).then(|| (probe_at - now, failure))
    }

    fn fail(&mut self, error: TokenError, now: Instant, jitter: f64) {
        let doubled = FIRST_DELAY.saturating_mul(2_u32.saturating_pow(self.failures));
        let delay = doubled.min(LONGEST_DELAY).mul_f64(0.5 + jitter / 2.0);
        let asked = error.retry_after().unwrap_or_default();
        self.failures = self.failures.saturating_add(1);
        self.last = Some(error.failure());
        self.probe_at = Some(now + delay.max(asked.min(LONGEST_DELAY)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oauth2::ErrorCode;
    use crate::oauth2::response::Grant;

    const LIFE: Duration = Duration::from_secs(100);

    const REFUSED: TokenError = TokenError::Refused(ErrorCode::InvalidClient);

    fn granted() -> Granted {
        Granted {
            header: HeaderValue::from_static("Bearer x"),
            grant: Grant {
                expires_in: Some(LIFE),
                scope: None,
            },
        }
    }

    /// A source that was given a token at `now`.
    fn with_token(now: Instant) -> (Source, Bearer) {
        let mut source = Source::default();
        assert_eq!(source.ask(now), Answer::Fetch);
        source.fetched(Ok(granted()), now, now, 0.0);
        let Answer::Use(bearer) = source.ask(now) else {
            panic!("it has one");
        };
        (source, bearer)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn one_fetches_and_all_others_wait_for_it() {
        let (mut source, now) = (Source::default(), Instant::now());
        assert_eq!(source.ask(now), Answer::Fetch);
        for _ in 0..1000 {
            assert_eq!(source.ask(now), Answer::Wait);
        }
        source.fetched(Ok(granted()), now, now, 0.0);
        for _ in 0..1000 {
            assert!(matches!(source.ask(now), Answer::Use(_)));
        }
    }

    #[test]
    fn it_is_renewed_once_while_it_still_serves_and_used_no_longer_than_it_lives() {
        let now = Instant::now();
        let (mut source, first) = with_token(now);
        assert_eq!(source.ask(now + seconds(79)), Answer::Use(first.clone()));
        assert_eq!(source.ask(now + seconds(80)), Answer::Renew(first.clone()));
        assert_eq!(source.ask(now + seconds(81)), Answer::Use(first.clone()));
        // That failed: it is tried again later, and the token serves meanwhile.
        source.fetched(Err(REFUSED), now, now + seconds(82), 1.0);
        assert_eq!(source.ask(now + seconds(82)), Answer::Use(first.clone()));
        assert_eq!(source.ask(now + seconds(84)), Answer::Renew(first.clone()));
        // It is over while somebody probes: nobody waits for what has failed before.
        assert!(matches!(
            source.ask(now + LIFE),
            Answer::Postpone(FIRST_DELAY, _)
        ));
        source.fetched(Ok(granted()), now + LIFE, now + LIFE, 0.0);
        let Answer::Use(second) = source.ask(now + LIFE) else {
            panic!("it has another");
        };
        assert_ne!(first, second);
    }

    #[test]
    fn a_refused_token_is_renewed_once_for_all_that_used_it() {
        let now = Instant::now();
        let (mut source, first) = with_token(now);
        assert_eq!(source.refused(&first, now), Answer::Fetch);
        assert_eq!(source.refused(&first, now), Answer::Wait);
        assert_eq!(source.ask(now), Answer::Wait, "nobody uses it any more");
        source.fetched(Ok(granted()), now, now, 0.0);
        let Answer::Use(second) = source.refused(&first, now) else {
            panic!("it was renewed already");
        };
        // A receiver that refuses the new one too does not make us ask for ever more of them.
        assert_eq!(source.refused(&second, now), Answer::Stand);
        assert_eq!(source.ask(now), Answer::Use(second.clone()));
        let later = now + FORCE_INTERVAL;
        assert_eq!(source.refused(&second, later), Answer::Fetch);
    }

    #[test]
    fn while_it_fails_there_is_one_probe_at_a_time_and_nobody_waits() {
        let (mut source, mut now) = (Source::default(), Instant::now());
        let class = TokenFailure::Refused(ErrorCode::InvalidClient);
        for delay in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(source.ask(now), Answer::Fetch);
            let told = source.ask(now);
            let waits = Answer::Postpone(FIRST_DELAY, class);
            assert!(told == Answer::Wait || told == waits, "{told:?}");
            source.fetched(Err(REFUSED), now, now, 1.0);
            let delay = seconds(delay);
            assert_eq!(source.ask(now), Answer::Postpone(delay, class));
            now += delay;
        }
        assert_eq!(source.ask(now), Answer::Fetch);
        source.fetched(Ok(granted()), now, now, 0.0);
        assert!(matches!(source.ask(now), Answer::Use(_)));
        // What was is forgotten.
        let over = now + LIFE;
        assert_eq!(source.ask(over), Answer::Fetch);
        assert_eq!(source.ask(over), Answer::Wait);
    }

    #[test]
    fn a_token_endpoint_that_asks_for_more_time_has_it_within_reason() {
        for (asked, had) in [(0, 1), (90, 90), (100_000, 300)] {
            let (mut source, now) = (Source::default(), Instant::now());
            assert_eq!(source.ask(now), Answer::Fetch);
            let busy = TokenError::Status {
                status: 503,
                retry_after: Some(seconds(asked)),
            };
            source.fetched(Err(busy), now, now, 1.0);
            let failure = TokenFailure::Unavailable;
            assert_eq!(
                source.ask(now),
                Answer::Postpone(seconds(had), failure),
                "{asked}"
            );
        }
    }

    proptest! {
        #[test]
        fn there_is_never_more_than_one_that_fetches_and_no_token_outlives_itself(
            steps in prop::collection::vec((0u8..4, 0u64..200), 1..200),
            jitter in 0.0..1.0f64,
        ) {
            let (mut source, mut now) = (Source::default(), Instant::now());
            let (mut began_at, mut given_at) = (None, None);
            let mut last: Option<Bearer> = None;
            for (step, wait) in steps {
                now += Duration::from_millis(wait * 500);
                let answer = match (step, &last) {
                    (0, _) | (1, None) => source.ask(now),
                    (1, Some(bearer)) => source.refused(bearer, now),
                    (2, _) => {
                        if let Some(began) = began_at.take() {
                            source.fetched(Ok(granted()), began, now, jitter);
                            given_at = Some(began);
                        }
                        continue;
                    }
                    _ => {
                        if let Some(began) = began_at.take() {
                            source.fetched(Err(REFUSED), began, now, jitter);
                        }
                        continue;
                    }
                };
                if let Answer::Fetch | Answer::Renew(_) = answer {
                    prop_assert!(began_at.is_none());
                    began_at = Some(now);
                }
                if let Answer::Use(bearer) | Answer::Renew(bearer) = answer {
                    prop_assert!(now < given_at.unwrap() + LIFE);
                    last = Some(bearer);
                }
            }
        }
    }
}
