//! What stands for a key in a browser: a cookie with the key in it, sealed under the keyring.
//!
//! Nothing is kept here: a session outlasts a restart and is good at each replica. The key itself is
//! looked up by the API at each request, so that revoking it ends all its sessions at the next. What
//! is sealed says when it began and when it was last used, by this host's clock; after the idle time
//! or the lifetime it is none any more. It never leaves the console unsealed.
//!
//! Who signs in by a provider has another cookie until they come back from there: what the API gave to
//! be shown again, as it is, and the page that they wanted.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use chrono::Utc;
use common::secrets::{Keyring, Purpose, Sealed};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::api::escaped;
use crate::{Console, Settings};

/// A cookie of ours.
struct Cookie {
    name: &'static str,
    same_site: &'static str,
}

const SESSION: Cookie = Cookie {
    name: "console",
    same_site: "Strict",
};

/// The provider sends people back from another site, so this one comes along from there. It reaches
/// nothing by itself.
const ATTEMPT: Cookie = Cookie {
    name: "console-sign-in",
    same_site: "Lax",
};

/// How long somebody may take at the provider: as long as the API says.
const ATTEMPT_AGE: Duration = Duration::from_mins(10);

/// How far the clocks of two replicas may be apart.
const LEEWAY_SECONDS: i64 = 30;

/// The longest page that is remembered while somebody is at the provider, in bytes: a cookie has 4,096.
const MAX_NEXT_BYTES: usize = 1024;

/// How many seconds old the last use may be before it is written down anew.
const AWAKE_SECONDS: i64 = 60;

/// Somebody who signed in.
#[derive(Clone, Deserialize, Serialize)]
pub struct Session {
    /// The key that was shown.
    pub key: String,
    /// Whether it is an admin's: what to show; what may be done, the API decides.
    pub is_admin: bool,
    /// When one signed in, and was last seen, in seconds since the Unix epoch.
    began: i64,
    seen: i64,
}

/// Somebody who was sent to the provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What the API gave.
    pub attempt: String,
    /// The page that they wanted.
    pub next: String,
}

/// Makes sessions, and knows them again.
#[derive(Debug)]
pub struct Sessions {
    keyring: Keyring,
    settings: Settings,
}

impl Session {
    /// One that begins then.
    pub fn new(key: String, is_admin: bool, now: i64) -> Self {
        Self {
            key,
            is_admin,
            began: now,
            seen: now,
        }
    }
}

impl Sessions {
    /// Sealed under that keyring.
    pub fn new(keyring: Keyring, settings: Settings) -> Self {
        Self { keyring, settings }
    }

    /// Whether one has to sign in at all.
    pub fn are_needed(&self) -> bool {
        self.settings.asks_for_keys
    }

    /// Whether one can sign in by a provider.
    pub fn have_provider(&self) -> bool {
        self.settings.has_provider
    }

    /// The cookie of that session, as a header.
    pub fn cookie(&self, session: &Session) -> HeaderValue {
        let json = serde_json::to_vec(session).expect("it has text keys only");
        let sealed = self.keyring.seal_for(Purpose::Session, &json);
        self.header(&SESSION, &sealed.to_text(), self.settings.lifetime)
    }

    /// A header that takes the cookie away.
    pub fn no_cookie(&self) -> HeaderValue {
        self.header(&SESSION, "", Duration::ZERO)
    }

    /// The cookie of somebody who is sent to the provider.
    pub fn attempt_cookie(&self, attempt: &Attempt) -> HeaderValue {
        let next = escaped(&attempt.next);
        let next = if next.len() > MAX_NEXT_BYTES {
            ""
        } else {
            &next
        };
        let value = format!("{}:{next}", attempt.attempt);
        self.header(&ATTEMPT, &value, ATTEMPT_AGE)
    }

    /// A header that takes that cookie away.
    pub fn no_attempt_cookie(&self) -> HeaderValue {
        self.header(&ATTEMPT, "", Duration::ZERO)
    }

    fn header(&self, cookie: &Cookie, value: &str, age: Duration) -> HeaderValue {
        let (name, same_site, age) = (self.name(cookie), cookie.same_site, age.as_secs());
        let secure = if self.settings.by_tls { "; Secure" } else { "" };
        let text = format!(
            "{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite={same_site}{secure}"
        );
        let mut header = HeaderValue::try_from(text).expect("base64 is visible ASCII");
        header.set_sensitive(true);
        header
    }

    /// `__Host-` keeps other hosts of a domain from setting it.
    fn name(&self, cookie: &Cookie) -> String {
        let host = if self.settings.by_tls { "__Host-" } else { "" };
        format!("{host}{}", cookie.name)
    }

    /// Who comes back from the provider.
    pub fn find_attempt(&self, headers: &HeaderMap) -> Option<Attempt> {
        let (attempt, next) = self.value(&ATTEMPT, headers)?.split_once(':')?;
        let next = percent_decode_str(next).decode_utf8().ok()?;
        Some(Attempt {
            attempt: attempt.to_owned(),
            next: next.into_owned(),
        })
    }

