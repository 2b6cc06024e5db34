//! A certificate by which a receiver knows us (mutual TLS), and its key.

use std::fmt;
use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use ring::digest::{self, SHA256, SHA256_OUTPUT_LEN};
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, ClientConfig};

use crate::certificate::Certificate;

/// How many TLS sessions are kept to be resumed: an identity is for one receiver, or few.
const SESSIONS: usize = 8;

/// How many certificates a chain may have.
const MAX_CHAIN: usize = 10;

/// Tells a chain of certificates from any other.
pub(crate) type Digest = [u8; SHA256_OUTPUT_LEN];

/// A chain of certificates, ours first, and the private key of the first. Cheap to clone.
#[derive(Clone)]
pub struct ClientIdentity(Arc<Identity>);

struct Identity {
    key: Arc<CertifiedKey>,
    digest: Digest,
    fingerprint: Digest,
    certificate: Certificate,
}

/// Why a text holds no identity. It shows nothing of the text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentity {
    /// It holds no certificate, or a broken one.
    #[error("it has no certificate in PEM, or a broken one")]
    Certificate,
    /// A chain is not that long.
    #[error("it has more than {MAX_CHAIN} certificates")]
    TooLong,
    /// It holds no private key, or a broken one.
    #[error("it has no private key in PEM, or a broken or encrypted one")]
    Key,
    /// The key cannot sign handshakes.
    #[error(
        "its private key is none of ECDSA (P-256 or P-384), Ed25519, or RSA of 2048 bits or more"
    )]
    Kind,
    /// The key is another certificate's.
    #[error("the private key is not that of the first certificate")]
    Mismatch,
}

impl ClientIdentity {
    /// Reads the chain and the key, each from its PEM; both may be the same text.
    ///
    /// # Errors
    /// Which of them is missing or broken, or that they do not belong together.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, InvalidIdentity> {
        let certificates = CertificateDer::pem_slice_iter(chain.as_bytes());
        // Before the rest is read.
        let chain: Result<Vec<_>, pem::Error> = certificates.take(MAX_CHAIN + 1).collect();
        let chain = chain.map_err(|_| InvalidIdentity::Certificate)?;
        if chain.len() > MAX_CHAIN {
            return Err(InvalidIdentity::TooLong);
        }
        let first = chain.first().ok_or(InvalidIdentity::Certificate)?;
        let certificate = Certificate::read(first).ok_or(InvalidIdentity::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        let key = key.map_err(|_| InvalidIdentity::Key)?;
        let (digest, fingerprint) = (digest_of(&chain), digest_of(&chain[..1]));
        let key = CertifiedKey::from_der(chain, key, &default_provider());
        Ok(Self(Arc::new(Identity {
            key: Arc::new(key.map_err(|error| why(&error))?),
            digest,
            fingerprint,
            certificate,
        })))
    }

    /// What our certificate says of itself.
    pub fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// The SHA-256 of our certificate.
    pub fn fingerprint(&self) -> &[u8] {
        &self.0.fingerprint
    }

    /// Whether it is no use any more.
    pub fn has_expired(&self, now: DateTime<Utc>) -> bool {
        self.0.certificate.not_after < now
    }

    pub(crate) fn digest(&self) -> &Digest {
        &self.0.digest
    }

    /// These settings of TLS, but with this identity, and with sessions of its own: one that is
    /// resumed stands for who began it.
    pub(crate) fn applied_to(&self, tls: &ClientConfig) -> ClientConfig {
        let mut tls = tls.clone();
        tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(self.0.key.clone()));
        tls.resumption = Resumption::in_memory_sessions(SESSIONS);
        tls
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientIdentity({})", self.0.certificate.subject)
    }
}

/// Whether a receiver ended TLS because of the certificate that it got, or because it got none.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(rustls::Error::AlertReceived(alert)) = inner else {
        return false;
    };
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            // What it says where another authority of the same name signed it.
            | AlertDescription::DecryptError
            | AlertDescription::CertificateRequired
    )
}

fn digest_of(chain: &[CertificateDer<'_>]) -> Digest {
    let mut context = digest::Context::new(&SHA256);
    for certificate in chain {
        context.update(certificate);
    }
    let digest = context.finish();
    digest.as_ref().try_into().expect("SHA-256 has this length")
}

fn why(error: &rustls::Error) -> InvalidIdentity {
    match error {
        rustls::Error::InconsistentKeys(_) => InvalidIdentity::Mismatch,
        rustls::Error::InvalidCertificate(_) => InvalidIdentity::Certificate,
        _ => InvalidIdentity::Kind,
    }
}
