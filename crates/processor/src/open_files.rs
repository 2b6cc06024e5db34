//! How many files this process may have open: each request in flight is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open besides requests: idle connections (`outbound` keeps no more than 1,024), Postgres,
/// Kafka, probes, logs.
const BESIDES: u64 = 1024 + 256;

/// How many requests may be slow, of `wanted`, with so many fast ones besides. Raises the soft limit
/// as far as the hard one allows.
pub fn slow_requests(wanted: usize, fast: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let allowed = fitting(current, wanted, fast);
    if allowed < wanted {
        tracing::warn!(
            wanted,
            allowed,
            open_files = current,
            "fewer slow requests than SLOW_IN_FLIGHT says: raise the limit of open files"
        );
    }
    allowed
}

/// At least one; `None` is no limit.
fn fitting(open_files: Option<u64>, wanted: usize, fast: usize) -> usize {
    let Some(open_files) = open_files else {
        return wanted;
    };
    let left = open_files.saturating_sub(BESIDES);
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    wanted.min(left.saturating_sub(fast)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_requests_take_what_files_the_others_leave() {
        for (open_files, allowed) in [
            (None, 4096),
            (Some(1_000_000), 4096),
            (Some(4000), 1696),
            (Some(1024), 1),
        ] {
            assert_eq!(fitting(open_files, 4096, 1024), allowed, "{open_files:?}");
        }
    }
}
