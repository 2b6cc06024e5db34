//! The sender alone: each way to prove who asks, and tokens that end, are revoked, or not to be had.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::oauth2::{ClientAuth, ClientCredentials};
use e2e::authorization_server::{AuthorizationServer, KeyPair};
use e2e::stage::{LONG, until};
use outbound::oauth2::Client;
use outbound::{Attempt, Egress, EgressArgs, Failure, Outgoing, Sender, Target, Verdict};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::protected::Protected;

/// Longer than a test takes.
const HOUR: Duration = Duration::from_hours(1);

/// With what has to be encoded before it is sent.
const SECRET: &str = "hunter2 %&+:=";

fn sender() -> Sender {
    drop(rustls::crypto::ring::default_provider().install_default());
    Sender::new(&Egress::new(&EgressArgs::default()).unwrap()).unwrap()
}

fn registered(id: &str, method: &str) -> Value {
    json!({
        "client_id": id, "client_secret": SECRET, "token_endpoint_auth_method": method,
        "scope": "read",
    })
}

fn registered_key(id: &str, algorithm: &str, pair: &KeyPair) -> Value {
    json!({
        "client_id": id, "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": algorithm, "jwks": {"keys": [pair.jwk]},
    })
}

fn credentials(at: &AuthorizationServer, id: &str, client_auth: ClientAuth) -> ClientCredentials {
    ClientCredentials {
        token_url: at.token_url(),
        client_id: id.into(),
        client_auth,
        scope: None,
        audience: None,
        extra: BTreeMap::new(),
    }
}

fn basic(secret: &str) -> ClientAuth {
    ClientAuth::ClientSecretBasic {
        client_secret: secret.into(),
    }
}

fn target(receiver: &Protected, credentials: &ClientCredentials) -> Target {
    let mut target = Target::new(&receiver.url, LONG).unwrap();
    target.authorize_by(Client::new(credentials).unwrap());
    target
}

async fn post(sender: &Sender, to: &Target) -> Attempt {
    let outgoing = Outgoing {
        id: "event-1",
        payload: &Bytes::from_static(b"{}"),
        content_type: None,
        traceparent: None,
        replay: None,
        number: 1,
    };
    sender.attempt(to, &outgoing).await
}

/// So many attempts at once, each as if of a subscription of its own.
async fn post_at_once(
    sender: &Sender,
    receiver: &Protected,
    credentials: &ClientCredentials,
    lanes: usize,
) {
    let mut attempts = JoinSet::new();
    for _ in 0..lanes {
        let (sender, to) = (sender.clone(), target(receiver, credentials));
        attempts.spawn(async move { post(&sender, &to).await.verdict });
    }
    let verdicts = attempts.join_all().await;
    assert_eq!(verdicts.len(), lanes);
    assert!(verdicts.iter().all(|it| *it == Verdict::Delivered));
}

/// An authorization server with the one client `sensor`, and who asks it.
async fn one_client(life: Duration) -> (Arc<AuthorizationServer>, Protected, ClientCredentials) {
    let clients = [registered("sensor", "client_secret_basic")];
    let server = Arc::new(AuthorizationServer::start(0, life, &clients).await);
    let receiver = Protected::new(server.clone()).await;
    let credentials = credentials(&server, "sensor", basic(SECRET));
    (server, receiver, credentials)
}

#[tokio::test]
async fn each_way_to_prove_who_asks_is_given_tokens() {
    let (es256, rs256) = (KeyPair::new("ES256").await, KeyPair::new("RS256").await);
    let clients = [
        registered("basic", "client_secret_basic"),
        registered("post", "client_secret_post"),
        registered_key("es256", "ES256", &es256),
        registered_key("rs256", "RS256", &rs256),
    ];
    let server = Arc::new(AuthorizationServer::start(0, HOUR, &clients).await);
    let receiver = Protected::new(server.clone()).await;
    let sender = sender();
    let key = |pair: &KeyPair| ClientAuth::PrivateKeyJwt {
        private_key: pair.private_key.as_str().into(),
        key_id: Some("k1".into()),
    };
    let by_post = ClientAuth::ClientSecretPost {
        client_secret: SECRET.into(),
    };
    let right = [
        ("basic", basic(SECRET)),
        ("post", by_post),
        ("es256", key(&es256)),
        ("rs256", key(&rs256)),
    ];
    for (id, auth) in right {
        let to = target(&receiver, &credentials(&server, id, auth));
        let attempt = post(&sender, &to).await;
        assert_eq!(attempt.verdict, Verdict::Delivered, "{id}: {attempt:?}");
        let grant = sender.test_token(&to).await.unwrap().unwrap();
        assert_eq!(grant.expires_in, Some(HOUR), "{id}");
    }
    let taken = receiver.taken_and_refused();
    assert_eq!(taken, (4, 0));
    for (id, auth) in [
        ("basic", basic("hunter3")),
        ("es256", key(&rs256)),
        ("nobody", basic(SECRET)),
    ] {
        let to = target(&receiver, &credentials(&server, id, auth));
        let attempt = post(&sender, &to).await;
        let failure = attempt.failure.map(Failure::label);
        assert_eq!(failure, Some("oauth2_invalid_client"), "{id}");
        assert!(matches!(attempt.verdict, Verdict::Postponed { .. }));
    }
    let mut too_much = credentials(&server, "basic", basic(SECRET));
    too_much.scope = Some("write".into());
    let attempt = post(&sender, &target(&receiver, &too_much)).await;
    let failure = attempt.failure.map(Failure::label);
    assert_eq!(failure, Some("oauth2_invalid_scope"));
    assert_eq!(receiver.taken_and_refused(), taken);
}

#[tokio::test]
async fn a_thousand_lanes_that_ask_at_once_make_one_request() {
    let (server, receiver, credentials) = one_client(HOUR).await;
    post_at_once(&sender(), &receiver, &credentials, 1000).await;
    assert_eq!(server.requests().await, 1);
    assert_eq!(receiver.taken_and_refused(), (1000, 0));
}

#[tokio::test]
async fn no_post_carries_a_token_that_has_ended() {
    let (server, receiver, credentials) = one_client(Duration::from_secs(2)).await;
    let (sender, to) = (sender(), target(&receiver, &credentials));
    until("two tokens have ended", async || {
        assert_eq!(post(&sender, &to).await.verdict, Verdict::Delivered);
        server.requests().await >= 3
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_revoked_is_exchanged_once_within_the_attempts_that_carry_it() {
    let (server, receiver, credentials) = one_client(HOUR).await;
    let sender = sender();
    post_at_once(&sender, &receiver, &credentials, 1).await;
    server.revoke(&receiver.last_token()).await;
    post_at_once(&sender, &receiver, &credentials, 20).await;
    assert_eq!(server.requests().await, 2);
    let (taken, refused) = receiver.taken_and_refused();
    assert_eq!(taken, 21);
    assert!((1..=20).contains(&refused), "{refused}");
}
