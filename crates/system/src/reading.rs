//! A temperature as the sources give it: an event that has no id yet.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// What changed, where, when and from what.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// When it was read.
    pub timestamp: DateTime<Utc>,
    /// Where.
    pub city: Arc<str>,
    /// The temperature, in `unit`.
    pub value: f64,
    /// `C` for degrees Celsius.
    pub unit: Arc<str>,
    /// The one before it, unless this is the city's first.
    pub previous: Option<f64>,
}

/// Where readings come from: they end, or they do not.
pub type Source = Box<dyn Iterator<Item = Reading> + Send>;
