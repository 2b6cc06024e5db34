//! Whether the loops of a service come around, for `/livez`.
//!
//! Each loop has a [`Pulse`], and says at every step what it does and how long that may take. It is
//! stuck when it has not said anything for that long, and the service's patience besides. A loop that
//! waits for a server is not: its waits have bounds, and when one ends it says so, whatever came of
//! it. A loop that has ended is not stuck either; its owner sees to that.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

/// The loops of one service. Cheap to clone. Without any it is alive while it answers.
#[derive(Clone, Debug, Default)]
pub struct Liveness {
    patience: Duration,
    loops: Arc<Mutex<Vec<Weak<Loop>>>>,
}

#[derive(Debug)]
struct Loop {
    name: String,
    step: Mutex<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    what: &'static str,
    began_at: Instant,
    /// How long it may take by its own bounds.
    within: Duration,
}

impl Liveness {
    /// No loops yet. `patience` is how long one may be beyond its bounds.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self {
            patience,
            loops: Arc::default(),
        }
    }

    /// Takes a loop in, which begins now.
    #[must_use]
    pub fn pulse(&self, name: impl Into<String>) -> Pulse {
        let step = Step {
            what: "starting",
            began_at: Instant::now(),
            within: Duration::ZERO,
        };
        let pulse = Arc::new(Loop {
            name: name.into(),
            step: Mutex::new(step),
        });
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.push(Arc::downgrade(&pulse));
        Pulse(pulse)
    }

    /// A line for each loop that is stuck: which, at what, and for how long.
    #[must_use]
    pub fn stuck(&self, now: Instant) -> Vec<String> {
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.retain(|kept| kept.strong_count() > 0);
        let running = loops.iter().filter_map(Weak::upgrade);
        running
            .filter_map(|running| running.stuck(self.patience, now))
            .collect()
    }
}

impl Loop {
    fn stuck(&self, patience: Duration, now: Instant) -> Option<String> {
        let step = *self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let lasts = now.saturating_duration_since(step.began_at);
        (lasts > step.within + patience).then(|| {
            let (name, what, seconds) = (&self.name, step.what, lasts.as_secs());
            format!("{name} is stuck: {what} for {seconds} s")
        })
    }
}

/// One loop's handle: it lives as long as the loop.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Loop>);

impl Pulse {
    /// The next step begins, which takes no time worth mentioning.
    pub fn step(&self, what: &'static str) {
        self.step_within(what, Duration::ZERO);
    }

    /// The next step begins, which takes that long at most.
    pub fn step_within(&self, what: &'static str, within: Duration) {
        let began_at = Instant::now();
        let mut step = self.0.step.lock().unwrap_or_else(PoisonError::into_inner);
        *step = Step {
            what,
            began_at,
            within,
        };
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);
    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_comes_around_is_never_stuck() {
        let liveness = Liveness::new(PATIENCE);
        let pulse = liveness.pulse("the consumer");
        for _ in 0..10 {
            advance(PATIENCE).await;
            assert_eq!(liveness.stuck(Instant::now()), [""; 0]);
            pulse.step("polling");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_is_named_with_what_it_does() {
        let liveness = Liveness::new(PATIENCE);
        let (consumer, recorder) = (
            liveness.pulse("the consumer"),
            liveness.pulse("the recorder"),
        );
        consumer.step("polling");
        advance(PATIENCE + MOMENT).await;
        recorder.step("gathering");
        let stuck = ["the consumer is stuck: polling for 30 s"];
        assert_eq!(liveness.stuck(Instant::now()), stuck);
        // It came around after all.
        consumer.step("polling");
        assert_eq!(liveness.stuck(Instant::now()), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_take_long_is_stuck_only_beyond_that() {
        let liveness = Liveness::new(PATIENCE);
        let pulse = liveness.pulse("the recorder");
        pulse.step_within("writing", Duration::from_secs(30));
        advance(Duration::from_mins(1)).await;
        assert_eq!(liveness.stuck(Instant::now()), [""; 0]);
        advance(MOMENT).await;
        let stuck = ["the recorder is stuck: writing for 60 s"];
        assert_eq!(liveness.stuck(Instant::now()), stuck);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_has_ended_is_not_stuck() {
        let liveness = Liveness::new(PATIENCE);
        drop(liveness.pulse("the consumer"));
        advance(2 * PATIENCE).await;
        assert_eq!(liveness.stuck(Instant::now()), [""; 0]);
    }
}
