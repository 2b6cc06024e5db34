//! What is secret of a subscription: the columns `secrets` and `secrets_key_id`, sealed.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use signature::{Algorithm, SigningKey};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{AuthKey, AuthKind, Row};
use crate::oauth2::ClientCredentials;
use crate::secrets::{Keyring, OpenError, Sealed};

/// How many keys sign a subscription's deliveries at once, at most.
pub const MAX_SIGNING_KEYS: usize = 5;

/// How many rows are sealed in one transaction.
const BATCH: i64 = 500;

/// Of one subscription, opened. Serialized it is plain text: only to be sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Secrets {
    /// What its deliveries are signed with, the newest first.
    pub signing: Vec<SigningSecret>,
    /// How its deliveries authenticate.
    #[serde(default)]
    pub auth: Auth,
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
        }
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
}

/// Seals what an older version stored in plain text, and gives what has no signing key one. Says how
/// many there were. Safe to run twice, and beside others.
///
/// # Errors
/// The database's.
pub async fn seal_all(db: &PgPool, keyring: &Keyring) -> anyhow::Result<u64> {
    in_batches(db, async |db| Ok(seal_some(db, keyring).await?)).await
}

/// Seals anew, under the key that seals now, what another sealed. Says how many there were. Safe to
/// stop, and to run again.
///
/// # Errors
/// The database's, or that one does not open.
pub async fn reseal_all(db: &PgPool, keyring: &Keyring) -> anyhow::Result<u64> {
    in_batches(db, async |db| reseal_some(db, keyring).await).await
}

/// Does it until nothing is left to do, in a transaction each time; says how often it was done.
async fn in_batches(
    db: &PgPool,
    mut some: impl AsyncFnMut(&mut PgConnection) -> anyhow::Result<u64>,
) -> anyhow::Result<u64> {
    let mut all = 0;
    loop {
        let mut transaction = db.begin().await?;
        let done = some(&mut transaction).await?;
        transaction.commit().await?;
        all += done;
        if done == 0 {
            return Ok(all);
        }
    }
}

async fn seal_some(db: &mut PgConnection, keyring: &Keyring) -> sqlx::Result<u64> {
    let plain = sqlx::query!(
        r#"
        SELECT id, auth_key AS "auth_key: AuthKey" FROM subscriptions WHERE secrets IS NULL
        ORDER BY id LIMIT $1 FOR NO KEY UPDATE
        "#,
        BATCH,
    )
    .fetch_all(&mut *db)
    .await?;
    let sealed = plain.into_iter().map(|row| {
        let auth = row
            .auth_key
            .map_or(Auth::None, |token| Auth::Bearer { token });
        let kind = auth.kind();
        let secrets = Secrets::new(SigningKey::generate(Algorithm::HmacSha256), auth);
        (row.id, secrets.seal(keyring, row.id), kind)
    });
    write(db, sealed).await
}

async fn reseal_some(db: &mut PgConnection, keyring: &Keyring) -> anyhow::Result<u64> {
    let rows = sqlx::query!(
        r#"
        SELECT id, secrets AS "bytes!", secrets_key_id AS "key_id!", auth_kind AS "kind: AuthKind"
        FROM subscriptions WHERE secrets IS NOT NULL AND secrets_key_id <> $1
        ORDER BY id LIMIT $2 FOR NO KEY UPDATE
        "#,
        keyring.current(),
        BATCH,
    )
    .fetch_all(&mut *db)
    .await?;
    let mut sealed = Vec::with_capacity(rows.len());
    for row in rows {
        let old = Sealed {
            key_id: row.key_id,
            bytes: row.bytes,
        };
        let plain = keyring.open(row.id, &old);
        let plain = plain.map_err(|error| anyhow::anyhow!("subscription {}: {error}", row.id))?;
        sealed.push((row.id, keyring.seal(row.id, &plain), row.kind));
    }
    Ok(write(db, sealed).await?)
}

async fn write(
    db: &mut PgConnection,
    sealed: impl IntoIterator<Item = (Uuid, Sealed, AuthKind)>,
) -> sqlx::Result<u64> {
    let (mut ids, mut bytes, mut key_ids, mut kinds) = (vec![], vec![], vec![], vec![]);
    for (id, sealed, kind) in sealed {
        ids.push(id);
        bytes.push(sealed.bytes);
        key_ids.push(sealed.key_id);
        kinds.push(kind.label().to_owned());
    }
    sqlx::query!(
        r#"
        UPDATE subscriptions SET secrets = sealed.bytes, secrets_key_id = sealed.key_id,
               auth_kind = sealed.kind, auth_key = NULL
        FROM UNNEST($1::uuid[], $2::bytea[], $3::text[], $4::text[])
             AS sealed (id, bytes, key_id, kind)
        WHERE subscriptions.id = sealed.id
        "#,
        &ids,
        &bytes,
        &key_ids,
        &kinds,
    )
    .execute(db)
    .await
    .map(|done| done.rows_affected())
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
            let secrets = Secrets::new(key("whsec_hunter2"), auth);
            let opened = Secrets::open(&keyring, id, &secrets.seal(&keyring, id)).unwrap();
            assert_eq!(
                serde_json::to_string(&opened).unwrap(),
                serde_json::to_string(&secrets).unwrap()
            );
            assert!(!format!("{secrets:?}").contains("hunter2"));
        }
    }
}
