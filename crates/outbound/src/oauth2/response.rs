//! What a token endpoint answers (RFC 6749, sections 5.1 and 5.2), read with suspicion. Pure.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::error::{ErrorCode, TokenError};

/// How large a response may be, in bytes.
pub const RESPONSE_LIMIT: usize = 64 * 1024;

/// How long a token may be, in bytes: it has to fit in a header that receivers take.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How long a token is taken to live that does not say.
pub const DEFAULT_LIFE: Duration = Duration::from_mins(5);

/// No token is used longer than this, whatever it says.
pub const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// How much of a scope is told, in characters.
const MAX_SCOPE_CHARS: usize = 1024;

/// What was granted, without the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// How long it is good, if the token endpoint says so.
    pub expires_in: Option<Duration>,
    /// For what, if that is not what was asked for.
    pub scope: Option<String>,
}

/// A token, as the header that carries it, and what was granted with it.
#[derive(Debug, PartialEq, Eq)]
pub struct Granted {
    pub header: HeaderValue,
    pub grant: Grant,
}

impl Granted {
    /// How long it may be used.
    pub fn life(&self) -> Duration {
        let told = self.grant.expires_in.unwrap_or(DEFAULT_LIFE);
        told.min(LONGEST_LIFE)
    }
}

/// As it stands in a response; other fields are nobody's concern.
#[derive(Deserialize)]
struct Success {
    access_token: Option<SecretString>,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// A number; some write it as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Seconds {
    fn duration(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Number(seconds) => *seconds,
            Self::Text(text) => text.trim().parse().ok()?,
        };
        // A time before now is none.
        Duration::try_from_secs_f64(seconds.clamp(0.0, LONGEST_SECONDS)).ok()
    }
}

/// Beyond it a time that is told is as good as this.
const LONGEST_SECONDS: f64 = 1e9;

/// The token of a response.
///
/// # Errors
/// Why it has none.
pub fn read(
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
) -> Result<Granted, TokenError> {
    if !status.is_success() {
        let refusal = serde_json::from_slice::<Refusal>(body).ok();
        let code = refusal.and_then(|refusal| ErrorCode::parse(&refusal.error));
        let code = code.filter(|_| status.is_client_error());
        return Err(code.map_or(
            TokenError::Status {
                status: status.as_u16(),
                retry_after,
            },
            TokenError::Refused,
        ));
    }
    let success: Success = serde_json::from_slice(body).map_err(|_| TokenError::Broken)?;
    let token = success.access_token.ok_or(TokenError::NoToken)?;
    let is_bearer = |kind: &String| kind.eq_ignore_ascii_case("bearer");
    if !success.token_type.as_ref().is_some_and(is_bearer) {
        return Err(TokenError::NotBearer);
    }
    let expires_in = success.expires_in.map(|seconds| seconds.duration());
    let expires_in = expires_in
        .map(|told| told.ok_or(TokenError::Broken))
        .transpose()?;
    if expires_in.is_some_and(|told| told.is_zero()) {
        return Err(TokenError::Expired);
    }
    let scope = success.scope;
    Ok(Granted {
        header: header(token.expose_secret())?,
        grant: Grant {
            expires_in,
            scope: scope.map(|scope| scope.chars().take(MAX_SCOPE_CHARS).collect()),
        },
    })
}

