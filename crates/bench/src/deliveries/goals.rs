//! What the first case is to reach on two processors that everything shares. Pure.

use super::figures::Figures;

/// Deliveries a second, …
const PER_SECOND: f64 = 20_000.0;
/// … as a share of what a bare loop of reqwest posts, …
const SHARE: f64 = 0.4;
/// … the processor's time for one, in microseconds, …
const CPU_MICROS: f64 = 35.0;
/// … and at half of those deliveries a second, or more, …
const AT_PER_SECOND: u64 = 10_000;
/// … from the broker's acknowledgement to the sink, in milliseconds.
const P50_MS: f64 = 5.0;
const P99_MS: f64 = 50.0;

/// Those that are not met.
pub fn missed(figures: &Figures) -> Vec<String> {
    let per_second = figures.drained.per_second;
    let latency = figures.latency.since_acknowledged_ms;
    let is_loaded = figures.latency.at_per_second >= AT_PER_SECOND;
    let goals = [
        (per_second >= PER_SECOND, format!("{PER_SECOND}/s")),
        (
            per_second / figures.ceiling.reqwest.per_second >= SHARE,
            format!("{SHARE} of reqwest"),
        ),
        (
            figures.drained.cpu_micros.processor <= CPU_MICROS,
            format!("{CPU_MICROS} µs"),
        ),
        (
            is_loaded && latency.p50 < P50_MS,
            format!("p50 {P50_MS} ms at {AT_PER_SECOND}/s"),
        ),
        (
            is_loaded && latency.p99 < P99_MS,
            format!("p99 {P99_MS} ms at {AT_PER_SECOND}/s"),
        ),
    ];
    let missed = goals.into_iter().filter(|(met, _)| !met);
    missed.map(|(_, goal)| goal).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::ceiling::{Bare, Ceiling};
    use super::super::costs::{Costs, Drained};
    use super::super::figures::{Latency, Percentiles};
    use super::*;

    pub fn figures(per_second: f64, p99: f64) -> Figures {
        let bare = Bare {
            per_second: 50_000.0,
            cpu_micros: 20.0,
        };
        let late = Percentiles {
            p50: 1.0,
            p99,
            p999: 60.0,
        };
        Figures {
            drained: Drained {
                per_second,
                cpu_micros: Costs {
                    processor: 30.0,
                    sink: 5.0,
                    postgres: None,
                    kafka: None,
                },
                others_percent: None,
                busy_percent: 90.0,
            },
            latency: Latency {
                at_per_second: 10_000,
                others_percent: None,
                since_acknowledged_ms: late,
                since_due_ms: late,
            },
            ceiling: Ceiling {
                reqwest: bare,
                legacy: Some(bare),
                http1: bare,
                outbound: bare,
            },
            duplicates: 0,
            peak_memory_mib: 40,
        }
    }

    #[test]
    fn what_is_missed_is_named() {
        assert!(missed(&figures(20_000.0, 49.0)).is_empty());
        let missed = missed(&figures(19_999.0, 50.0));
        assert_eq!(
            missed,
            ["20000/s", "0.4 of reqwest", "p99 50 ms at 10000/s"]
        );
        let mut light = figures(20_000.0, 49.0);
        light.latency.at_per_second = 9_990;
        assert_eq!(
            super::missed(&light),
            ["p50 5 ms at 10000/s", "p99 50 ms at 10000/s"]
        );
    }
}
