//! What is secret of a subscription: the columns `secrets` and `secrets_key_id`, sealed.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::{AuthKey, AuthKind, Row};
use crate::oauth2::ClientCredentials;
use crate::secrets::{Keyring, OpenError, Sealed};

/// How many keys sign a subscription's deliveries at once, at most.
pub const MAX_SIGNING_KEYS: usize = 5;

/// Of one subscription, opened. Serialized it is plain text: only to be sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Secrets {
    /// What its deliveries are signed with, the newest first.
    pub signing: Vec<SigningSecret>,
    /// How its deliveries authenticate.
    #[serde(default)]
    pub auth: Auth,
    /// What each delivery carries besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// What it shows of who we are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
}

/// A certificate by which the receiver knows us, and its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// In PEM, with the chain behind it.
    pub certificate: String,
    /// In PEM.
    #[serde(serialize_with = "exposed")]
    pub private_key: SecretString,
}

/// A header that each delivery carries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// Its name, as it was written.
    pub name: String,
    /// Its value: visible ASCII and spaces.
    #[serde(serialize_with = "exposed")]
    pub value: SecretString,
}

/// A key that signs deliveries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SigningSecret {
    /// As text: `whsec_…` (Standard Webhooks).
    #[serde(serialize_with = "exposed")]
    pub key: SecretString,
    /// When it no longer signs; `None`: not before another takes its place.
    pub ends_at: Option<DateTime<Utc>>,
}

/// How deliveries authenticate to their receiver.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Auth {
    /// Not at all, beyond their signature.
    #[default]
    None,
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer {
        /// What comes after that.
        #[serde(serialize_with = "exposed_key")]
        token: AuthKey,
    },
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// Without a colon.
        username: String,
        /// Anything.
        #[serde(serialize_with = "exposed")]
        password: SecretString,
    },
    /// A header of its own.
    Header {
        /// Its name.
        name: String,
        /// Its value: visible ASCII and spaces.
        #[serde(serialize_with = "exposed")]
        value: SecretString,
    },
    /// `Authorization: Bearer …`, with a token that a token endpoint gives (RFC 6749, section 4.4).
    Oauth2(ClientCredentials),
}

/// More keys would sign at once than may: it was exchanged again and again within grace periods.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_SIGNING_KEYS} secrets sign already, each until its grace period is over")]
pub struct TooManyKeys;

/// Why the secrets of a row cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// They were never sealed: the row was not written by this product.
    #[error("it has no secrets yet: they are made when api or processor starts")]
    Missing,
    /// They do not open.
    #[error("its secrets do not open")]
    Sealed(#[from] OpenError),
    /// They opened to something else.
    #[error("its secrets are none")]
    Broken,
}

impl Secrets {
    /// Of a subscription that signs with that key.
    pub fn new(key: SecretString, auth: Auth) -> Self {
        let signing = SigningSecret { key, ends_at: None };
        Self {
            signing: vec![signing],
            auth,
            headers: Vec::new(),
            client_certificate: None,
        }
    }

    /// The names of its headers, as the column has them.
    pub fn header_names(&self) -> Vec<String> {
        let headers = self.headers.iter();
        headers.map(|header| header.name.clone()).collect()
    }

    /// Signs with that key from now on, and with those before it until `until`.
    ///
    /// # Errors
    /// That too many would sign; then nothing has changed. Where `until` is now, there is but one.
    pub fn rotate(
        &mut self,
        key: SecretString,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), TooManyKeys> {
        let ended = self.signing.iter().map(|old| SigningSecret {
            ends_at: Some(old.ends_at.map_or(until, |end| end.min(until))),
            ..old.clone()
        });
        let mut signing = vec![SigningSecret { key, ends_at: None }];
        signing.extend(ended.filter(|old| old.ends_at > Some(now)));
        if signing.len() > MAX_SIGNING_KEYS {
            return Err(TooManyKeys);
        }
        self.signing = signing;
        Ok(())
    }

    /// Sealed for that subscription.
    ///
    /// # Panics
    /// Never: it has text keys only.
    pub fn seal(&self, keyring: &Keyring, subscription_id: Uuid) -> Sealed {
        let plain = serde_json::to_vec(self).expect("it has text keys only");
        keyring.seal(subscription_id, &plain)
    }

    /// Opened for that subscription.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn open(keyring: &Keyring, id: Uuid, sealed: &Sealed) -> Result<Self, Unopened> {
        let plain = keyring.open(id, sealed)?;
        // The error would show what could not be read.
        serde_json::from_slice(&plain).map_err(|_| Unopened::Broken)
    }
}

impl Row {
    /// What is secret of it, as it is stored.
    ///
    /// # Errors
    /// That it was never sealed.
    pub fn sealed(&self) -> Result<Sealed, Unopened> {
        let sealed = self.secrets_key_id.clone().zip(self.secrets.clone());
        let (key_id, bytes) = sealed.ok_or(Unopened::Missing)?;
        Ok(Sealed { key_id, bytes })
    }

