//! For how long outcomes are gathered.

use std::time::Duration;

/// For so many times as long as the last flush took; with more, waits lengthen each other under load: what comes
/// in one makes the next flush longer.
const TIMES: u32 = 2;
/// … and for no longer than so many times the shortest.
const LONGEST: u32 = 5;

/// Part of a flush costs the same for few outcomes as for many, and where the machine is busy each of its steps
/// waits for a turn: so there are fewer flushes then, with more in each.
#[derive(Debug)]
pub struct Interval {
    shortest: Duration,
    took: Duration,
}

impl Interval {
    /// The shortest, until a flush has told otherwise.
    pub fn new(shortest: Duration) -> Self {
        Self {
            shortest,
            took: Duration::ZERO,
        }
    }

    /// That of the next flush.
    pub fn length(&self) -> Duration {
        (self.took * TIMES).clamp(self.shortest, self.shortest * LONGEST)
    }

    /// A flush took so long.
    pub fn flushed(&mut self, took: Duration) {
        self.took = took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(took: u64) -> Duration {
        let mut interval = Interval::new(Duration::from_millis(20));
        interval.flushed(Duration::from_millis(took));
        interval.length()
    }

    #[test]
    fn it_is_twice_what_the_last_flush_took_within_bounds() {
        assert_eq!(after(0), Duration::from_millis(20));
        assert_eq!(after(5), Duration::from_millis(20));
        assert_eq!(after(20), Duration::from_millis(40));
        assert_eq!(after(60_000), Duration::from_millis(100));
    }
}
