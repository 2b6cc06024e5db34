//! Every way in which a secret gets into the programs: a row each. What lets in another adds a row.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What a subscription is told that is secret.
pub struct Field {
    /// What it is, in the secret too.
    pub name: &'static str,
    /// The secret, made of what is looked for.
    pub secret: fn(&str) -> String,
    /// The part of a body that has it.
    pub body: fn(&str) -> Value,
}

pub const FIELDS: &[Field] = &[
    Field {
        name: "AuthKey",
        secret: header_text,
        body: |secret| json!({"auth_key": secret}),
    },
    Field {
        name: "Bearer",
        secret: header_text,
        body: |secret| json!({"auth": {"kind": "bearer", "token": secret}}),
    },
    Field {
        name: "Basic",
        secret: any_text,
        body: |secret| json!({"auth": {"kind": "basic", "username": "me", "password": secret}}),
    },
    Field {
        name: "Header",
        secret: header_text,
        body: |secret| json!({"auth": {"kind": "header", "name": "X-Api-Key", "value": secret}}),
    },
    Field {
        name: "Signing",
        secret: signing_secret,
        body: |secret| json!({"signing_secret": secret}),
    },
];

/// A program, a setting, and what it is set to with a secret in it.
type Mistake = (&'static str, &'static str, fn(&str) -> String);

/// Settings that no program starts with, but the one before, because of a mistake beside a secret.
pub const MISTAKES: &[Mistake] = &[
    ("api", "SECRETS_KEYS", |secret| format!("key:{secret}")),
    ("processor", "SECRETS_KEYS", str::to_owned),
    ("api", "ADMIN_API_KEY", |secret| {
        format!("a {secret} with spaces in it")
    }),
    ("api", "DATABASE_URL", |secret| {
        format!("postgres://me:{secret}@localhost:port/x")
    }),
    ("api", "DATABASE_URL", |secret| {
        format!("postgres://me:{secret}@localhost/x?sslmode=none")
    }),
    ("processor", "DATABASE_URL", |secret| {
        format!("me:{secret}@localhost")
    }),
    ("processor", "EGRESS_PROXY", |secret| {
        format!("http://me:{secret}@localhost:3128")
    }),
    ("api", "EGRESS_PROXY", |secret| {
        format!("ftp://me:{secret}@localhost:port")
    }),
    ("system", "KAFKA_SASL_PASSWORD", str::to_owned),
    ("webhook", "WEBHOOK_SECRET", |secret| {
        format!("whsec_{secret}")
    }),
];

/// What is looked for, of a thing of that name: it survives in percent-encoded and escaped text as
/// it is.
pub fn core(name: &str) -> String {
    format!("Zq7{name}Xk9vB3w")
}

/// What stands in a header: visible ASCII, of which much is escaped or encoded elsewhere.
pub fn header_text(core: &str) -> String {
    format!("%22\"{core}\\/+&='")
}

/// What may be anything.
pub fn any_text(core: &str) -> String {
    format!("ü %\"{core}\\/+&='")
}

fn signing_secret(core: &str) -> String {
    format!("whsec_{}", key(core))
}

/// 32 bytes in base64.
pub fn key(core: &str) -> String {
    STANDARD.encode(format!("{core:.>32.32}"))
}

/// What is looked for, and nothing else.
pub fn core_alone(core: &str) -> String {
    core.to_owned()
}
