//! Where in the record an event of a stream stands: its transaction, and its place in that. Pure.

use std::fmt;
use std::str::FromStr;

use common::store::attempts::live::Row;

/// The id of an event: `8123.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The transaction that recorded it.
    pub recorded_in: i64,
    /// Which of that transaction's rows it is, from 1.
    pub place: i64,
}

impl Position {
    /// After all that transactions before this one recorded.
    pub fn before(transaction: i64) -> Self {
        Self {
            recorded_in: transaction - 1,
            place: i64::MAX,
        }
    }
}

impl From<&Row> for Position {
    fn from(row: &Row) -> Self {
        Self {
            recorded_in: row.recorded_in,
            place: row.place,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.recorded_in, self.place)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (recorded_in, place) = text.split_once('.').ok_or(())?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten().ok_or(())
        };
        Ok(Self {
            recorded_in: number(recorded_in)?,
            place: number(place)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written_and_no_other_text_is_one() {
        let position = Position {
            recorded_in: 8123,
            place: 7,
        };
        assert_eq!(position.to_string().parse(), Ok(position));
        let end = Position::before(8123);
        assert_eq!(end.to_string().parse(), Ok(end));
        assert!(end < position);
        for broken in [
            "", ".", "1", "1.", ".1", "1.2.3", "-1.2", "1.-2", "+1.2", "a.b",
        ] {
            assert!(broken.parse::<Position>().is_err(), "{broken}");
        }
        let far = format!("{}0.1", i64::MAX);
        assert!(far.parse::<Position>().is_err());
    }
}
