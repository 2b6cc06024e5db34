//! The stylesheet, the script and the mark, out of this binary.
//!
//! A page names each with the hash of its contents, and that URL never changes what it means, so a
//! browser keeps it for good; any other is asked for anew, by its `ETag`.

use axum::Router;
use axum::extract::{Path, Query};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

/// A file as it is served.
struct Asset {
    name: &'static str,
    kind: &'static str,
    contents: &'static [u8],
}

const STYLE: Asset = Asset {
    name: "console.css",
    kind: "text/css; charset=utf-8",
    contents: include_bytes!("../assets/console.css"),
};

const SCRIPT: Asset = Asset {
    name: "console.js",
    kind: "text/javascript; charset=utf-8",
    contents: include_bytes!("../assets/console.js"),
};

const MARK: Asset = Asset {
    name: "mark.svg",
    kind: "image/svg+xml",
    contents: include_bytes!("../assets/mark.svg"),
};

impl Asset {
    /// FNV-1a, which tells one version from the next; nobody gains by two that are alike.
    fn hash(&self) -> String {
        let fold =
            |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let hash = self.contents.iter().fold(0xcbf2_9ce4_8422_2325, fold);
        format!("{hash:016x}")
    }

    fn url(&self) -> String {
        format!("/console/assets/{}?v={}", self.name, self.hash())
    }
}

/// Where pages find them.
#[derive(Clone, Debug)]
pub struct Urls {
    pub style: String,
    pub script: String,
    pub mark: String,
}

impl Urls {
    /// Of this version.
    pub fn new() -> Self {
        Self {
            style: STYLE.url(),
            script: SCRIPT.url(),
            mark: MARK.url(),
        }
    }
}

#[derive(Deserialize)]
struct Version {
    v: Option<String>,
}

/// The routes of this file.
pub fn routes() -> Router {
    Router::new().route("/console/assets/{name}", get(asset))
}

async fn asset(
    Path(name): Path<String>,
    Query(asked): Query<Version>,
    headers: HeaderMap,
) -> Response {
    let assets = [STYLE, SCRIPT, MARK];
    let Some(asset) = assets.into_iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let hash = asset.hash();
    let tag = format!("\"{hash}\"");
    let keep = if asked.v.as_deref() == Some(&hash) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let common = [(ETAG, tag.clone()), (CACHE_CONTROL, keep.to_owned())];
    let known = headers.get(IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(CONTENT_TYPE, asset.kind)], asset.contents).into_response()
}
