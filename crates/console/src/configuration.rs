//! The configuration: which programs run, with which settings, and in which of these the instances of
//! one program differ. For admins.
//!
//! Secrets are not in the API's answer; of them only whether they are set can be shown, and compared.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use crate::Console;
use crate::answers::{At, Page};
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::visitor::Visitor;

/// All that the API lists at once: a comparison needs all of them.
const PATH: &str = "/instances?limit=1000";

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new().route("/console/configuration", get(show))
}

/// `GET /instances`.
#[derive(Clone, Debug, Deserialize)]
struct Instance {
    service: String,
    version: String,
    host: String,
    pid: i64,
    started_at: At,
    seen_at: At,
    running: bool,
    settings: Vec<Setting>,
}

#[derive(Clone, Debug, Deserialize)]
struct Setting {
    name: String,
    help: String,
    source: String,
    secret: bool,
    value: Option<String>,
    default: Option<String>,
}

/// The names of the settings in which the running instances of a program differ, by program.
type Differing = BTreeMap<String, BTreeSet<String>>;

#[derive(Template)]
#[template(path = "configuration.html")]
struct Configuration {
    frame: Frame,
    running: Vec<Instance>,
    /// Those of which nothing was seen lately.
    silent: Vec<Instance>,
    differing: Differing,
}

async fn show(visitor: Visitor) -> Result<Response, Failed> {
    let instances = visitor.get::<Page<Instance>>(PATH).await?.items;
    let (mut running, silent): (Vec<_>, Vec<_>) = instances.into_iter().partition(|it| it.running);
    running.sort_by(|one, other| one.service.cmp(&other.service));
    Ok(page(&Configuration {
        frame: visitor.frame("Configuration"),
        differing: differing(&running),
        running,
        silent,
    }))
}

/// One that an instance does not know, being of another version, differs from any that is known.
fn differing(instances: &[Instance]) -> Differing {
    let mut by_service: BTreeMap<&str, Vec<BTreeMap<&str, Told>>> = BTreeMap::new();
    for instance in instances {
        let told = instance.settings.iter().map(|it| (&*it.name, it.told()));
        let of_service = by_service.entry(&instance.service).or_default();
        of_service.push(told.collect());
    }
    let differing = by_service.into_iter().map(|(service, told)| {
        let names: BTreeSet<&str> = told.iter().flat_map(BTreeMap::keys).copied().collect();
        let differs = |name: &&str| told.iter().any(|one| one.get(name) != told[0].get(name));
        let names = names.into_iter().filter(differs).map(str::to_owned);
        (service.to_owned(), names.collect())
    });
    differing
        .filter(|(_, names): &(_, BTreeSet<_>)| !names.is_empty())
        .collect()
}

/// What of a setting can be compared.
#[derive(PartialEq)]
enum Told<'a> {
    Value(Option<&'a str>),
    Secret { is_set: bool },
}

impl Setting {
    fn told(&self) -> Told<'_> {
        if self.secret {
            return Told::Secret {
                is_set: self.is_set(),
            };
        }
        Told::Value(self.value.as_deref())
    }

    fn is_set(&self) -> bool {
        self.source != "unset"
    }

    /// Whether it is other than it would be if nobody had said anything.
    fn is_changed(&self) -> bool {
        let is_said = self.is_set() && self.source != "default";
        is_said && (self.secret || self.value != self.default)
    }

    fn shown(&self) -> &str {
        match (&self.value, self.is_set()) {
            (Some(value), _) if value.is_empty() => "(empty)",
            (Some(value), _) => value,
            (None, true) => "set, not shown",
            (None, false) => "not set",
        }
    }

    fn from(&self) -> &str {
        match &*self.source {
            "unset" => "nowhere",
            "command_line" => "the command line",
            "environment" => "the environment",
            other => other,
        }
    }
}

impl Configuration {
    fn differs(&self, service: &str, setting: &Setting) -> bool {
        let names = self.differing.get(service);
        names.is_some_and(|names| names.contains(&setting.name))
    }

    /// What an operator looks for: those that differ among instances first, then what was changed.
    fn notable<'a>(&self, instance: &'a Instance) -> Vec<(&'a Setting, bool)> {
        let settings = instance.settings.iter();
        let settings = settings.map(|it| (it, self.differs(&instance.service, it)));
        let (mut first, rest): (Vec<_>, Vec<_>) = settings.partition(|(_, differs)| *differs);
        first.extend(rest.into_iter().filter(|(it, _)| it.is_changed()));
        first
    }

    fn rest<'a>(&self, instance: &'a Instance) -> Vec<(&'a Setting, bool)> {
        let settings = instance.settings.iter();
        let rest = settings.filter(|it| !self.differs(&instance.service, it) && !it.is_changed());
        rest.map(|it| (it, false)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, value: Option<&str>) -> Setting {
        Setting {
            name: name.into(),
            help: String::new(),
            source: if value.is_some() {
                "environment"
            } else {
                "unset"
            }
            .into(),
            secret: false,
            value: value.map(str::to_owned),
            default: Some("1".into()),
        }
    }

    fn instance(service: &str, settings: Vec<Setting>) -> Instance {
        Instance {
            service: service.into(),
            version: String::new(),
            host: String::new(),
            pid: 1,
            started_at: At::UNIX_EPOCH,
            seen_at: At::UNIX_EPOCH,
            running: true,
            settings,
        }
    }

    fn secret(source: &str) -> Setting {
        Setting {
            secret: true,
            source: source.into(),
            ..setting("SECRET", None)
        }
    }

    #[test]
    fn what_differs_among_the_instances_of_one_program_is_named() {
        let (one, two) = (setting("A", Some("1")), setting("A", Some("2")));
        let same = setting("B", Some("1"));
        let own = setting("C", None);
        let found = differing(&[
            instance("api", vec![one.clone(), same.clone(), own]),
            instance("api", vec![two.clone(), same.clone()]),
            instance("processor", vec![two]),
        ]);
        let names = ["A", "C"].map(str::to_owned).into();
        assert_eq!(found, Differing::from([("api".to_owned(), names)]));
    }

    #[test]
    fn of_secrets_it_is_compared_whether_they_are_set() {
        let of = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|source| instance("api", vec![secret(source)]));
            differing(&[one, other]).len()
        };
        assert_eq!(of("environment", "command_line"), 0);
        assert_eq!(of("environment", "unset"), 1);
    }

    #[test]
    fn what_is_set_to_its_default_is_not_changed() {
        assert!(setting("A", Some("2")).is_changed());
        assert!(!setting("A", Some("1")).is_changed());
        assert!(!setting("A", None).is_changed());
        assert!(secret("environment").is_changed() && !secret("default").is_changed());
        assert_eq!(secret("default").shown(), "set, not shown");
        assert_eq!(secret("unset").shown(), "not set");
    }
}
