//! What bounds a filter: only names that exist, no more nesting and copying than is needed, and
//! numbers that are all doubles. Pure.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::CelDouble;

use super::event::EVENT;

/// How deep brackets, and the expression that is read, may be nested.
const MAX_BRACKETS: usize = 24;
const MAX_DEPTH: usize = 64;

/// How many of the operators that a parser descends for may stand one after another.
const MAX_PREFIXES: usize = 8;
const MAX_CONDITIONALS: usize = 16;

/// How many `+` a filter may have: each copies what it joins, if that is text.
const MAX_ADDITIONS: usize = 16;

/// What filters may call, besides operators and `has`.
const FUNCTIONS: [&str; 8] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "int",
    "double",
    "string",
    "bool",
];

const OPERATORS: [&str; 17] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::IN,
];

/// The operators whose value is a number or a text.
const ARITHMETIC: [&str; 6] = [
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::NEGATE,
];

/// The operators whose second operand stays the whole number that it is written as.
const WHOLE: [&str; 2] = [operators::INDEX, operators::MODULO];

/// What is wrong, and with which part of the expression.
#[derive(Debug)]
pub struct Wrong {
    pub id: u64,
    pub reason: String,
}

/// Refuses, before it is parsed, what a recursive parser would descend too far for: at which byte,
/// and why.
pub fn nesting(source: &str) -> Result<(), (usize, String)> {
    let (mut brackets, mut prefixes, mut conditionals) = (0_usize, 0, 0);
    let mut quote = None;
    let mut escaped = false;
    for (offset, c) in source.char_indices() {
        if let Some(end) = quote {
            quote = quote.filter(|_| escaped || c != end);
            escaped = !escaped && c == '\\';
            continue;
        }
        prefixes = match c {
            '!' | '-' => prefixes + 1,
            c if c.is_whitespace() => prefixes,
            _ => 0,
        };
        match c {
            '"' | '\'' => quote = Some(c),
            '(' | '[' | '{' => brackets += 1,
            ')' | ']' | '}' => brackets = brackets.saturating_sub(1),
            '?' => conditionals += 1,
            _ => {}
        }
        if brackets > MAX_BRACKETS || prefixes > MAX_PREFIXES || conditionals > MAX_CONDITIONALS {
            return Err((offset, "it is nested too deeply from here".into()));
        }
    }
    Ok(())
}

/// Refuses what a filter may not have, and makes its numbers doubles.
pub fn expression(root: &mut IdedExpr) -> Result<(), Wrong> {
    let mut additions = 0;
    walk(root, 1, &mut additions)?;
    if is_no_condition(&root.expr) {
        return Err(wrong(root.id, "a filter must be true or false"));
    }
    Ok(())
}

fn wrong(id: u64, reason: impl Into<String>) -> Wrong {
    Wrong {
        id,
        reason: reason.into(),
    }
}

fn walk(node: &mut IdedExpr, depth: usize, additions: &mut usize) -> Result<(), Wrong> {
    let id = node.id;
    if depth > MAX_DEPTH {
        return Err(wrong(id, "it is nested too deeply from here"));
    }
    match &mut node.expr {
        Expr::Ident(name) if name == EVENT => Ok(()),
        Expr::Ident(name) => Err(wrong(id, format!("there is no `{name}`: {HINT}"))),
        Expr::Literal(literal) => {
            as_double(literal);
            Ok(())
        }
        Expr::Select(select) => walk(&mut select.operand, depth + 1, additions),
        Expr::Call(call) if WHOLE.contains(&call.func_name.as_str()) => {
            let last = call.args.last_mut();
            let whole = last.filter(|operand| !matches!(operand.expr, Expr::Literal(_)));
            whole.map_or(Ok(()), |operand| walk(operand, depth + 1, additions))?;
            let first = call.args.first_mut();
            first.map_or(Ok(()), |operand| walk(operand, depth + 1, additions))
        }
        Expr::Call(call) => {
            known(id, call, additions)?;
            let parts = call.target.as_deref_mut().into_iter();
            let mut parts = parts.chain(&mut call.args);
            parts.try_for_each(|part| walk(part, depth + 1, additions))
        }
        Expr::List(list) => list.elements.iter_mut().try_for_each(constant),
        Expr::Map(_) | Expr::Struct(_) => Err(wrong(id, "a filter has no maps of its own")),
        Expr::Comprehension(_) | Expr::Unspecified => Err(wrong(id, "a filter has no loops")),
    }
}

const HINT: &str = "the fields are those of `event`, as in `event.city`";

fn known(id: u64, call: &CallExpr, additions: &mut usize) -> Result<(), Wrong> {
    let name = call.func_name.as_str();
    *additions += usize::from(name == operators::ADD);
    if *additions > MAX_ADDITIONS {
        return Err(wrong(id, format!("it has more than {MAX_ADDITIONS} `+`")));
    }
    if OPERATORS.contains(&name) || FUNCTIONS.contains(&name) {
        return Ok(());
    }
    Err(wrong(
        id,
        format!(
            "there is no function `{name}`; there are has, {}",
            FUNCTIONS.join(", ")
        ),
    ))
}

/// The entries of a list are not copied for each event if they are constants.
fn constant(entry: &mut IdedExpr) -> Result<(), Wrong> {
    let id = entry.id;
    match &mut entry.expr {
        Expr::Literal(literal) => as_double(literal),
        Expr::Call(call) if call.func_name == operators::NEGATE => {
            return call.args.iter_mut().try_for_each(constant);
        }
        _ => return Err(wrong(id, "a list has texts, numbers, true, false and null")),
    }
    Ok(())
}

/// Whole numbers beyond what a double holds exactly keep their digits, as those of events do.
#[expect(clippy::cast_precision_loss, reason = "the range is checked before")]
fn as_double(literal: &mut LiteralValue) {
    const EXACT: std::ops::RangeInclusive<i64> = -(1 << 53)..=1 << 53;
    let whole = match literal {
        LiteralValue::Int(int) => Some(*int.inner()),
        LiteralValue::UInt(int) => i64::try_from(*int.inner()).ok(),
        _ => None,
    };
    if let Some(whole) = whole.filter(|whole| EXACT.contains(whole)) {
        *literal = LiteralValue::Double(CelDouble::from(whole as f64));
    }
}

/// Whether its value can be neither true nor false, whatever the event.
fn is_no_condition(root: &Expr) -> bool {
    match root {
        Expr::Literal(literal) => !matches!(literal, LiteralValue::Boolean(_)),
        Expr::Call(call) => {
            let name = call.func_name.as_str();
            ARITHMETIC.contains(&name) || matches!(name, "size" | "int" | "double" | "string")
        }
        Expr::Ident(_) | Expr::List(_) => true,
        _ => false,
    }
}
