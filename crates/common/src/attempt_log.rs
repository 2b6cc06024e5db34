//! Which attempts the record has: the processor goes by it, and the API tells what it cannot know.

use clap::ValueEnum;
use serde::Serialize;
use utoipa::ToSchema;

/// Which attempts leave a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptLog {
    /// Every one.
    All,
    /// All but what is delivered at the first attempt, unless it waited before that: of it it cannot
    /// be told that it was.
    Failures,
}
