//! Seals the secrets of all subscriptions: what is in plain text, and what another key sealed.

use signature::{Algorithm, SigningKey};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Auth, AuthKey, AuthKind, Secrets};
use crate::secrets::{Keyring, Sealed};

/// How many rows are sealed in one transaction.
const BATCH: i64 = 500;

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
