//! Whose a subscription is: a subscriber's own, always; an admin says.

use common::event::is_operational;
use common::store::subscriptions::Settings;

use crate::access::{Caller, Role};
use crate::error::ApiError;

/// The settings of a new one, with its owner.
///
/// # Errors
/// That a subscriber names another, or that it would hear of others'.
pub fn new(mut settings: Settings, caller: &Caller) -> Result<Settings, ApiError> {
    if caller.role == Role::Subscriber {
        if settings.owner.is_some() && settings.owner != caller.owner {
            return Err(not_yours());
        }
        settings.owner.clone_from(&caller.owner);
    }
    hears_of_its_own(settings)
}

/// The changed settings.
///
/// # Errors
/// That a subscriber gives it away, or that it would hear of others'.
pub fn changed(before: &Settings, after: Settings, caller: &Caller) -> Result<Settings, ApiError> {
    if caller.role == Role::Subscriber && after.owner != before.owner {
        return Err(not_yours());
    }
    hears_of_its_own(after)
}

/// Operational events tell of everybody's subscriptions: an owner's is not for them.
fn hears_of_its_own(settings: Settings) -> Result<Settings, ApiError> {
    let types = settings.event_types.iter().flatten();
    if settings.owner.is_some() && types.into_iter().any(|named| is_operational(named)) {
        return Err(ApiError::InvalidField {
            pointer: "/event_types".into(),
            detail: "must not name operational events, which tell of everybody's subscriptions, \
                     where it has an owner"
                .into(),
        });
    }
    Ok(settings)
}

fn not_yours() -> ApiError {
    ApiError::InvalidField {
        pointer: "/owner".into(),
        detail: "only an admin names another owner".into(),
    }
}
