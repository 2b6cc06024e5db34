//! Makes one attempt: one POST, within one deadline, and what it means.
//!
//! Promises that an attempt ends by its target's deadline whatever the receiver does, that no more
//! than [`RESPONSE_LIMIT`] of its response is read, that no redirect is followed, and that the
//! request goes out a second time only if the first went into a connection that was there before
//! and ended without a byte of an answer: then nobody can have been listening.

pub(crate) mod failure;
mod heard;
mod identified;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout, timeout_at};

use self::heard::Heard;
use self::identified::Identified;
use crate::attempt::Attempt;
use crate::connection::Connection;
use crate::connector::{Connector, Settings};
use crate::egress::Egress;
use crate::oauth2::{self, Grant, Postponed, Renewal, TokenError, Tokens};
use crate::outgoing::Outgoing;
use crate::payload::Payload;
use crate::redaction::redact;
use crate::target::Target;
use crate::verdict::Failure;

/// How much of a response is read, in bytes, and of a failure's recorded. A connection with more to
/// come is not used again.
pub const RESPONSE_LIMIT: usize = 8 * 1024;

/// How long the head of a response may be, in bytes.
const HEAD_LIMIT: usize = 32 * 1024;

/// How long an idle connection is kept: shorter than the 5 s after which common servers close it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How many idle connections are kept to one host.
const IDLE_PER_HOST: usize = 64;

/// How long a delivery waits for a certificate in the place of one that has expired: so long that its
/// circuit opens, and so short that another is seen soon.
const WAIT_FOR_CERTIFICATE: Duration = Duration::from_secs(10);

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
    /// Of all targets that need one, whatever is shown to them.
    tokens: Tokens,
}

impl Sender {
    /// A sender that goes where `egress` allows, and trusts the certificates that the platform
    /// does, and those that `egress` adds.
    ///
    /// # Errors
    /// That TLS cannot be set up.
    pub fn new(egress: &Egress) -> Result<Self, rustls::Error> {
        let connector = Connector::new(&SETTINGS, egress, egress.tls()?);
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
        let fresh = client(0);
        Self {
            tokens: Tokens::new(fresh.clone()),
            pooled: client(idle_per_host),
            fresh,
            connector,
            idle_per_host,
            identified: Arc::default(),
        }
    }

    /// The same, but every attempt opens a connection of its own, so that it tells how long each
    /// step to it took.
    #[must_use]
    pub fn unpooled(&self) -> Self {
        self.alike(0, self.connector.clone())
    }

    /// One over another connector, which is given the same tokens.
    fn alike(&self, idle_per_host: usize, connector: Connector) -> Self {
        Self {
            tokens: self.tokens.clone(),
            ..Self::keeping(idle_per_host, connector)
        }
    }

    /// The one that shows the target's certificate, if it has one. It shares no connection and no TLS
    /// session with this one, or with that of another certificate.
    pub(crate) fn by(&self, target: &Target) -> Cow<'_, Self> {
        let Some(identity) = &target.identity else {
            return Cow::Borrowed(self);
        };
        let make = || {
            let connector = self.connector.with_identity(identity);
            self.alike(self.idle_per_host, connector)
        };
        Cow::Owned(match self.idle_per_host {
            // It keeps no connection, so there is nothing to keep it for.
            0 => make(),
            _ => self.identified.get(identity, make),
        })
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

    /// Posts to the target. Where we would show a certificate that has expired, nothing is sent, and
    /// the attempt is postponed. Where the target needs a token, and refuses the one that was held,
    /// it is asked once more with another.
    pub async fn attempt(&self, target: &Target, outgoing: &Outgoing<'_>) -> Attempt {
        let started_at = Instant::now();
        if target.shows_expired(Utc::now()) {
            return Attempt::postponed(
                Failure::ClientCertificate,
                WAIT_FOR_CERTIFICATE,
                started_at,
            );
        }
        let Some(client) = &target.client else {
            return self.once(target, outgoing, None, started_at).await;
        };
        let post = |token: HeaderValue| async move {
            let token = Some(&token);
            self.once(target, outgoing, token, started_at).await
        };
        let refused = |attempt: &Attempt| attempt.status == Some(StatusCode::UNAUTHORIZED.as_u16());
        let deadline = started_at + target.timeout;
        // Boxed: it holds two POSTs, and every attempt's future would have room for them.
        let authorized = Box::pin(self.authorized(client, deadline, post, refused));
        authorized
            .await
            .unwrap_or_else(|Postponed { after, failure }| {
                Attempt::postponed(Failure::Token(failure), after, started_at)
            })
    }

