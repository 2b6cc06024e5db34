//! What it takes to ask for a token with client credentials (RFC 6749, section 4.4): which endpoint,
//! as whom, proved how, and for what.
//!
//! Serialized it is plain text, secrets included: only to be sealed. [`ClientCredentials::check`] says
//! whether `api` may store it; that its private key is one is for the crate `outbound` to say, which
//! signs with it.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

/// The longest URL of a token endpoint, in bytes.
pub const MAX_TOKEN_URL_BYTES: usize = 2048;
/// The longest id of a client or of a key, scope or audience, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;
/// The longest secret, in bytes.
pub const MAX_SECRET_BYTES: usize = 1024;
/// The longest private key, in bytes: one of RSA with 4,096 bits takes less than half.
pub const MAX_PRIVATE_KEY_BYTES: usize = 8 * 1024;
/// How many parameters a request may have besides ours.
pub const MAX_EXTRA: usize = 20;

/// What a request for a token has of its own, and so nobody adds.
const RESERVED: [&str; 8] = [
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "scope",
    "audience",
    "redirect_uri",
];

/// What is asked for, and as whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientCredentials {
    /// An absolute http or https URL.
    pub token_url: String,
    /// Visible ASCII.
    pub client_id: String,
    /// How the client proves that it is that one.
    pub client_auth: ClientAuth,
    /// Names with spaces between them; `None`: what the token endpoint thinks right.
    pub scope: Option<String>,
    /// Whom the token is for, where a token endpoint asks for that.
    pub audience: Option<String>,
    /// Further parameters of the request, by name. A value may be secret.
    #[serde(default, serialize_with = "exposed_all")]
    pub extra: BTreeMap<String, SecretString>,
}

/// How a client proves who it is (RFC 6749, section 2.3; RFC 7523, section 2.2).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum ClientAuth {
    /// By HTTP Basic.
    ClientSecretBasic {
        /// What the token endpoint knows too.
        #[serde(serialize_with = "exposed")]
        client_secret: SecretString,
    },
    /// By parameters in the body.
    ClientSecretPost {
        /// What the token endpoint knows too.
        #[serde(serialize_with = "exposed")]
        client_secret: SecretString,
    },
    /// By an assertion that it signs.
    PrivateKeyJwt {
        /// In PEM: of P-256, which signs with ES256, or RSA, which signs with RS256.
        #[serde(serialize_with = "exposed")]
        private_key: SecretString,
        /// The `kid` by which the token endpoint finds the public key.
        key_id: Option<String>,
    },
}

/// How a client proves who it is, by the name that OAuth 2.0 has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ClientAuthMethod)]
pub enum Method {
    /// The secret travels by HTTP Basic.
    ClientSecretBasic,
    /// The secret travels in the body.
    ClientSecretPost,
    /// No secret travels: an assertion is signed with a private key.
    PrivateKeyJwt,
}

/// Which part is wrong, and why. It shows nothing of what is secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {detail}")]
pub struct Invalid {
    /// By the name it has in the API.
    pub field: &'static str,
    /// Goes on after that name.
    pub detail: String,
}

impl Invalid {
    /// That part is wrong, for that reason.
    pub fn new(field: &'static str, detail: impl Into<String>) -> Self {
        Self {
            field,
            detail: detail.into(),
        }
    }
}

impl ClientAuth {
    /// Its name.
    pub fn method(&self) -> Method {
        match self {
            Self::ClientSecretBasic { .. } => Method::ClientSecretBasic,
            Self::ClientSecretPost { .. } => Method::ClientSecretPost,
            Self::PrivateKeyJwt { .. } => Method::PrivateKeyJwt,
        }
    }

    fn check(&self) -> Result<(), Invalid> {
        match self {
            Self::ClientSecretBasic { client_secret }
            | Self::ClientSecretPost { client_secret } => {
                let secret = client_secret.expose_secret();
                visible("client_secret", secret, MAX_SECRET_BYTES)
            }
            Self::PrivateKeyJwt {
                private_key,
                key_id,
            } => {
                if private_key.expose_secret().len() > MAX_PRIVATE_KEY_BYTES {
                    return Err(Invalid::new(
                        "private_key",
                        format!("must have at most {MAX_PRIVATE_KEY_BYTES} bytes"),
                    ));
                }
                key_id
                    .as_deref()
                    .map_or(Ok(()), |id| visible("key_id", id, MAX_TEXT_BYTES))
            }
        }
    }
}

impl ClientCredentials {
    /// Whether a request can be made of it, as far as that needs neither its URL nor its private key
    /// looked at.
    ///
    /// # Errors
    /// Which part is wrong.
    pub fn check(&self) -> Result<(), Invalid> {
        visible("client_id", &self.client_id, MAX_TEXT_BYTES)?;
        self.client_auth.check()?;
        if let Some(scope) = &self.scope {
            check_scope(scope)?;
        }
        if let Some(audience) = &self.audience {
            visible("audience", audience, MAX_TEXT_BYTES)?;
        }
        if self.extra.len() > MAX_EXTRA {
            let detail = format!("must have at most {MAX_EXTRA} parameters");
            return Err(Invalid::new("extra", detail));
        }
        let mut extra = self.extra.iter();
        extra.try_for_each(|(name, value)| check_extra(name, value.expose_secret()))
    }
}

