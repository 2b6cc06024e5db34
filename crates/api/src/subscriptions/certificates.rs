//! What may be told of a subscription's client certificate, written when that changes.

use anyhow::Context;
use common::store::subscriptions::Secrets;
use outbound::ClientIdentity;
use secrecy::ExposeSecret;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::ApiError;
use crate::store::client_certificates::{self, Row};

/// Tells of the one that it has now, if it has one, and of no other.
///
/// # Errors
/// The database's.
pub async fn tell(db: &mut PgConnection, id: Uuid, secrets: &Secrets) -> Result<(), ApiError> {
    match facts(id, secrets)? {
        Some(row) => client_certificates::put(db, &row).await?,
        None => client_certificates::delete(db, id).await?,
    }
    Ok(())
}

fn facts(id: Uuid, secrets: &Secrets) -> Result<Option<Row>, ApiError> {
    let Some(pem) = &secrets.client_certificate else {
        return Ok(None);
    };
    let identity = ClientIdentity::from_pem(&pem.certificate, pem.private_key.expose_secret());
    let identity = identity.context("reading a certificate that was read before");
    let identity = identity.map_err(ApiError::Internal)?;
    let certificate = identity.certificate();
    Ok(Some(Row {
        subscription_id: id,
        subject: certificate.subject.clone(),
        serial: certificate.serial.clone(),
        fingerprint: hexadecimal(identity.fingerprint()),
        not_after: certificate.not_after,
    }))
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}
