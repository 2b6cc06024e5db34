//! What a run says, as a file.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// Writes it as JSON.
///
/// # Errors
/// That the file cannot be written.
pub fn write(file: &Path, report: &impl Serialize) -> anyhow::Result<()> {
    let writing = || format!("writing {}", file.display());
    let out = BufWriter::new(File::create(file).with_context(writing)?);
    serde_json::to_writer_pretty(out, report).with_context(writing)
}
