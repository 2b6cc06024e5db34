//! What the audit keeps of a subscription's settings: all but what is secret, of which it only says
//! that it changed.

use common::store::subscriptions::Settings;
use serde_json::{Map, Value, json};

use super::input::Draft;
use super::secrets::Part;
use crate::fields::NewKey;

/// Those of a new one, how it is signed, and whether it shows a certificate.
pub fn new(draft: &Draft, key: &NewKey) -> Value {
    let mut all = settings(&draft.settings);
    all["signing_algorithm"] = json!(key.algorithm());
    let secrets = draft.secrets.as_ref();
    if secrets.is_some_and(|secrets| secrets.client_certificate.is_some()) {
        all["client_certificate"] = json!("set");
    }
    all
}

/// The settings, those that are not set left out.
pub fn settings(settings: &Settings) -> Value {
    let mut all = fields(settings);
    all.retain(|_, value| !value.is_null());
    Value::Object(all)
}

/// What became different, as it is now; of its secrets these parts.
pub fn difference(before: &Settings, after: &Settings, secrets: &[Part]) -> Value {
    let (old, mut new) = (fields(before), fields(after));
    new.retain(|name, value| old.get(name) != Some(value));
    for part in secrets {
        new.insert(part.field().into(), json!("changed"));
    }
    Value::Object(new)
}

fn fields(of: &Settings) -> Map<String, Value> {
    let fields = json!({
        "owner": of.owner, "name": of.name, "description": of.description, "url": of.url,
        "auth_kind": of.auth_kind, "header_names": of.header_names,
        "permitted_origin": of.permitted_origin,
        "event_types": of.event_types, "cities": of.cities, "filter": of.filter,
        "retry_schedule_ms": of.retry_schedule_ms, "max_age_ms": of.max_age_ms,
        "timeout_ms": of.timeout_ms, "rate_limit": of.rate_limit,
        "max_in_flight": of.max_in_flight, "ordering": of.ordering, "coalesce": of.coalesce,
        "disable_after_ms": of.disable_after_ms,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use common::secrets::Sealed;
    use common::store::subscriptions::AuthKind;

    use super::*;

    fn of(sealed: &str) -> Settings {
        Settings {
            owner: None,
            name: "n".into(),
            description: None,
            url: "http://a".into(),
            secrets: Sealed {
                key_id: "a".into(),
                bytes: sealed.into(),
            },
            auth_kind: AuthKind::Bearer,
            header_names: Vec::new(),
            permitted_origin: None,
            event_types: None,
            cities: None,
            retry_schedule_ms: None,
            max_age_ms: None,
            timeout_ms: None,
            rate_limit: None,
            max_in_flight: None,
            ordering: common::store::subscriptions::Ordering::default(),
            coalesce: common::store::subscriptions::Coalesce::default(),
            filter: None,
            disable_after_ms: None,
        }
    }

    #[test]
    fn a_secret_is_told_of_and_not_told() {
        let (before, after) = (of("secret-one"), of("secret-two"));
        let told = difference(&before, &after, &[Part::Auth]);
        assert_eq!(told, json!({"auth": "changed"}));
        assert_eq!(difference(&before, &before, &[]), json!({}));
        assert!(!settings(&before).to_string().contains("secret-one"));
        assert_eq!(settings(&before)["auth_kind"], "bearer");
    }
}
