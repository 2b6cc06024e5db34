//! The certificate that deliveries show to their receiver (mutual TLS), as a field that is right: the
//! key is the certificate's, and both are of use now. No error shows anything of them.

use chrono::Utc;
use common::store::subscriptions;
use outbound::ClientIdentity;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

const MAX_CERTIFICATE_BYTES: usize = 32 * 1024;
const MAX_KEY_BYTES: usize = 16 * 1024;

/// A certificate, and its private key, which is never read back. It must be valid now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewClientCertificate {
    /// In PEM; first ours, then those that lead to one which the receiver trusts, 10 at most.
    #[schema(max_length = 32_768, example = "-----BEGIN CERTIFICATE-----\n…")]
    certificate: String,
    /// In PEM, not encrypted: ECDSA (P-256 or P-384), Ed25519, or RSA of 2,048 bits or more.
    #[schema(value_type = String, max_length = 16_384, write_only,
        example = "-----BEGIN PRIVATE KEY-----\n…")]
    private_key: SecretString,
}

/// One that was looked at.
#[derive(Debug, Deserialize)]
#[serde(try_from = "NewClientCertificate")]
pub struct ClientCertificate(subscriptions::ClientCertificate);

impl TryFrom<NewClientCertificate> for ClientCertificate {
    type Error = String;

    fn try_from(pem: NewClientCertificate) -> Result<Self, String> {
        let key = pem.private_key.expose_secret();
        if pem.certificate.len() > MAX_CERTIFICATE_BYTES || key.len() > MAX_KEY_BYTES {
            return Err(format!(
                "must have at most {MAX_CERTIFICATE_BYTES} bytes of certificates, and \
                 {MAX_KEY_BYTES} of its key"
            ));
        }
        // What is no secret to us is shown to who asks for it.
        if pem.certificate.contains("PRIVATE KEY") {
            return Err("must have its private key in `private_key` alone".into());
        }
        let identity = ClientIdentity::from_pem(&pem.certificate, key);
        let identity = identity.map_err(|why| why.to_string())?;
        let (certificate, now) = (identity.certificate(), Utc::now());
        if !(certificate.not_before..=certificate.not_after).contains(&now) {
            return Err(format!(
                "is valid from {} to {}, and not now",
                certificate.not_before.to_rfc3339(),
                certificate.not_after.to_rfc3339()
            ));
        }
        Ok(Self(subscriptions::ClientCertificate {
            certificate: pem.certificate,
            private_key: pem.private_key,
        }))
    }
}

impl From<ClientCertificate> for subscriptions::ClientCertificate {
    fn from(certificate: ClientCertificate) -> Self {
        certificate.0
    }
}
