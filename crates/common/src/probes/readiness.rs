//! What a service says of what it depends on: for each, whether it is there, and if not, why and
//! since when.
//!
//! A dependency may have several parts: those who use it, each of whom speaks for itself only. It is
//! there when all of them say so, so that nobody's success hides another's failure.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

/// What each component of a service says of itself. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Said>>>);

/// What is said of one component.
#[derive(Debug, Default)]
struct Said {
    /// By the part that says so; one that is alone has no name.
    parts: BTreeMap<Arc<str>, Result<(), Down>>,
    /// Whether the service is unready without it.
    needed: bool,
}

/// Why something is not there, and since when it has not been.
#[derive(Debug)]
struct Down {
    reason: String,
    since: DateTime<Utc>,
}

impl Readiness {
    /// Declares a component, not ready yet.
    #[must_use]
    pub fn component(&self, name: &'static str) -> Component {
        self.declare(name, "", true)
    }

    /// Declares a component that only a part of the service needs: it is reported, and without it
    /// the service is ready nevertheless.
    #[must_use]
    pub fn optional(&self, name: &'static str) -> Component {
        self.declare(name, "", false)
    }

    fn declare(&self, name: &'static str, part: &str, needed: bool) -> Component {
        let component = Component {
            name,
            part: part.into(),
            needed,
            readiness: self.clone(),
        };
        component.down("starting");
        component
    }

    /// The answer to `/readyz`, and whether it is a good one.
    #[must_use]
    pub fn report(&self) -> (bool, Report) {
        let said = self.said();
        let ready = said.values().all(|said| said.is_up() || !said.needed);
        let components = said
            .iter()
            .map(|(name, said)| (*name, said.to_string()))
            .collect();
        (ready, Report { ready, components })
    }

    fn said(&self) -> MutexGuard<'_, BTreeMap<&'static str, Said>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    fn is_up(&self) -> bool {
        self.parts.values().all(Result::is_ok)
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let down = |(part, state)| Some((part, Result::as_ref(state).err()?));
        let mut down = self.parts.iter().filter_map(down).peekable();
        if down.peek().is_none() {
            return f.write_str("ok");
        }
        for (n, (part, Down { reason, since })) in down.enumerate() {
            let between = if n > 0 { "; " } else { "" };
            let colon = if part.is_empty() { "" } else { ": " };
            let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
            write!(f, "{between}{part}{colon}{reason} (since {since})")?;
        }
        Ok(())
    }
}

/// One component's handle on the readiness of its service.
#[derive(Clone, Debug)]
pub struct Component {
    name: &'static str,
    part: Arc<str>,
    needed: bool,
    readiness: Readiness,
}

impl Component {
    /// Another who uses it, not ready yet, and speaks for itself. The one that parts are made of
    /// says nothing itself any more.
    #[must_use]
    pub fn part(&self, name: &str) -> Self {
        if let Some(said) = self.readiness.said().get_mut(self.name) {
            said.parts.remove(&self.part);
        }
        self.readiness.declare(self.name, name, self.needed)
    }

    /// It works.
    pub fn up(&self) {
        self.say(|_| Ok(()));
    }

    /// It does not, and why.
    pub fn down(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.say(|before| {
            let since = match before {
                Some(Err(down)) => down.since,
                Some(Ok(())) | None => Utc::now(),
            };
            Err(Down { reason, since })
        });
    }

    fn say(&self, state: impl FnOnce(Option<&Result<(), Down>>) -> Result<(), Down>) {
        let mut said = self.readiness.said();
        let said = said.entry(self.name).or_default();
        said.needed = self.needed;
        let state = state(said.parts.get(&self.part));
        said.parts.insert(self.part.clone(), state);
    }
}

/// The body of `/readyz`: each component with `ok`, or with what is wrong.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(example = json!({"ready": true, "components": {"postgres": "ok"}}))]
pub struct Report {
    /// Whether all components are that the service cannot do without.
    pub ready: bool,
    /// By name: `ok`, or the reason why not, and since when.
    pub components: BTreeMap<&'static str, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(readiness: &Readiness, component: &str) -> String {
        readiness.report().1.components[component].clone()
    }

    #[test]
    fn only_what_is_needed_makes_a_service_unready() {
        let readiness = Readiness::default();
        let (postgres, kafka) = (readiness.component("postgres"), readiness.optional("kafka"));
        postgres.up();
        kafka.down("away");
        let (ready, report) = readiness.report();
        assert!(ready && report.ready);
        assert!(report.components["kafka"].starts_with("away (since 20"));
        kafka.up();
        postgres.down("away");
        assert!(!readiness.report().0);
    }

    #[test]
    fn no_part_hides_the_failure_of_another() {
        let readiness = Readiness::default();
        let kafka = readiness.component("kafka");
        let (readings, operations) = (kafka.part("readings"), kafka.part("operations"));
        assert!(says(&readiness, "kafka").contains("operations: starting"));
        readings.up();
        operations.up();
        assert_eq!(says(&readiness, "kafka"), "ok");
        readings.down("no broker");
        operations.up();
        assert!(says(&readiness, "kafka").starts_with("readings: no broker (since "));
        operations.down("no topic");
        let both = says(&readiness, "kafka");
        assert!(both.contains("); readings: no broker (since "), "{both}");
        assert!(!readiness.report().0);
    }

    #[test]
    fn the_time_is_of_the_first_failure_and_the_reason_of_the_last() {
        let readiness = Readiness::default();
        let kafka = readiness.component("kafka");
        let first = "2026-11-23T21:00:00Z".parse().unwrap();
        kafka.say(|_| {
            Err(Down {
                reason: "no broker".into(),
                since: first,
            })
        });
        kafka.down("the broker refuses");
        let said = "the broker refuses (since 2026-11-23T21:00:00Z)";
        assert_eq!(says(&readiness, "kafka"), said);
        kafka.up();
        kafka.down("no broker");
        assert_ne!(
            says(&readiness, "kafka"),
            said.replace("the broker refuses", "no broker")
        );
    }
}