/// `scope-token *( SP scope-token )` (RFC 6749, section 3.3).
fn check_scope(scope: &str) -> Result<(), Invalid> {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    let is_token = |token: &str| !token.is_empty() && token.bytes().all(fits);
    if scope.len() <= MAX_TEXT_BYTES && scope.split(' ').all(is_token) {
        return Ok(());
    }
    Err(Invalid::new(
        "scope",
        format!("must be names with one space between them, of at most {MAX_TEXT_BYTES} bytes"),
    ))
}

fn check_extra(name: &str, value: &str) -> Result<(), Invalid> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if !(1..=64).contains(&name.len()) || !name.bytes().all(fits) {
        let detail = "must have names of 1 to 64 letters, digits, and `-`, `.`, `_`, `:`";
        return Err(Invalid::new("extra", detail));
    }
    if RESERVED.contains(&name) {
        let detail = format!("must not have {name}, which the request has of its own");
        return Err(Invalid::new("extra", detail));
    }
    if value.len() > MAX_SECRET_BYTES || value.chars().any(char::is_control) {
        let detail = format!(
            "must have values of at most {MAX_SECRET_BYTES} bytes without control characters"
        );
        return Err(Invalid::new("extra", detail));
    }
    Ok(())
}

/// `1*VSCHAR` (RFC 6749, appendix A), spaces included.
fn visible(field: &'static str, text: &str, most: usize) -> Result<(), Invalid> {
    let fits = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if (1..=most).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(());
    }
    let detail = format!("must be 1 to {most} characters of visible ASCII");
    Err(Invalid::new(field, detail))
}

fn exposed<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose_secret())
}

fn exposed_all<S: Serializer>(
    secrets: &BTreeMap<String, SecretString>,
    to: S,
) -> Result<S::Ok, S::Error> {
    let exposed = secrets
        .iter()
        .map(|(name, value)| (name, value.expose_secret()));
    to.collect_map(exposed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> ClientCredentials {
        ClientCredentials {
            token_url: "https://id.example.com/token".into(),
            client_id: "sensor".into(),
            client_auth: ClientAuth::ClientSecretBasic {
                client_secret: "hunter2".into(),
            },
            scope: Some("read write".into()),
            audience: Some("https://api.example.com".into()),
            extra: BTreeMap::from([("resource".into(), "hunter2".into())]),
        }
    }

    /// The part that is wrong after that change.
    fn wrong(change: impl FnOnce(&mut ClientCredentials)) -> Option<&'static str> {
        let mut credentials = credentials();
        change(&mut credentials);
        let error = credentials.check().err()?;
        assert!(!error.to_string().contains("hunter"), "{error}");
        Some(error.field)
    }

    #[test]
    fn what_makes_no_request_is_named_and_not_shown() {
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        let secret = |text: &str| ClientAuth::ClientSecretPost {
            client_secret: text.into(),
        };
        let extra = |name: &str, value: &str| BTreeMap::from([(name.into(), value.into())]);
        assert_eq!(wrong(|_| ()), None);
        for id in ["", "a\nb", "ü", &long] {
            assert_eq!(wrong(|it| it.client_id = id.into()), Some("client_id"));
        }
        for text in ["", "hunter2\r\nx: y", "hünter2", &long] {
            let auth = secret(text);
            assert_eq!(wrong(|it| it.client_auth = auth), Some("client_secret"));
        }
        for scope in [
            "",
            " read",
            "read  write",
            "read ",
            "a\"b",
            "a\\b",
            "a\tb",
            &long,
        ] {
            assert_eq!(wrong(|it| it.scope = Some(scope.into())), Some("scope"));
        }
        assert_eq!(
            wrong(|it| it.audience = Some("\n".into())),
            Some("audience")
        );
        for name in RESERVED.into_iter().chain(["", "a b", "a=b", "ü"]) {
            assert_eq!(wrong(|it| it.extra = extra(name, "v")), Some("extra"));
        }
        assert_eq!(
            wrong(|it| it.extra = extra("a", "hunter2\0")),
            Some("extra")
        );
        let many = (0..=MAX_EXTRA).map(|n| (format!("p{n}"), "v".into()));
        assert_eq!(wrong(|it| it.extra = many.collect()), Some("extra"));
    }

    #[test]
    fn a_private_key_and_its_id_are_bounded() {
        let key = |key: &str, id: &str| ClientAuth::PrivateKeyJwt {
            private_key: key.into(),
            key_id: Some(id.into()),
        };
        let long = "x".repeat(MAX_PRIVATE_KEY_BYTES + 1);
        assert_eq!(wrong(|it| it.client_auth = key("pem", "1")), None);
        let too_long = key(&long, "1");
        assert_eq!(wrong(|it| it.client_auth = too_long), Some("private_key"));
        assert_eq!(wrong(|it| it.client_auth = key("pem", "")), Some("key_id"));
    }
}
