//! The public halves of a subscription's keys, told to everybody in the transaction in which its
//! secrets change.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::fields::NewKey;
use crate::store::public_keys;
use crate::webhook_keys::kid;

/// Shows what there is to show of a key that signs from now on.
///
/// # Errors
/// The database's.
pub async fn publish(db: &mut PgConnection, id: Uuid, key: &NewKey) -> sqlx::Result<()> {
    match key.public() {
        Some(public) => public_keys::insert(&mut *db, id, &kid(&public), public.as_bytes()).await,
        None => Ok(()),
    }
}

/// The same, of a key that takes the place of those before it, which sign until then.
///
/// # Errors
/// The database's.
pub async fn exchange(
    db: &mut PgConnection,
    id: Uuid,
    key: &NewKey,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    public_keys::end_all(&mut *db, id, until).await?;
    publish(db, id, key).await?;
    public_keys::delete_ended(db, id, now).await
}
