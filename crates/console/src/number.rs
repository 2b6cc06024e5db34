//! Numbers as people read them. Pure.
//!
//! Each takes a number or a reference to one: templates have both.

use std::borrow::Borrow;

/// `18,240`.
pub fn count(count: impl Borrow<i64>) -> String {
    let count = *count.borrow();
    let digits = count.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if count < 0 { format!("-{text}") } else { text }
}

/// A rate or a height, to three figures: `0.041`, `4.19`, `41.9`, `1,240`.
pub fn figure(value: impl Borrow<f64>) -> String {
    let value = *value.borrow();
    let size = value.abs();
    if size >= 99.95 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "beyond that nobody reads it"
        )]
        return count(value.round() as i64);
    }
    let text = match size {
        9.995.. => format!("{value:.1}"),
        0.9995.. => format!("{value:.2}"),
        0.0005.. => format!("{value:.3}"),
        _ => return "0".into(),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A share of one, in percent; what is not all is never shown as all, nor something as nothing.
pub fn percent(share: impl Borrow<f64>) -> String {
    let percent = share.borrow() * 100.0;
    if percent >= 100.0 {
        return "100 %".into();
    }
    if percent > 99.99 {
        return "99.99 %".into();
    }
    if percent > 99.0 {
        return format!("{percent:.2} %");
    }
    if percent > 0.0 && percent < 0.1 {
        return "< 0.1 %".into();
    }
    format!("{} %", figure((percent * 10.0).round() / 10.0))
}

/// Milliseconds, as ms or as s.
pub fn millis(millis: impl Borrow<f64>) -> String {
    let millis = *millis.borrow();
    if millis >= 60_000.0 {
        return crate::moment::length_of(millis / 1000.0);
    }
    if millis >= 1000.0 {
        return format!("{} s", figure(millis / 1000.0));
    }
    format!("{} ms", figure(millis))
}

/// Milliseconds below each other in a column: to one decimal, so that the points stand in a line.
pub fn latency(millis: impl Borrow<f64>) -> String {
    let millis = *millis.borrow();
    if millis >= 1000.0 {
        return self::millis(millis);
    }
    format!("{millis:.1} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_that_count() {
        for (value, text) in [
            (0.0, "0"),
            (0.04125, "0.041"),
            (0.5, "0.5"),
            (4.19, "4.19"),
            (41.95, "42"),
            (41.9, "41.9"),
            (100.0, "100"),
            (1240.4, "1,240"),
            (9_000_000.0, "9,000,000"),
        ] {
            assert_eq!(figure(value), text);
        }
        assert_eq!(count(-18_240), "-18,240");
    }

    #[test]
    fn latencies_stand_below_each_other() {
        for (value, text) in [
            (0.114, "0.1 ms"),
            (13.0, "13.0 ms"),
            (120.54, "120.5 ms"),
            (1300.0, "1.3 s"),
        ] {
            assert_eq!(latency(value), text);
        }
    }

    #[test]
    fn nearly_all_is_not_all() {
        for (share, text) in [
            (1.0, "100 %"),
            (0.999_999, "99.99 %"),
            (0.9986, "99.86 %"),
            (0.986, "98.6 %"),
            (0.000_1, "< 0.1 %"),
            (0.7, "70 %"),
            (0.0, "0 %"),
        ] {
            assert_eq!(percent(share), text);
        }
    }
}
