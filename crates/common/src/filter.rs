//! The filter of a subscription: a CEL expression over the event, which is delivered where it is
//! true.
//!
//! The one variable is `event`, the record's JSON object: `event.reading > 30 && event.city ==
//! "Tokyo"`. A field that may be missing is asked for with `has(event.x)`; using it without makes
//! an [`EvaluationError`], which means "does not match".
//!
//! What differs from plain CEL makes numbers free of surprise and filters cheap: all numbers are
//! doubles, so that `event.reading / 2` means the same for `23` and `23.5`; there are no loops
//! (`all`, `exists`, `map`, …), no regular expressions and no times, and `check` bounds the rest.
//! A filter that compiles takes time in proportion to the event, which has 64 KiB at most.

mod check;
mod event;

use std::sync::{Arc, LazyLock};
use std::thread::ScopedJoinHandle;

use cel::common::ast::{Expr, IdedExpr, SourceInfo};
use cel::common::types::CelBool;
use cel::parser::Macro;
use cel::{Context, Env, ExecutionError, ParseErrors, Value};

pub use event::Event;

/// The longest filter, in bytes.
pub const MAX_FILTER_BYTES: usize = 1024;

/// The stack of the thread that parses: the parser takes up to 20 KiB for each level of nesting.
const PARSER_STACK_BYTES: usize = 8 * 1024 * 1024;

/// The functions and operators that filters may use; read only.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    env.add_macro(has()).expect("no macro is there before");
    Arc::new(env)
});

/// `has(event.x)`, the one standard macro that is no loop.
fn has() -> Macro {
    Macro::global("has", 1, |helper, _, arguments| {
        let argument = arguments.remove(0);
        let Expr::Select(mut select) = argument.expr else {
            return Err(helper.new_error(argument.id, "has() takes a field, as in has(event.x)"));
        };
        select.test = true;
        Ok(Some(helper.next_expr(Expr::Select(select))))
    })
}

/// Why an expression is no filter, and where that shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct Error {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
}

/// Why a filter has no answer for an event: a missing field, or types that do not go together.
/// The event does not match.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The expression failed.
    #[error(transparent)]
    Failed(#[from] ExecutionError),
    /// Its value is neither true nor false.
    #[error("the value is neither true nor false")]
    NotBool,
}

/// A compiled filter. Made once per change of a subscription, asked for each event.
#[derive(Debug)]
pub struct Filter(IdedExpr);

impl Filter {
    /// Reads `source` as a filter.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn compile(source: &str) -> Result<Self, Error> {
        if source.len() > MAX_FILTER_BYTES {
            return Err(at_start(format!(
                "a filter has at most {MAX_FILTER_BYTES} bytes"
            )));
        }
        check::nesting(source).map_err(|(offset, reason)| at(source, offset, reason))?;
        let (mut expression, places) = parse(source)?;
        check::expression(&mut expression).map_err(|wrong| {
            let start = places.offset_for(wrong.id).map_or(0, |(start, _)| start);
            at(source, start as usize, wrong.reason)
        })?;
        Ok(Self(expression))
    }

    /// Whether the event is to be delivered.
    ///
    /// # Errors
    /// That there is no answer; take it for "no".
    pub fn matches(&self, event: &Event) -> Result<bool, EvaluationError> {
        let mut context = Context::with_env(ENVIRONMENT.clone());
        context.set_variable_resolver(event);
        let value = Value::resolve_val(&self.0, &context)?;
        let answer = value.downcast_ref::<CelBool>();
        answer
            .map(|answer| *answer.inner())
            .ok_or(EvaluationError::NotBool)
    }
}

/// Parses on a thread with a stack that fits, whatever the caller's; a panic there is an error.
fn parse(source: &str) -> Result<(IdedExpr, SourceInfo), Error> {
    let parsed = std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(PARSER_STACK_BYTES)
            .spawn_scoped(scope, || {
                ENVIRONMENT.parser().parse_with_source_info(source)
            })
            .map(ScopedJoinHandle::join)
    });
    match parsed {
        Ok(Ok(parsed)) => parsed.map_err(|errors| first(source, errors)),
        Ok(Err(_panic)) => Err(at_start("it cannot be read".into())),
        Err(error) => Err(at_start(format!("it cannot be read now: {error}"))),
    }
}

fn first(source: &str, ParseErrors { errors }: ParseErrors) -> Error {
    let Some(error) = errors.into_iter().next() else {
        return at_start("it is no expression".into());
    };
    let (line, column) = error.pos;
    let lines = source.lines().count().max(1);
    Error {
        line: usize::try_from(line).unwrap_or(1).clamp(1, lines),
        column: usize::try_from(column).unwrap_or(1).max(1),
        reason: error.msg,
    }
}

fn at_start(reason: String) -> Error {
    Error {
        line: 1,
        column: 1,
        reason,
    }
}

/// The error at that byte.
fn at(source: &str, offset: usize, reason: String) -> Error {
    let before = source.get(..offset).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    Error {
        line: before.matches('\n').count() + 1,
        column: line.chars().count() + 1,
        reason,
    }
}

#[cfg(test)]
mod tests;
