//! Headers of its own that each delivery of a subscription carries.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Client, id_of};
use crate::test_delivery::Receiver;

const HIDDEN: &str = "hunter2-hunter2";

impl Client {
    async fn refused(&self, path: &str, body: &Value) -> (Value, String) {
        let answer = match path {
            "/subscriptions" => self.post(path, body).await,
            _ => self.patch(path, body).await,
        };
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        (answer.json()["pointer"].clone(), answer.text().to_owned())
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn each_delivery_carries_them_and_only_their_names_are_read_back(db: PgPool) {
    let client = Client::new(db.clone());
    let mut receiver = Receiver::new(204, "").await;
    let new = json!({"name": "a", "url": receiver.url, "auth_key": "token",
                     "headers": {"X-Team": "weather", "X-Secret": HIDDEN}});
    let made = client.post("/subscriptions", &new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let path = format!("/subscriptions/{}", id_of(&made.json()));
    let tested = async || {
        let answer = client.call(Method::POST, &format!("{path}/test")).await;
        assert_eq!(answer.json()["verdict"], "delivered", "{}", answer.text());
    };
    tested().await;
    let (headers, _) = receiver.got.recv().await.expect("it arrived");
    assert_eq!(
        (&headers["x-team"], &headers["x-secret"]),
        (
            &"weather".parse().expect("a value"),
            &HIDDEN.parse().expect("a value")
        )
    );
    assert_eq!(headers["authorization"], "Bearer token");
    assert_eq!(headers["content-type"], "application/json");

    // A patch of something else keeps them, one of them replaces them all.
    let kept = client.patch(&path, &json!({"auth_key": "other"})).await;
    assert_eq!(kept.json()["header_names"], json!(["X-Secret", "X-Team"]));
    let patched = client
        .patch(&path, &json!({"headers": {"x-team": "wind"}}))
        .await;
    assert_eq!(patched.json()["header_names"], json!(["x-team"]));
    tested().await;
    let (headers, _) = receiver.got.recv().await.expect("it arrived");
    assert_eq!(headers["x-team"], "wind");
    assert_eq!(headers["authorization"], "Bearer other");
    assert!(!headers.contains_key("x-secret"));
    let cleared = client.patch(&path, &json!({"headers": null})).await;
    assert_eq!(cleared.json()["header_names"], json!([]));

    let audit = client.get("/audit").await;
    assert_eq!(audit.json()["items"][1]["changes"]["headers"], "changed");
    for text in [made.text(), kept.text(), audit.text()] {
        assert!(!text.contains(HIDDEN), "{text}");
    }
    let stored = sqlx::query_scalar::<_, String>("SELECT s::text FROM subscriptions AS s");
    let stored = stored.fetch_one(&db).await.expect("a row");
    assert!(
        !stored.contains("wind") && !stored.contains(HIDDEN),
        "{stored}"
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_may_not_be_carried_is_refused_by_its_name(db: PgPool) {
    let client = Client::new(db);
    let path = format!("/subscriptions/{}", client.subscription("a").await);
    let many: serde_json::Map<_, _> = (0..17).map(|n| (format!("h{n}"), json!("x"))).collect();
    for (headers, pointer) in [
        (json!({"Host": HIDDEN}), "/headers/Host"),
        (json!({"webhook-id": HIDDEN}), "/headers/webhook-id"),
        (
            json!({"X-A": "1", "Content-Length": HIDDEN}),
            "/headers/Content-Length",
        ),
        (json!({"a~b": format!("{HIDDEN}\n")}), "/headers/a~0b"),
        (json!({"a/b": HIDDEN}), "/headers/a~1b"),
        (json!({"X-A": HIDDEN, "x-a": HIDDEN}), "/headers/x-a"),
        (json!({"X-A": null}), "/headers/X-A"),
        (json!([HIDDEN]), "/headers"),
        (json!(many), "/headers"),
    ] {
        let mut new = json!({"name": "b", "url": "http://a"});
        new["headers"] = headers.clone();
        for (at, body) in [
            ("/subscriptions", new),
            (&path, json!({"headers": headers})),
        ] {
            let (named, text) = client.refused(at, &body).await;
            assert_eq!(named, pointer, "{body}: {text}");
            assert!(!text.contains(HIDDEN), "{text}");
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn no_header_is_what_auth_sets_whichever_comes_first(db: PgPool) {
    let client = Client::new(db);
    let with = |name: &str, auth: Value, headers: Value| json!({"name": name, "url": "http://a", "auth": auth, "headers": headers});
    let own = json!({"kind": "header", "name": "X-Api-Key", "value": "k"});
    let bearer = json!({"kind": "bearer", "token": "k"});
    let oauth2 = json!({"kind": "oauth2", "token_url": "http://a", "client_id": "a",
                        "client_auth": "client_secret_post", "client_secret": "k"});
    let scheme = json!({"Authorization": "ApiKey k"});
    for (auth, headers, pointer) in [
        (&bearer, &scheme, "/headers/Authorization"),
        (&oauth2, &scheme, "/headers/Authorization"),
        (&own, &json!({"x-api-key": "k"}), "/headers/x-api-key"),
    ] {
        let new = with("a", auth.clone(), headers.clone());
        let (named, text) = client.refused("/subscriptions", &new).await;
        assert_eq!(named, pointer, "{text}");
    }
    // A scheme that `auth` does not know may be a header.
    let new = with("a", json!({"kind": "none"}), scheme);
    let made = client.post("/subscriptions", &new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let path = format!("/subscriptions/{}", id_of(&made.json()));
    let (named, _) = client.refused(&path, &json!({"auth": bearer})).await;
    assert_eq!(named, "/headers/Authorization");
    let both = json!({"auth": bearer, "headers": null});
    assert_eq!(client.patch(&path, &both).await.status, StatusCode::OK);
}
