//! The tables that `api` alone uses, and what it alone asks of others.

pub mod api_keys;
pub mod audit;
pub mod backlog;
pub mod client_certificates;
pub mod operations;
pub mod portal_links;
pub mod public_keys;
