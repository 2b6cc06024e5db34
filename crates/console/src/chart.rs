//! Charts, drawn here as SVG: they are there without a script, in both colour schemes, and weigh a
//! few KB. Pure.
//!
//! The shapes stretch with the page, so figures and times stand beside them as text. A point tells
//! its figures on hover, by its `<title>`; a whole chart is told in a sentence to who cannot see it.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, Utc};

use crate::number;

/// The size of the drawing, in units of its own.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

/// What the figures are.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    PerSecond,
    Share,
    Millis,
    Count,
}

/// One curve, or one part of the bars.
#[derive(Clone, Debug)]
pub struct Plot {
    pub name: String,
    /// By which the stylesheet colours it.
    pub class: &'static str,
    /// At each step; `None`: nothing is known.
    pub values: Vec<Option<f64>>,
}

/// A chart, drawn.
#[derive(Debug, Template)]
#[template(path = "part/chart.html")]
pub struct Chart {
    title: String,
    plots: Vec<Plot>,
    shapes: Vec<Shape>,
    columns: Vec<Column>,
    top: String,
    middle: String,
    bottom: String,
    times: Vec<String>,
    summary: String,
    is_empty: bool,
}

#[derive(Debug)]
struct Shape {
    class: &'static str,
    path: String,
    is_area: bool,
}

/// One step, as it is told on hover.
#[derive(Debug)]
struct Column {
    x: String,
    width: String,
    title: String,
}

impl HtmlSafe for Chart {}

impl Unit {
    fn text(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{}/s", number::figure(value)),
            Self::Share => number::percent(value),
            Self::Millis => number::millis(value),
            Self::Count => number::figure(value),
        }
    }
}

impl Plot {
    /// One of that name.
    pub fn new(name: impl Into<String>, class: &'static str, values: Vec<Option<f64>>) -> Self {
        Self {
            name: name.into(),
            class,
            values,
        }
    }

    fn last(&self) -> Option<f64> {
        self.values.iter().rev().find_map(|value| *value)
    }
}

/// Curves over the same steps.
pub fn lines(title: &str, unit: Unit, steps: &[DateTime<Utc>], plots: Vec<Plot>) -> Chart {
    let known = || plots.iter().flat_map(|plot| plot.values.iter().flatten());
    let (low, high) = match unit {
        Unit::Share => (floor_of_share(known().copied()), 1.0),
        _ => (0.0, nice(known().copied().fold(0.0, f64::max))),
    };
    let shapes = plots.iter().map(|plot| Shape {
        class: plot.class,
        path: curve(&plot.values, low, high),
        is_area: false,
    });
    let shapes = shapes.collect();
    finished(title, unit, steps, (plots, shapes), (low, high))
}

/// Bars over the same steps, one plot upon the other.
pub fn bars(title: &str, unit: Unit, steps: &[DateTime<Utc>], plots: Vec<Plot>) -> Chart {
    let sums = (0..steps.len()).map(|at| {
        let parts = plots
            .iter()
            .filter_map(|plot| plot.values.get(at).copied().flatten());
        parts.sum::<f64>()
    });
    let high = nice(sums.fold(0.0, f64::max));
    let mut below = vec![0.0; steps.len()];
    let mut shapes = Vec::new();
    for plot in &plots {
        shapes.push(Shape {
            class: plot.class,
            path: blocks(&plot.values, &mut below, high),
            is_area: true,
        });
    }
    finished(title, unit, steps, (plots, shapes), (0.0, high))
}

fn finished(
    title: &str,
    unit: Unit,
    steps: &[DateTime<Utc>],
    (plots, shapes): (Vec<Plot>, Vec<Shape>),
    (low, high): (f64, f64),
) -> Chart {
    let summary = plots.iter().filter_map(|plot| {
        let highest = plot.values.iter().flatten().copied().fold(0.0, f64::max);
        let (last, highest) = (unit.text(plot.last()?), unit.text(highest));
        Some(format!("{}: {last} last, {highest} at most", plot.name))
    });
    let summary: Vec<_> = summary.collect();
    Chart {
        title: title.to_owned(),
        is_empty: summary.is_empty(),
        summary: format!("{title}. {}", summary.join("; ")),
        columns: columns(unit, steps, &plots),
        top: unit.text(high),
        middle: unit.text(f64::midpoint(low, high)),
        bottom: unit.text(low),
        times: times(steps),
        plots,
        shapes,
    }
}

/// Three times, where the chart begins, in its middle, and where it ends.
fn times(steps: &[DateTime<Utc>]) -> Vec<String> {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return Vec::new();
    };
    let form = if (*last - *first).num_days() >= 2 {
        "%a %e"
    } else {
        "%H:%M"
    };
    let middle = &steps[steps.len() / 2];
    let texts = [first, middle, last].map(|at| at.format(form).to_string());
    texts.to_vec()
}

fn columns(unit: Unit, steps: &[DateTime<Utc>], plots: &[Plot]) -> Vec<Column> {
    let width = step_width(steps.len());
    let each = steps.iter().enumerate();
    each.map(|(at, step)| {
        let figures = plots.iter().map(|plot| {
            let value = plot.values.get(at).copied().flatten();
            let value = value.map_or("–".into(), |value| unit.text(value));
            format!("\n{}: {value}", plot.name)
        });
        let title = step.format("%a %H:%M UTC").to_string();
        let title = title + &figures.collect::<String>();
        Column {
            x: coordinate(left(at, width)),
            width: coordinate(width),
            title,
        }
    })
    .collect()
}

#[expect(clippy::cast_precision_loss, reason = "a chart has few steps")]
fn step_width(steps: usize) -> f64 {
    WIDTH / steps.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "a chart has few steps")]