    fn value<'a>(&self, cookie: &Cookie, headers: &'a HeaderMap) -> Option<&'a str> {
        let wanted = self.name(cookie);
        let cookies = headers.get_all(COOKIE).iter();
        let cookies = cookies.filter_map(|cookies| cookies.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split(';'));
        pairs.find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == wanted).then_some(value)
        })
    }

    /// The session that a request shows, in force or not.
    pub fn shown(&self, headers: &HeaderMap) -> Option<Session> {
        self.open(self.value(&SESSION, headers)?)
    }

    /// The session that a request shows, if it is in force then.
    pub fn find(&self, headers: &HeaderMap, now: i64) -> Option<Session> {
        let session = self.shown(headers)?;
        self.is_in_force(&session, now).then_some(session)
    }

    fn open(&self, value: &str) -> Option<Session> {
        let sealed = Sealed::from_text(value)?;
        let opened = self.keyring.open_for(Purpose::Session, &sealed).ok()?;
        serde_json::from_slice(&opened).ok()
    }

    fn is_in_force(&self, session: &Session, now: i64) -> bool {
        // Another replica may have written it, whose clock is not quite ours.
        let within = |since: i64, limit: Duration| {
            let age = now - since;
            age >= -LEEWAY_SECONDS && (age < 0 || age.unsigned_abs() <= limit.as_secs())
        };
        within(session.began, self.settings.lifetime) && within(session.seen, self.settings.idle)
    }
}

/// Writes down that a session is in use, once in a while, unless the answer says otherwise of it.
pub async fn keep_awake(
    State(Console(shared)): State<Console>,
    request: Request,
    next: Next,
) -> Response {
    let now = Utc::now().timestamp();
    let session = shared.sessions.find(request.headers(), now);
    let mut response = next.run(request).await;
    let Some(session) = session.filter(|session| now - session.seen >= AWAKE_SECONDS) else {
        return response;
    };
    let seen = Session {
        seen: now,
        ..session
    };
    let headers = response.headers_mut();
    if !headers.contains_key(SET_COOKIE) {
        headers.insert(SET_COOKIE, shared.sessions.cookie(&seen));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn sessions(key: u8, by_tls: bool) -> Sessions {
        let letter = if key == 1 { 'A' } else { 'B' };
        let key: String = std::iter::repeat_n(letter, 42).chain(['A', '=']).collect();
        let keyring = Keyring::new(&format!("k:{key}").into()).expect("a keyring");
        let settings = Settings {
            asks_for_keys: true,
            by_tls,
            idle: Duration::from_hours(1),
            lifetime: Duration::from_hours(12),
            has_provider: true,
            frame_ancestors: Vec::new(),
        };
        Sessions::new(keyring, settings)
    }

    fn shown(cookie: &HeaderValue) -> HeaderMap {
        let text = cookie.to_str().expect("ASCII");
        let pair = text.split(';').next().expect("a pair");
        let other = format!("theme=dark; {pair}");
        HeaderMap::from_iter([(COOKIE, other.parse().expect("a value"))])
    }

    #[test]
    fn a_cookie_shows_nothing_and_is_known_again() {
        let sessions = sessions(1, false);
        let cookie = sessions.cookie(&Session::new("tw_live_secret".into(), true, NOW));
        let found = sessions.find(&shown(&cookie), NOW + 5).expect("a session");
        assert_eq!(
            (found.key.as_str(), found.is_admin),
            ("tw_live_secret", true)
        );
        let text = cookie.to_str().expect("ASCII");
        assert!(!text.contains("secret") && text.contains("HttpOnly; SameSite=Strict"));
    }

    #[test]
    fn who_was_sent_to_the_provider_is_known_again_with_the_page_they_wanted() {
        let sessions = sessions(1, false);
        let sent = Attempt {
            attempt: "azE.AbC-_9".into(),
            next: "/console/deliveries?city=São Paulo;x=1".into(),
        };
        let cookie = sessions.attempt_cookie(&sent);
        assert!(cookie.to_str().expect("ASCII").contains("; SameSite=Lax"));
        assert_eq!(sessions.find_attempt(&shown(&cookie)), Some(sent));
        assert!(sessions.find(&shown(&cookie), NOW).is_none());
        let long = sessions.attempt_cookie(&Attempt {
            attempt: "azE.AbC-_9".into(),
            next: "/".repeat(MAX_NEXT_BYTES),
        });
        let found = sessions.find_attempt(&shown(&long)).expect("an attempt");
        assert_eq!(found.next, "");
        let none = sessions.no_attempt_cookie();
        assert_eq!(sessions.find_attempt(&shown(&none)), None);
    }

    #[test]
    fn it_ends_when_it_is_idle_and_in_any_case() {
        let sessions = sessions(1, false);
        let cookie = sessions.cookie(&Session::new("key".into(), true, NOW));
        let found = |ago: i64| sessions.find(&shown(&cookie), NOW + ago).is_some();
        assert!(found(3600) && !found(3601), "idle");
        assert!(found(-30) && !found(-31), "of the future");
        let old = Session {
            seen: NOW + 12 * 3600,
            ..Session::new("key".into(), true, NOW)
        };
        let cookie = shown(&sessions.cookie(&old));
        assert!(sessions.find(&cookie, NOW + 12 * 3600).is_some());
        assert!(sessions.find(&cookie, NOW + 12 * 3600 + 1).is_none());
    }

    #[test]
    fn one_that_was_changed_or_sealed_elsewhere_is_none() {
        let ours = sessions(1, false);
        let session = Session::new("key".into(), true, NOW);
        let other = sessions(2, false).cookie(&session);
        assert!(ours.find(&shown(&other), NOW).is_none());
        let cookie = ours.cookie(&session).to_str().expect("ASCII").to_owned();
        let cut = cookie.replacen(';', "AA;", 1);
        assert!(
            ours.find(&shown(&cut.parse().expect("a value")), NOW)
                .is_none()
        );
    }

    #[test]
    fn by_tls_the_cookie_is_for_tls_and_this_host_only() {
        let cookie = sessions(1, true).cookie(&Session::new("key".into(), false, NOW));
        let text = cookie.to_str().expect("ASCII");
        assert!(text.starts_with("__Host-console=") && text.ends_with("; Secure"));
    }
}
