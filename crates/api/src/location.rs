//! The header that says where to look for what a request made.

use axum::http::{HeaderName, header};

/// `Location: …`, beside the body of an answer.
pub type Location = [(HeaderName, String); 1];

/// The header that points to `path`.
pub fn location(path: String) -> Location {
    [(header::LOCATION, path)]
}