fn left(at: usize, width: f64) -> f64 {
    at as f64 * width
}

fn coordinate(value: f64) -> String {
    let text = format!("{value:.1}");
    text.trim_end_matches(".0").to_owned()
}

fn height(value: f64, low: f64, high: f64) -> f64 {
    HEIGHT - ((value - low) / (high - low)).clamp(0.0, 1.0) * HEIGHT
}

/// A path through what is known. A point between two that are not is a dash.
fn curve(values: &[Option<f64>], low: f64, high: f64) -> String {
    let width = step_width(values.len());
    let mut is_drawing = false;
    let parts = values.iter().enumerate().map(|(at, value)| {
        let Some(value) = value else {
            is_drawing = false;
            return String::new();
        };
        let x = coordinate(left(at, width) + width / 2.0);
        let y = coordinate(height(*value, low, high));
        if std::mem::replace(&mut is_drawing, true) {
            format!("L{x} {y}")
        } else {
            // As wide as can be seen, should nothing follow.
            let (from, wide) = (coordinate(left(at, width) + width * 0.2), width * 0.3);
            format!("M{from} {y}h{}", coordinate(wide))
        }
    });
    parts.collect()
}

/// Blocks upon what is below them, which is raised by them.
fn blocks(values: &[Option<f64>], below: &mut [f64], high: f64) -> String {
    let width = step_width(values.len());
    let each = values.iter().zip(below).enumerate();
    let parts = each.filter_map(|(at, (value, below))| {
        let value = value.filter(|value| *value > 0.0)?;
        let (from, to) = (*below, *below + value);
        *below = to;
        // What there is is seen, however little it is.
        let bottom = height(from, 0.0, high);
        let top = height(to, 0.0, high).min(bottom - 1.0);
        let x = coordinate(left(at, width) + width * 0.1);
        let (wide, tall) = (coordinate(width * 0.8), coordinate(bottom - top));
        Some(format!("M{x} {}h{wide}v{tall}h-{wide}z", coordinate(top)))
    });
    parts.collect()
}

/// The next round height: 1, 2, 2.5 or 5 and zeros.
fn nice(high: f64) -> f64 {
    if high <= 0.0 || !high.is_finite() {
        return 1.0;
    }
    let ten = 10_f64.powf(high.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let fits = steps
        .into_iter()
        .map(|step| step * ten)
        .find(|top| *top >= high * 0.999);
    fits.unwrap_or(10.0 * ten)
}

/// Where a chart of shares begins: at nothing, unless all is nearly all.
fn floor_of_share(values: impl Iterator<Item = f64>) -> f64 {
    match values.fold(1.0, f64::min) {
        0.99.. => 0.98,
        0.9.. => 0.8,
        _ => 0.0,
    }
}

/// A curve without anything around it, for a row of a list.
#[derive(Debug, Template)]
#[template(path = "part/spark.html")]
pub struct Spark {
    good: String,
    bad: String,
    summary: String,
}

impl HtmlSafe for Spark {}

impl Spark {
    /// Of what was delivered and what failed at each step.
    pub fn new(good: &[Option<f64>], bad: &[Option<f64>]) -> Self {
        let sum = |values: &[Option<f64>]| values.iter().flatten().sum::<f64>();
        let both = good.iter().zip(bad);
        let high = both
            .map(|(good, bad)| good.unwrap_or(0.0) + bad.unwrap_or(0.0))
            .fold(0.0, f64::max);
        let mut below = vec![0.0; good.len()];
        let high = if high > 0.0 { high } else { 1.0 };
        let (delivered, failed) = (number::figure(sum(good)), number::figure(sum(bad)));
        Self {
            summary: format!("the last hour: {delivered} delivered, {failed} attempts failed"),
            good: blocks(good, &mut below, high),
            bad: blocks(bad, &mut below, high),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(count: u32) -> Vec<DateTime<Utc>> {
        let first: DateTime<Utc> = "2026-11-23T21:00:00Z".parse().expect("a time");
        (0..count)
            .map(|at| first + chrono::TimeDelta::minutes(at.into()))
            .collect()
    }

    #[test]
    fn a_height_is_round_and_not_less_than_what_it_holds() {
        for (high, top) in [
            (0.0, 1.0),
            (0.7, 1.0),
            (1.0, 1.0),
            (17.0, 20.0),
            (230.0, 250.0),
            (4100.0, 5000.0),
        ] {
            assert!((nice(high) - top).abs() < 1e-9, "{high}: {}", nice(high));
        }
    }

    #[test]
    fn a_curve_has_a_gap_where_nothing_is_known() {
        let path = curve(&[Some(0.0), Some(10.0), None, Some(5.0)], 0.0, 10.0);
        assert_eq!(path, "M50 100h75L375 0M800 50h75");
    }

    #[test]
    fn bars_stand_on_each_other() {
        let mut below = vec![0.0; 2];
        assert_eq!(
            blocks(&[Some(5.0), Some(0.0)], &mut below, 10.0),
            "M50 50h400v50h-400z"
        );
        assert_eq!(
            blocks(&[Some(5.0), None], &mut below, 10.0),
            "M50 0h400v50h-400z"
        );
    }

    #[test]
    fn names_are_text_in_a_chart() {
        let plot = Plot::new("<script>alert(1)</script>", "good", vec![Some(1.0); 2]);
        let html = bars("<b>", Unit::Count, &steps(2), vec![plot]).to_string();
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
    }

    #[test]
    fn nothing_known_is_said_to_be_so() {
        let chart = lines(
            "p50",
            Unit::Millis,
            &steps(3),
            vec![Plot::new("p50", "a", vec![None; 3])],
        );
        assert!(chart.is_empty);
    }
}
