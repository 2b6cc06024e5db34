//! A certificate by which a receiver knows us (mutual TLS), and its key.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// A chain of certificates, ours first, and the private key of the first.
pub struct ClientIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why a text holds no identity. It shows nothing of the text.
#[derive(Debug, thiserror::Error)]
pub enum InvalidIdentity {
    /// It holds no certificate, or a broken one.
    #[error("it has no certificate in PEM")]
    Certificate,
    /// It holds no private key, or a broken one.
    #[error("it has no private key in PEM")]
    Key,
}

impl ClientIdentity {
    /// Reads the chain and the key, each from its PEM; both may be the same text. That they go
    /// together is found out by [`crate::Sender::with_identity`].
    ///
    /// # Errors
    /// Which of them is missing or broken.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, InvalidIdentity> {
        let certificates = CertificateDer::pem_slice_iter(chain.as_bytes());
        let chain: Result<Vec<_>, pem::Error> = certificates.collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        Ok(Self {
            chain: chain.ok_or(InvalidIdentity::Certificate)?,
            key: key.map_err(|_| InvalidIdentity::Key)?,
        })
    }

    /// These settings of TLS, but with this identity, and with sessions of its own: one that is
    /// resumed stands for who began it.
    ///
    /// # Errors
    /// That certificate and key do not go together, or are of no use.
    pub(crate) fn applied_to(&self, tls: &ClientConfig) -> Result<ClientConfig, rustls::Error> {
        let provider = ring::default_provider();
        let key = CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), &provider)?;
        let mut tls = tls.clone();
        tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(key));
        tls.resumption = Resumption::default();
        Ok(tls)
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity")
    }
}
