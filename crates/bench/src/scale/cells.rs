//! The cells of the tables. Pure.

use super::Measured;
use crate::columns::aligned;

const MB: f64 = 1e6;

/// A line that begins with a size; where deliveries are missing that is all it says.
pub fn line<T>(
    size: u32,
    measured: &Measured<T>,
    figures: impl FnOnce(&T) -> Vec<String>,
) -> Vec<String> {
    let cells = match measured {
        Measured::Missing(missing) => vec![format!("{missing} MISSING")],
        Measured::Figures(it) => figures(it),
    };
    std::iter::once(size.to_string()).chain(cells).collect()
}

/// Lines below a head, and whether the goal is met.
pub fn table(
    head: &[&str],
    lines: impl Iterator<Item = Vec<String>>,
    goal: &str,
    met: bool,
) -> String {
    let head = head.iter().map(ToString::to_string).collect();
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(lines).collect();
    let met = if met { "met" } else { "MISSED" };
    format!("{}goal {goal}: {met}\n", aligned(&lines))
}

/// Bytes, in MB.
#[allow(clippy::cast_precision_loss, reason = "bytes are far below 2^53")]
pub fn in_mb(bytes: u64) -> f64 {
    bytes as f64 / MB
}

/// The same as a cell.
pub fn mb(bytes: u64) -> String {
    format!("{:.1}", in_mb(bytes))
}

/// A ratio, if there is one.
pub fn or_dash(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"))
}

/// A percentage, if it is known.
pub fn percent(of: Option<f64>) -> String {
    of.map_or_else(|| "-".into(), |percent| format!("{percent:.0}"))
}
