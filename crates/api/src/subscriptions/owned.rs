//! Whose a subscription is: a subscriber's own, always; an admin says.

use common::store::subscriptions::Settings;

use crate::access::{Caller, Role};
use crate::error::ApiError;

/// The settings of a new one, with its owner.
///
/// # Errors
/// That a subscriber names another.
pub fn new(mut settings: Settings, caller: &Caller) -> Result<Settings, ApiError> {
    if caller.role == Role::Subscriber {
        if settings.owner.is_some() && settings.owner != caller.owner {
            return Err(not_yours());
        }
        settings.owner.clone_from(&caller.owner);
    }
    Ok(settings)
}

/// The changed settings.
///
/// # Errors
/// That a subscriber gives it away.
pub fn changed(before: &Settings, after: Settings, caller: &Caller) -> Result<Settings, ApiError> {
    if caller.role == Role::Subscriber && after.owner != before.owner {
        return Err(not_yours());
    }
    Ok(after)
}

fn not_yours() -> ApiError {
    ApiError::InvalidField {
        pointer: "/owner".into(),
        detail: "only an admin names another owner".into(),
    }
}
