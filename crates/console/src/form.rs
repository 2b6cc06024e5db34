//! The fields of a subscription as a form has them, and as the API takes them. Pure.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answers::Subscription;
use crate::api::Problem;
use crate::visible;

/// What somebody wrote into the form.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    pub name: String,
    pub url: String,
    pub description: String,
    pub owner: String,
    pub event_types: String,
    pub cities: String,
    pub filter: String,
    pub retry_schedule: String,
    pub max_age: String,
    pub timeout: String,
    pub rate_limit: String,
    pub max_in_flight: String,
    pub disable_after: String,
    pub ordering: String,
    pub coalesce: String,
    /// `keep` leaves how deliveries authenticate as it is.
    pub auth: String,
    pub token: String,
    pub username: String,
    pub password: String,
    pub header_name: String,
    pub header_value: String,
    /// What else each delivery carries, as `Name: value`; nothing leaves it as it is.
    pub headers: String,
    pub signing_algorithm: String,
}

impl Fields {
    /// As that subscription has them. What is secret of it is not read back.
    pub fn of(it: &Subscription) -> Self {
        let list =
            |list: &Option<Vec<String>>| list.as_ref().map_or(String::new(), |it| it.join("\n"));
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            name: it.name.clone(),
            url: it.url.clone(),
            description: text(&it.description),
            owner: text(&it.owner),
            event_types: list(&it.event_types),
            cities: list(&it.cities),
            filter: text(&it.filter),
            retry_schedule: it
                .retry_schedule
                .as_ref()
                .map_or(String::new(), |it| it.join(", ")),
            max_age: text(&it.max_age),
            timeout: text(&it.timeout),
            rate_limit: it.rate_limit.map_or(String::new(), |it| it.to_string()),
            max_in_flight: it.max_in_flight.map_or(String::new(), |it| it.to_string()),
            disable_after: text(&it.disable_after),
            ordering: it.ordering.clone(),
            coalesce: it.coalesce.clone(),
            auth: "keep".into(),
            ..Self::default()
        }
    }

    /// The body that makes a subscription of them: what is empty is left to the API.
    pub fn to_new(&self) -> Value {
        let mut body: Map<String, Value> = self
            .all()
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        if let Some(algorithm) = text(&self.signing_algorithm) {
            body.insert("signing_algorithm".into(), algorithm);
        }
        Value::Object(body)
    }

    /// The body that changes `before` into them: what is as it was, or as a page showed it, is left
    /// out, and what is empty goes back to its default.
    pub fn to_patch(&self, before: &Subscription) -> Value {
        let before = Self::of(before).all();
        let changed = self.all().into_iter().zip(before);
        let changed = changed.filter(|((_, now), (_, before))| *now != shown(before.clone()));
        let body: Map<String, Value> = changed
            .map(|((name, value), _)| (name.to_owned(), value))
            .collect();
        Value::Object(body)
    }

    /// What a preview takes of them.
    pub fn to_preview(&self) -> Value {
        let taken = ["event_types", "cities", "filter"];
        let given = self.all().into_iter();
        let given = given.filter(|(name, value)| taken.contains(name) && !value.is_null());
        Value::Object(
            given
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    fn all(&self) -> Vec<(&'static str, Value)> {
        let or_null = |value: Option<Value>| value.unwrap_or_default();
        vec![
            ("name", json!(self.name.trim())),
            ("url", json!(self.url.trim())),
            ("description", or_null(text(&self.description))),
            ("owner", or_null(text(&self.owner))),
            (
                "event_types",
                or_null(list(&self.event_types, &['\n', ','])),
            ),
            // A city's name may have a comma.
            ("cities", or_null(list(&self.cities, &['\n']))),
            ("filter", or_null(text(&self.filter))),
            (
                "retry_schedule",
                or_null(list(&self.retry_schedule, &['\n', ','])),
            ),
            ("max_age", or_null(text(&self.max_age))),
            ("timeout", or_null(text(&self.timeout))),
            ("rate_limit", or_null(number(&self.rate_limit))),
            ("max_in_flight", or_null(number(&self.max_in_flight))),
            ("disable_after", or_null(text(&self.disable_after))),
            ("ordering", or_null(text(&self.ordering))),
            ("coalesce", or_null(text(&self.coalesce))),
            ("auth", self.auth()),
            ("headers", or_null(headers(&self.headers))),
        ]
    }

    fn auth(&self) -> Value {
        match self.auth.as_str() {
            "none" => json!({"kind": "none"}),
            "bearer" => json!({"kind": "bearer", "token": self.token}),
            "basic" => {
                json!({"kind": "basic", "username": self.username, "password": self.password})
            }
            "header" => {
                json!({"kind": "header", "name": self.header_name, "value": self.header_value})
            }
            _ => Value::Null,
        }
    }
}

/// As a page shows it: what steers is a sign there, which would come back in its place.
fn shown(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(visible::page(text)),
        Value::Array(items) => items.into_iter().map(shown).collect(),
        other => other,
    }
}

