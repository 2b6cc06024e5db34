//! The tables that `api` alone uses.

pub mod api_keys;
pub mod audit;
pub mod client_certificates;
pub mod public_keys;
