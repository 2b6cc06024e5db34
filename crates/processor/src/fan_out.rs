//! Which subscriptions want an event: an index by type and city, so that an event costs what it
//! matches, not what exists. Pure; the engine owns the one index.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use common::event::names_type;
use uuid::Uuid;

use crate::event::{About, Subject};
use crate::subscription::Subscription;

/// Where a subscription is filed: under a type or every type, a city or every city.
type Key = (Option<String>, Option<String>);

/// All subscriptions. One that is muted is known, and gets nothing.
#[derive(Debug, Default)]
pub struct Index {
    by_id: HashMap<Uuid, Arc<Subscription>>,
    by_key: HashMap<Key, Vec<Uuid>>,
    muted: HashSet<Uuid>,
}

impl Index {
    /// The subscription of that id, if it exists.
    pub fn get(&self, id: Uuid) -> Option<&Arc<Subscription>> {
        self.by_id.get(&id)
    }

    /// The ids of all.
    pub fn ids(&self) -> impl Iterator<Item = Uuid> {
        self.by_id.keys().copied()
    }

    /// Those that get nothing.
    pub fn muted(&self) -> Vec<Uuid> {
        self.muted.iter().copied().collect()
    }

    /// Adds a subscription, or puts it in the place of the one with its id.
    pub fn upsert(&mut self, subscription: Arc<Subscription>) {
        self.unfile(subscription.id);
        if !self.muted.contains(&subscription.id) {
            self.file(&subscription);
        }
        self.by_id.insert(subscription.id, subscription);
    }

    /// Forgets a subscription.
    pub fn remove(&mut self, id: Uuid) {
        self.unfile(id);
        self.muted.remove(&id);
        self.by_id.remove(&id);
    }

    /// It matches nothing from now on: an event costs it nothing.
    pub fn mute(&mut self, id: Uuid) {
        if self.muted.insert(id) {
            self.unfile(id);
        }
    }

    /// It matches again.
    pub fn unmute(&mut self, id: Uuid) {
        if self.muted.remove(&id)
            && let Some(subscription) = self.by_id.get(&id).cloned()
        {
            self.file(&subscription);
        }
    }

    fn file(&mut self, subscription: &Subscription) {
        for key in keys_of(subscription) {
            self.by_key.entry(key).or_default().push(subscription.id);
        }
    }

