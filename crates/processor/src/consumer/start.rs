//! Where a new owner of a partition begins to read. Pure.

/// What is known of a partition that was assigned.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The progress in Postgres.
    pub recorded: Option<i64>,
    /// The group's committed offset in Kafka.
    pub committed: Option<Committed>,
    /// The first offset the log holds.
    pub log_start: i64,
    /// The offset its next record will have.
    pub log_end: i64,
}

/// An offset committed to Kafka.
#[derive(Clone, Copy, Debug)]
pub struct Committed {
    pub offset: i64,
    /// Whether a processor wrote it, and not an operator.
    pub ours: bool,
}

/// Why a partition is read from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody has read it before.
    First,
    /// From where it is settled.
    Progress,
    /// An operator reset the group's offset.
    Reset,
    /// The topic was made anew: its log ends before our progress.
    Anew,
    /// Retention removed that many offsets before they were read.
    Passed { missing: i64 },
}

/// Where to begin, and why. An operator's reset wins over progress; Kafka's offset counts for
/// nothing else once there is progress.
pub fn decide(found: &Found) -> (i64, Why) {
    let within = |offset: i64| offset.clamp(found.log_start, found.log_end);
    let reset = found.committed.filter(|committed| !committed.ours);
    match (found.recorded, reset) {
        (None, _) => match found.committed {
            Some(committed) => (within(committed.offset), Why::First),
            None => (found.log_start, Why::First),
        },
        (Some(recorded), Some(reset)) if reset.offset != recorded => {
            (within(reset.offset), Why::Reset)
        }
        (Some(recorded), _) if recorded > found.log_end => (found.log_start, Why::Anew),
        (Some(recorded), _) if recorded < found.log_start => {
            let missing = found.log_start - recorded;
            (found.log_start, Why::Passed { missing })
        }
        (Some(recorded), _) => (recorded, Why::Progress),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(recorded: Option<i64>, committed: Option<(i64, bool)>) -> (i64, Why) {
        let committed = committed.map(|(offset, ours)| Committed { offset, ours });
        decide(&Found {
            recorded,
            committed,
            log_start: 10,
            log_end: 100,
        })
    }

    #[test]
    fn progress_wins_over_what_we_committed_and_a_reset_over_both() {
        for (recorded, committed, begun) in [
            (None, None, (10, Why::First)),
            (None, Some((40, true)), (40, Why::First)),
            (None, Some((40, false)), (40, Why::First)),
            (None, Some((4, false)), (10, Why::First)),
            (Some(50), None, (50, Why::Progress)),
            (Some(50), Some((40, true)), (50, Why::Progress)),
            (Some(50), Some((50, false)), (50, Why::Progress)),
            (Some(50), Some((40, false)), (40, Why::Reset)),
            (Some(50), Some((4, false)), (10, Why::Reset)),
            (Some(100), None, (100, Why::Progress)),
            (Some(101), Some((101, true)), (10, Why::Anew)),
            (Some(7), Some((7, true)), (10, Why::Passed { missing: 3 })),
        ] {
            assert_eq!(
                decided(recorded, committed),
                begun,
                "{recorded:?} {committed:?}"
            );
        }
    }
}
