//! Asks for the addresses of a name: the system, or one DNS server that an operator chose, who may
//! know no internal name.
//!
//! Whoever is asked may answer anything: what may be connected to is decided by `egress`.

use std::io;
use std::net::SocketAddr;

use anyhow::Context;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// Who is asked.
pub enum Resolver {
    /// The system's resolver, with all it is configured to do.
    System,
    /// A DNS server. Neither the system's file of hosts nor its search domains are heeded.
    At(Box<TokioResolver>),
}

impl Resolver {
    /// One that asks the DNS server there, by UDP, and by TCP where that does not do.
    ///
    /// # Errors
    /// That it cannot be set up.
    pub fn at(server: SocketAddr) -> anyhow::Result<Self> {
        let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        for connection in &mut connections {
            connection.port = server.port();
        }
        let server = NameServerConfig::new(server.ip(), true, connections.into());
        let config = ResolverConfig::from_name_servers(vec![server]);
        let mut resolver =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        resolver.options_mut().use_hosts_file = ResolveHosts::Never;
        let resolver = resolver.build().context("setting up EGRESS_DNS")?;
        Ok(Self::At(Box::new(resolver)))
    }

    /// The addresses of a name, each with that port.
    ///
    /// # Errors
    /// That there is none, or no answer.
    pub async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((name, port)).await?.collect()),
            Self::At(resolver) => {
                let found = resolver.lookup_ip(name).await.map_err(io::Error::other)?;
                Ok(found.iter().map(|address| (address, port).into()).collect())
            }
        }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::At(_) => "At",
        })
    }
}
