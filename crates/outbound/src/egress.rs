//! What may be connected to: the rules that keep whoever may name a URL from reaching what only this
//! machine can reach.
//!
//! One [`Egress`] a process, made of the settings. Its rules hold when a connection is opened, for
//! every address that a name turned out to have ([`Egress::admit`], between resolving and
//! connecting), so that no name can mean something else later. [`Egress::check_url`] says earlier
//! what a URL alone tells; it is no more than a courtesy to who writes one.

pub(crate) mod address;
mod args;
mod proxy;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::ExposeSecret;
use url::{Host, Url};

pub use self::args::{EgressArgs, Networks, Ports};
pub(crate) use self::proxy::{Proxy, ProxyError};

use self::address::Range;
use crate::resolver::Resolver;

/// The rules of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Egress(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    args: EgressArgs,
    roots: Vec<CertificateDer<'static>>,
    resolver: Resolver,
    proxy: Option<Proxy>,
}

/// Which rule forbids a connection. The text goes on after the name of what holds the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither http nor https.
    #[error("must be http or https")]
    Scheme,
    /// `EGRESS_HTTPS_ONLY`.
    #[error("must be https: deliveries without TLS are not allowed here")]
    NotHttps,
    /// `EGRESS_PORTS`.
    #[error("must not use port {0}: deliveries to it are not allowed here")]
    Port(u16),
    /// `EGRESS_ALLOW`.
    #[error("must not lead to {address}, which is {range}")]
    Address {
        /// The address, or the one that it stands for.
        address: IpAddr,
        /// What it is.
        range: &'static str,
    },
}

impl Egress {
    /// The rules that these settings say, and what they need. Says in the log what is allowed that
    /// is not public.
    ///
    /// # Errors
    /// That the file of certificates or the proxy cannot be used.
    pub fn new(args: &EgressArgs) -> anyhow::Result<Self> {
        let roots = args.egress_ca_file.as_deref().map(roots).transpose()?;
        let proxy = args.egress_proxy.as_ref().map(|text| {
            let proxy = text.expose_secret().parse();
            proxy.map_err(|why: &str| format!("EGRESS_PROXY cannot be used: {why}"))
        });
        let resolver = args.egress_dns.map(Resolver::at).transpose()?;
        if args.egress_allow != Networks::default() {
            tracing::warn!(
                allowed = %args.egress_allow,
                "subscribers can reach addresses that are not public: EGRESS_ALLOW= (empty) allows none"
            );
        }
        Ok(Self(Arc::new(Rules {
            args: args.clone(),
            roots: roots.unwrap_or_default(),
            resolver: resolver.unwrap_or(Resolver::System),
            proxy: proxy.transpose().map_err(anyhow::Error::msg)?,
        })))
    }

    /// Whether connections to a URL are allowed, as far as it tells without being resolved.
    ///
    /// # Errors
    /// The rule against it.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        let port = url.port_or_known_default().ok_or(Refused::Scheme)?;
        match url.scheme() {
            "https" => self.check(true, port)?,
            "http" => self.check(false, port)?,
            _ => return Err(Refused::Scheme),
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.permit(address.into()),
            Some(Host::Ipv6(address)) => self.permit(address.into()),
            // A name for this machine everywhere (RFC 6761, section 6.3).
            Some(Host::Domain(name)) if is_localhost(name) => {
                let [v4, v6] = [
                    IpAddr::from([127, 0, 0, 1]),
                    IpAddr::from([0_u16, 0, 0, 0, 0, 0, 0, 1]),
                ];
                self.permit(v4)
                    .or_else(|refused| self.permit(v6).map_err(|_| refused))
            }
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Whether a connection for that scheme, and to that port, is allowed.
    ///
    /// # Errors
    /// The rule against it.
    pub(crate) fn check(&self, https: bool, port: u16) -> Result<(), Refused> {
        if self.0.args.egress_https_only && !https {
            return Err(Refused::NotHttps);
        }
        let allowed = self.0.args.egress_ports.contains(port);
        allowed.then_some(()).ok_or(Refused::Port(port))
    }

    /// Those of the addresses that may be connected to.
    ///
    /// # Errors
    /// The rule against the first, where there are some and none may.
    pub(crate) fn admit(&self, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        let mut first = None;
        let mut admitted = addresses;
        admitted.retain(|address| {
            let refused = self.permit(address.ip()).err();
            let admitted = refused.is_none();
            first = first.take().or(refused);
            admitted
        });
        match first {
            Some(refused) if admitted.is_empty() => Err(refused),
            _ => Ok(admitted),
        }
    }

    /// Whether an address is public, or allowed nevertheless. One that stands for another must be
    /// allowed itself, and what it stands for be public or allowed too: who needs NAT64 allows
    /// `64:ff9b::/96` and has not opened 10.0.0.0/8 by that.
    fn permit(&self, address: IpAddr) -> Result<(), Refused> {
        let Some(range) = Range::of(address) else {
            return Ok(());
        };
        let means = |network: &ipnet::IpNet| {
            network.contains(&address)
                && (!range.is_metadata || network.prefix_len() == network.max_prefix_len())
        };
        if !self.0.args.egress_allow.0.iter().any(means) {
            let range = range.name;
            return Err(Refused::Address { address, range });
        }
        let embedded = range.embedded(address);
        embedded.map_or(Ok(()), |address| self.permit(address.into()))
    }

    /// Certificates to trust besides those that the system trusts.
    pub(crate) fn roots(&self) -> &[CertificateDer<'static>] {
        &self.0.roots
    }

    /// Who is asked for addresses.
    pub(crate) fn resolver(&self) -> &Resolver {
        &self.0.resolver
    }

    /// Who connects for us.
    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        self.0.proxy.as_ref()
    }

    /// How old a connection may be when another request is sent on it.
    pub(crate) fn connection_lifetime(&self) -> Duration {
        self.0.args.egress_connection_lifetime
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

fn roots(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let certificates: Vec<_> =
        certificates.with_context(|| format!("reading EGRESS_CA_FILE ({})", file.display()))?;
    ensure!(
        !certificates.is_empty(),
        "EGRESS_CA_FILE ({}) has no certificate in PEM",
        file.display()
    );
    Ok(certificates)
}

#[cfg(test)]
pub(crate) mod tests;
