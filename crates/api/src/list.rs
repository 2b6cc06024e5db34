//! What both lists share: `skip`, `limit`, and the shape of the answer.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How many rows to leave out: 0 or more.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(try_from = "i64")]
pub struct Skip(i64);

impl TryFrom<i64> for Skip {
    type Error = &'static str;

    fn try_from(skip: i64) -> Result<Self, Self::Error> {
        if skip < 0 {
            return Err("must be 0 or more");
        }
        Ok(Self(skip))
    }
}

impl From<Skip> for i64 {
    fn from(skip: Skip) -> Self {
        skip.0
    }
}

/// How many rows to show: 1 to 1,000.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "i64")]
pub struct Limit(i64);

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<i64> for Limit {
    type Error = &'static str;

    fn try_from(limit: i64) -> Result<Self, Self::Error> {
        if !(1..=1000).contains(&limit) {
            return Err("must be 1 to 1000");
        }
        Ok(Self(limit))
    }
}

impl From<Limit> for i64 {
    fn from(limit: Limit) -> Self {
        limit.0
    }
}

/// Which part of a list to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// How many to leave out.
    #[serde(default)]
    #[param(value_type = i64, minimum = 0, default = 0, example = 0)]
    pub skip: Skip,
    /// How many to show.
    #[serde(default)]
    #[param(value_type = i64, minimum = 1, maximum = 1000, default = 100, example = 100)]
    pub limit: Limit,
}

/// A part of a list, oldest first. One shorter than `limit` is the last.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    items: Vec<T>,
}

impl<T> FromIterator<T> for Page<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Self {
        Self {
            items: rows.into_iter().collect(),
        }
    }
}
