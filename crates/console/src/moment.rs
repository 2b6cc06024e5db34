//! Times as people say them, with the exact one on hover, and lengths of time. Pure.

use std::fmt;

use askama::filters::HtmlSafe;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// How long ago something was; the script keeps it true while the page is open.
#[derive(Clone, Copy, Debug)]
pub struct Ago {
    pub at: DateTime<Utc>,
    pub now: DateTime<Utc>,
}

/// In how long something will be.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    pub at: DateTime<Utc>,
    pub now: DateTime<Utc>,
}

/// When something is, to the second.
#[derive(Clone, Copy, Debug)]
pub struct Exact(DateTime<Utc>);

impl HtmlSafe for Ago {}
impl HtmlSafe for Until {}
impl HtmlSafe for Exact {}

fn element(f: &mut fmt::Formatter<'_>, at: DateTime<Utc>, class: &str, text: &str) -> fmt::Result {
    let machine = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let exact = at.format("%Y-%m-%d %H:%M:%S%.3f UTC");
    write!(
        f,
        r#"<time datetime="{machine}" title="{exact}" class="{class}">{text}</time>"#
    )
}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = ago(self.now - self.at);
        element(f, self.at, "ago", &text)
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.at - self.now;
        let text = if left <= TimeDelta::zero() {
            "now".to_owned()
        } else {
            format!("in {}", length(left))
        };
        element(f, self.at, "until", &text)
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.format("%Y-%m-%d %H:%M:%S").to_string();
        element(f, self.0, "exact", &text)
    }
}

fn ago(since: TimeDelta) -> String {
    if since < TimeDelta::seconds(1) {
        return "just now".into();
    }
    format!("{} ago", length(since))
}

/// When that is, to the second.
pub fn exact(at: &DateTime<Utc>) -> Exact {
    Exact(*at)
}

/// A length of time in its two largest units: `40 s`, `31 min`, `3 h 5 min`, `4 d 22 h`.
pub fn length(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, lesser: &str| {
        if small == 0 {
            format!("{large} {unit}")
        } else {
            format!("{large} {unit} {small} {lesser}")
        }
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..300 => two(minutes, "min", seconds % 60, "s"),
        300..3600 => format!("{minutes} min"),
        3600..86_400 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// The same, of seconds with a fraction.
pub fn length_of(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "as many seconds as there are bits is for ever"
    )]
    let seconds = seconds as i64;
    length(TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX))
}

/// When something began, as one says it in a sentence: the time of today, or day and time.
pub fn since(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    if at.date_naive() == now.date_naive() {
        return at.format("%H:%M UTC").to_string();
    }
    at.format("%e %B, %H:%M UTC")
        .to_string()
        .trim_start()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_their_two_largest_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (40, "40 s"),
            (60, "1 min"),
            (95, "1 min 35 s"),
            (1860, "31 min"),
            (3600, "1 h"),
            (11_100, "3 h 5 min"),
            (424_800, "4 d 22 h"),
            (-5, "0 s"),
        ] {
            assert_eq!(length(TimeDelta::seconds(seconds)), text);
        }
    }

    #[test]
    fn a_time_has_its_exact_one_beside_it() {
        let at: DateTime<Utc> = "2026-11-23T21:00:00.120Z".parse().expect("a time");
        let now = at + TimeDelta::seconds(40);
        assert_eq!(
            Ago { at, now }.to_string(),
            "<time datetime=\"2026-11-23T21:00:00.120Z\" title=\"2026-11-23 21:00:00.120 UTC\" \
             class=\"ago\">40 s ago</time>"
        );
        assert!(Until { at: now, now: at }.to_string().contains(">in 40 s<"));
        assert_eq!(since(at, now), "21:00 UTC");
        assert_eq!(
            since(at, now + TimeDelta::days(1)),
            "23 November, 21:00 UTC"
        );
    }
}
