//! A request for a token (RFC 6749, sections 2.3.1 and 4.4.2; RFC 7523, section 2.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use common::oauth2::{ClientAuth, ClientCredentials};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use secrecy::ExposeSecret;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::Client;
use super::assertion::{Claims, SigningKey};
use super::error::TokenError;
use crate::carried;
use crate::payload::{Payload, Sent};

/// What an assertion is, where a form has one.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The request of that client, whose assertion is made at `now`.
///
/// # Errors
/// That its private key signs nothing.
pub fn of(client: &Client, now: DateTime<Utc>) -> Result<Request<Payload>, TokenError> {
    let credentials = &client.0.credentials;
    let body = form(credentials, now)?;
    let mut request = Request::new(Payload::new(body.into(), Sent::default()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = client.0.uri.clone();
    let headers = request.headers_mut();
    *headers = carried::of_all(&client.0.uri, 3);
    headers.insert(CONTENT_TYPE, FORM);
    headers.insert(ACCEPT, JSON);
    if let ClientAuth::ClientSecretBasic { client_secret } = &credentials.client_auth {
        headers.insert(
            AUTHORIZATION,
            basic(&credentials.client_id, client_secret.expose_secret()),
        );
    }
    Ok(request)
}

/// The `Authorization` of a client with its secret (RFC 6749, section 2.3.1): each of both is encoded
/// before they are joined, so that neither's colon parts them.
///
/// # Panics
/// Never: what is encoded stands in a header.
#[must_use]
pub fn basic(client_id: &str, client_secret: &str) -> HeaderValue {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let both = format!("{}:{}", encoded(client_id), encoded(client_secret));
    let text = format!("Basic {}", STANDARD.encode(both));
    let mut header = HeaderValue::try_from(text).expect("base64 stands in a header");
    header.set_sensitive(true);
    header
}

fn form(credentials: &ClientCredentials, now: DateTime<Utc>) -> Result<String, TokenError> {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    for (name, value) in [
        ("scope", &credentials.scope),
        ("audience", &credentials.audience),
    ] {
        if let Some(value) = value {
            form.append_pair(name, value);
        }
    }
    for (name, value) in &credentials.extra {
        form.append_pair(name, value.expose_secret());
    }
    match &credentials.client_auth {
        ClientAuth::ClientSecretBasic { .. } => {}
        ClientAuth::ClientSecretPost { client_secret } => {
            form.append_pair("client_id", &credentials.client_id);
            form.append_pair("client_secret", client_secret.expose_secret());
        }
        ClientAuth::PrivateKeyJwt {
            private_key,
            key_id,
        } => {
            let key = SigningKey::from_pem(private_key.expose_secret());
            let claims = Claims {
                client_id: &credentials.client_id,
                audience: &credentials.token_url,
                key_id: key_id.as_deref(),
                now,
            };
            let assertion = key.ok().and_then(|key| key.assertion(&claims));
            form.append_pair("client_id", &credentials.client_id);
            form.append_pair("client_assertion_type", JWT_BEARER);
            form.append_pair("client_assertion", &assertion.ok_or(TokenError::Key)?);
        }
    }
    Ok(form.finish())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn credentials(client_auth: ClientAuth) -> ClientCredentials {
        ClientCredentials {
            token_url: "http://id.example.com:8080/token?tenant=1".into(),
            client_id: "a:b c".into(),
            client_auth,
            scope: Some("read write".into()),
            audience: None,
            extra: BTreeMap::from([("resource".into(), "https://x/?a=1&b".into())]),
        }
    }

    #[test]
    fn a_secret_travels_in_the_header_or_in_the_body_and_never_in_both() {
        let client_secret = "s:e%c&ü".into();
        let in_header = credentials(ClientAuth::ClientSecretBasic { client_secret });
        let request = of(&Client::new(&in_header).unwrap(), Utc::now()).unwrap();
        assert_eq!(request.uri().path_and_query().unwrap(), "/token?tenant=1");
        assert_eq!(request.headers()["host"], "id.example.com:8080");
        let header = request.headers()[AUTHORIZATION].to_str().unwrap();
        let decoded = STANDARD.decode(header.trim_start_matches("Basic "));
        // RFC 6749, section 2.3.1: form-encoded first.
        assert_eq!(decoded.unwrap(), b"a%3Ab+c:s%3Ae%25c%26%C3%BC");
        assert!(request.headers()[AUTHORIZATION].is_sensitive());
        let plain = "grant_type=client_credentials&scope=read+write\
                     &resource=https%3A%2F%2Fx%2F%3Fa%3D1%26b";
        assert_eq!(form(&in_header, Utc::now()).unwrap(), plain);

        let client_secret = "s&".into();
        let in_body = credentials(ClientAuth::ClientSecretPost { client_secret });
        let request = of(&Client::new(&in_body).unwrap(), Utc::now()).unwrap();
        assert!(!request.headers().contains_key(AUTHORIZATION));
        assert_eq!(
            form(&in_body, Utc::now()).unwrap(),
            format!("{plain}&client_id=a%3Ab+c&client_secret=s%26")
        );
    }

    #[test]
    fn a_private_key_that_is_none_is_told_as_that() {
        let broken = credentials(ClientAuth::PrivateKeyJwt {
            private_key: "hunter2".into(),
            key_id: None,
        });
        let request = of(&Client::new(&broken).unwrap(), Utc::now());
        assert_eq!(request.err(), Some(TokenError::Key));
    }
}
