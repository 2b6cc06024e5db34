//! What a receiver asks for about its further deliveries, in a header of any of its responses. Pure.

use std::time::Duration;

/// The response header: `disable`, or `pause=` and a number of seconds.
pub const WEBHOOK_DELIVERY: &str = "webhook-delivery";

/// The longest pause that is granted; one that is longer is cut to it.
pub const MAX_PAUSE: Duration = Duration::from_hours(1);

/// A receiver's wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// No more deliveries, until somebody enables the subscription again.
    Disable,
    /// No deliveries for that long.
    Pause(Duration),
}

impl Control {
    /// Reads the header's value. What is neither wish is none, and so is a pause of no time.
    pub fn parse(header: &str) -> Option<Self> {
        let wish = header.trim();
        if wish.eq_ignore_ascii_case("disable") {
            return Some(Self::Disable);
        }
        let (name, seconds) = wish.split_once('=')?;
        let pause = Duration::from_secs(seconds.trim().parse().ok()?).min(MAX_PAUSE);
        let named = name.trim().eq_ignore_ascii_case("pause");
        (named && !pause.is_zero()).then_some(Self::Pause(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wish_is_read_and_nothing_else_is() {
        let pause = |seconds| Some(Control::Pause(Duration::from_secs(seconds)));
        for (header, control) in [
            ("disable", Some(Control::Disable)),
            (" Disable ", Some(Control::Disable)),
            ("pause=60", pause(60)),
            ("Pause = 1", pause(1)),
            ("pause=3601", pause(3600)),
            ("pause=18446744073709551615", pause(3600)),
            ("pause=0", None),
            ("pause=-1", None),
            ("pause=1.5", None),
            ("pause", None),
            ("stop=60", None),
            ("", None),
        ] {
            assert_eq!(Control::parse(header), control, "{header:?}");
        }
    }
}
