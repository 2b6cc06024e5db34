//! Durations and sizes as people write them, for flags and environment variables.

use std::time::Duration;

/// Reads `30s`, `2m`, `10h`.
///
/// # Errors
/// Says what is not a duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|e| format!("{text:?} is not a duration: {e}"))
}

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
    fn what_is_no_duration_is_named() {
        assert_eq!(duration(" 2m "), Ok(Duration::from_mins(2)));
        assert!(
            duration("soon")
                .unwrap_err()
                .contains("\"soon\" is not a duration")
        );
    }
}
