//! Where the time of an attempt went, as bars after each other. Pure.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::answers::Phases;
use crate::number;

/// The width of the drawing, in units of its own.
const WIDTH: f64 = 1000.0;

/// An attempt's phases.
#[derive(Debug, Template)]
#[template(path = "part/waterfall.html")]
pub struct Waterfall {
    bars: Vec<Bar>,
    total: String,
}

#[derive(Debug)]
struct Bar {
    name: &'static str,
    class: &'static str,
    took: String,
    x: String,
    width: String,
}

impl HtmlSafe for Waterfall {}

impl Waterfall {
    /// Of those phases, on a scale that ends at `longest`: attempts beside each other compare.
    pub fn new(phases: &Phases, longest: f64) -> Self {
        let known = [
            ("DNS", "dns", phases.dns),
            ("connect", "connect", phases.connect),
            ("TLS", "tls", phases.tls),
            ("first byte", "first-byte", phases.first_byte),
        ];
        let taken: f64 = known.iter().filter_map(|(_, _, took)| *took).sum();
        let rest = ("the rest", "rest", Some(phases.total - taken));
        let scale = WIDTH / longest.max(phases.total).max(0.001);
        let mut at = 0.0;
        let each = known.into_iter().chain([rest]);
        let bars = each.filter_map(|(name, class, took)| {
            let took = took.filter(|took| *took > 0.0)?;
            let bar = Bar {
                name,
                class,
                took: number::millis(took),
                x: format!("{:.1}", at * scale),
                // What there is is seen, however short it is.
                width: format!("{:.1}", (took * scale).max(2.0)),
            };
            at += took;
            Some(bar)
        });
        Self {
            bars: bars.collect(),
            total: number::millis(phases.total),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_each_other_and_what_was_not_taken_has_no_bar() {
        let phases = Phases {
            connect: Some(10.0),
            first_byte: Some(40.0),
            total: 50.0,
            ..Phases::default()
        };
        let waterfall = Waterfall::new(&phases, 100.0);
        let bars: Vec<_> = waterfall
            .bars
            .iter()
            .map(|bar| (bar.name, &*bar.x, &*bar.width))
            .collect();
        assert_eq!(
            bars,
            [
                ("connect", "0.0", "100.0"),
                ("first byte", "100.0", "400.0")
            ]
        );
    }
}
