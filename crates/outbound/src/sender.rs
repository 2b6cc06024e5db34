//! Makes one attempt: one POST, within one deadline, and what it means.
//!
//! Promises that an attempt ends by its target's deadline whatever the receiver does, that no more
//! than [`RESPONSE_LIMIT`] of its response is read, that no redirect is followed, and that the
//! request goes out a second time only if the first went into a connection that was there before
//! and ended without a byte of an answer: then nobody can have been listening.

mod failure;
mod heard;
mod identified;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls_platform_verifier::Verifier;
use tokio::time::{Instant, timeout_at};

use self::heard::Heard;
use self::identified::Identified;
use crate::attempt::Attempt;
use crate::connection::Connection;
use crate::connector::{Connector, Settings};
use crate::egress::Egress;
use crate::outgoing::Outgoing;
use crate::payload::{Payload, Sent};
use crate::target::Target;
use crate::verdict::Failure;

/// How much of a response is read, in bytes. A connection with more to come is not used again.
pub const RESPONSE_LIMIT: usize = 8 * 1024;

/// How much of a failure's response is recorded, in bytes.
pub const SNIPPET_LIMIT: usize = 512;

/// How long the head of a response may be, in bytes.
const HEAD_LIMIT: usize = 32 * 1024;

/// How long an idle connection is kept: shorter than the 5 s after which common servers close it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How many idle connections are kept to one host.
const IDLE_PER_HOST: usize = 64;

/// How connections are opened, within the attempt's deadline, and how many are kept.
pub(crate) const SETTINGS: Settings = Settings {
    timeout: Duration::from_secs(5),
    kept: 1024,
};

/// One pooled client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender {
    connector: Connector,
    pooled: Client<Connector, Payload>,
    /// Opens a connection for every request.
    fresh: Client<Connector, Payload>,
    idle_per_host: usize,
    /// Those who send where we show a certificate.
    identified: Arc<Identified>,
}

impl Sender {
    /// A sender that goes where `egress` allows, and trusts the certificates that the platform
    /// does, and those that `egress` adds.
    ///
    /// # Errors
    /// That TLS cannot be set up.
    pub fn new(egress: &Egress) -> Result<Self, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let roots = egress.roots().iter().cloned();
        let verifier = Verifier::new_with_extra_roots(roots, provider.clone())?;
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let connector = Connector::new(&SETTINGS, egress, tls);
        Ok(Self::with(connector))
    }

    fn with(connector: Connector) -> Self {
        Self::keeping(IDLE_PER_HOST, connector)
    }

    fn keeping(idle_per_host: usize, connector: Connector) -> Self {
        let client = |idle_per_host| {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_TIMEOUT)
                .pool_max_idle_per_host(idle_per_host)
                .http1_max_buf_size(HEAD_LIMIT)
                .set_host(false)
                .build(connector.clone())
        };
        Self {
            pooled: client(idle_per_host),
            fresh: client(0),
            connector,
            idle_per_host,
            identified: Arc::default(),
        }
    }

    /// The same, but every attempt opens a connection of its own, so that it tells how long each
    /// step to it took.
    #[must_use]
    pub fn unpooled(&self) -> Self {
        Self::keeping(0, self.connector.clone())
    }

    /// The one that shows the target's certificate, if it has one. It shares no connection and no TLS
    /// session with this one, or with that of another certificate.
    pub(crate) fn by(&self, target: &Target) -> Cow<'_, Self> {
        let Some(identity) = &target.identity else {
            return Cow::Borrowed(self);
        };
        Cow::Owned(self.identified.get(identity, || {
            let connector = self.connector.with_identity(identity);
            Self::keeping(self.idle_per_host, connector)
        }))
    }

    /// One request over a fresh connection, and the head of its response.
    pub(crate) async fn send(
        &self,
        request: Request<Payload>,
    ) -> Result<(StatusCode, HeaderMap), Failure> {
        let response = self.post(&self.fresh, request).await;
        let (head, _) = response.map_err(|error| failure::of(&error))?.into_parts();
        Ok((head.status, head.headers))
    }

    /// Posts to the target. Where we would show a certificate that has expired, nothing is sent.
    pub async fn attempt(&self, target: &Target, outgoing: &Outgoing<'_>) -> Attempt {
        let started_at = Instant::now();
        if target.shows_expired(Utc::now()) {
            return Attempt::failed(Failure::ClientCertificate, started_at, Duration::ZERO);
        }
        let sent = Sent::default();
        let mut heard = Heard::default();
        let sender = self.by(target);
        let exchange = sender.exchange(target, outgoing, &sent, &mut heard);
        let ended = timeout_at(started_at + target.timeout, exchange).await;
        let sent_at = sent.get().copied();
        let failure = match ended {
            Ok(Err(failure)) => failure,
            // Where it was not sent, no connection was opened in time.
            _ if sent_at.is_none() => Failure::ConnectTimeout,
            _ => Failure::Timeout,
        };
        heard.attempt(failure, started_at, sent_at)
    }

    /// One request and its response.
    async fn exchange(
        &self,
        target: &Target,
        outgoing: &Outgoing<'_>,
        sent: &Sent,
        heard: &mut Heard,
    ) -> Result<(), Failure> {
        let began_at = Instant::now();
        let response = match self
            .post(&self.pooled, request(target, outgoing, sent)?)
            .await
        {
            Err(error) if heard.broke(&error, began_at) => {
                let again = request(target, outgoing, sent)?;
                let again = self.post(&self.fresh, again).await;
                again.inspect_err(|error| {
                    heard.broke(error, began_at);
                })
            }
            first => first,
        };
        let response = response.map_err(|error| failure::of(&error))?;
        heard.read(response, began_at).await;
        Ok(())
    }

    /// Sends a request, and sees to it that its connection does not grow too old.
    async fn post(
        &self,
        client: &Client<Connector, Payload>,
        mut request: Request<Payload>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        let taken = capture_connection(&mut request);
        let response = client.request(request).await?;
        let connection = response.extensions().get::<Arc<Connection>>();
        if connection.is_some_and(|connection| self.is_old(connection))
            && let Some(connected) = &*taken.connection_metadata()
        {
            connected.poison();
        }
        Ok(response)
    }

    /// Whether it could be too old by the time that the pool gives it out again.
    fn is_old(&self, connection: &Connection) -> bool {
        let lifetime = self.connector.egress().connection_lifetime();
        connection.age() + IDLE_TIMEOUT > lifetime
    }
}

fn request(
    target: &Target,
    outgoing: &Outgoing<'_>,
    sent: &Sent,
) -> Result<Request<Payload>, Failure> {
    let headers = outgoing.headers(target);
    let mut request = Request::new(Payload::new(outgoing.payload.clone(), sent.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.uri.clone();
    *request.headers_mut() = headers.map_err(|_| Failure::InvalidRequest)?;
    Ok(request)
}

#[cfg(test)]
pub(crate) mod tests;
