//! Whose certificates are trusted: the platform's authorities, and those of `EGRESS_CA_FILE`.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls_platform_verifier::Verifier;

use crate::egress::Egress;

impl Egress {
    /// TLS of a client that trusts them, and shows no certificate of its own.
    ///
    /// # Errors
    /// That TLS cannot be set up.
    pub fn tls(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let roots = self.roots().iter().cloned();
        let verifier = Verifier::new_with_extra_roots(roots, provider.clone())?;
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth())
    }
}
