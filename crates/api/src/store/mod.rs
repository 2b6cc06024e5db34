//! The tables that `api` alone uses.

pub mod api_keys;
pub mod audit;
pub mod public_keys;
