//! Whom a token lets in: its claims as a role, an owner and scopes. Pure.

use serde_json::Value;

use super::args::OidcArgs;
use super::token::{Claims, subject};
use crate::access::{Caller, Role, Scope};
use crate::fields::Owner;

/// Which claim says what.
#[derive(Clone, Debug)]
pub struct Mapping {
    role: String,
    admin: String,
    subscriber: String,
    owner: String,
    scope: Option<String>,
}

impl Mapping {
    /// As the settings say.
    pub fn new(args: &OidcArgs) -> Self {
        Self {
            role: args.role_claim.clone(),
            admin: args.admin_value.clone(),
            subscriber: args.subscriber_value.clone(),
            owner: args.owner_claim.clone(),
            scope: args.scope_claim.clone(),
        }
    }

    /// The caller that the claims describe; `Err`: what they lack. Who has both roles is an admin.
    pub fn caller(&self, claims: &Claims) -> Result<Caller, &'static str> {
        let roles = claim(claims, &self.role);
        let role = if roles.is_some_and(|roles| names(roles, &self.admin)) {
            Role::Admin
        } else if roles.is_some_and(|roles| names(roles, &self.subscriber)) {
            Role::Subscriber
        } else {
            return Err("the token has no role here");
        };
        let owner = match role {
            Role::Admin => None,
            Role::Subscriber => Some(self.owner(claims)?),
        };
        let subject = subject(claims).map_err(|_| "the token does not say whom it is about")?;
        Ok(Caller {
            role,
            owner,
            scopes: self.scopes(claims),
            who: format!("oidc:{subject}"),
            key: None,
            in_session: false,
            address: None,
            request_id: String::new(),
        })
    }

    fn owner(&self, claims: &Claims) -> Result<String, &'static str> {
        let owner = claim(claims, &self.owner).and_then(Value::as_str);
        let owner = owner.and_then(|owner| Owner::try_from(owner.to_owned()).ok());
        owner.map(String::from).ok_or("the token names no owner")
    }

    fn scopes(&self, claims: &Claims) -> Vec<Scope> {
        let both = [Scope::Read, Scope::Write];
        let Some(name) = &self.scope else {
            return both.to_vec();
        };
        let said = claim(claims, name);
        let has = |scope: &Scope| said.is_some_and(|said| has_word(said, scope.label()));
        both.into_iter().filter(has).collect()
    }
}

/// The claim of that name; one that begins with `/` is a JSON pointer (RFC 6901).
fn claim<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    let Some(path) = name.strip_prefix('/') else {
        return claims.get(name);
    };
    let (first, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    let first = first.replace("~1", "/").replace("~0", "~");
    claims.get(&first)?.pointer(rest)
}

/// Whether it is that value, or a list with it.
fn names(claim: &Value, value: &str) -> bool {
    let is = |claim: &Value| claim.as_str() == Some(value);
    is(claim) || claim.as_array().is_some_and(|all| all.iter().any(is))
}

/// The same for words with spaces between them (RFC 6749, section 3.3).
fn has_word(claim: &Value, word: &str) -> bool {
    let text = claim.as_str().unwrap_or_default();
    text.split(' ').any(|one| one == word) || names(claim, word)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mapping() -> Mapping {
        Mapping {
            role: "/realm/roles".into(),
            admin: "admin".into(),
            subscriber: "subscriber".into(),
            owner: "org".into(),
            scope: None,
        }
    }

    fn caller(mapping: &Mapping, claims: &Value) -> Result<(Role, Option<String>), &'static str> {
        let claims = claims.as_object().expect("an object");
        let caller = mapping.caller(claims)?;
        assert_eq!(caller.who, "oidc:s");
        Ok((caller.role, caller.owner))
    }

    #[test]
    fn a_role_and_an_owner_let_in_and_nothing_else_does() {
        let mapping = mapping();
        for (roles, expected) in [
            (json!(["x", "admin"]), Ok((Role::Admin, None))),
            (json!("admin"), Ok((Role::Admin, None))),
            (json!(["subscriber", "admin"]), Ok((Role::Admin, None))),
            (
                json!(["subscriber"]),
                Ok((Role::Subscriber, Some("acme".to_owned()))),
            ),
            (json!("no admin"), Err("the token has no role here")),
            (json!(["ADMIN"]), Err("the token has no role here")),
            (json!({"admin": true}), Err("the token has no role here")),
            (json!([["admin"]]), Err("the token has no role here")),
            (json!(null), Err("the token has no role here")),
        ] {
            let claims = json!({"sub": "s", "org": "acme", "realm": {"roles": roles}});
            assert_eq!(caller(&mapping, &claims), expected, "{claims}");
        }
        for owner in [
            json!(null),
            json!(""),
            json!(7),
            json!(["acme"]),
            json!("a\nb"),
        ] {
            let claims = json!({"sub": "s", "org": owner, "realm": {"roles": "subscriber"}});
            assert_eq!(
                caller(&mapping, &claims),
                Err("the token names no owner"),
                "{claims}"
            );
        }
        assert!(caller(&mapping, &json!({"sub": "s", "realm/roles": "admin"})).is_err());
    }

    #[test]
    fn a_name_is_taken_as_it_is_and_a_pointer_followed() {
        let claims = json!({"https://x/roles": "a", "r/s": {"t": ["b"]}});
        let claims = claims.as_object().expect("an object");
        assert_eq!(claim(claims, "https://x/roles"), Some(&json!("a")));
        assert_eq!(claim(claims, "/r~1s/t/0"), Some(&json!("b")));
        assert_eq!(claim(claims, "/r~1s"), Some(&json!({"t": ["b"]})));
        assert_eq!(claim(claims, "/"), None);
    }

    #[test]
    fn where_scopes_are_claimed_only_those_are_had() {
        let scopes = |claims: Value| {
            let mapping = Mapping {
                scope: Some("scope".into()),
                ..mapping()
            };
            mapping.scopes(claims.as_object().expect("an object"))
        };
        assert_eq!(scopes(json!({"scope": "openid read"})), [Scope::Read]);
        assert_eq!(
            scopes(json!({"scope": ["write", "read"]})),
            [Scope::Read, Scope::Write]
        );
        assert_eq!(scopes(json!({"scope": "readwrite"})), []);
        assert_eq!(scopes(json!({})), []);
    }
}
