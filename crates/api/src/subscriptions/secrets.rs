//! What changes of a subscription's secrets, and what of them goes together.

use common::store::subscriptions::{Auth, Header, Secrets};

use super::input::Change;
use crate::error::ApiError;
use crate::fields::ClientCertificate;

/// A part of the secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// How deliveries authenticate.
    Auth,
    /// What else they carry.
    Headers,
    /// Who they show that we are.
    ClientCertificate,
}

impl Part {
    /// The field that sets it.
    pub fn field(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Headers => "headers",
            Self::ClientCertificate => "client_certificate",
        }
    }
}

/// What is to take the place of what is there, or to stay.
pub struct Parts {
    /// See [`Secrets::auth`].
    pub auth: Option<Auth>,
    /// See [`Secrets::headers`].
    pub headers: Option<Vec<Header>>,
    /// See [`Secrets::client_certificate`].
    pub client_certificate: Change<ClientCertificate>,
}

impl Parts {
    /// Which of them change.
    pub fn touched(&self) -> Vec<Part> {
        [
            (self.auth.is_some(), Part::Auth),
            (self.headers.is_some(), Part::Headers),
            (self.client_certificate.changes(), Part::ClientCertificate),
        ]
        .into_iter()
        .filter_map(|(changes, part)| changes.then_some(part))
        .collect()
    }

    /// Puts them where they belong.
    pub fn put_into(self, secrets: Secrets) -> Secrets {
        Secrets {
            auth: self.auth.unwrap_or(secrets.auth),
            headers: self.headers.unwrap_or(secrets.headers),
            client_certificate: self.client_certificate.of(secrets.client_certificate),
            ..secrets
        }
    }
}

/// Whether its parts can stand in one request to that URL.
///
/// # Errors
/// That a header is what `auth` sets already, or that a certificate would be shown to nobody.
pub fn agree(secrets: &Secrets, url: &str) -> Result<(), ApiError> {
    let refused = |pointer, detail: &str| {
        Err(ApiError::InvalidField {
            pointer,
            detail: detail.to_owned(),
        })
    };
    // A URL that was parsed before; its scheme may be in capitals.
    let is_https = url
        .as_bytes()
        .get(..6)
        .is_some_and(|it| it.eq_ignore_ascii_case(b"https:"));
    if secrets.client_certificate.is_some() && !is_https {
        return refused(
            "/client_certificate".into(),
            "must not be there without https",
        );
    }
    let taken = secrets.auth.header_name().unwrap_or_default();
    let mut names = secrets.headers.iter().map(|header| &header.name);
    match names.find(|name| name.eq_ignore_ascii_case(taken)) {
        None => Ok(()),
        Some(name) => refused(
            format!("/headers/{}", name.replace('~', "~0")),
            "must not be the header that `auth` sets",
        ),
    }
}
