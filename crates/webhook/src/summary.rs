//! What the receiver wants to know of a body: leniently, for a body it cannot read is a delivery
//! all the same.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// The parts of an event that are shown; whatever is missing or of another type is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Summary {
    city: Value,
    reading: Value,
    unit: Value,
    timestamp: Value,
}

impl Summary {
    /// Reads a body. One that is no JSON object has nothing to show.
    pub fn of(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The city, if it names one.
    pub fn city(&self) -> Option<&str> {
        self.city.as_str()
    }
}

impl fmt::Display for Summary {
    /// `Tokyo 23.0 C at 2026-11-23T21:00:00Z`, without what could control a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(city) = self.city() else {
            return f.write_str("no city");
        };
        write!(f, "{}", city.escape_debug())?;
        if let Some(reading) = self.reading.as_f64() {
            write!(f, " {reading:.1}")?;
        }
        if let Some(unit) = self.unit.as_str() {
            write!(f, " {}", unit.escape_debug())?;
        }
        if let Some(timestamp) = self.timestamp.as_str() {
            write!(f, " at {}", timestamp.escape_debug())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_shown_with_what_it_has() {
        for (body, shown) in [
            (
                r#"{"city":"São Paulo","reading":23,"unit":"C","timestamp":"2026-11-23T21:00:00Z"}"#,
                "São Paulo 23.0 C at 2026-11-23T21:00:00Z",
            ),
            (r#"{"city":"Oslo","reading":"warm"}"#, "Oslo"),
            ("{\"city\":\"\\u001b[2J\\n\"}", "\\u{1b}[2J\\n"),
            (r#"{"reading":23}"#, "no city"),
            (r#"{"city":5}"#, "no city"),
            ("[1]", "no city"),
            ("garbage", "no city"),
            ("", "no city"),
        ] {
            assert_eq!(Summary::of(body.as_bytes()).to_string(), shown, "{body}");
        }
    }
}