/// Of visible ASCII alone, which is more than RFC 6750 says that tokens have, and nothing that ends a
/// header.
fn header(token: &str) -> Result<HeaderValue, TokenError> {
    let fits = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.is_empty() {
        return Err(TokenError::NoToken);
    }
    if !fits || token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Unfit);
    }
    let header = HeaderValue::try_from(format!("Bearer {token}"));
    let mut header = header.map_err(|_| TokenError::Unfit)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ok(body: &str) -> Result<Granted, TokenError> {
        read(StatusCode::OK, None, body.as_bytes())
    }

    #[test]
    fn what_is_no_bearer_token_is_refused_for_what_it_is_and_never_shown() {
        let long = format!(
            r#"{{"access_token":"{}","token_type":"Bearer"}}"#,
            "x".repeat(MAX_TOKEN_BYTES + 1)
        );
        for (body, error) in [
            ("", TokenError::Broken),
            ("<html>hunter2</html>", TokenError::Broken),
            (r#"["hunter2"]"#, TokenError::Broken),
            (
                r#"{"access_token":7,"token_type":"Bearer"}"#,
                TokenError::Broken,
            ),
            (
                r#"{"access_token":"hunter2","token_type":"Bearer","expires_in":"soon"}"#,
                TokenError::Broken,
            ),
            (r#"{"token_type":"Bearer"}"#, TokenError::NoToken),
            (
                r#"{"access_token":"","token_type":"Bearer"}"#,
                TokenError::NoToken,
            ),
            (r#"{"access_token":"hunter2"}"#, TokenError::NotBearer),
            (
                r#"{"access_token":"hunter2","token_type":"mac"}"#,
                TokenError::NotBearer,
            ),
            (
                r#"{"access_token":"hunter2\r\nx: y","token_type":"Bearer"}"#,
                TokenError::Unfit,
            ),
            (
                r#"{"access_token":"hunter 2","token_type":"Bearer"}"#,
                TokenError::Unfit,
            ),
            (
                r#"{"access_token":"hünter2","token_type":"Bearer"}"#,
                TokenError::Unfit,
            ),
            (&long, TokenError::Unfit),
            (
                r#"{"access_token":"hunter2","token_type":"Bearer","expires_in":0}"#,
                TokenError::Expired,
            ),
            (
                r#"{"access_token":"hunter2","token_type":"Bearer","expires_in":-5}"#,
                TokenError::Expired,
            ),
        ] {
            let read = ok(body).unwrap_err();
            assert_eq!(read, error, "{body}");
            assert!(!format!("{read} {read:?}").contains("hunter"));
        }
    }

    #[test]
    fn how_long_it_lives_is_a_number_or_a_text_or_not_said() {
        let life = |rest: &str| {
            let body = format!(r#"{{"access_token":"a|b~c=","token_type":"bEARER"{rest}}}"#);
            ok(&body).unwrap().life()
        };
        assert_eq!(life(""), DEFAULT_LIFE);
        assert_eq!(life(r#","expires_in":null"#), DEFAULT_LIFE);
        assert_eq!(life(r#","expires_in":3600"#), Duration::from_hours(1));
        assert_eq!(life(r#","expires_in":"60""#), Duration::from_mins(1));
        assert_eq!(life(r#","expires_in":1e300"#), LONGEST_LIFE);
    }

    #[test]
    fn a_refusal_is_told_by_a_code_of_the_closed_set_alone() {
        let refused = |status, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            read(status, None, body.as_bytes()).unwrap_err()
        };
        let invalid_client = r#"{"error":"invalid_client","error_description":"hunter2"}"#;
        let refused_client = TokenError::Refused(ErrorCode::InvalidClient);
        assert_eq!(refused(401, invalid_client), refused_client);
        assert_eq!(refused(400, invalid_client), refused_client);
        assert_eq!(refused_client.failure().label(), "oauth2_invalid_client");
        for (status, body) in [
            (400, r#"{"error":"hunter2"}"#),
            (400, "hunter2"),
            (500, invalid_client),
            (302, ""),
        ] {
            let retry_after = None;
            assert_eq!(
                refused(status, body),
                TokenError::Status {
                    status,
                    retry_after
                }
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_header_or_an_error(token in ".*", status in 100u16..600) {
            let body = serde_json::json!({"access_token": token, "token_type": "Bearer"});
            let status = StatusCode::from_u16(status).unwrap();
            if let Ok(granted) = read(status, None, body.to_string().as_bytes()) {
                prop_assert!(granted.header.is_sensitive());
                prop_assert!(granted.header.to_str().is_ok());
            }
        }
    }
}
