//! The keys of the API: which there are, making one, revoking one; the sessions of who signed in
//! without one, and links to do that by. For admins.

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::answers::{ApiKey, At, Page};
use crate::api::Problem;
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::visitor::Visitor;
use crate::{Console, redirect};

/// How many a page shows.
const SHOWN: usize = 100;

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new()
        .route("/console/keys", get(list).post(create))
        .route("/console/keys/links", post(link))
        .route("/console/keys/{id}/revoke", post(revoke))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    skip: usize,
    kind: Kind,
}

/// Which keys are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Key,
    Session,
}

impl Kind {
    fn label(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Session => "session",
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct New {
    name: String,
    role: String,
    owner: String,
    scopes: String,
    expires_at: String,
}

#[derive(Template)]
#[template(path = "keys.html")]
struct List {
    frame: Frame,
    keys: Vec<ApiKey>,
    kind: Kind,
    skip: usize,
    has_more: bool,
    new: New,
    wrong: Problem,
}

#[derive(Template)]
#[template(path = "key.html")]
struct Made {
    frame: Frame,
    heading: String,
    /// What is special about it.
    notice: String,
    secret: String,
}

impl List {
    async fn read(visitor: &Visitor, Asked { skip, kind }: Asked) -> Result<Self, Failed> {
        let path = format!(
            "/api-keys?kind={}&skip={skip}&limit={}",
            kind.label(),
            SHOWN + 1
        );
        let mut keys = visitor.get::<Page<ApiKey>>(&path).await?.items;
        let has_more = keys.len() > SHOWN;
        keys.truncate(SHOWN);
        Ok(Self {
            frame: visitor.frame("Keys"),
            keys,
            kind,
            skip,
            has_more,
            new: New::default(),
            wrong: Problem::default(),
        })
    }

    fn wrong_at(&self, field: &str) -> &str {
        let is_there = self.wrong.field() == Some(field);
        if is_there { &self.wrong.detail } else { "" }
    }

    fn wrong_at_head(&self) -> &str {
        let known = ["name", "role", "owner", "scopes", "expires_at"];
        let field = self.wrong.field().unwrap_or("");
        if known.contains(&field) {
            ""
        } else {
            &self.wrong.detail
        }
    }

    fn next(&self) -> String {
        let skip = self.skip + SHOWN;
        format!("/console/keys?kind={}&skip={skip}", self.kind.label())
    }

    fn shows_sessions(&self) -> bool {
        self.kind == Kind::Session
    }

    fn state(&self, key: &ApiKey) -> &'static str {
        match (key.revoked_at, key.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(at)) if at <= self.frame.now => "expired",
            _ => "in force",
        }
    }
}

impl New {
    fn body(&self) -> Value {
        let mut body = Map::from_iter([
            ("name".to_owned(), json!(self.name.trim())),
            ("role".to_owned(), json!(self.role)),
        ]);
        if !self.owner.trim().is_empty() {
            body.insert("owner".into(), json!(self.owner.trim()));
        }
        if self.scopes == "read" {
            body.insert("scopes".into(), json!(["read"]));
        }
        let date = self.expires_at.trim();
        if !date.is_empty() {
            let whole_day = format!("{date}T00:00:00Z");
            body.insert("expires_at".into(), json!(whole_day));
        }
        Value::Object(body)
    }
}

async fn list(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Failed> {
    Ok(page(&List::read(&visitor, asked).await?))
}

#[derive(Deserialize)]
struct MadeKey {
    key: String,
}

async fn create(visitor: Visitor, Form(new): Form<New>) -> Result<Response, Failed> {
    let called = visitor
        .call(Method::POST, "/api-keys", Some(&new.body()))
        .await;
    match called {
        Ok(answer) => {
            let made: MadeKey = visitor.read_answer(answer)?;
            Ok(page(&Made {
                frame: visitor.frame("The new key"),
                heading: format!("The key “{}” is made", new.name),
                notice: "It is shown this once; only its hash is kept.".into(),
                secret: made.key,
            }))
        }
        Err(problem) if matches!(problem.status, 400 | 422) => {
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
            let mut keys = List::read(&visitor, Asked::default()).await?;
            (keys.new, keys.wrong) = (new, problem);
            Ok((status, page(&keys)).into_response())
        }
        Err(problem) => Err(visitor.failed(problem)),
    }
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    owner: String,
    #[serde(default)]
    scopes: String,
}

#[derive(Deserialize)]
struct MadeLink {
    url: String,
    expires_at: At,
}

async fn link(visitor: Visitor, Form(wanted): Form<Wanted>) -> Result<Response, Failed> {
    let mut body = json!({"owner": wanted.owner.trim()});
    if wanted.scopes == "read" {
        body["scopes"] = json!(["read"]);
    }
    let answer = visitor.act(Method::POST, "/portal-links", Some(&body));
    let made: MadeLink = visitor.read_answer(answer.await?)?;
    let frame = visitor.frame("The new link");
    let notice = format!(
        "Whoever opens it first is signed in as {}. It is good once, and until {}.",
        wanted.owner.trim(),
        crate::moment::exact(&made.expires_at),
    );
    Ok(page(&Made {
        frame,
        heading: "The link is made".into(),
        notice,
        secret: made.url,
    }))
}

async fn revoke(visitor: Visitor, Path(id): Path<Uuid>) -> Result<Response, Failed> {
    visitor
        .act(Method::DELETE, &format!("/api-keys/{id}"), None)
        .await?;
    Ok(redirect("/console/keys?done=revoked"))
}
