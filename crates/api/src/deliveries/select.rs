//! Which of the rows that were read make a page, and what a delivery is by its rows. Pure.

use common::store::attempts::Outcome;
use common::store::attempts::list::{Edge, Row};
use outbound::Failure;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The receiver answered 2xx.
    Delivered,
    /// It waits for its next attempt, or is being attempted.
    Pending,
    /// It failed for good.
    Dead,
    /// It was older than its subscription wants.
    Expired,
    /// A newer reading of its city took its place.
    Superseded,
    /// Its replay was cancelled, or its subscription removed, before it was delivered.
    Cancelled,
}

impl From<Outcome> for Status {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Delivered => Self::Delivered,
            Outcome::Pending => Self::Pending,
            Outcome::Dead => Self::Dead,
            Outcome::Expired => Self::Expired,
            Outcome::Superseded => Self::Superseded,
        }
    }
}

impl Status {
    /// What a delivery is whose latest row says `latest`; whether it is pending is known from where
    /// those are, and `settled` is what the latest row says that says something final.
    pub fn of(latest: Outcome, is_pending: bool, settled: Option<Outcome>) -> Self {
        match (latest, is_pending) {
            (Outcome::Delivered, _) => Self::Delivered,
            (_, true) => Self::Pending,
            (Outcome::Pending, false) => settled.map_or(Self::Cancelled, Self::from),
            (other, false) => other.into(),
        }
    }

    /// What the latest row of such a delivery says.
    fn recorded(self) -> Outcome {
        match self {
            Self::Delivered => Outcome::Delivered,
            Self::Pending | Self::Cancelled => Outcome::Pending,
            Self::Dead => Outcome::Dead,
            Self::Expired => Outcome::Expired,
            Self::Superseded => Outcome::Superseded,
        }
    }
}

/// What a delivery's rows, newest first, say that is final: each is what became of it, and after how
/// many attempts. That it was dead counts no more once it was sent again.
pub fn settled(rows: impl IntoIterator<Item = (Outcome, i32)>) -> Option<Outcome> {
    let mut sent_again = false;
    rows.into_iter().find_map(|row| {
        sent_again |= row == (Outcome::Pending, 0);
        match row.0 {
            Outcome::Pending => None,
            Outcome::Dead if sent_again => None,
            other => Some(other),
        }
    })
}

/// A class of failures, of the closed set.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct FailureClass(pub Failure);

impl TryFrom<String> for FailureClass {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = Failure::named(&text).map(Self);
        known.ok_or_else(|| {
            let all = Failure::ALL.map(Failure::label).join(", ");
            format!("must be one of {all}")
        })
    }
}

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of this subscription; here and below `None` means any.
    pub subscription_id: Option<Uuid>,
    /// Of this city.
    pub city: Option<String>,
    /// Those that are that.
    pub status: Option<Status>,
    /// Those that failed so at last.
    pub failure: Option<&'static str>,
}

impl Wanted {
    /// Whether rows have to be looked at to know it.
    pub fn is_selective(&self) -> bool {
        self.city.is_some() || self.status.is_some() || self.failure.is_some()
    }

    /// Whether nothing that was delivered is looked for.
    pub fn is_of_failed(&self) -> bool {
        let delivered = |status| status == Status::Delivered;
        self.failure.is_some() || self.status.is_some_and(|status| !delivered(status))
    }

    fn matches(&self, row: &Row) -> bool {
        self.subscription_id
            .is_none_or(|id| row.subscription_id == id)
            && (self.city.is_none() || row.event_key == self.city)
            && self
                .failure
                .is_none_or(|it| row.failure.as_deref() == Some(it))
            && self.status.is_none_or(|it| row.outcome == it.recorded())
    }
}

/// Rows of a page, and from where the next goes on.
#[derive(Debug)]
pub struct Selected {
    /// Those that match.
    pub rows: Vec<Row>,
    /// `None`: there is no more.
    pub next: Option<Edge>,
}

