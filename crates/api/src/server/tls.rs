//! TLS: the certificate that is shown, read again when its files change.
//!
//! Both files are read together and must go together. A pair that does not is left, with an error in
//! the log, and the one before goes on being shown: whoever replaces two files is seen in between.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::ServerArgs;

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What shakes hands, as the files were when they were last good. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tls(watch::Receiver<Arc<ServerConfig>>);

impl Tls {
    /// Shakes hands with the next client.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.0.borrow().clone().into()
    }
}

/// Looks at the files, again and again.
#[derive(Debug)]
pub struct Watch {
    files: Files,
    seen: Result<Pem, String>,
    shown: watch::Sender<Arc<ServerConfig>>,
    every: Duration,
}

#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What is in them.
#[derive(PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// TLS as the settings say; `None`: they do not ask for it.
///
/// # Errors
/// That the files cannot be used.
pub async fn load(args: &ServerArgs) -> anyhow::Result<Option<(Tls, Watch)>> {
    let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else {
        return Ok(None);
    };
    let files = Files {
        certificate: certificate.clone(),
        key: key.clone(),
    };
    let pem = files.read().await?;
    let (shown, shaking) = watch::channel(pem.config().context("using TLS_CERT and TLS_KEY")?);
    let watch = Watch {
        files,
        seen: Ok(pem),
        shown,
        every: args.tls_reload_interval,
    };
    Ok(Some((Tls(shaking), watch)))
}

impl Watch {
    /// Looks until `stop`.
    ///
    /// # Errors
    /// None: what cannot be read is told, and what was read before stays.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.look().await;
        }
        Ok(())
    }

    /// Looks once. What is wrong is said once, and again when it is wrong in another way.
    pub async fn look(&mut self) {
        let pem = self
            .files
            .read()
            .await
            .map_err(|error| format!("{error:#}"));
        if pem == self.seen {
            return;
        }
        match pem.as_ref().map_err(String::clone).and_then(Pem::usable) {
            Ok(config) => {
                self.shown.send_replace(config);
                tracing::info!("TLS shows the certificate that TLS_CERT has now");
            }
            Err(error) => tracing::error!(error, "TLS goes on with the certificate from before"),
        }
        self.seen = pem;
    }
}

impl Files {
    async fn read(&self) -> anyhow::Result<Pem> {
        Ok(Pem {
            certificate: read(&self.certificate).await.context("reading TLS_CERT")?,
            key: read(&self.key).await.context("reading TLS_KEY")?,
        })
    }
}

async fn read(file: &PathBuf) -> anyhow::Result<Vec<u8>> {
    let length = tokio::fs::metadata(file).await?.len();
    anyhow::ensure!(length <= MAX_FILE_BYTES, "it is larger than 1 MiB");
    Ok(tokio::fs::read(file).await?)
}

impl Pem {
    fn usable(&self) -> Result<Arc<ServerConfig>, String> {
        self.config().map_err(|error| format!("{error:#}"))
    }

    /// TLS 1.2 and 1.3; that the key is the certificate's is checked.
    fn config(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .context("reading the certificates")?;
        anyhow::ensure!(!chain.is_empty(), "there is no certificate in PEM");
        let key = PrivateKeyDer::from_pem_slice(&self.key).context("reading the private key")?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("pairing the certificate and the key")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// A key does not print.
impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pem")
    }
}