    fn unfile(&mut self, id: Uuid) {
        let Some(subscription) = self.by_id.get(&id) else {
            return;
        };
        for key in keys_of(subscription) {
            if let Some(ids) = self.by_key.get_mut(&key) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
    }

    /// The subscriptions that want an event, each once.
    pub fn matches(&self, subject: &Subject) -> Vec<Uuid> {
        let mut found = Vec::new();
        let mut lists = 0;
        for event_type in patterns(subject) {
            for city in cities(subject) {
                if let Some(ids) = self.by_key.get(&(event_type.clone(), city)) {
                    found.extend_from_slice(ids);
                    lists += 1;
                }
            }
        }
        if lists > 1 {
            found.sort_unstable();
            found.dedup();
        }
        found
    }
}

/// Whether one subscription, muted or not, wants an event.
pub fn wants(subscription: &Subscription, subject: &Subject) -> bool {
    let of_type = match (&subscription.event_types, &subject.about) {
        (None, about) => matches!(about, About::City(_)),
        (Some(types), _) => types
            .iter()
            .any(|named| names_type(named, &subject.event_type)),
    };
    let of_city = match (&subscription.cities, &subject.about) {
        (None, _) => true,
        (Some(cities), About::City(city)) => cities.contains(city),
        (Some(_), About::Subscription(_)) => false,
    };
    of_type && of_city
}

/// What an event's type is filed under: itself, `a.*` for each of its prefixes, and, unless it has
/// to be named to be had, nothing.
fn patterns(subject: &Subject) -> Vec<Option<String>> {
    let event_type = &subject.event_type;
    let prefixes = event_type
        .match_indices('.')
        .map(|(dot, _)| format!("{}.*", &event_type[..dot]));
    let any = matches!(subject.about, About::City(_)).then_some(None);
    any.into_iter()
        .chain([Some(event_type.clone())])
        .chain(prefixes.map(Some))
        .collect()
}

/// What its city is filed under: nothing, and itself.
fn cities(subject: &Subject) -> Vec<Option<String>> {
    match &subject.about {
        About::City(city) => vec![None, Some(city.clone())],
        About::Subscription(_) => vec![None],
    }
}

/// Each key once, however often the subscription names a type or a city.
fn keys_of(subscription: &Subscription) -> HashSet<Key> {
    let either = |named: &Option<Vec<String>>| -> Vec<Option<String>> {
        named
            .as_ref()
            .map_or(vec![None], |all| all.iter().cloned().map(Some).collect())
    };
    let cities = either(&subscription.cities);
    let types = either(&subscription.event_types).into_iter();
    types
        .flat_map(|kind| cities.iter().map(move |city| (kind.clone(), city.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscription::tests::subscription;

    fn matching(index: &Index, event_type: &str, city: &str) -> Vec<Uuid> {
        index.matches(&Subject {
            event_type: event_type.into(),
            about: About::City(city.into()),
        })
    }

    fn wanting(types: Option<&[&str]>, cities: Option<&[&str]>) -> Arc<Subscription> {
        let owned = |all: &[&str]| all.iter().map(ToString::to_string).collect();
        let mut wanting = subscription("http://localhost:9099");
        wanting.event_types = types.map(owned);
        wanting.cities = cities.map(owned);
        Arc::new(wanting)
    }

    #[test]
    fn types_and_cities_narrow_what_matches() {
        let all = wanting(None, None);
        let tokyo = wanting(None, Some(&["Tokyo", "Oslo"]));
        let temperature = wanting(Some(&["temperature.*"]), None);
        let updated_tokyo = wanting(Some(&["temperature.updated"]), Some(&["Tokyo"]));
        let mut index = Index::default();
        for one in [&all, &tokyo, &temperature, &updated_tokyo] {
            index.upsert(one.clone());
        }
        for (event_type, city, expected) in [
            (
                "temperature.updated",
                "Tokyo",
                vec![&all, &tokyo, &temperature, &updated_tokyo],
            ),
            ("temperature.updated", "Rome", vec![&all, &temperature]),
            ("temperature", "Oslo", vec![&all, &tokyo]),
            (
                "temperature.removed",
                "Tokyo",
                vec![&all, &tokyo, &temperature],
            ),
            ("wind.updated", "Rome", vec![&all]),
        ] {
            let mut ids: Vec<_> = expected.iter().map(|one| one.id).collect();
            let mut found = matching(&index, event_type, city);
            ids.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, ids, "{event_type} {city}");
        }
    }

    #[test]
    fn a_subscription_filed_twice_gets_an_event_once() {
        let both = wanting(Some(&["temperature.*", "temperature.updated"]), None);
        let mut index = Index::default();
        index.upsert(both.clone());
        assert_eq!(matching(&index, "temperature.updated", "Tokyo"), [both.id]);
    }

    #[test]
    fn a_city_named_twice_does_not_send_an_event_twice() {
        let twice = wanting(None, Some(&["Tokyo", "Tokyo"]));
        let mut index = Index::default();
        index.upsert(twice.clone());
        assert_eq!(matching(&index, "temperature.updated", "Tokyo"), [twice.id]);
    }

    #[test]
    fn what_is_muted_or_removed_matches_nothing() {
        let one = wanting(None, None);
        let mut index = Index::default();
        index.upsert(one.clone());
        index.mute(one.id);
        // A change of it does not make it heard.
        index.upsert(one.clone());
        let matched = |index: &Index| matching(index, "temperature.updated", "Tokyo");
        assert_eq!(matched(&index), Vec::<Uuid>::new());
        assert!(index.get(one.id).is_some() && index.by_key.is_empty());
        index.unmute(one.id);
        index.unmute(one.id);
        assert_eq!(matched(&index), [one.id]);
        index.remove(one.id);
        assert!(index.get(one.id).is_none() && index.by_key.is_empty());
    }

    #[test]
    fn one_subscription_asked_alone_wants_what_the_index_says() {
        let wanted = wanting(Some(&["temperature.*"]), Some(&["Tokyo"]));
        let mut index = Index::default();
        index.upsert(wanted.clone());
        for (event_type, city) in [
            ("temperature.updated", "Tokyo"),
            ("temperature.updated", "Rome"),
            ("wind.updated", "Tokyo"),
            ("temperature", "Tokyo"),
        ] {
            let subject = Subject {
                event_type: event_type.into(),
                about: About::City(city.into()),
            };
            assert_eq!(
                wants(&wanted, &subject),
                !matching(&index, event_type, city).is_empty(),
                "{event_type} {city}"
            );
        }
    }

    #[test]
    fn an_operational_event_is_for_those_who_name_its_type() {
        let everything = wanting(None, None);
        let named = wanting(Some(&["subscription.*"]), None);
        let mut index = Index::default();
        index.upsert(everything.clone());
        index.upsert(named.clone());
        let subject = Subject {
            event_type: "subscription.disabled".into(),
            about: About::Subscription(Uuid::nil()),
        };
        assert_eq!(index.matches(&subject), [named.id]);
        assert!(wants(&named, &subject) && !wants(&everything, &subject));
    }
}
