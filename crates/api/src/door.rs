//! What every request passes before its route: from where it comes, how often, how large.
//!
//! `source` says from which address, `limits` whether there were too many from there, `origins` which
//! pages of others may ask. What concerns connections, and TLS, is in `server`.

mod args;
pub mod limits;
mod origins;
mod rate;
mod source;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub use args::DoorArgs;
pub use limits::Limits;

use crate::error::ApiError;

/// What an orchestrator asks; it must not find a service dead that others keep busy.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// The address that a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Source(pub IpAddr);

/// How long the body of a request may take to arrive.
#[derive(Clone, Copy, Debug)]
pub struct BodyTimeout(pub Duration);

/// What stands at the door. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Door {
    args: DoorArgs,
    limits: Limits,
}

impl Door {
    /// As the settings say.
    pub fn new(args: &DoorArgs) -> Self {
        Self {
            args: args.clone(),
            limits: Limits::new(args),
        }
    }

    /// Who has asked too often.
    pub fn limits(&self) -> Limits {
        self.limits.clone()
    }

    /// Lets the request through with its [`Source`], or refuses it.
    pub async fn check(State(door): State<Self>, mut request: Request, next: Next) -> Response {
        if let Err(refused) = door.admit(&mut request) {
            return refused.into_response();
        }
        next.run(request).await
    }

    fn admit(&self, request: &mut Request) -> Result<(), ApiError> {
        let source = self.source(request);
        let body_timeout = BodyTimeout(self.args.body_timeout);
        request.extensions_mut().insert(Source(source));
        request.extensions_mut().insert(body_timeout);
        let uri = request.uri();
        if !PROBES.contains(&uri.path()) {
            self.limits.request(source)?;
        }
        let length = uri.path_and_query().map_or(0, |uri| uri.as_str().len());
        if length > self.args.max_uri_bytes {
            return Err(ApiError::UriTooLong);
        }
        Ok(())
    }

    /// A request that came over no connection counts as from nowhere, so as one with others.
    fn source(&self, request: &Request) -> IpAddr {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
        self.args.trusted_proxies.source(peer, request.headers())
    }
}
