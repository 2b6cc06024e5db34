//! Asks a receiver before what works is replaced: by a test delivery, or by the handshake of
//! `CloudEvents`.
//!
//! No transaction and no connection to Postgres is held meanwhile: what was read before is compared
//! when it is written.

use std::num::NonZeroU32;

use anyhow::Context;
use common::secrets::Keyring;
use common::store::subscriptions::{Row, Secrets, Settings};
use outbound::{Control, Lack, NotPermitted, Permission, Verdict};
use uuid::Uuid;

use super::input::Draft;
use super::test_delivery;
use crate::access::Caller;
use crate::error::ApiError;
use crate::fields::{MAX_RATE, Means};
use crate::hint;
use crate::problem::Answered;
use crate::state::AppState;

/// The seconds of a minute, in which the handshake counts.
const MINUTE: f64 = 60.0;

/// Asks the receiver of a subscription as it is to be. What it permits is part of the draft then.
///
/// # Errors
/// What it answered, if it does not agree.
pub async fn ask(
    app: &AppState,
    caller: &Caller,
    id: Uuid,
    means: Means,
    draft: &mut Draft,
) -> Result<(), ApiError> {
    let opened;
    let secrets = if let Some(secrets) = &draft.secrets {
        secrets
    } else {
        opened = open(&app.keyring, id, &draft.settings)?;
        &opened
    };
    match means {
        Means::Delivery => deliver(app, caller, &draft.settings, secrets).await,
        Means::Handshake => {
            draft.settings.permitted_origin = Some(app.tester.origin().to_owned());
            let permission = permitted(app, caller, &draft.settings, secrets).await?;
            draft.settings.rate_limit = slower(draft.settings.rate_limit, permission);
            Ok(())
        }
    }
}

/// Makes a test delivery.
///
/// # Errors
/// What the receiver answered, if that is not 2xx, or asks for no more.
pub async fn deliver(
    app: &AppState,
    caller: &Caller,
    settings: &Settings,
    secrets: &Secrets,
) -> Result<(), ApiError> {
    let event = test_delivery::Event::invented();
    let attempt = app
        .tester
        .try_out(caller, settings, secrets, &event.outgoing())
        .await?;
    let wanted = attempt.control != Some(Control::Disable);
    if attempt.verdict == Verdict::Delivered && wanted {
        return Ok(());
    }
    Err(ApiError::NotVerified(Box::new(Answered {
        hint: hint::of(&attempt).into(),
        status: attempt.status,
        failure: attempt.failure.map(outbound::Failure::label),
        response: attempt.content.and_then(|content| content.response),
    })))
}

async fn permitted(
    app: &AppState,
    caller: &Caller,
    settings: &Settings,
    secrets: &Secrets,
) -> Result<Permission, ApiError> {
    let asked = app
        .tester
        .ask(caller, settings, secrets, a_minute(settings.rate_limit));
    asked.await?.map_err(|not| {
        let (status, failure, hint) = match not {
            NotPermitted::Failed(failure) => {
                (None, Some(failure.label()), hint::failed(failure).into())
            }
            NotPermitted::Answered(status, lack) => (Some(status), None, lacking(lack)),
        };
        ApiError::NotVerified(Box::new(Answered {
            status,
            failure,
            response: None,
            hint,
        }))
    })
}

fn lacking(lack: Lack) -> String {
    format!("it does not permit deliveries: {lack}")
}

/// As the handshake counts: whole requests a minute, at least one.
fn a_minute(rate_limit: Option<f64>) -> Option<NonZeroU32> {
    let rate = (rate_limit? * MINUTE).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is 0.001 to 100,000 a second"
    )]
    NonZeroU32::new(rate as u32)
}

/// The lower of the two; what is permitted beyond any limit is none.
fn slower(rate_limit: Option<f64>, permission: Permission) -> Option<f64> {
    let permitted = permission.rate.map(|rate| f64::from(rate.get()) / MINUTE);
    let permitted = permitted.filter(|rate| *rate <= MAX_RATE);
    match (rate_limit, permitted) {
        (Some(own), Some(permitted)) => Some(own.min(permitted)),
        (own, permitted) => own.or(permitted),
    }
}

/// What was permitted was for the rate that was asked for: for more, it has to be asked again.
///
/// # Errors
/// That `after` has more than the receiver, which was asked, agreed to.
pub fn within_permission(before: &Settings, after: &Settings) -> Result<(), ApiError> {
    let rate = |settings: &Settings| settings.rate_limit.unwrap_or(f64::INFINITY);
    if after.permitted_origin.is_none() || rate(after) <= rate(before) {
        return Ok(());
    }
    Err(ApiError::InvalidField {
        pointer: "/rate_limit".into(),
        detail: "is more than its receiver was asked for: ask it again, with `\"verify\": \
                 \"handshake\"`"
            .into(),
    })
}

fn open(keyring: &Keyring, id: Uuid, settings: &Settings) -> Result<Secrets, ApiError> {
    let secrets = Secrets::open(keyring, id, &settings.secrets);
    let secrets = secrets.context("opening the secrets it has");
    secrets.map_err(ApiError::Internal)
}

/// Whether a row is still what a receiver was asked about.
///
/// # Errors
/// That somebody changed it meanwhile.
pub fn unchanged(row: &Row, seen: &Row) -> Result<(), ApiError> {
    (row == seen)
        .then_some(())
        .ok_or(ApiError::ChangedMeanwhile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_may_lower_the_rate_and_not_raise_it() {
        let permission = |rate| Permission {
            rate: NonZeroU32::new(rate),
        };
        for (own, permitted, expected) in [
            (None, 0, None),
            (Some(5.0), 0, Some(5.0)),
            (None, 120, Some(2.0)),
            (Some(5.0), 120, Some(2.0)),
            (Some(1.0), 120, Some(1.0)),
            (None, 6_000_000, Some(100_000.0)),
            (None, 6_000_001, None),
            (Some(1.0), u32::MAX, Some(1.0)),
        ] {
            assert_eq!(slower(own, permission(permitted)), expected);
        }
        let asked = |rate| a_minute(rate).map(NonZeroU32::get);
        assert_eq!(asked(Some(0.001)), Some(1));
        assert_eq!(asked(Some(100_000.0)), Some(6_000_000));
        assert_eq!(asked(None), None);
    }
}
