//! The breaker of one subscription: closed lets requests through, open does not, half-open lets
//! one at a time through to find out. Pure: it is told what happened and when.
//!
//! Closed, it trips on [`IN_A_ROW`] failures that spread over at least [`SPREAD`], or when of at
//! least [`SAMPLE`] attempts within [`WINDOW`] the share [`FAILED_SHARE`] failed. Half-open, it
//! trips on one failure and recovers on [`SUCCESSES`] successes. When to probe an open one is for
//! the table `circuits` to say, which all replicas share.

use std::time::Duration;

use tokio::time::Instant;

/// So many failures without a success between them trip it, …
pub const IN_A_ROW: u32 = 5;
/// … if the first and the last are that far apart: one bad moment is not enough.
pub const SPREAD: Duration = Duration::from_secs(10);
/// A share counts from so many attempts on, …
pub const SAMPLE: u32 = 20;
/// … made within so long, …
pub const WINDOW: Duration = Duration::from_mins(1);
/// … of which so many in a hundred failed.
pub const FAILED_SHARE: u32 = 60;
/// So many successes, half-open, and it closes.
pub const SUCCESSES: u32 = 3;

/// The window is counted in slices, so that it costs the same whatever the rate.
const SLICES: u32 = 6;
const SLICE: Duration = Duration::from_secs(WINDOW.as_secs() / SLICES as u64);

/// What it lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Everything.
    #[default]
    Closed,
    /// Nothing.
    Open,
    /// One at a time, by this replica.
    HalfOpen,
}

/// What a result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Tripped,
    Recovered,
}

/// One subscription's, as this replica knows it.
#[derive(Debug, Default)]
pub struct Breaker {
    state: State,
    in_a_row: u32,
    first_in_a_row: Option<Instant>,
    successes: u32,
    window: Window,
}

impl Breaker {
    /// What it lets through now.
    pub fn state(&self) -> State {
        self.state
    }

    /// An attempt ended. Results of what was in flight when it opened say nothing new.
    pub fn record(&mut self, failed: bool, now: Instant) -> Option<Change> {
        match (self.state, failed) {
            (State::Open, _) => None,
            (State::Closed, false) => {
                self.in_a_row = 0;
                self.first_in_a_row = None;
                // A sample begins with a failure: what always succeeds costs nothing.
                if !self.window.is_empty(now) {
                    self.window.count(false, now);
                }
                None
            }
            (State::Closed, true) => self.fail(now),
            (State::HalfOpen, false) => {
                self.successes += 1;
                (self.successes >= SUCCESSES).then(|| self.become_now(State::Closed))?;
                Some(Change::Recovered)
            }
            (State::HalfOpen, true) => {
                self.become_now(State::Open);
                Some(Change::Tripped)
            }
        }
    }

    /// Another replica, a person or the receiver decided. Evidence starts anew.
    pub fn become_now(&mut self, state: State) {
        if state != self.state {
            *self = Self {
                state,
                ..Self::default()
            };
        }
    }

    /// Whether forgetting it loses nothing.
    pub fn is_pristine(&self, now: Instant) -> bool {
        self.state == State::Closed && self.in_a_row == 0 && self.window.is_empty(now)
    }

    fn fail(&mut self, now: Instant) -> Option<Change> {
        self.in_a_row += 1;
        let first = *self.first_in_a_row.get_or_insert(now);
        self.window.count(true, now);
        let row = self.in_a_row >= IN_A_ROW && now - first >= SPREAD;
        (row || self.window.is_bad()).then(|| {
            self.become_now(State::Open);
            Change::Tripped
        })
    }
}

/// Attempts and failures of the last [`WINDOW`], by slices that are reused in turn.
#[derive(Debug, Default)]
struct Window {
    slices: [Slice; SLICES as usize],
    current: usize,
    /// When the current slice began.
    since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    attempts: u32,
    failures: u32,
}

impl Window {
    fn count(&mut self, failed: bool, now: Instant) {
        self.turn(now);
        let slice = &mut self.slices[self.current];
        slice.attempts = slice.attempts.saturating_add(1);
        slice.failures = slice.failures.saturating_add(u32::from(failed));
    }

