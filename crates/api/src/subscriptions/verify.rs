//! Asks a receiver before what works is replaced: by a test delivery, or by the handshake of
//! `CloudEvents`.
//!
//! No transaction and no connection to Postgres is held meanwhile: what was read before is compared
//! when it is written.

use std::num::NonZeroU32;

use anyhow::Context;
use common::secrets::Keyring;
use common::store::subscriptions::{Row, Secrets, Settings};
use outbound::{Lack, NotPermitted, Permission, Verdict};
use uuid::Uuid;

use super::input::Draft;
use super::test_delivery;
use crate::error::ApiError;
use crate::fields::Means;
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
        Means::Delivery => deliver(app, &draft.settings, secrets).await,
        Means::Handshake => {
            draft.settings.permitted_origin = Some(app.tester.origin().to_owned());
            let permission = permitted(app, &draft.settings, secrets).await?;
            draft.settings.rate_limit = slower(draft.settings.rate_limit, permission);
            Ok(())
        }
    }
}

/// Makes a test delivery.
///
/// # Errors
/// What the receiver answered, if that is not 2xx.
pub async fn deliver(
    app: &AppState,
    settings: &Settings,
    secrets: &Secrets,
) -> Result<(), ApiError> {
    let event = test_delivery::Event::invented();
    let attempt = app
        .tester
        .try_out(settings, secrets, &event.outgoing())
        .await?;
    if attempt.verdict == Verdict::Delivered {
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
    settings: &Settings,
    secrets: &Secrets,
) -> Result<Permission, ApiError> {
    let asked = app
        .tester
        .ask(settings, secrets, a_minute(settings.rate_limit));
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

/// The lower of the two.
fn slower(rate_limit: Option<f64>, permission: Permission) -> Option<f64> {
    let permitted = permission.rate.map(|rate| f64::from(rate.get()) / MINUTE);
    match (rate_limit, permitted) {
        (Some(own), Some(permitted)) => Some(own.min(permitted)),
        (own, permitted) => own.or(permitted),
    }
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
        ] {
            assert_eq!(slower(own, permission(permitted)), expected);
        }
        let asked = |rate| a_minute(rate).map(NonZeroU32::get);
        assert_eq!(asked(Some(0.001)), Some(1));
        assert_eq!(asked(Some(100_000.0)), Some(6_000_000));
        assert_eq!(asked(None), None);
    }
}
