//! `/deliveries`: what became of each event for each subscription, and why.
//!
//! `list` looks for them, `one` shows one with its attempts and does what can be done about it;
//! `requeued` finds those that were sent again. `id` and `cursor` are the texts by which they are named
//! and gone on with; `select` and `shown` say what they are and how they look. All of it is read from
//! the record, which the processor writes.

mod cursor;
mod id;
mod list;
mod one;
mod requeued;
mod select;
mod shown;

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

pub use id::{DeliveryId, live_key};
pub use list::{of_event, path_of_event};
pub use requeued::requeued_at;
pub use select::Status;
pub use shown::Delivery;

/// The routes of this directory.
pub fn routes() -> OpenApiRouter<AppState> {
    list::routes().merge(one::routes())
}
