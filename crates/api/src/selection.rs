//! Which events a subscription wants, asked of records that were read from the log. Pure.
//!
//! It agrees with what the processor delivers: `event_types`, `cities`, then `filter`.

use common::event::{AnyEvent, names_type};
use common::filter::{Event, Filter};
use common::store::subscriptions::Row;
use tokio::task::spawn_blocking;

use crate::log::Record;

/// What is wanted.
#[derive(Debug, Default)]
pub struct Selection {
    pub event_types: Option<Vec<String>>,
    pub cities: Option<Vec<String>>,
    pub filter: Option<Filter>,
}

/// What a record is to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wanted,
    Unwanted,
    /// The filter has no answer, so it is not wanted.
    NoAnswer,
}

impl TryFrom<Row> for Selection {
    type Error = common::filter::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let filter = row.filter.as_deref().map(Filter::compile).transpose()?;
        Ok(Self {
            event_types: row.event_types,
            cities: row.cities,
            filter,
        })
    }
}

impl Selection {
    /// Whether the record is an event that is wanted.
    pub fn judge(&self, payload: &[u8]) -> Verdict {
        let Ok(event) = AnyEvent::parse(payload) else {
            return Verdict::Unwanted;
        };
        if !self.names(event.event_type()) || !self.has_city(&event.city) {
            return Verdict::Unwanted;
        }
        self.filtered(payload)
    }

    fn names(&self, event_type: &str) -> bool {
        let types = self.event_types.as_ref();
        types.is_none_or(|types| types.iter().any(|named| names_type(named, event_type)))
    }

    fn has_city(&self, city: &str) -> bool {
        let cities = self.cities.as_ref();
        cities.is_none_or(|cities| cities.iter().any(|wanted| wanted == city))
    }

    fn filtered(&self, payload: &[u8]) -> Verdict {
        let Some(filter) = &self.filter else {
            return Verdict::Wanted;
        };
        let Ok(event) = Event::parse(payload) else {
            return Verdict::NoAnswer;
        };
        match filter.matches(&event) {
            Ok(true) => Verdict::Wanted,
            Ok(false) => Verdict::Unwanted,
            Err(_) => Verdict::NoAnswer,
        }
    }
}

/// How a selection fares over some records.
#[derive(Debug, Default)]
pub struct Tally {
    pub scanned: i64,
    pub wanted: i64,
    /// For how many the filter had no answer.
    pub unanswered: i64,
    /// The wanted records, as they were given.
    pub records: Vec<Record>,
}

impl Tally {
    /// Judges the records, on a thread for that: many or large ones take a while.
    pub async fn of(records: Vec<Record>, selection: Selection) -> Self {
        spawn_blocking(move || Self::count(records, &selection))
            .await
            .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
    }

    fn count(records: Vec<Record>, selection: &Selection) -> Self {
        let mut tally = Self::default();
        for record in records {
            tally.scanned += 1;
            match selection.judge(&record.payload) {
                Verdict::Wanted => {
                    tally.wanted += 1;
                    tally.records.push(record);
                }
                Verdict::Unwanted => {}
                Verdict::NoAnswer => tally.unanswered += 1,
            }
        }
        tally
    }

    /// How many of `count` are wanted, if all are like these.
    pub fn extrapolated(&self, count: i64) -> i64 {
        let wanted = i128::from(self.wanted) * i128::from(count);
        i64::try_from(wanted / i128::from(self.scanned.max(1))).unwrap_or(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKYO: &str = r#"{"type":"temperature.updated","timestamp":"2026-11-23T21:00:00Z",
        "city":"Tokyo","reading":23,"unit":"C"}"#;

    fn selection(types: Option<&[&str]>, cities: Option<&[&str]>, filter: &str) -> Selection {
        let owned = |all: &[&str]| all.iter().map(ToString::to_string).collect();
        Selection {
            event_types: types.map(owned),
            cities: cities.map(owned),
            filter: Some(Filter::compile(filter).expect(filter)),
        }
    }

    #[test]
    fn types_cities_and_filter_narrow_what_is_wanted() {
        use Verdict::{NoAnswer, Unwanted, Wanted};
        for (types, cities, filter, verdict) in [
            (None, None, "true", Wanted),
            (Some(&["temperature.*"][..]), None, "true", Wanted),
            (Some(&["temperature.updated"]), None, "true", Wanted),
            (Some(&["temp.*", "temperature"]), None, "true", Unwanted),
            (None, Some(&["Oslo", "Tokyo"][..]), "true", Wanted),
            (None, Some(&["Oslo"]), "event.wind > 3", Unwanted),
            (None, None, "event.reading > 22.5", Wanted),
            (None, None, "event.reading > 23", Unwanted),
            (None, None, "event.wind > 3", NoAnswer),
        ] {
            let selection = selection(types, cities, filter);
            assert_eq!(
                selection.judge(TOKYO.as_bytes()),
                verdict,
                "{types:?} {cities:?} {filter}"
            );
        }
    }

    #[test]
    fn what_is_no_event_is_not_wanted() {
        for payload in ["", "7", "[1]", "{}", r#"{"city":"Tokyo"}"#, "\u{0}"] {
            let verdict = Selection::default().judge(payload.as_bytes());
            assert_eq!(verdict, Verdict::Unwanted, "{payload}");
        }
    }
}