    /// What comes of sending with a token of that client; with another where the first is refused.
    pub(crate) async fn authorized<T, F: Future<Output = T>>(
        &self,
        client: &oauth2::Client,
        deadline: Instant,
        send: impl Fn(HeaderValue) -> F,
        refused: impl Fn(&T) -> bool,
    ) -> Result<T, Postponed> {
        let token = self.tokens.token(client, deadline).await?;
        let first = send(token.header.clone()).await;
        if !refused(&first) {
            return Ok(first);
        }
        match self.tokens.renewed(client, &token, deadline).await? {
            Renewal::Token(another) => Ok(send(another.header).await),
            Renewal::Stands => Ok(first),
        }
    }

    /// Fetches a token for that target, whatever is held, and tells what was granted; `None` for a
    /// target that needs none. It takes no longer than an attempt may.
    pub async fn test_token(&self, target: &Target) -> Option<Result<Grant, TokenError>> {
        let fetching = self.tokens.fetch(target.client.as_ref()?);
        let fetched = timeout(target.timeout, fetching).await;
        let granted = fetched.unwrap_or(Err(TokenError::TimedOut));
        Some(granted.map(|granted| granted.grant))
    }

    /// One POST of an attempt that began at `started_at`, by whose deadline it ends.
    async fn once(
        &self,
        target: &Target,
        outgoing: &Outgoing<'_>,
        token: Option<&HeaderValue>,
        started_at: Instant,
    ) -> Attempt {
        let timestamp = Utc::now().timestamp();
        let mut heard = Heard::new(timestamp);
        let sender = self.by(target);
        let exchange = sender.exchange((target, outgoing, token), &mut heard);
        let ended = timeout_at(started_at + target.timeout, exchange).await;
        let sent_at = heard.sent_at();
        let failure = match ended {
            Ok(Err(failure)) => failure,
            // Where it was not sent, no connection was opened in time.
            _ if sent_at.is_none() => Failure::ConnectTimeout,
            _ => Failure::Timeout,
        };
        let mut attempt = heard.attempt(failure, started_at);
        if let Some(content) = &mut attempt.content {
            content.request_headers = outgoing.headers_shown(target, timestamp);
            let carried = carried(target, token);
            for said in [&mut content.response_headers, &mut content.response] {
                *said = said.take().map(|text| redact(text, &carried));
            }
        }
        attempt
    }

    /// One request and its response.
    async fn exchange(
        &self,
        what: (&Target, &Outgoing<'_>, Option<&HeaderValue>),
        heard: &mut Heard,
    ) -> Result<(), Failure> {
        let began_at = Instant::now();
        let response = match self.post(&self.pooled, request(what, heard)?).await {
            Err(error) if heard.broke(&error, began_at) => {
                let again = request(what, heard)?;
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

/// What a receiver may repeat of it, which nobody is to read.
fn carried(target: &Target, token: Option<&HeaderValue>) -> HeaderMap {
    let mut carried = target.headers.to_map(&target.uri, 1);
    if let Some(token) = token {
        let mut token = token.clone();
        token.set_sensitive(true);
        carried.append(AUTHORIZATION, token);
    }
    carried
}

fn request(
    (target, outgoing, token): (&Target, &Outgoing<'_>, Option<&HeaderValue>),
    heard: &Heard,
) -> Result<Request<Payload>, Failure> {
    let headers = outgoing.headers(target, token, heard.timestamp);
    let mut request = Request::new(Payload::new(outgoing.payload.clone(), heard.sent.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.uri.clone();
    *request.headers_mut() = headers.map_err(|_| Failure::InvalidRequest)?;
    Ok(request)
}

#[cfg(test)]
pub(crate) mod tests;
