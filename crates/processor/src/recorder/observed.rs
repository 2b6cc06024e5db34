//! What metrics and traces tell of the recorder.

use std::time::Duration;

use metrics::histogram;
use traces::Traces;

use super::Settled;
use crate::{observe, spans};

/// A flush, which took so long with all its tries.
pub fn flush(traces: &Traces, settled: &[Settled], took: Duration) {
    // Fewer than 2^32.
    let outcomes = u32::try_from(settled.len()).unwrap_or(u32::MAX);
    histogram!(observe::FLUSH_OUTCOMES).record(outcomes);
    histogram!(observe::FLUSH_SECONDS).record(took);
    if traces.is_on() {
        spans::flushed(traces, settled, took);
    }
}
