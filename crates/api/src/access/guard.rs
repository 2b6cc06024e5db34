//! The gate that every request passes: who is it, and may it do this?

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sqlx::PgPool;
use utoipa::openapi::OpenApi;

use super::needs::Table;
use super::{Access, Caller, Known, Needs, keys};
use crate::door::{Limits, Source};
use crate::error::ApiError;
use crate::observe::RequestId;
use crate::state::AppState;
use crate::store::api_keys;

/// The one guard of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Guard {
    access: Access,
    db: PgPool,
    limits: Limits,
    needs: Arc<Table>,
}

impl Guard {
    /// Enforces what the document says.
    pub fn new(state: &AppState, limits: Limits, document: &OpenApi) -> Self {
        Self {
            access: state.access.clone(),
            db: state.db.clone(),
            limits,
            needs: Arc::new(Table::of(document)),
        }
    }

    /// Lets the request through with its [`Caller`], or refuses it.
    pub async fn check(State(guard): State<Self>, request: Request, next: Next) -> Response {
        let (mut parts, body) = request.into_parts();
        if let Err(refused) = guard.admit(&mut parts).await {
            return refused.into_response();
        }
        next.run(Request::from_parts(parts, body)).await
    }

    async fn admit(&self, request: &mut Parts) -> Result<(), ApiError> {
        let Some(path) = request.extensions.get::<MatchedPath>() else {
            // Nothing is served there, as the document tells anybody.
            return Ok(());
        };
        let needs = self.needs.needs(&request.method, path.as_str());
        if needs == Needs::Nobody {
            return Ok(());
        }
        let source = request.extensions.get::<Source>();
        let source = source.ok_or(ApiError::Unauthorized)?.0;
        let mut caller = self.caller(&request.headers, source).await?;
        caller.may(needs)?;
        caller.address = Some(source.to_string());
        caller.request_id = request_id(&request.extensions);
        request.extensions.insert(caller);
        Ok(())
    }

    async fn caller(&self, headers: &HeaderMap, source: IpAddr) -> Result<Caller, ApiError> {
        let Access::On(known) = &self.access else {
            return Ok(Caller::admin("off"));
        };
        let token = bearer(headers).ok_or(ApiError::Unauthorized)?;
        let guess = self.limits.guess(source, token)?;
        let caller = self.named(known, token).await;
        match &caller {
            Ok(caller) => {
                guess.right();
                self.limits.caller(&caller.who)?;
            }
            Err(ApiError::InvalidToken) => guess.wrong(),
            // That nobody can tell is not the caller's fault.
            Err(_) => {}
        }
        caller
    }

    async fn named(&self, known: &Known, token: &str) -> Result<Caller, ApiError> {
        let admin = known.admin.as_ref();
        if admin.is_some_and(|admin| admin.is(token)) {
            return Ok(Caller::admin("admin-key"));
        }
        if !keys::looks_like_one(token) {
            let oidc = known.oidc.as_ref().ok_or(ApiError::InvalidToken)?;
            return oidc.caller(token).await;
        }
        let key = api_keys::by_hash(&self.db, &keys::hash(token)).await?;
        let key = key.ok_or(ApiError::InvalidToken)?;
        api_keys::note_use(&self.db, key.id).await?;
        Ok(key.into())
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1). Two of these headers are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim_start())
}

pub(super) fn request_id(extensions: &Extensions) -> String {
    let id = extensions.get::<RequestId>();
    id.map(|RequestId(id)| id.clone()).unwrap_or_default()
}
