//! Client credentials, by which deliveries are given tokens (RFC 6749, section 4.4). Which field is
//! wrong is told by its name; none that may be secret is shown.

use common::oauth2::{ClientAuth, ClientCredentials, Invalid, Method};
use outbound::{Egress, oauth2};
use secrecy::SecretString;

use super::Endpoint;

/// Whether a token endpoint may be connected to, as far as its URL tells.
pub fn check_url(token_url: &str, egress: &Egress) -> Result<(), Invalid> {
    let checked = endpoint(token_url)?.check(egress);
    checked.map_err(|refused| Invalid::new("token_url", refused.to_string()))
}

fn endpoint(token_url: &str) -> Result<Endpoint, Invalid> {
    let endpoint = Endpoint::try_from(token_url.to_owned());
    endpoint.map_err(|detail| Invalid::new("token_url", detail))
}

/// The credentials, if a request can be made of them.
pub fn checked(credentials: ClientCredentials) -> Result<ClientCredentials, Invalid> {
    endpoint(&credentials.token_url)?;
    credentials.check()?;
    oauth2::check_private_key(&credentials.client_auth)?;
    Ok(credentials)
}

/// What may be given to prove who asks; which of it has to be depends on the method.
pub struct Proof {
    pub client_secret: Option<SecretString>,
    pub private_key: Option<SecretString>,
    pub key_id: Option<String>,
}

impl Proof {
    /// What that method needs of it.
    pub fn by(self, method: Method) -> Result<ClientAuth, Invalid> {
        if method == Method::PrivateKeyJwt {
            if self.client_secret.is_some() {
                return Err(unwanted("client_secret", "sends none"));
            }
            let private_key = self.private_key.ok_or_else(|| missing("private_key"))?;
            return Ok(ClientAuth::PrivateKeyJwt {
                private_key,
                key_id: self.key_id,
            });
        }
        if self.private_key.is_some() {
            return Err(unwanted("private_key", "has none"));
        }
        if self.key_id.is_some() {
            return Err(unwanted("key_id", "has none"));
        }
        let client_secret = self.client_secret.ok_or_else(|| missing("client_secret"))?;
        Ok(match method {
            Method::ClientSecretPost => ClientAuth::ClientSecretPost { client_secret },
            _ => ClientAuth::ClientSecretBasic { client_secret },
        })
    }
}

fn missing(field: &'static str) -> Invalid {
    Invalid::new(field, "must be given for this client_auth")
}

fn unwanted(field: &'static str, why: &str) -> Invalid {
    Invalid::new(field, format!("must not be given: this client_auth {why}"))
}
