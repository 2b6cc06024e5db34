//! The headers that every request to an endpoint carries: a list of exactly as many as there are, but for
//! those that say who is asked, which its URL does, and who asks, which is the same for all. There is a
//! list for each subscription, mostly empty, and a map of a few headers would take most of what an idle
//! subscription holds.

use common::event::USER_AGENT;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, Uri};

/// In the order in which they were added.
#[derive(Clone, Debug, Default)]
pub struct Carried(Vec<(HeaderName, HeaderValue)>);

impl Carried {
    /// Adds one, beside those of its name.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.reserve_exact(1);
        self.0.push((name, value));
    }

    /// Puts one in the place of those of its name.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.retain(|(other, _)| *other != name);
        self.append(name, value);
    }

    /// The first of that name.
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        let named = self.0.iter().find(|(other, _)| other == name);
        named.map(|(_, value)| value)
    }

    /// These and what every request to that URL says, in a map with room for so many more, allocated once.
    pub fn to_map(&self, uri: &Uri, more: usize) -> HeaderMap {
        let mut headers = of_all(uri, self.0.len() + more);
        for (name, value) in &self.0 {
            headers.append(name, value.clone());
        }
        headers
    }
}

/// What every request to that URL says: whom it asks (RFC 9110, section 7.2), and who we are. In a map
/// with room for so many more.
///
/// # Panics
/// Never: what may stand in a URL may stand in a header.
pub fn of_all(uri: &Uri, more: usize) -> HeaderMap {
    let host = uri.authority().map_or("", Authority::as_str);
    let host = HeaderValue::from_str(host).expect("a host and a port stand in a header");
    let mut headers = HeaderMap::with_capacity(2 + more);
    headers.append(header::HOST, host);
    headers.append(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, HOST};

    use super::*;

    fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    #[test]
    fn one_is_added_beside_those_of_its_name_or_takes_their_place() {
        let uri = Uri::from_static("http://a:1/");
        let mut carried = Carried::default();
        carried.append(ACCEPT, value("a"));
        carried.append(ACCEPT, value("b"));
        let map = carried.to_map(&uri, 0);
        let all: Vec<_> = map.get_all(ACCEPT).iter().collect();
        assert_eq!(all, ["a", "b"]);
        carried.insert(ACCEPT, value("c"));
        let map = carried.to_map(&uri, 0);
        assert_eq!((map.len(), &map[ACCEPT]), (3, &value("c")));
        assert_eq!(carried.get(&ACCEPT), Some(&value("c")));
        assert_eq!(carried.get(&HOST), None);
    }
}
