//! The cases: how many receivers are bad, in which ways, and since when. Pure.

use std::time::Duration;

use crate::kind::Kind;

/// What is not measured after the receivers turned bad: the processor takes so long to find out.
pub const SETTLING: Duration = Duration::from_secs(2);

/// How long all is well where receivers turn bad during the run.
const LEAD: Duration = Duration::from_secs(10);

/// Since when the bad receivers are bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Since {
    /// Before the first event.
    Start,
    /// After some seconds of good answers.
    Later,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The bad ones, in percent.
    pub share: u32,
    /// How they are bad, in turn.
    pub kinds: Vec<Kind>,
    /// Since when they are.
    pub since: Since,
}

impl Case {
    /// The case that the others are held against.
    pub fn none_bad() -> Self {
        Self {
            share: 0,
            kinds: Vec::new(),
            since: Since::Start,
        }
    }

    /// As the table names it.
    pub fn name(&self) -> String {
        if self.share == 0 {
            return "none bad".into();
        }
        let kind = match &*self.kinds {
            [kind] => kind.name(),
            _ => "mixed".into(),
        };
        let since = match self.since {
            Since::Start => "from the start",
            Since::Later => "mid-run",
        };
        format!("{} % {kind}, {since}", self.share)
    }

    /// How a subscription's receiver is bad; `None` for a healthy one. The bad ones are spread
    /// evenly, and each way has as many as the others.
    pub fn badness(&self, subscription: usize) -> Option<Kind> {
        let share = usize::try_from(self.share).ok()?;
        let bad_before = |n: usize| n * share / 100;
        let nth = bad_before(subscription);
        (bad_before(subscription + 1) > nth).then(|| self.kinds[nth % self.kinds.len()])
    }

    /// For how long it is measured, where cases with bad ones are for so long: half, with none bad.
    pub fn measured_for(&self, long: Duration) -> Duration {
        if self.share == 0 { long / 2 } else { long }
    }

    /// How long after the first event the receivers turn bad.
    pub fn turns_after(&self) -> Duration {
        match self.since {
            Since::Start => Duration::ZERO,
            Since::Later => LEAD,
        }
    }

    /// How long after the first event what is measured begins.
    pub fn measured_after(&self) -> Duration {
        self.turns_after() + SETTLING
    }
}

/// All cases of a run, each between two with none bad: what it is held against was measured right
/// before and after it, on the same machine with the same neighbours. `alone`: each way by itself.
pub fn cases(shares: &[u32], kinds: &[Kind], since: &[Since], alone: bool) -> Vec<Case> {
    let mixtures: Vec<Vec<Kind>> = if alone {
        kinds.iter().map(|kind| vec![*kind]).collect()
    } else {
        vec![kinds.to_vec()]
    };
    let mut cases = vec![Case::none_bad()];
    for &since in since {
        for kinds in &mixtures {
            for &share in shares {
                cases.push(Case {
                    share,
                    kinds: kinds.clone(),
                    since,
                });
                cases.push(Case::none_bad());
            }
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixture(share: u32) -> Case {
        Case {
            share,
            kinds: Kind::ALL.to_vec(),
            since: Since::Start,
        }
    }

    #[test]
    fn the_share_that_is_bad_is_exact_and_evenly_mixed() {
        for share in [10, 30, 50, 100] {
            let case = mixture(share);
            let bad: Vec<Kind> = (0..2000).filter_map(|n| case.badness(n)).collect();
            assert_eq!(bad.len(), 20 * share as usize);
            for kind in Kind::ALL {
                let of_kind = bad.iter().filter(|bad| **bad == kind).count();
                assert_eq!(of_kind, bad.len() / Kind::ALL.len());
            }
        }
    }

    #[test]
    fn none_bad_has_no_bad_one() {
        assert!((0..2000).all(|n| Case::none_bad().badness(n).is_none()));
    }

    #[test]
    fn every_case_stands_between_two_with_none_bad() {
        let both = [Since::Start, Since::Later];
        let mixed = cases(&[10, 30], &Kind::ALL, &both, false);
        let shares: Vec<u32> = mixed.iter().map(|case| case.share).collect();
        assert_eq!(shares, [0, 10, 0, 30, 0, 10, 0, 30, 0]);
        let alone = cases(&[30], &Kind::ALL, &both, true);
        assert_eq!(alone.len(), 1 + 2 * 2 * Kind::ALL.len());
        assert!(alone.iter().all(|case| case.kinds.len() <= 1));
    }
}
