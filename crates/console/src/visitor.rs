//! Who looks at a page: how the API is asked in their name, and what the frame of a page shows them.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{Answer, Api, From, Problem};
use crate::failed::Failed;
use crate::frame::Frame;
use crate::{Console, redirect, sign_in};

/// Somebody in front of a page.
#[derive(Clone, Debug)]
pub struct Visitor {
    api: Api,
    from: From,
    is_admin: bool,
    /// Whether there is a session to be ended.
    signed_in: bool,
    /// When they came.
    pub now: DateTime<Utc>,
    /// What they asked for, path and query.
    pub here: String,
}

impl FromRequestParts<Console> for Visitor {
    type Rejection = Response;

    /// Who has to sign in does that first, and comes back.
    async fn from_request_parts(
        request: &mut Parts,
        Console(shared): &Console,
    ) -> Result<Self, Response> {
        let now = Utc::now();
        let path = request.uri.path_and_query();
        let here = path.map_or("/", |path| path.as_str()).to_owned();
        let session = shared.sessions.find(&request.headers, now.timestamp());
        let needed = shared.sessions.are_needed();
        let from = From::of(request);
        let (from, is_admin) = match (needed, session) {
            (false, _) => (from, true),
            (true, Some(session)) => (from.with_key(&session.key), session.is_admin),
            (true, None) if request.method == Method::POST => {
                return Err(redirect(sign_in::PATH));
            }
            (true, None) => return Err(redirect(&sign_in::path(&here))),
        };
        Ok(Self {
            api: shared.api.clone(),
            from,
            is_admin,
            signed_in: needed,
            now,
            here,
        })
    }
}

impl Visitor {
    /// Whether there is more to show than what is one owner's.
    pub fn is_admin(&self) -> bool {
        self.is_admin
    }

    /// What is around the contents of a page.
    pub fn frame(&self, title: &str) -> Frame {
        Frame::new(title, (self.is_admin, self.signed_in), self.now, &self.here)
    }

    /// The answer to that call.
    ///
    /// # Errors
    /// What the API says against it.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Problem> {
        self.api.call(&self.from, (method, path), body).await
    }

    /// The same, where a refusal is all there is to show.
    ///
    /// # Errors
    /// A page that says it.
    pub async fn act(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failed> {
        let called = self.call(method, path, body).await;
        called.map_err(|problem| self.failed(problem))
    }

    /// What is there, read.
    ///
    /// # Errors
    /// What the API says against it.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let answer = self.call(Method::GET, path, None).await?;
        serde_json::from_value(answer.body).map_err(|error| Problem::unreadable(&error))
    }

    /// The same, where a refusal is all there is to show.
    ///
    /// # Errors
    /// A page that says it.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failed> {
        let read = self.read(path).await;
        read.map_err(|problem| self.failed(problem))
    }

    /// An answer, read.
    ///
    /// # Errors
    /// That it is not as the document says.
    pub fn read_answer<T: DeserializeOwned>(&self, answer: Answer) -> Result<T, Failed> {
        let read = serde_json::from_value(answer.body);
        read.map_err(|error| self.failed(Problem::unreadable(&error)))
    }

    /// What the probes say, which is an answer too where it is not a good one.
    pub async fn readiness(&self) -> Value {
        let call = (Method::GET, "/readyz");
        self.api.answer(&self.from, call, None).await.body
    }

    /// A stream of the API, as it is.
    pub async fn stream(mut self, path: &str, last_event_id: Option<&HeaderValue>) -> Response {
        if let Some(id) = last_event_id {
            let name = HeaderName::from_static("last-event-id");
            self.from = self.from.and(name, id.clone());
        }
        self.api.begin(&self.from, (Method::GET, path), None).await
    }

    /// A page that says what went wrong.
    pub fn failed(&self, problem: Problem) -> Failed {
        Failed::new(problem, self.frame("It did not work"))
    }
}
