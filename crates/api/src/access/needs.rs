//! What each route needs of its caller, as the document says it.
//!
//! `security(("key" = ["read"]))` names a scope or `admin`; `security(())` opens a route to anybody.

use std::collections::HashMap;

use axum::http::Method;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use super::Scope;

/// The name of the security scheme in the document.
pub const SCHEME: &str = "key";

/// The files of Swagger UI, which no document describes.
const PAGES: &str = "/docs/";

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nobody,
    /// A caller, whoever it is.
    Anybody,
    /// A caller with this scope.
    Scope(Scope),
    /// An admin.
    Admin,
}

impl Needs {
    /// What an operation's `security` says. Anything but what is known here is for admins.
    fn of(security: &Value) -> Self {
        let Some([requirement]) = security.as_array().map(Vec::as_slice) else {
            return Self::Admin;
        };
        if requirement
            .as_object()
            .is_some_and(serde_json::Map::is_empty)
        {
            return Self::Nobody;
        }
        match requirement[SCHEME][0].as_str() {
            Some("read") => Self::Scope(Scope::Read),
            Some("write") => Self::Scope(Scope::Write),
            _ => Self::Admin,
        }
    }
}

/// All of them.
#[derive(Debug)]
pub struct Table(HashMap<String, HashMap<String, Needs>>);

impl Table {
    /// Reads them from the document.
    pub fn of(document: &OpenApi) -> Self {
        let document = serde_json::to_value(document).expect("it has text keys only");
        let paths = document["paths"].as_object().into_iter().flatten();
        Self(
            paths
                .map(|(path, item)| (path.clone(), operations(item)))
                .collect(),
        )
    }

    /// What a request of that method needs on a path as the router has it. What is not served with
    /// this method needs a caller, who is then told so.
    pub fn needs(&self, method: &Method, path: &str) -> Needs {
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let Some(operations) = self.0.get(path) else {
            return if path.starts_with(PAGES) {
                Needs::Nobody
            } else {
                Needs::Admin
            };
        };
        let needs = operations.get(method.as_str());
        needs.copied().unwrap_or(Needs::Anybody)
    }
}

fn operations(item: &Value) -> HashMap<String, Needs> {
    let operations = item.as_object().into_iter().flatten();
    operations
        .map(|(method, operation)| (method.to_uppercase(), Needs::of(&operation["security"])))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_said_clearly_is_for_admins() {
        for (security, needs) in [
            (json!([{"key": ["read"]}]), Needs::Scope(Scope::Read)),
            (json!([{"key": ["write"]}]), Needs::Scope(Scope::Write)),
            (json!([{"key": ["admin"]}]), Needs::Admin),
            (json!([{}]), Needs::Nobody),
            (json!([]), Needs::Admin),
            (json!(null), Needs::Admin),
            (json!([{}, {"key": ["read"]}]), Needs::Admin),
            (json!([{"other": ["read"]}]), Needs::Admin),
            (json!([{"key": ["raed"]}]), Needs::Admin),
        ] {
            assert_eq!(Needs::of(&security), needs, "{security}");
        }
    }
}
