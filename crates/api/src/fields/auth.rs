//! How deliveries authenticate, and what they are signed with, as fields that hold only what is right.
//! No error shows what is secret.

use std::collections::BTreeMap;

use common::oauth2::{ClientCredentials, Invalid, Method};
use common::store::subscriptions::{Auth, AuthKey};
use http::header::{self, HeaderName};
use outbound::Egress;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use signature::{Algorithm, SigningKey};
use utoipa::ToSchema;

use super::oauth2::{self, Proof};

const MAX_USERNAME_CHARS: usize = 256;
const MAX_SECRET_BYTES: usize = 1024;
pub(super) const MAX_HEADER_NAME_BYTES: usize = 64;

/// What deliveries have of their own, or what belongs to the connection.
const RESERVED: [HeaderName; 13] = [
    header::HOST,
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::USER_AGENT,
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("traceparent"),
];

/// Those of these families too.
const RESERVED_FAMILIES: [&str; 3] = ["webhook-", "content-", "proxy-"];

/// Whether deliveries have that header of their own, or must not have it.
pub(super) fn is_reserved(name: &HeaderName) -> bool {
    let is_family = |family: &&str| name.as_str().starts_with(*family);
    RESERVED.contains(name) || RESERVED_FAMILIES.iter().any(is_family)
}

/// How each POST authenticates to the receiver. What is secret of it is never read back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum NewAuth {
    /// Not at all, beyond its signature.
    None {},
    /// `Authorization: Bearer …` (RFC 6750); what `auth_key` is short for.
    Bearer {
        /// Visible ASCII.
        #[schema(value_type = String, min_length = 1, max_length = 1024, write_only)]
        token: AuthKey,
    },
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        username: Username,
        #[schema(value_type = String, max_length = 1024, write_only)]
        password: Password,
    },
    /// A header of its own, as `X-Api-Key`.
    Header {
        name: FieldName,
        #[schema(value_type = String, min_length = 1, max_length = 1024, write_only)]
        value: FieldValue,
    },
    /// `Authorization: Bearer …`, with a token by client credentials (RFC 6749, section 4.4). It is
    /// fetched when it is first needed, and renewed before it ends, or once a receiver answers 401.
    Oauth2 {
        /// The token endpoint: an absolute http or https URL. The rules for deliveries apply to it.
        #[schema(max_length = 2048, example = "https://id.example.com/token")]
        token_url: String,
        /// Visible ASCII.
        #[schema(min_length = 1, max_length = 1024, example = "sensor")]
        client_id: String,
        client_auth: Method,
        /// For the methods that send it.
        #[schema(value_type = Option<String>, min_length = 1, max_length = 1024, write_only)]
        client_secret: Option<SecretString>,
        /// For `private_key_jwt`: in PEM, of P-256 (ES256) or of RSA (RS256).
        #[schema(value_type = Option<String>, max_length = 8192, write_only)]
        private_key: Option<SecretString>,
        /// The `kid` of the private key, where the token endpoint needs one.
        #[schema(min_length = 1, max_length = 1024)]
        key_id: Option<String>,
        /// Names with one space between them.
        #[schema(min_length = 1, max_length = 1024, example = "events:write")]
        scope: Option<String>,
        /// Whom the token is for, where the token endpoint asks for that.
        #[schema(min_length = 1, max_length = 1024)]
        audience: Option<String>,
        /// Up to 20 further parameters of the request, by name.
        #[schema(value_type = Option<BTreeMap<String, String>>)]
        extra: Option<BTreeMap<String, SecretString>>,
    },
}

impl NewAuth {
    /// Holds it against the rules of this process.
    pub fn check(&self, egress: &Egress) -> Result<(), Invalid> {
        match self {
            Self::Oauth2 { token_url, .. } => oauth2::check_url(token_url, egress),
            _ => Ok(()),
        }
    }
}

impl TryFrom<NewAuth> for Auth {
    type Error = Invalid;

    fn try_from(new: NewAuth) -> Result<Self, Invalid> {
        Ok(match new {
            NewAuth::None {} => Self::None,
            NewAuth::Bearer { token } => Self::Bearer { token },
            NewAuth::Basic { username, password } => Self::Basic {
                username: username.0,
                password: password.0,
            },
            NewAuth::Header { name, value } => Self::Header {
                name: name.0,
                value: value.0,
            },
            NewAuth::Oauth2 {
                token_url,
                client_id,
                client_auth,
                client_secret,
                private_key,
                key_id,
                scope,
                audience,
                extra,
            } => {
                let proof = Proof {
                    client_secret,
                    private_key,
                    key_id,
                };
                Self::Oauth2(oauth2::checked(ClientCredentials {
                    token_url,
                    client_id,
                    client_auth: proof.by(client_auth)?,
                    scope,
                    audience,
                    extra: extra.unwrap_or_default(),
                })?)
            }
        })
    }
}

/// A user's name: 1 to 256 characters, no colon, no control characters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 256, pattern = "^[^:]+$", example = "sensor")]
pub struct Username(String);

impl TryFrom<String> for Username {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = super::one_line(text, MAX_USERNAME_CHARS)?;
        if text.is_empty() || text.contains(':') {
            return Err("must not be empty, and have no colon (RFC 7617)".into());
        }
        Ok(Self(text))
    }
}

