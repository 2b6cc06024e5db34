//! What clients set of a subscription, as bodies that cannot be wrong.

use anyhow::Context;
use common::secrets::Keyring;
use common::store::subscriptions::{Auth, AuthKey, Coalesce, Ordering, Row, Secrets, Settings};
use outbound::Egress;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::secrets::{self, Part, Parts};
use crate::error::ApiError;
use crate::fields::{
    Cities, ClientCertificate, Description, DisableAfter, Endpoint, EventTypes, FilterSource,
    Headers, MaxAge, MaxInFlight, Means, Name, NewAuth, NewClientCertificate, NewKey, Owner,
    RateLimit, RetrySchedule, SigningAlgorithm, SigningSecret, Timeout, Verify,
};

/// A subscription as it is to be.
pub struct Draft {
    /// What is to be written.
    pub settings: Settings,
    /// What is secret of it, opened, if that is not what it was.
    pub secrets: Option<Secrets>,
}

/// A subscription to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "my-web-hook", "description": "Web hook - Test", "url": "http://localhost:9099",
    "auth_key": "jfask329489240krwjekjewlkjre", "cities": ["Tokyo", "Berlin"],
    "filter": "event.reading > 30", "retry_schedule": ["5s", "30s", "10m"], "max_age": "6h",
    "timeout": "5s", "rate_limit": 50, "max_in_flight": 8, "ordering": "per_key",
    "coalesce": "latest_per_key", "disable_after": "5d"
}))]
pub struct NewSubscription {
    /// Whose it is. A subscriber's is its own; for an admin to say, else nobody's but the admins'.
    owner: Option<Owner>,
    name: Name,
    description: Option<Description>,
    url: Endpoint,
    /// Travels as `Authorization: Bearer …` on each POST to the endpoint. Visible ASCII.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024, write_only)]
    auth_key: Option<AuthKey>,
    /// How each POST authenticates; only by its signature, unless given.
    auth: Option<NewAuth>,
    /// What each POST carries besides.
    #[schema(write_only)]
    headers: Option<Headers>,
    /// What each POST shows of who we are, to a receiver that asks (mutual TLS).
    #[schema(value_type = Option<NewClientCertificate>)]
    client_certificate: Option<ClientCertificate>,
    /// How each POST is signed; `hmac_sha256`, unless given.
    signing_algorithm: Option<SigningAlgorithm>,
    /// What each POST is signed with by `hmac_sha256` (Standard Webhooks); made here, unless given.
    #[schema(value_type = Option<String>, pattern = "^whsec_", write_only)]
    signing_secret: Option<SigningSecret>,
    /// Which types of events it gets; every type but operational ones, unless given.
    event_types: Option<EventTypes>,
    /// Which cities' events it gets; every city's, unless given.
    cities: Option<Cities>,
    /// Which of them it gets; each, unless given.
    filter: Option<FilterSource>,
    /// When a failed delivery is tried again; here and below the processor's default, unless given.
    retry_schedule: Option<RetrySchedule>,
    max_age: Option<MaxAge>,
    timeout: Option<Timeout>,
    rate_limit: Option<RateLimit>,
    max_in_flight: Option<MaxInFlight>,
    /// `none`, unless given.
    ordering: Option<Ordering>,
    /// `none`, unless given.
    coalesce: Option<Coalesce>,
    disable_after: Option<DisableAfter>,
    /// Whether the receiver is asked first; no, unless given. If it does not agree, nothing is made.
    verify: Option<Verify>,
}

impl NewSubscription {
    /// How the receiver is to be asked.
    pub fn means(&self) -> Option<Means> {
        self.verify.and_then(Verify::means)
    }

    /// Holds it against the rules of this process.
    pub fn check(&self, egress: &Egress) -> Result<(), ApiError> {
        self.url.check(egress)?;
        Ok(self.auth.as_ref().map_or(Ok(()), |it| it.check(egress))?)
    }

    /// It as it will be, with that id, and what it is signed with.
    pub fn draft(mut self, keyring: &Keyring, id: Uuid) -> Result<(Draft, NewKey), ApiError> {
        let algorithm = self.signing_algorithm.unwrap_or_default();
        let key = NewKey::of(algorithm, self.signing_secret.take())?;
        let (auth_key, auth) = (self.auth_key.take(), self.auth.take());
        let auth = auth.map(Auth::try_from).transpose()?;
        let auth = one_way(auth_key.map(AuthKey::into), auth)?.unwrap_or_default();
        let mut secrets = Secrets::new(key.text(), auth);
        secrets.headers = self.headers.take().map(Into::into).unwrap_or_default();
        secrets.client_certificate = self.client_certificate.take().map(Into::into);
        let settings = self.settings(keyring, id, &secrets);
        secrets::agree(&secrets, &settings.url)?;
        let draft = Draft {
            settings,
            secrets: Some(secrets),
        };
        Ok((draft, key))
    }

