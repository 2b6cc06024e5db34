//! Durations and sizes as people write them, for flags and environment variables.

use std::time::Duration;

/// Reads `30s`, `2m`, `10h`.
///
/// # Errors
/// Says what is not a duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|e| format!("{text:?} is not a duration: {e}"))
}

/// Writes a duration as [`duration`] reads it: `5s`, `1h 30m`, `5d`. What is less than a millisecond
/// is left out.
#[must_use]
pub fn written(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut parts = Vec::new();
    for (unit, milliseconds) in UNITS {
        if rest >= milliseconds {
            parts.push(format!("{}{unit}", rest / milliseconds));
            rest %= milliseconds;
        }
    }
    if parts.is_empty() {
        return "0s".into();
    }
    parts.join(" ")
}

/// The units of [`written`], in milliseconds.
const UNITS: [(&str, u128); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads `65536`, `64KiB`, `256MiB`, `2GiB`, in bytes.
///
/// # Errors
/// Says what is not a size.
pub fn bytes(text: &str) -> Result<usize, String> {
    let wrong = || format!("{text:?} is not a size: write bytes, or a number with KiB, MiB or GiB");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let number: usize = digits.trim().parse().map_err(|_| wrong())?;
    let shift = match text[digits.len()..].trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        for (text, size) in [
            ("7", 7),
            ("7B", 7),
            ("64KiB", 65_536),
            ("256 MiB", 268_435_456),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_named() {
        for text in ["", "MiB", "1 MB", "-1", "99999999999GiB"] {
            assert!(bytes(text).unwrap_err().contains("is not a size"), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in [
            "5s", "30m", "6h", "5d", "365d", "1h 30m", "1m 30s", "250ms", "1d 1ms", "0s",
        ] {
            let read = duration(text).expect(text);
            assert_eq!(written(read), text);
        }
        assert_eq!(written(Duration::from_hours(36)), "1d 12h");
        assert_eq!(written(Duration::from_micros(2)), "0s");
    }

    #[test]
    fn what_is_no_duration_is_named() {
        assert_eq!(duration(" 2m "), Ok(Duration::from_mins(2)));
        assert!(
            duration("soon")
                .unwrap_err()
                .contains("\"soon\" is not a duration")
        );
    }
}
