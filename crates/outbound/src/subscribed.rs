//! The target that a subscription's row says: where, signed with what, how it authenticates, and what
//! else it carries and shows.

use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::secrets::Keyring;
use common::store::subscriptions::{Auth, Header, Row, Secrets, Settings, SigningSecret};
use http::header::AUTHORIZATION;
use secrecy::ExposeSecret;
use signature::{InvalidKey, Signer};

use crate::identity::ClientIdentity;
use crate::oauth2::Client;
use crate::target::Target;

impl Target {
    /// The endpoint of that row, at which an attempt takes no longer than `timeout`, unless it has a
    /// time-out of its own.
    ///
    /// # Errors
    /// What is wrong with a row that `api` would not have written, or that its secrets do not open.
    pub fn of(row: &Row, keyring: &Keyring, timeout: Duration) -> anyhow::Result<Self> {
        let secrets = row.secrets(keyring)?;
        let origin = row.permitted_origin.as_deref();
        Self::with(&row.url, own(row.timeout_ms, timeout), &secrets, origin)
    }

    /// The same of a row that is not written yet.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_draft(
        settings: &Settings,
        secrets: &Secrets,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let origin = settings.permitted_origin.as_deref();
        let timeout = own(settings.timeout_ms, timeout);
        Self::with(&settings.url, timeout, secrets, origin)
    }

    fn with(
        url: &str,
        timeout: Duration,
        secrets: &Secrets,
        origin: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut target = Self::new(url, timeout)?;
        let signer = signer(&secrets.signing);
        target.sign_with(signer.context("reading the keys it is signed with")?);
        target
            .authenticate(&secrets.auth)
            .context("its auth does not fit in a request")?;
        target.carry(&secrets.headers, origin)?;
        if let Some(pem) = &secrets.client_certificate {
            let (chain, key) = (&pem.certificate, pem.private_key.expose_secret());
            let identity = ClientIdentity::from_pem(chain, key);
            target.identify(identity.context("reading its client certificate")?);
        }
        Ok(target)
    }

    fn carry(&mut self, headers: &[Header], origin: Option<&str>) -> anyhow::Result<()> {
        for header in headers {
            let added = self.add_header(&header.name, header.value.expose_secret());
            added.context("one of its headers fits in no request")?;
        }
        let coming = origin.map_or(Ok(()), |origin| self.come_from(origin));
        coming.context("its origin does not fit in a header")
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

fn own(timeout_ms: Option<i64>, timeout: Duration) -> Duration {
    let own = timeout_ms.map(i64::unsigned_abs);
    own.map_or(timeout, Duration::from_millis)
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
        target.headers.to_map(&target.uri, 0)
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