    /// Makes the slice of `now` the current one, and clears those that were passed.
    fn turn(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let passed = (now - since).as_secs() / SLICE.as_secs();
        for _ in 0..passed.min(u64::from(SLICES)) {
            self.current = (self.current + 1) % self.slices.len();
            self.slices[self.current] = Slice::default();
        }
        self.since = Some(since + SLICE * u32::try_from(passed).unwrap_or(u32::MAX));
    }

    fn is_bad(&self) -> bool {
        let sum = |of: fn(&Slice) -> u32| self.slices.iter().map(of).map(u64::from).sum::<u64>();
        let (attempts, failures) = (sum(|slice| slice.attempts), sum(|slice| slice.failures));
        attempts >= u64::from(SAMPLE) && failures * 100 >= attempts * u64::from(FAILED_SHARE)
    }

    fn is_empty(&self, now: Instant) -> bool {
        self.since.is_none_or(|since| now - since >= SLICE * SLICES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tripped_after(results: impl IntoIterator<Item = (u64, bool)>) -> Option<u64> {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        results.into_iter().find_map(|(at, failed)| {
            let changed = breaker.record(failed, start + Duration::from_millis(at));
            (changed == Some(Change::Tripped)).then_some(at)
        })
    }

    #[test]
    fn failures_in_a_row_trip_it_once_they_are_spread() {
        let every_three_seconds = (0..9).map(|n| (n * 3000, true));
        assert_eq!(tripped_after(every_three_seconds), Some(12_000));
        let all_at_once = (0..19).map(|n| (n, true));
        assert_eq!(tripped_after(all_at_once), None);
    }

    #[test]
    fn a_success_ends_the_row() {
        let every_fourth_succeeds = (0..16).map(|n| (n * 9000, n % 4 != 3));
        assert_eq!(tripped_after(every_fourth_succeeds), None);
    }

    #[test]
    fn a_share_of_failures_trips_it_from_the_sample_on() {
        let burst = (0..100).map(|n| (n, true));
        assert_eq!(tripped_after(burst), Some(u64::from(SAMPLE) - 1));
        let half = (0..1000).map(|n| (n, n % 2 == 0));
        assert_eq!(tripped_after(half), None);
        let two_of_three = (0..100).map(|n| (n, n % 3 != 0));
        assert!(tripped_after(two_of_three).is_some());
    }

    #[test]
    fn half_open_one_failure_trips_and_three_successes_recover() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.become_now(State::HalfOpen);
        assert_eq!(breaker.record(false, now), None);
        assert_eq!(breaker.record(true, now), Some(Change::Tripped));
        assert_eq!(breaker.record(false, now), None);
        assert_eq!(breaker.state(), State::Open);
        breaker.become_now(State::HalfOpen);
        let results = [false; 3].map(|failed| breaker.record(failed, now));
        assert_eq!(results, [None, None, Some(Change::Recovered)]);
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn it_is_forgotten_when_its_window_has_passed() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        breaker.record(true, start);
        breaker.record(false, start);
        assert!(!breaker.is_pristine(start + WINDOW / 2));
        assert!(breaker.is_pristine(start + WINDOW));
    }

    proptest! {
        /// Against the rule itself, over every attempt there was.
        #[test]
        fn it_trips_when_the_rule_says_so(
            steps in prop::collection::vec((0u64..20_000, any::<bool>()), 1..200),
        ) {
            let (mut breaker, start) = (Breaker::default(), Instant::now());
            let (mut made, mut at) = (Vec::new(), 0);
            for (pause, failed) in steps {
                at += pause;
                made.push((at, failed));
                let changed = breaker.record(failed, start + Duration::from_millis(at));
                let row: Vec<_> = made.iter().rev().take_while(|(_, failed)| *failed).collect();
                let spread = row.last().map_or(0, |(first, _)| at - first);
                let in_a_row = row.len() >= IN_A_ROW as usize && u128::from(spread) >= SPREAD.as_millis();
                if in_a_row {
                    prop_assert_eq!(changed, Some(Change::Tripped));
                }
                if changed.is_some() {
                    let failures = made.iter().filter(|(_, failed)| *failed).count();
                    prop_assert!(failed, "a success never trips it");
                    prop_assert!(in_a_row || failures >= (SAMPLE * FAILED_SHARE / 100) as usize);
                    return Ok(());
                }
            }
        }
    }
}
