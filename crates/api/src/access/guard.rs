//! The gate that every request passes: who is it, and may it do this?

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sqlx::PgPool;
use utoipa::openapi::OpenApi;

use super::needs::Table;
use super::{Access, Caller, Needs, keys};
use crate::error::ApiError;
use crate::observe::RequestId;
use crate::store::api_keys;

/// The one guard of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Guard {
    access: Access,
    db: PgPool,
    needs: Arc<Table>,
}

impl Guard {
    /// Enforces what the document says.
    pub fn new(access: Access, db: PgPool, document: &OpenApi) -> Self {
        Self {
            access,
            db,
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
        let mut caller = self.caller(&request.headers).await?;
        caller.may(needs)?;
        caller.address = address(&request.extensions);
        caller.request_id = request_id(&request.extensions);
        request.extensions.insert(caller);
        Ok(())
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let Access::Keys(admin) = &self.access else {
            return Ok(Caller::admin("off"));
        };
        let token = bearer(headers).ok_or(ApiError::Unauthorized)?;
        if admin.as_ref().is_some_and(|admin| admin.is(token)) {
            return Ok(Caller::admin("admin-key"));
        }
        if !keys::looks_like_one(token) {
            return Err(ApiError::InvalidToken);
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

fn address(extensions: &Extensions) -> Option<String> {
    let info = extensions.get::<ConnectInfo<SocketAddr>>();
    info.map(|ConnectInfo(address)| address.ip().to_canonical().to_string())
}

fn request_id(extensions: &Extensions) -> String {
    let id = extensions.get::<RequestId>();
    id.map(|RequestId(id)| id.clone()).unwrap_or_default()
}