fn text(text: &str) -> Option<Value> {
    let text = text.trim();
    // A browser ends the lines of a form with both.
    (!text.is_empty()).then(|| json!(text.replace("\r\n", "\n")))
}

fn list(text: &str, separators: &[char]) -> Option<Value> {
    let items = text.split(separators).map(str::trim);
    let items: Vec<_> = items.filter(|item| !item.is_empty()).collect();
    (!items.is_empty()).then(|| json!(items))
}

/// What is no header goes to the API as it is, which says so.
fn headers(text: &str) -> Option<Value> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let headers: Map<String, Value> = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.trim().to_owned(), json!(value.trim()))
        })
        .collect();
    (!headers.is_empty()).then_some(Value::Object(headers))
}

/// What is no number goes to the API as it is, which says so.
fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let whole = text.parse::<i64>().map(|number| json!(number));
    let number = whole.or_else(|_| text.parse::<f64>().map(|number| json!(number)));
    Some(number.unwrap_or_else(|_| json!(text)))
}

/// What the API says against a form: at its field, or at the head.
#[derive(Debug, Default)]
pub struct Errors {
    field: String,
    detail: String,
}

impl Errors {
    /// What that refusal says.
    pub fn of(problem: &Problem) -> Self {
        let field = match (problem.field(), problem.code.as_str()) {
            (Some("auth_key"), _) => "auth",
            (Some(field), _) => field,
            (None, "name_taken") => "name",
            (None, "not_verified") => "url",
            (None, _) => "",
        };
        Self {
            field: field.to_owned(),
            detail: problem.detail.clone(),
        }
    }

    /// What is wrong with that field.
    pub fn at(&self, field: &str) -> &str {
        if self.field == field {
            &self.detail
        } else {
            ""
        }
    }

    /// What is wrong with something that the form has no field for.
    pub fn at_head(&self) -> &str {
        const FIELDS: [&str; 18] = [
            "name",
            "url",
            "description",
            "owner",
            "event_types",
            "cities",
            "filter",
            "retry_schedule",
            "max_age",
            "timeout",
            "rate_limit",
            "max_in_flight",
            "disable_after",
            "ordering",
            "coalesce",
            "auth",
            "headers",
            "signing_algorithm",
        ];
        if FIELDS.contains(&&*self.field) {
            ""
        } else {
            &self.detail
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        Fields {
            name: " my hook ".into(),
            url: "http://a".into(),
            cities: "Tokyo\r\nWashington, D.C.\r\n".into(),
            retry_schedule: "5s, 10m".into(),
            rate_limit: "2.5".into(),
            max_in_flight: "eight".into(),
            auth: "bearer".into(),
            token: "t".into(),
            headers: "X-Team: weather: north\r\n\r\n".into(),
            ..Fields::default()
        }
    }

    #[test]
    fn what_is_empty_is_left_to_the_api() {
        assert_eq!(
            fields().to_new(),
            json!({
                "name": "my hook", "url": "http://a", "cities": ["Tokyo", "Washington, D.C."],
                "retry_schedule": ["5s", "10m"], "rate_limit": 2.5, "max_in_flight": "eight",
                "auth": {"kind": "bearer", "token": "t"}, "headers": {"X-Team": "weather: north"},
            })
        );
    }

    #[test]
    fn a_change_names_what_changed_only() {
        let before: Subscription = serde_json::from_value(json!({
            "id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11", "name": "n", "url": "http://a",
            "auth": {"kind": "bearer"}, "ordering": "none", "coalesce": "none", "state": "active",
            "cities": ["Tokyo", "a\u{202e}b"], "description": "a\u{1b}b", "filter": "event.reading > 30", "rate_limit": 2.5,
            "circuit": {"state": "closed"}, "expired": 0, "superseded": 0,
            "created_at": "2026-11-23T14:00:00Z", "updated_at": "2026-11-23T14:00:00Z",
        }))
        .expect("a subscription");
        let mut fields = Fields::of(&before);
        // A form comes back as it was shown.
        fields.cities = visible::page(fields.cities);
        fields.description = visible::page(fields.description);
        assert_eq!(fields.to_patch(&before), json!({}));
        fields.filter.clear();
        fields.max_age = "6h".into();
        assert_eq!(
            fields.to_patch(&before),
            json!({"filter": null, "max_age": "6h"})
        );
    }

    #[test]
    fn an_error_stands_at_its_field_or_at_the_head() {
        let problem = |pointer: Option<&str>, code: &str| Problem {
            pointer: pointer.map(str::to_owned),
            code: code.into(),
            detail: "no".into(),
            ..Problem::default()
        };
        let errors = Errors::of(&problem(Some("/cities/0"), "invalid_field"));
        assert_eq!(
            (errors.at("cities"), errors.at("name"), errors.at_head()),
            ("no", "", "")
        );
        assert_eq!(Errors::of(&problem(None, "name_taken")).at("name"), "no");
        assert_eq!(Errors::of(&problem(None, "unavailable")).at_head(), "no");
        assert_eq!(Errors::default().at_head(), "");
    }
}
