//! Lines of cells as a table. Pure.

/// Each line with its cells below those of the line before: the first to the left, the others to
/// the right. A line may have fewer than the first.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let lengths = |n: usize| {
        let cells = lines.iter().filter_map(move |line| line.get(n));
        cells.map(|cell| cell.chars().count())
    };
    let widths: Vec<usize> = (0..columns)
        .map(|n| lengths(n).max().unwrap_or_default())
        .collect();
    lines.iter().map(|line| padded(line, &widths)).collect()
}

fn padded(cells: &[String], widths: &[usize]) -> String {
    let cells = cells.iter().zip(widths).enumerate();
    let padded = cells.map(|(n, (cell, width))| match n {
        0 => format!("{cell:<width$}"),
        _ => format!("  {cell:>width$}"),
    });
    padded.chain(["\n".into()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_below_each_other() {
        let line = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let lines = [line(&["case", "cpu µs"]), line(&["a", "1.5"]), line(&["b"])];
        assert_eq!(aligned(&lines), "case  cpu µs\na        1.5\nb   \n");
    }
}