    fn settings(self, keyring: &Keyring, id: Uuid, secrets: &Secrets) -> Settings {
        let new = self;
        Settings {
            owner: new.owner.map(Into::into),
            name: new.name.into(),
            description: new.description.map(Into::into),
            url: new.url.into(),
            secrets: secrets.seal(keyring, id),
            auth_kind: secrets.auth.kind(),
            header_names: secrets.header_names(),
            permitted_origin: None,
            event_types: new.event_types.map(Into::into),
            cities: new.cities.map(Into::into),
            retry_schedule_ms: new.retry_schedule.map(Into::into),
            max_age_ms: new.max_age.map(Into::into),
            timeout_ms: new.timeout.map(Into::into),
            rate_limit: new.rate_limit.map(Into::into),
            max_in_flight: new.max_in_flight.map(Into::into),
            ordering: new.ordering.unwrap_or_default(),
            coalesce: new.coalesce.unwrap_or_default(),
            filter: new.filter.map(Into::into),
            disable_after_ms: new.disable_after.map(Into::into),
        }
    }
}

/// What to change of a subscription. What is absent stays; `null` clears, or brings the default
/// back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "url": "https://example.com/hook", "auth_key": null, "cities": ["Oslo"],
    "filter": "event.reading < -10", "retry_schedule": ["1s", "1m"], "rate_limit": null
}))]
pub struct SubscriptionPatch {
    /// For an admin to say.
    #[serde(default)]
    #[schema(value_type = Option<Owner>)]
    owner: Change<Owner>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = Name, required = false)]
    name: Option<Name>,
    #[serde(default)]
    #[schema(value_type = Option<Description>)]
    description: Change<Description>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = Endpoint, required = false)]
    url: Option<Endpoint>,
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024, write_only)]
    auth_key: Change<AuthKey>,
    #[serde(default)]
    #[schema(value_type = Option<NewAuth>)]
    auth: Change<NewAuth>,
    /// All of them: what is not named is gone.
    #[serde(default)]
    #[schema(value_type = Option<Headers>, write_only)]
    headers: Change<Headers>,
    #[serde(default)]
    #[schema(value_type = Option<NewClientCertificate>)]
    client_certificate: Change<ClientCertificate>,
    #[serde(default)]
    #[schema(value_type = Option<EventTypes>)]
    event_types: Change<EventTypes>,
    #[serde(default)]
    #[schema(value_type = Option<Cities>)]
    cities: Change<Cities>,
    #[serde(default)]
    #[schema(value_type = Option<FilterSource>)]
    filter: Change<FilterSource>,
    #[serde(default)]
    #[schema(value_type = Option<RetrySchedule>)]
    retry_schedule: Change<RetrySchedule>,
    #[serde(default)]
    #[schema(value_type = Option<MaxAge>)]
    max_age: Change<MaxAge>,
    #[serde(default)]
    #[schema(value_type = Option<Timeout>)]
    timeout: Change<Timeout>,
    #[serde(default)]
    #[schema(value_type = Option<RateLimit>)]
    rate_limit: Change<RateLimit>,
    #[serde(default)]
    #[schema(value_type = Option<MaxInFlight>)]
    max_in_flight: Change<MaxInFlight>,
    #[serde(default)]
    #[schema(value_type = Option<Ordering>)]
    ordering: Change<Ordering>,
    #[serde(default)]
    #[schema(value_type = Option<Coalesce>)]
    coalesce: Change<Coalesce>,
    #[serde(default)]
    #[schema(value_type = Option<DisableAfter>)]
    disable_after: Change<DisableAfter>,
    /// Whether the receiver is asked first, as it is to be; no, unless given. If it does not agree,
    /// nothing changes.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = Verify, required = false)]
    verify: Option<Verify>,
}

impl SubscriptionPatch {
    /// How the receiver is to be asked.
    pub fn means(&self) -> Option<Means> {
        self.verify.and_then(Verify::means)
    }

    /// Holds what it changes against the rules of this process.
    pub fn check(&self, egress: &Egress) -> Result<(), ApiError> {
        self.url.as_ref().map_or(Ok(()), |url| url.check(egress))?;
        match &self.auth {
            Change::Set(auth) => Ok(auth.check(egress)?),
            Change::Keep | Change::Clear => Ok(()),
        }
    }

