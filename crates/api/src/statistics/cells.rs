//! Reads cells of the statistics in one snapshot, with those minutes that are in no hour or day yet.

use chrono::{DateTime, Utc};
use common::statistics::{Family, Granularity};
use common::store::statistics::{self, Row, Span, State};
use sqlx::{PgPool, Postgres, Transaction};

use crate::access::Caller;
use crate::error::ApiError;

/// How many cells one answer is made of at most.
pub const MAX_CELLS: i64 = 20_000;

const ONE_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Which cells.
#[derive(Clone, Debug)]
pub enum Of {
    /// Those of these keys.
    Keys(Family, Vec<String>),
    /// Those of any key of these families.
    Families(&'static [Family]),
}

impl Of {
    /// All that a caller reaches, together.
    pub fn reach(caller: &Caller) -> Self {
        match caller.owner() {
            None => Self::Keys(Family::All, vec![String::new()]),
            Some(owner) => Self::Keys(Family::Owner, vec![owner.to_owned()]),
        }
    }

    /// Those of a subscription.
    pub fn subscription(id: uuid::Uuid) -> Self {
        Self::Keys(Family::Subscription, vec![id.to_string()])
    }
}

/// A snapshot of the statistics.
pub struct Cells {
    db: Transaction<'static, Postgres>,
    pub state: State,
}

impl Cells {
    pub async fn open(db: &PgPool) -> sqlx::Result<Self> {
        let mut db = db.begin_with(ONE_SNAPSHOT).await?;
        let state = statistics::state(&mut *db).await?;
        Ok(Self { db, state })
    }

    /// The cells of a span, each at its own beginning; up to one more than [`MAX_CELLS`] of them.
    pub async fn read(&mut self, span: Span, of: &Of) -> Result<Vec<Row>, ApiError> {
        let mut rows = self.stored(span, of).await?;
        if span.granularity != Granularity::Minute {
            let minutes = self.not_rolled_up(span);
            for mut row in self.stored(minutes, of).await? {
                row.at = span.granularity.begin(row.at);
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// Those minutes of a span that are in no hour or day yet.
    fn not_rolled_up(&self, span: Span) -> Span {
        let counted = Granularity::Minute.begin(self.state.folded_at);
        let step = Granularity::Minute.step();
        Span {
            granularity: Granularity::Minute,
            since: span.since.max(self.state.rolled_until),
            until: end(span).min(counted + step),
        }
    }

    async fn stored(&mut self, span: Span, of: &Of) -> Result<Vec<Row>, ApiError> {
        if span.since >= span.until {
            return Ok(Vec::new());
        }
        let (db, limit) = (&mut *self.db, MAX_CELLS + 1);
        let rows = match of {
            Of::Keys(family, keys) => statistics::of_keys(db, span, *family, keys, limit).await?,
            Of::Families(families) => statistics::of_families(db, span, families, limit).await?,
        };
        Ok(rows)
    }

    /// The time up to which "now" is counted, and the minutes it is told by: the one that runs and
    /// the one before. Where nothing was counted for a while, nothing happened lately.
    pub fn now(&self) -> (Span, f64) {
        let step = Granularity::Minute.step();
        let as_of = self.state.folded_at.max(self.state.now - step * 2);
        let begin = Granularity::Minute.begin(as_of) - step;
        let span = Span {
            granularity: Granularity::Minute,
            since: begin,
            until: begin + step * 2,
        };
        (span, seconds(begin, as_of))
    }
}

/// Where the last cell of a span ends.
fn end(span: Span) -> DateTime<Utc> {
    let step = span.granularity.step();
    let begin = span.granularity.begin(span.until);
    if begin == span.until {
        begin
    } else {
        begin + step
    }
}

/// From one time to another.
pub fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).as_seconds_f64()
}
