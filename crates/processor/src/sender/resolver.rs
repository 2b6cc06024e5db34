//! Resolves the names in endpoints by the system's resolver, with an error that can be told from
//! every other failure to connect.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The system's resolver.
#[derive(Clone, Copy, Debug)]
pub struct Resolver;

/// A name has no address, or the resolver does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the name could not be resolved")]
pub struct NotResolved(#[source] std::io::Error);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is put in its place by the client.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let addresses: Vec<_> = found.map_err(NotResolved)?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
