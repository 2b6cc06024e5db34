//! Where an event goes: an endpoint, and what every POST to it carries. Made once, for many.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::header::{self, HeaderName, HeaderValue, InvalidHeaderValue};
use http::uri::Uri;
use signature::Signer;
use url::Url;

use crate::carried::Carried;
use crate::identity::ClientIdentity;
use crate::oauth2::Client;

/// Tells a receiver that an event did not happen: `true`.
pub const WEBHOOK_TEST: &str = "webhook-test";

/// Says as whom deliveries are made that a receiver has permitted (`CloudEvents`, "HTTP 1.1 Web Hooks
/// for Event Delivery", section 2.1).
pub const WEBHOOK_REQUEST_ORIGIN: &str = "webhook-request-origin";

/// An endpoint, with the headers and the deadline of every attempt at it.
#[derive(Clone, Debug)]
pub struct Target {
    pub(crate) uri: Uri,
    pub(crate) headers: Carried,
    pub(crate) timeout: Duration,
    pub(crate) signer: Option<Signer>,
    /// Who we are to it.
    pub(crate) identity: Option<ClientIdentity>,
    /// As whom a token is asked for, which each POST then carries.
    pub(crate) client: Option<Client>,
}

/// Why an endpoint is none.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTarget {
    /// It is no absolute URL.
    #[error("its URL is broken")]
    Url(#[from] url::ParseError),
    /// It is one, but nothing that can be asked for by HTTP.
    #[error("its URL is not that of a webhook")]
    NotHttp,
    /// It holds characters that stand in no request.
    #[error("its URL does not fit in a request")]
    Unfit(#[from] http::Error),
}

impl Target {
    /// How long an attempt may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// An endpoint, at which an attempt takes no longer than `timeout`. The URL's credentials, if
    /// it has some, are left out.
    ///
    /// # Errors
    /// Why no event can go there.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, InvalidTarget> {
        Ok(Self {
            uri: endpoint(url)?,
            headers: Carried::default(),
            timeout,
            signer: None,
            identity: None,
            client: None,
        })
    }

    /// Lets every POST carry the token as `Authorization: Bearer`.
    ///
    /// # Errors
    /// That the token does not fit in a header.
    pub fn authorize(&mut self, token: &str) -> Result<(), InvalidHeaderValue> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))?;
        bearer.set_sensitive(true);
        self.headers.insert(header::AUTHORIZATION, bearer);
        Ok(())
    }

    /// Lets every POST carry a header. Those that deliveries have of their own go before it.
    ///
    /// # Errors
    /// That the name or the value stands in no request.
    pub fn add_header(&mut self, name: &str, value: &str) -> Result<(), http::Error> {
        let name = HeaderName::try_from(name)?;
        let mut value = HeaderValue::try_from(value)?;
        value.set_sensitive(true);
        self.headers.append(name, value);
        Ok(())
    }

    /// Lets every POST be signed.
    pub fn sign_with(&mut self, signer: Signer) {
        self.signer = Some(signer);
    }

    /// Lets every POST go over a connection that shows that certificate, if it is asked for one.
    pub fn identify(&mut self, identity: ClientIdentity) {
        self.identity = Some(identity);
    }

    /// Lets every POST say as whom it is made.
    ///
    /// # Errors
    /// That the origin does not fit in a header.
    pub fn come_from(&mut self, origin: &str) -> Result<(), InvalidHeaderValue> {
        let name = HeaderName::from_static(WEBHOOK_REQUEST_ORIGIN);
        self.headers.insert(name, HeaderValue::from_str(origin)?);
        Ok(())
    }

    /// Whether it would be shown a certificate that is no use any more.
    pub(crate) fn shows_expired(&self, now: DateTime<Utc>) -> bool {
        let identity = self.identity.as_ref();
        identity.is_some_and(|identity| identity.has_expired(now))
    }

    /// Lets every POST carry a token that this client is given.
    pub fn authorize_by(&mut self, client: Client) {
        self.client = Some(client);
    }

    /// Lets every POST say that what it carries is a test.
    pub fn mark_as_test(&mut self) {
        let test = HeaderName::from_static(WEBHOOK_TEST);
        self.headers.insert(test, HeaderValue::from_static("true"));
    }
}

/// What a request to that URL is for. The URL's credentials are left out.
pub(crate) fn endpoint(url: &str) -> Result<Uri, InvalidTarget> {
    let mut url = Url::parse(url)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(InvalidTarget::NotHttp);
    }
    // They fail only where there is no host.
    let bare = url.set_username("").and_then(|()| url.set_password(None));
    bare.map_err(|()| InvalidTarget::NotHttp)?;
    let uri = url.as_str().parse().map_err(http::Error::from)?;
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, InvalidTarget> {
        Target::new(url, Duration::from_secs(1))
    }

    #[test]
    fn an_endpoint_is_asked_for_by_the_name_it_has() {
        for (url, host, path) in [
            ("http://Example.com", "example.com", "/"),
            ("http://example.com:80/a?b=c#d", "example.com", "/a?b=c"),
            ("https://example.com:8443/ü", "example.com:8443", "/%C3%BC"),
            ("https://user:secret@example.com/", "example.com", "/"),
            ("http://bücher.example/", "xn--bcher-kva.example", "/"),
            ("http://[::1]:9/", "[::1]:9", "/"),
            ("http://2130706433/", "127.0.0.1", "/"),
        ] {
            let target = target(url).unwrap();
            let headers = target.headers.to_map(&target.uri, 0);
            assert_eq!(headers[header::HOST], host, "{url}");
            assert_eq!(target.uri.path_and_query().unwrap(), path, "{url}");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        assert!(matches!(target("/hook"), Err(InvalidTarget::Url(_))));
        assert!(matches!(target("ftp://a/"), Err(InvalidTarget::NotHttp)));
        assert!(matches!(target("http://"), Err(InvalidTarget::Url(_))));
    }

    #[test]
    fn a_token_that_would_end_its_header_is_refused_and_one_that_fits_is_not_shown() {
        let mut target = target("http://a/").unwrap();
        target.authorize("a\r\nx: y").unwrap_err();
        target.authorize("secret").unwrap();
        let header = target.headers.get(&header::AUTHORIZATION);
        assert_eq!(header.unwrap(), "Bearer secret");
        assert!(!format!("{target:?}").contains("secret"));
    }
}
