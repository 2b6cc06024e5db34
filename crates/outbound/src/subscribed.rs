//! The target that a subscription's row says: where, signed with what, and how it authenticates.

use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::secrets::Keyring;
use common::store::subscriptions::{Auth, Row, SigningSecret};
use http::header::AUTHORIZATION;
use secrecy::ExposeSecret;
use signature::{InvalidKey, Signer};

use crate::oauth2::Client;
use crate::target::Target;

impl Target {
    /// The endpoint of that row, at which an attempt takes no longer than `timeout`, unless it has a
    /// time-out of its own.
    ///
    /// # Errors
    /// What is wrong with a row that `api` would not have written, or that its secrets do not open.
    pub fn of(row: &Row, keyring: &Keyring, timeout: Duration) -> anyhow::Result<Self> {
        let own = row.timeout_ms.map(i64::unsigned_abs);
        let timeout = own.map_or(timeout, Duration::from_millis);
        let mut target = Self::new(&row.url, timeout)?;
        let secrets = row.secrets(keyring)?;
        let signer = signer(&secrets.signing);
        target.sign_with(signer.context("reading the keys it is signed with")?);
        target
            .authenticate(&secrets.auth)
            .context("its auth does not fit in a request")?;
        Ok(target)
    }

    fn authenticate(&mut self, auth: &Auth) -> anyhow::Result<()> {
        match auth {
            Auth::None => Ok(()),
            Auth::Bearer { token } => Ok(self.authorize(token.expose())?),
            Auth::Basic { username, password } => {
                let both = format!("{username}:{}", password.expose_secret());
                let basic = format!("Basic {}", STANDARD.encode(both));
                Ok(self.add_header(AUTHORIZATION.as_str(), &basic)?)
            }
            Auth::Header { name, value } => Ok(self.add_header(name, value.expose_secret())?),
            Auth::Oauth2(credentials) => {
                self.authorize_by(Client::new(credentials)?);
                Ok(())
            }
        }
    }
}

fn signer(secrets: &[SigningSecret]) -> Result<Signer, InvalidKey> {
    let keys = secrets.iter().map(|secret| {
        let key = secret.key.expose_secret().parse()?;
        Ok((key, secret.ends_at))
    });
    Ok(Signer::new(keys.collect::<Result<Vec<_>, InvalidKey>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn headers(auth: &Auth) -> HeaderMap {
        let mut target = Target::new("http://a/", Duration::from_secs(1)).unwrap();
        target.authenticate(auth).unwrap();
        assert!(!format!("{target:?}").contains("hunter2"));
        target.headers
    }

    #[test]
    fn each_way_to_authenticate_is_one_header() {
        let basic = headers(&Auth::Basic {
            username: "Aladdin".into(),
            password: "open sesame".into(),
        });
        // RFC 7617, section 2.
        assert_eq!(basic[AUTHORIZATION], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let own = headers(&Auth::Header {
            name: "X-Api-Key".into(),
            value: "hunter2".into(),
        });
        assert_eq!(own["x-api-key"], "hunter2");
        assert!(!own.contains_key(AUTHORIZATION));
        assert!(!headers(&Auth::None).contains_key(AUTHORIZATION));
    }
}
