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
    /// An admin, with this scope: a key that may only look makes no other that may more.
    Admin(Scope),
}

impl Needs {
    /// What the `security` of an operation with that method says. Anything but what is known here
    /// is for admins.
    fn of(method: &str, security: &Value) -> Self {
        let of_admins = Self::Admin(scope(method));
        let Some([requirement]) = security.as_array().map(Vec::as_slice) else {
            return of_admins;
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
            _ => of_admins,
        }
    }
}

/// What a method does (RFC 9110, section 9.2.1).
fn scope(method: &str) -> Scope {
    match method {
        "GET" | "HEAD" => Scope::Read,
        _ => Scope::Write,
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
                Needs::Admin(scope(method.as_str()))
            };
        };
        let needs = operations.get(method.as_str());
        needs.copied().unwrap_or(Needs::Anybody)
    }
}

fn operations(item: &Value) -> HashMap<String, Needs> {
    let operations = item.as_object().into_iter().flatten();
    operations
        .map(|(method, operation)| {
            let method = method.to_uppercase();
            let needs = Needs::of(&method, &operation["security"]);
            (method, needs)
        })
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
            (json!([{"key": ["admin"]}]), Needs::Admin(Scope::Write)),
            (json!([{}]), Needs::Nobody),
            (json!([]), Needs::Admin(Scope::Write)),
            (json!(null), Needs::Admin(Scope::Write)),
            (json!([{}, {"key": ["read"]}]), Needs::Admin(Scope::Write)),
            (json!([{"other": ["read"]}]), Needs::Admin(Scope::Write)),
            (json!([{"key": ["raed"]}]), Needs::Admin(Scope::Write)),
        ] {
            assert_eq!(Needs::of("POST", &security), needs, "{security}");
        }
    }

    #[test]
    fn an_admin_who_may_only_look_changes_nothing() {
        for (method, scope) in [("GET", Scope::Read), ("DELETE", Scope::Write)] {
            let needs = Needs::of(method, &json!([{"key": ["admin"]}]));
            assert_eq!(needs, Needs::Admin(scope), "{method}");
        }
    }
}
