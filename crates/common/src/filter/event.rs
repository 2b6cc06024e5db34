//! An event as filters see it: read once, asked by the filters of all subscriptions.

use std::collections::HashMap;

use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;

/// The name under which filters find it.
pub const EVENT: &str = "event";

/// The largest whole number up to which a double is exact. Beyond it a number keeps its digits.
const MAX_EXACT: u64 = 1 << 53;

/// The JSON object of an event.
#[derive(Debug)]
pub struct Event(Box<dyn Val>);

impl Event {
    /// Reads the bytes of a record.
    ///
    /// # Errors
    /// That they are not JSON.
    pub fn parse(payload: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice::<serde_json::Value>(payload).map(Self::from)
    }
}

impl From<serde_json::Value> for Event {
    fn from(json: serde_json::Value) -> Self {
        let value = value(json).try_into();
        Self(value.expect("JSON has no functions and no types of its own"))
    }
}

impl VariableResolver for Event {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        (variable == EVENT).then(|| CowVal::Borrowed(&*self.0))
    }
}

fn value(json: serde_json::Value) -> cel::Value {
    match json {
        serde_json::Value::Null => cel::Value::Null,
        serde_json::Value::Bool(truth) => truth.into(),
        serde_json::Value::Number(digits) => number(&digits),
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Array(list) => list.into_iter().map(value).collect::<Vec<_>>().into(),
        serde_json::Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, field)| (name, value(field)));
            fields.collect::<HashMap<_, _>>().into()
        }
    }
}

fn number(digits: &serde_json::Number) -> cel::Value {
    match (digits.as_i64(), digits.as_u64()) {
        (Some(whole), _) if whole.unsigned_abs() > MAX_EXACT => whole.into(),
        (None, Some(whole)) => whole.into(),
        _ => digits.as_f64().unwrap_or(f64::NAN).into(),
    }
}
