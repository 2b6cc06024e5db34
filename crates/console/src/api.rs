//! The API as a client has it, called in process.
//!
//! What a browser's request says of where it comes from goes along, so that the door counts it and
//! the audit names it as if it had come directly. Nothing else of it does: no cookie, no header.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LINK};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt;

/// More than the API answers with: its longest list, with 16 KiB a row.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The router of the API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api(Router);

/// From where a request comes, and with which key.
#[derive(Clone, Debug, Default)]
pub struct From {
    peer: Option<ConnectInfo<SocketAddr>>,
    headers: HeaderMap,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

/// A refusal: a problem document (RFC 9457) of the API.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Problem {
    pub status: u16,
    pub code: String,
    pub title: String,
    pub detail: String,
    pub request_id: String,
    pub pointer: Option<String>,
    pub parameter: Option<String>,
}

impl From {
    /// Where those come from.
    pub fn of(request: &Parts) -> Self {
        let forwarded = request.headers.get_all(FORWARDED_FOR).iter();
        let headers = forwarded.map(|value| (FORWARDED_FOR, value.clone()));
        Self {
            peer: request.extensions.get().copied(),
            headers: headers.collect(),
        }
    }

    /// With that key. One that fits in no header is no key, and none is shown.
    #[must_use]
    pub fn with_key(mut self, key: &str) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {key}")) {
            value.set_sensitive(true);
            self.headers.insert(AUTHORIZATION, value);
        }
        self
    }

    /// With that header too.
    #[must_use]
    pub fn and(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl Api {
    /// Calls that router.
    pub fn new(router: Router) -> Self {
        Self(router)
    }

    /// The answer as it begins to come.
    pub async fn begin(
        &self,
        from: &From,
        (method, path): (Method, &str),
        body: Option<&Value>,
    ) -> Response {
        let json = body.map(|body| Body::from(body.to_string()));
        let built = Request::builder().method(method).uri(path);
        let Ok(mut request) = built.body(json.unwrap_or_default()) else {
            return Response::builder()
                .status(StatusCode::NOT_FOUND)
                .body(Body::empty())
                .expect("it has no header that could be wrong");
        };
        request.headers_mut().extend(from.headers.clone());
        if body.is_some() {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
        }
        if let Some(peer) = from.peer {
            request.extensions_mut().insert(peer);
        }
        let answered = self.0.clone().oneshot(request).await;
        answered.unwrap_or_else(|never| match never {})
    }

    /// The whole answer, whatever it is.
    pub async fn answer(&self, from: &From, call: (Method, &str), body: Option<&Value>) -> Answer {
        let (parts, body) = self.begin(from, call, body).await.into_parts();
        let bytes = to_bytes(body, MAX_ANSWER_BYTES).await.unwrap_or_default();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    /// The whole answer.
    ///
    /// # Errors
    /// What it says, if it is a refusal.
    pub async fn call(
        &self,
        from: &From,
        call: (Method, &str),
        body: Option<&Value>,
    ) -> Result<Answer, Problem> {
        let answer = self.answer(from, call, body).await;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let mut problem: Problem = serde_json::from_value(answer.body).unwrap_or_default();
        problem.status = answer.status.as_u16();
        Err(problem)
    }
}

impl Answer {
    /// A parameter of the page that follows, as `Link: <…>; rel="next"` names it (RFC 8288).
    pub fn next(&self, parameter: &str) -> Option<String> {
        let links = self.headers.get_all(LINK).iter();
        let mut links = links.filter_map(|link| link.to_str().ok());
        let next = links.find(|link| link.contains("rel=\"next\""))?;
        let url = next.split_once('<')?.1.split_once('>')?.0;
        let query = url.split_once('?')?.1;
        let value = query.split('&').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            (name == parameter).then_some(value)
        })?;
        let value = value.replace('+', " ");
        Some(percent_decode_str(&value).decode_utf8_lossy().into_owned())
    }
}

impl Problem {
    /// That an answer is not as the document says.
    pub fn unreadable(error: &serde_json::Error) -> Self {
        Self {
            status: 500,
            title: "The answer is not understood".into(),
            detail: error.to_string(),
            ..Self::default()
        }
    }

    /// Which field of the body it is about, without what is below that.
    pub fn field(&self) -> Option<&str> {
        self.pointer.as_deref()?.split('/').nth(1)
    }
}

/// A text as a part of a path or of a query.
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// `path` with a query of what is given, if anything is.
pub fn with_query<'a>(path: &str, given: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let given = given.into_iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<_> = given
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    if pairs.is_empty() {
        return path.to_owned();
    }
    format!("{path}?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_stands_in_the_query_and_cannot_leave_its_place() {
        let path = with_query("/a", [("x", "1&y=2 ü/"), ("none", ""), ("z", "#")]);
        assert_eq!(path, "/a?x=1%26y%3D2%20%C3%BC%2F&z=%23");
        assert_eq!(with_query("/a", [("x", "")]), "/a");
    }

    #[test]
    fn the_page_that_follows_is_named_by_its_cursor() {
        let mut answer = Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Value::Null,
        };
        assert_eq!(answer.next("cursor"), None);
        let link = "</deliveries?limit=2&cursor=a%2Bb>; rel=\"next\"";
        answer.headers.insert(LINK, HeaderValue::from_static(link));
        assert_eq!(answer.next("cursor").as_deref(), Some("a+b"));
    }
}