/// A user's password: up to 1024 bytes, no control characters.
#[derive(Debug, Deserialize)]
#[serde(try_from = "SecretString")]
pub struct Password(SecretString);

impl TryFrom<SecretString> for Password {
    type Error = &'static str;

    fn try_from(secret: SecretString) -> Result<Self, Self::Error> {
        let text = secret.expose_secret();
        if text.len() > MAX_SECRET_BYTES || text.chars().any(char::is_control) {
            return Err("must have at most 1024 bytes and no control characters");
        }
        Ok(Self(secret))
    }
}

/// The name of a header that deliveries may be given: a token (RFC 9110) of at most 64 bytes, none of
/// those that they have of their own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 64, example = "X-Api-Key")]
pub struct FieldName(String);

impl TryFrom<String> for FieldName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = HeaderName::try_from(&text).ok();
        let name = name.filter(|_| text.len() <= MAX_HEADER_NAME_BYTES);
        let name = name.ok_or("must be the name of a header, of at most 64 bytes")?;
        if is_reserved(&name) {
            return Err("must not be a header that deliveries have of their own");
        }
        Ok(Self(text))
    }
}

/// The value of a header: visible ASCII, and spaces within.
#[derive(Debug, Deserialize)]
#[serde(try_from = "SecretString")]
pub struct FieldValue(pub(super) SecretString);

impl TryFrom<SecretString> for FieldValue {
    type Error = &'static str;

    fn try_from(secret: SecretString) -> Result<Self, Self::Error> {
        let bytes = secret.expose_secret().as_bytes();
        let fits = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        let is_trimmed = bytes.first() != Some(&b' ') && bytes.last() != Some(&b' ');
        if !(1..=MAX_SECRET_BYTES).contains(&bytes.len()) || !bytes.iter().all(fits) || !is_trimmed
        {
            return Err("must be 1 to 1024 characters of visible ASCII, with spaces only within");
        }
        Ok(Self(secret))
    }
}

/// A secret that both sides have (Standard Webhooks): `whsec_` and 24 to 64 bytes in base64.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "SecretString")]
pub struct SigningSecret(SecretString);

impl SigningSecret {
    /// A new random one.
    pub fn generate() -> Self {
        Self(SigningKey::generate(Algorithm::HmacSha256))
    }

    /// As text, of one that stays.
    pub fn text(&self) -> SecretString {
        self.0.clone()
    }

    /// As text.
    pub fn into_inner(self) -> SecretString {
        self.0
    }
}

impl TryFrom<SecretString> for SigningSecret {
    type Error = String;

    fn try_from(secret: SecretString) -> Result<Self, String> {
        let key: Result<SigningKey, _> = secret.expose_secret().parse();
        match key.map(|key| key.algorithm()) {
            Ok(Algorithm::HmacSha256) => Ok(Self(secret)),
            Ok(Algorithm::Ed25519) => Err("must begin with whsec_".into()),
            Err(why) => Err(why.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        serde_json::from_str::<NewAuth>(json)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_would_change_a_request_beyond_its_header_is_refused_and_not_shown() {
        for (json, why) in [
            (
                r#"{"kind":"header","name":"Host","value":"hunter2"}"#,
                "of their own",
            ),
            (
                r#"{"kind":"header","name":"Webhook-Id","value":"hunter2"}"#,
                "of their own",
            ),
            (
                r#"{"kind":"header","name":"content-length","value":"hunter2"}"#,
                "of their own",
            ),
            (
                r#"{"kind":"header","name":"authorization","value":"hunter2"}"#,
                "of their own",
            ),
            (
                r#"{"kind":"header","name":"a b","value":"hunter2"}"#,
                "name of a header",
            ),
            (
                r#"{"kind":"header","name":"x","value":"hunter2\r\ny: z"}"#,
                "visible ASCII",
            ),
            (
                r#"{"kind":"header","name":"x","value":" hunter2"}"#,
                "visible ASCII",
            ),
            (
                r#"{"kind":"basic","username":"a:b","password":"hunter2"}"#,
                "no colon",
            ),
            (
                r#"{"kind":"basic","username":"a","password":"hunter2\n"}"#,
                "control characters",
            ),
            (r#"{"kind":"bearer","token":"hunter 2"}"#, "visible ASCII"),
            (
                r#"{"kind":"bearer","token":"hunter2","x":1}"#,
                "unknown field",
            ),
            (r#"{"kind":"oauth"}"#, "unknown variant"),
        ] {
            let error = refused(json);
            assert!(
                error.contains(why) && !error.contains("hunter"),
                "{json}: {error}"
            );
        }
    }

    #[test]
    fn a_secret_to_sign_with_is_one_that_both_sides_have() {
        let refused = |text: &str| SigningSecret::try_from(SecretString::from(text)).unwrap_err();
        let private = SigningKey::generate(Algorithm::Ed25519);
        assert_eq!(refused(private.expose_secret()), "must begin with whsec_");
        assert!(refused("whsec_AAAA").contains("24 to 64 bytes"));
        let new = SigningSecret::generate().into_inner();
        SigningSecret::try_from(new).unwrap();
    }
}
