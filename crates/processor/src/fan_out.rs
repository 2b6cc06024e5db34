//! Which subscriptions want an event: an index by type and city, so that an event costs what it
//! matches, not what exists. Pure; the engine owns the one index.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use common::event::names_type;
use uuid::Uuid;

use crate::event::{About, Subject};
use crate::subscription::{Names, Subscription};

/// Where a subscription is filed: under a type or every type, a city or every city.
type Key<'a> = (Option<&'a str>, Option<&'a str>);

/// All subscriptions. One that is muted is known, and gets nothing.
#[derive(Debug, Default)]
pub struct Index {
    by_id: HashMap<Uuid, Arc<Subscription>>,
    by_type: Filed<Filed<Vec<Uuid>>>,
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
        for (event_type, city) in keys_of(subscription) {
            let ids = self.by_type.place(event_type).place(city);
            if ids.is_empty() {
                // Most cities have one; a list begins with room for four.
                ids.reserve_exact(1);
            }
            ids.push(subscription.id);
        }
    }

    fn unfile(&mut self, id: Uuid) {
        let Some(subscription) = self.by_id.get(&id) else {
            return;
        };
        for (event_type, city) in keys_of(subscription) {
            let cities = self.by_type.place(event_type);
            cities.place(city).retain(|other| *other != id);
            cities.tidy(city, Vec::is_empty);
            self.by_type.tidy(event_type, Filed::is_empty);
        }
    }

    /// The subscriptions that want an event, each once.
    pub fn matches(&self, subject: &Subject) -> Vec<Uuid> {
        let mut found = Vec::new();
        let mut lists = 0;
        let patterns = patterns(subject);
        let of_type = |pattern: &Option<_>| self.by_type.get(pattern.as_deref());
        for by_city in patterns.iter().filter_map(of_type) {
            for ids in cities(subject).filter_map(|city| by_city.get(city)) {
                found.extend_from_slice(ids);
                lists += usize::from(!ids.is_empty());
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
        (Some(cities), About::City(city)) => cities.iter().any(|named| **named == **city),
        (Some(_), About::Subscription(_)) => false,
    };
    of_type && of_city
}

/// What an event's type is filed under: itself, `a.*` for each of its prefixes, and, unless it has
/// to be named to be had, nothing.
fn patterns(subject: &Subject) -> Vec<Option<Cow<'_, str>>> {
    let event_type = &subject.event_type;
    let prefixes = event_type
        .match_indices('.')
        .map(|(dot, _)| format!("{}.*", &event_type[..dot]));
    let any = matches!(subject.about, About::City(_)).then_some(None);
    any.into_iter()
        .chain([Some(event_type.into())])
        .chain(prefixes.map(|prefix| Some(prefix.into())))
        .collect()
}

/// What its city is filed under: nothing, and itself.
fn cities(subject: &Subject) -> impl Iterator<Item = Option<&str>> {
    let city = match &subject.about {
        About::City(city) => Some(Some(city.as_str())),
        About::Subscription(_) => None,
    };
    std::iter::once(None).chain(city)
}

/// Each key once, however often the subscription names a type or a city.
fn keys_of(subscription: &Subscription) -> HashSet<Key<'_>> {
    let cities = either(subscription.cities.as_ref());
    let types = either(subscription.event_types.as_ref()).into_iter();
    types
        .flat_map(|kind| cities.iter().map(move |city| (kind, *city)))
        .collect()
}

fn either(named: Option<&Names>) -> Vec<Option<&str>> {
    named.map_or(vec![None], |all| {
        all.iter().map(|name| Some(&**name)).collect()
    })
}

/// What is filed under a name, and what under every name. Nothing is kept of a name with nothing left.
#[derive(Debug, Default)]
struct Filed<T> {
    every: T,
    by_name: HashMap<Box<str>, T>,
}

impl<T: Default> Filed<T> {
    fn get(&self, name: Option<&str>) -> Option<&T> {
        name.map_or(Some(&self.every), |name| self.by_name.get(name))
    }

    fn place(&mut self, name: Option<&str>) -> &mut T {
        match name {
            None => &mut self.every,
            Some(name) => self.by_name.entry(name.into()).or_default(),
        }
    }

    fn tidy(&mut self, name: Option<&str>, is_empty: impl FnOnce(&T) -> bool) {
        if let Some(name) = name
            && self.by_name.get(name).is_some_and(is_empty)
        {
            self.by_name.remove(name);
        }
    }
}

impl<T> Filed<Vec<T>> {
    fn is_empty(&self) -> bool {
        self.every.is_empty() && self.by_name.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscription::tests::subscription;

    fn files_nothing(index: &Index) -> bool {
        index.by_type.every.is_empty() && index.by_type.by_name.is_empty()
    }

    fn matching(index: &Index, event_type: &str, city: &str) -> Vec<Uuid> {
        index.matches(&Subject {
            event_type: event_type.into(),
            about: About::City(city.into()),
        })
    }

    fn wanting(types: Option<&[&str]>, cities: Option<&[&str]>) -> Arc<Subscription> {
        let owned = |all: &[&str]| all.iter().map(|name| (*name).into()).collect();
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
        assert!(index.get(one.id).is_some() && files_nothing(&index));
        index.unmute(one.id);
        index.unmute(one.id);
        assert_eq!(matched(&index), [one.id]);
        index.remove(one.id);
        assert!(index.get(one.id).is_none() && files_nothing(&index));
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
