//! A drain: processors get through events of which each is wanted by as many, and it is watched how
//! fast, and what that takes.

use std::ops::Range;

use anyhow::Context;

use super::costs::{Drained, Look, Watched};
use super::sink_process::SinkProcess;
use crate::program::Processor;

/// What is measured of a drain: neither its beginning nor its end.
const FROM_PERCENT: usize = 10;
const TO_PERCENT: usize = 90;

/// Something, or how many deliveries never came.
pub type AllOr<T> = std::result::Result<T, usize>;

/// What is drained.
#[derive(Clone, Debug)]
pub struct Drain {
    /// The events, by their numbers.
    pub events: Range<u64>,
    /// How many want each.
    pub fan_out: usize,
    /// Whose costs are told.
    pub watched: Watched,
}

impl Drain {
    /// Watches it to its end. Also how many arrived that had arrived before.
    ///
    /// # Errors
    /// That a processor or the sink is gone, or that it was over too soon to measure anything.
    pub async fn run(
        &self,
        sink: &mut SinkProcess,
        processors: &mut [Processor],
    ) -> anyhow::Result<AllOr<(Drained, usize)>> {
        let wanted = usize::try_from(self.events.end - self.events.start)? * self.fan_out;
        let mut looks = Vec::new();
        for percent in [FROM_PERCENT, TO_PERCENT] {
            let count = sink.until_arrived(wanted * percent / 100).await?;
            looks.push(Look::now(&self.watched, count)?);
            processors.iter_mut().try_for_each(Processor::check)?;
        }
        sink.until_arrived(wanted).await?;
        let taken = sink.taken().await?;
        let missing = taken.missing(self.events.clone(), self.fan_out);
        if missing > 0 {
            return Ok(Err(missing));
        }
        let drained = looks[0].until(&looks[1]).context(
            "all came between two looks: more deliveries are needed to measure anything",
        )?;
        Ok(Ok((drained, taken.repeated)))
    }
}