    /// What is secret of it.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn secrets(&self, keyring: &Keyring) -> Result<Secrets, Unopened> {
        Secrets::open(keyring, self.id, &self.sealed()?)
    }
}

impl From<AuthKey> for Auth {
    fn from(token: AuthKey) -> Self {
        Self::Bearer { token }
    }
}

impl Auth {
    /// Without what is secret.
    pub fn kind(&self) -> AuthKind {
        match self {
            Self::None => AuthKind::None,
            Self::Bearer { .. } => AuthKind::Bearer,
            Self::Basic { .. } => AuthKind::Basic,
            Self::Header { .. } => AuthKind::Header,
            Self::Oauth2(_) => AuthKind::Oauth2,
        }
    }

    /// The name of the header that it sets.
    pub fn header_name(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Bearer { .. } | Self::Basic { .. } | Self::Oauth2(_) => Some("authorization"),
            Self::Header { name, .. } => Some(name),
        }
    }
}

fn exposed<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose_secret())
}

fn exposed_key<S: Serializer>(key: &AuthKey, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(key.expose())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::TimeDelta;

    use super::*;
    use crate::oauth2::ClientAuth;

    fn key(text: &str) -> SecretString {
        text.into()
    }

    fn keys(secrets: &Secrets) -> Vec<&str> {
        let keys = secrets.signing.iter();
        keys.map(|secret| secret.key.expose_secret()).collect()
    }

    #[test]
    fn the_old_key_signs_until_its_grace_is_over_and_no_longer_than_it_would_have() {
        let now = Utc::now();
        let hour = TimeDelta::hours(1);
        let mut secrets = Secrets::new(key("a"), Auth::None);
        let mut rotate = |text, until, now| {
            secrets.rotate(key(text), until, now).unwrap();
            secrets.clone()
        };
        rotate("b", now + hour, now);
        let secrets = rotate("c", now + hour * 2, now);
        assert_eq!(keys(&secrets), ["c", "b", "a"]);
        let ends: Vec<_> = secrets.signing.iter().map(|key| key.ends_at).collect();
        assert_eq!(ends, [None, Some(now + hour * 2), Some(now + hour)]);
        let secrets = rotate("d", now + hour * 3, now + hour);
        assert_eq!(keys(&secrets), ["d", "c", "b"]);
        assert_eq!(keys(&rotate("e", now, now)), ["e"]);
    }

    #[test]
    fn no_more_keys_sign_than_may_and_without_grace_there_is_always_room() {
        let now = Utc::now();
        let later = now + TimeDelta::hours(1);
        let mut secrets = Secrets::new(key("0"), Auth::None);
        for n in 1..MAX_SIGNING_KEYS {
            secrets.rotate(key(&n.to_string()), later, now).unwrap();
        }
        let before = keys(&secrets).join(",");
        assert_eq!(secrets.rotate(key("more"), later, now), Err(TooManyKeys));
        assert_eq!(keys(&secrets).join(","), before);
        secrets.rotate(key("now"), now, now).unwrap();
        assert_eq!(keys(&secrets), ["now"]);
    }

    #[test]
    fn secrets_are_the_same_after_they_were_sealed_and_print_nothing() {
        let keyring =
            Keyring::new(&"a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into()).unwrap();
        let id = Uuid::now_v7();
        for auth in [
            Auth::None,
            Auth::Bearer {
                token: AuthKey::try_from(key("hunter2")).unwrap(),
            },
            Auth::Basic {
                username: "me".into(),
                password: key("hunter2"),
            },
            Auth::Header {
                name: "x-key".into(),
                value: key("hunter2"),
            },
            Auth::Oauth2(ClientCredentials {
                token_url: "https://a/".into(),
                client_id: "b".into(),
                client_auth: ClientAuth::PrivateKeyJwt {
                    private_key: key("hunter2"),
                    key_id: None,
                },
                scope: None,
                audience: Some("c".into()),
                extra: BTreeMap::from([("d".into(), key("hunter2"))]),
            }),
        ] {
            let mut secrets = Secrets::new(key("whsec_hunter2"), auth);
            secrets.headers.push(Header {
                name: "x-team".into(),
                value: key("hunter2"),
            });
            secrets.client_certificate = Some(ClientCertificate {
                certificate: "public".into(),
                private_key: key("hunter2"),
            });
            let opened = Secrets::open(&keyring, id, &secrets.seal(&keyring, id)).unwrap();
            assert_eq!(
                serde_json::to_string(&opened).unwrap(),
                serde_json::to_string(&secrets).unwrap()
            );
            assert!(!format!("{secrets:?}").contains("hunter2"));
        }
    }
}
