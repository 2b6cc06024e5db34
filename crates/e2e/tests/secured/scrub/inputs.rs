//! Every way in which a secret gets into the programs: a row each. What lets in another adds a row.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Makes a setting's value of a secret.
type InAValue = fn(&str) -> String;

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
        name: "ClientBasic",
        secret: header_text,
        body: |secret| json!({"auth": oauth2("/token", "client_secret_basic", ("client_secret", secret))}),
    },
    Field {
        name: "ClientPost",
        secret: header_text,
        body: |secret| json!({"auth": oauth2("/token", "client_secret_post", ("client_secret", secret))}),
    },
    // Its token endpoint fails, and repeats what it was sent.
    Field {
        name: "ClientEchoed",
        secret: header_text,
        body: |secret| json!({"auth": oauth2("/echo", "client_secret_post", ("client_secret", secret))}),
    },
    Field {
        name: "ExtraParameter",
        secret: header_text,
        body: |secret| {
            let mut auth = oauth2("/token", "client_secret_post", ("client_secret", secret));
            auth["extra"] = json!({"api_key": secret});
            json!({"auth": auth})
        },
    },
    // Who is asked first may repeat what it was asked with.
    Field {
        name: "Verified",
        secret: header_text,
        body: |secret| json!({"auth_key": secret, "verify": true}),
    },
    Field {
        name: "Permitted",
        secret: header_text,
        body: |secret| json!({"headers": {"X-Team-Token": secret}, "verify": "handshake"}),
    },
    Field {
        name: "OwnHeader",
        secret: header_text,
        body: |secret| json!({"headers": {"X-Team": "weather", "X-Team-Token": secret}}),
    },
    Field {
        name: "Signing",
        secret: signing_secret,
        body: |secret| json!({"signing_secret": secret}),
    },
];

/// Bodies that are no subscription, but have the secret of one in them.
pub const WRONG_BODIES: &[fn(&str) -> Value] = &[
    |secret| json!({"auth": secret}),
    |secret| json!({"auth": [secret]}),
    |secret| json!({"auth_key": [secret]}),
    |secret| json!({"auth_key": {"token": secret}}),
    |secret| json!({"url": secret}),
    |secret| json!({"unheard_of": secret}),
    |secret| json!({"signing_secret": format!("whsec_{secret}")}),
    |secret| json!({"auth": oauth2("/", "private_key_jwt", ("private_key", secret))}),
    |secret| json!({"auth": oauth2("/", "private_key_jwt", ("client_secret", secret))}),
    |secret| json!({"auth": oauth2("/", "none", ("client_secret", secret))}),
    |secret| json!({"headers": secret}),
    |secret| json!({"headers": {"X-Team-Token": [secret]}}),
    |secret| json!({"headers": {"Host": secret}}),
    |secret| json!({"verify": secret}),
    |secret| json!({"client_certificate": secret}),
    |secret| json!({"client_certificate": {"certificate": "none", "private_key": secret}}),
];

/// All that a private key is good for, and what it is not good for.
pub fn with_a_key(certificate: &str, key: &str) -> [Value; 4] {
    [
        json!({"client_certificate": {"certificate": certificate, "private_key": key}}),
        json!({"auth": oauth2("/token", "private_key_jwt", ("private_key", key))}),
        json!({"client_certificate": {"certificate": key, "private_key": key}}),
        json!({"signing_secret": key, "auth": {"kind": "bearer", "token": key}}),
    ]
}

/// Client credentials, with one thing besides. The host of the token endpoint is put in by the run.
fn oauth2(path: &str, client_auth: &str, (name, value): (&str, &str)) -> Value {
    json!({
        "kind": "oauth2", "token_url": format!("{TOKEN_ENDPOINT}{path}"), "client_id": "me",
        "client_auth": client_auth, name: value
    })
}

/// Stands for where tokens are given.
pub const TOKEN_ENDPOINT: &str = "http://token-endpoint";

/// Settings that no program starts with, but the one before, because of a mistake beside a secret.
pub const MISTAKES: &[(&str, &str, InAValue)] = &[
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