/// Selects up to `limit` of the rows, of which `scan` were asked for.
pub fn select(rows: Vec<Row>, wanted: &Wanted, limit: usize, scan: usize) -> Selected {
    let more = rows.len() >= scan;
    let mut last = None;
    let mut selected = Vec::new();
    let mut rest = rows.into_iter();
    for row in rest.by_ref() {
        last = Some(Edge::from(&row));
        if wanted.matches(&row) {
            selected.push(row);
            if selected.len() == limit {
                break;
            }
        }
    }
    let next = last.filter(|_| more || rest.next().is_some());
    Selected {
        rows: selected,
        next,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn row(number: i32, outcome: Outcome, city: &str) -> Row {
        let time = 1_795_467_600 - i64::from(number);
        Row {
            attempted_at: DateTime::<Utc>::from_timestamp_secs(time).expect("a time"),
            subscription_id: Uuid::nil(),
            replay_id: None,
            topic: "updates".into(),
            partition: 0,
            event_offset: i64::from(number),
            event_id: "a".into(),
            event_key: Some(city.into()),
            number,
            outcome,
            status: None,
            failure: (outcome != Outcome::Delivered).then(|| "timeout".into()),
            total_us: None,
        }
    }

    fn rows() -> Vec<Row> {
        (0..6)
            .map(|number| {
                let odd = number % 2 == 1;
                let outcome = if odd {
                    Outcome::Dead
                } else {
                    Outcome::Delivered
                };
                row(number, outcome, if number < 4 { "Oslo" } else { "Rome" })
            })
            .collect()
    }

    fn numbers(wanted: &Wanted, limit: usize, scan: usize) -> (Vec<i32>, Option<i32>) {
        let selected = select(rows(), wanted, limit, scan);
        let numbers = selected.rows.iter().map(|row| row.number).collect();
        (numbers, selected.next.map(|edge| edge.number))
    }

    #[test]
    fn a_page_goes_on_where_it_was_full_or_where_the_reading_ended() {
        let any = Wanted::default();
        assert_eq!(numbers(&any, 4, 6), (vec![0, 1, 2, 3], Some(3)));
        assert_eq!(numbers(&any, 6, 6), (vec![0, 1, 2, 3, 4, 5], Some(5)));
        assert_eq!(numbers(&any, 9, 9), (vec![0, 1, 2, 3, 4, 5], None));
        let dead = Wanted {
            status: Some(Status::Dead),
            city: Some("Oslo".into()),
            ..any.clone()
        };
        assert_eq!(numbers(&dead, 9, 9), (vec![1, 3], None));
        // Nothing of the rest matched, but there may be more.
        assert_eq!(numbers(&dead, 9, 6), (vec![1, 3], Some(5)));
        assert_eq!(numbers(&dead, 1, 9), (vec![1], Some(1)));
        let other = Wanted {
            failure: Some("dns"),
            ..any
        };
        assert_eq!(numbers(&other, 9, 6), (vec![], Some(5)));
    }

    #[test]
    fn what_a_delivery_is_follows_from_its_rows_and_from_what_is_pending() {
        use Outcome::{Dead, Delivered, Expired, Pending};
        for (latest, is_pending, settled, status) in [
            (Delivered, true, None, Status::Delivered),
            (Pending, true, None, Status::Pending),
            (Pending, false, None, Status::Cancelled),
            (Pending, false, Some(Delivered), Status::Delivered),
            (Dead, false, None, Status::Dead),
            // Another replica holds it.
            (Dead, true, None, Status::Pending),
            (Expired, false, None, Status::Expired),
        ] {
            assert_eq!(Status::of(latest, is_pending, settled), status);
        }
    }

    #[test]
    fn what_was_dead_before_it_was_sent_again_is_not_final() {
        use Outcome::{Dead, Delivered, Pending};
        for (rows, last) in [
            (&[(Pending, 2), (Dead, 9)][..], Some(Dead)),
            (&[(Pending, 0), (Dead, 9)], None),
            (&[(Pending, 1), (Pending, 0), (Dead, 9)], None),
            (&[(Dead, 3), (Pending, 0), (Dead, 9)], Some(Dead)),
            (&[(Pending, 0), (Delivered, 1)], Some(Delivered)),
            (&[(Pending, 0), (Dead, 9), (Delivered, 8)], Some(Delivered)),
        ] {
            assert_eq!(settled(rows.iter().copied()), last, "{rows:?}");
        }
    }
}