    /// That row as it is after the change, and which parts of its secrets are others.
    pub fn apply(mut self, keyring: &Keyring, to: Row) -> Result<(Draft, Vec<Part>), ApiError> {
        let id = to.id;
        let sealed = super::sealed(&to)?;
        let url = to.url.clone();
        let parts = self.parts()?;
        let touched = parts.touched();
        let mut settings = self.settings(Settings::of(to, sealed));
        if settings.url != url {
            // It was permitted there, and not here.
            settings.permitted_origin = None;
            if let Ok(secrets) = Secrets::open(keyring, id, &settings.secrets) {
                secrets::agree(&secrets, &settings.url)?;
            }
        }
        if touched.is_empty() {
            let secrets = None;
            return Ok((Draft { settings, secrets }, touched));
        }
        let opened = Secrets::open(keyring, id, &settings.secrets);
        let opened = opened.context("opening the secrets it has");
        let secrets = parts.put_into(opened.map_err(ApiError::Internal)?);
        secrets::agree(&secrets, &settings.url)?;
        settings.secrets = secrets.seal(keyring, id);
        settings.auth_kind = secrets.auth.kind();
        settings.header_names = secrets.header_names();
        let secrets = Some(secrets);
        Ok((Draft { settings, secrets }, touched))
    }

    /// What is secret of it, taken out.
    fn parts(&mut self) -> Result<Parts, ApiError> {
        let auth_key = std::mem::take(&mut self.auth_key).asked(|key| Ok(key.into()))?;
        let auth = std::mem::take(&mut self.auth).asked(|auth| Ok(Auth::try_from(auth)?))?;
        let headers = std::mem::take(&mut self.headers).asked(|headers| Ok(headers.into()))?;
        Ok(Parts {
            auth: one_way(auth_key, auth)?,
            headers,
            client_certificate: std::mem::take(&mut self.client_certificate),
        })
    }

    fn settings(self, to: Settings) -> Settings {
        Settings {
            owner: self.owner.of(to.owner),
            name: self.name.map_or(to.name, Into::into),
            description: self.description.of(to.description),
            url: self.url.map_or(to.url, Into::into),
            secrets: to.secrets,
            auth_kind: to.auth_kind,
            header_names: to.header_names,
            permitted_origin: to.permitted_origin,
            event_types: self.event_types.of(to.event_types),
            cities: self.cities.of(to.cities),
            retry_schedule_ms: self.retry_schedule.of(to.retry_schedule_ms),
            max_age_ms: self.max_age.of(to.max_age_ms),
            timeout_ms: self.timeout.of(to.timeout_ms),
            rate_limit: self.rate_limit.of(to.rate_limit),
            max_in_flight: self.max_in_flight.of(to.max_in_flight),
            ordering: self.ordering.of(Some(to.ordering)).unwrap_or_default(),
            coalesce: self.coalesce.of(Some(to.coalesce)).unwrap_or_default(),
            filter: self.filter.of(to.filter),
            disable_after_ms: self.disable_after.of(to.disable_after_ms),
        }
    }
}

/// What becomes of one setting: in JSON an absent field keeps it and `null` clears it.
#[derive(Debug, Default)]
pub enum Change<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T> Change<T> {
    /// What it asks for, if it does: `null` is none.
    fn asked<U: Default>(
        self,
        value: impl FnOnce(T) -> Result<U, ApiError>,
    ) -> Result<Option<U>, ApiError> {
        match self {
            Self::Keep => Ok(None),
            Self::Clear => Ok(Some(U::default())),
            Self::Set(asked) => value(asked).map(Some),
        }
    }
}

/// `auth_key` is short for one of the ways that `auth` knows: together they would be two.
fn one_way(auth_key: Option<Auth>, auth: Option<Auth>) -> Result<Option<Auth>, ApiError> {
    match (auth_key, auth) {
        (Some(_), Some(_)) => Err(ApiError::InvalidField {
            pointer: "/auth".into(),
            detail: "must not be given together with `auth_key`, which is short for bearer".into(),
        }),
        (auth_key, auth) => Ok(auth_key.or(auth)),
    }
}

impl<T> Change<T> {
    /// Whether it is not what it was.
    pub fn changes(&self) -> bool {
        !matches!(self, Self::Keep)
    }

    /// What `before` becomes.
    pub fn of<U: From<T>>(self, before: Option<U>) -> Option<U> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value.into()),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

/// Of a field that is there, `null` is no value.
fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    field: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}
