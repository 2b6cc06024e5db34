//! What is whose: a key reaches what its owner has, and nothing of anybody else shows.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{admin, operations};
use crate::recorded::Recorded;
use crate::support::{Answer, Client};

/// Whose keys these are is for admins to know.
const FOR_ADMINS: &str = "/api-keys/{id}";

/// A thing of somebody's: where it is found, its id, and the id of one that is not there.
struct Thing {
    path: &'static str,
    id: String,
    nobodys: String,
}

/// One of each kind of a subscription that an owner has.
async fn things(admin: &Client, subscription: Uuid) -> Vec<Thing> {
    let replay = Uuid::now_v7();
    let sql =
        "INSERT INTO replays (id, subscription_id, since, until) VALUES ($1, $2, now(), now())";
    let made = sqlx::query(sql).bind(replay).bind(subscription);
    made.execute(&admin.db).await.expect("a replay");
    let dead = admin.dead_letter(Some(subscription), 1).await;
    let nobodys = || Uuid::now_v7().to_string();
    let thing = |path, id: String, nobodys| Thing { path, id, nobodys };
    vec![
        thing("/subscriptions", subscription.to_string(), nobodys()),
        thing("/replays", replay.to_string(), nobodys()),
        thing("/dlqs", dead.to_string(), "4711".into()),
        thing(
            "/deliveries",
            delivery(admin, subscription, 7).await,
            delivery(admin, Uuid::now_v7(), 8).await,
        ),
        thing("/events", "event-7".into(), "event-9".into()),
    ]
}

/// The id of a delivery that failed, and waits.
async fn delivery(admin: &Client, subscription: Uuid, offset: i32) -> String {
    let row = Recorded::new(subscription, offset).failed("pending");
    row.write(&admin.db).await;
    row.wait(&admin.db).await;
    let list = format!("/deliveries?event_id=event-{offset}");
    let found = admin.get(&list).await.json();
    found["items"][0]["id"].as_str().expect("an id").to_owned()
}

/// What one can call about things with an id, by the place where they are found.
async fn calls(client: &Client) -> Vec<(Method, String)> {
    let all = operations(client).await.into_iter();
    all.filter(|(_, path, _)| path.contains('{') && path != FOR_ADMINS)
        .map(|(method, path, _)| (method, path))
        .collect()
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_anothers_is_as_what_is_not_there(db: PgPool) {
    let admin = admin(db);
    let (acme, other) = (
        admin.subscriber("acme").await,
        admin.subscriber("other").await,
    );
    let subscription = acme.subscription("a").await;
    let things = things(&admin, subscription).await;
    let before = everything(&admin).await;
    let mut tried = BTreeSet::new();
    for (method, path) in calls(&admin).await {
        let thing = things.iter().find(|thing| path.starts_with(thing.path));
        let thing = thing.unwrap_or_else(|| panic!("nobody has one of {path}"));
        let body = match path.rsplit('/').next() {
            Some("replay") => json!({"since": "2026-01-01T00:00:00Z"}),
            _ => json!({}),
        };
        let [theirs, missing] = [&thing.id, &thing.nobodys].map(async |id| {
            let path = path.replace("{id}", id);
            other.fixed(&method, &path, &body).await
        });
        let (theirs, missing) = (theirs.await, missing.await);
        let said = theirs.text();
        assert_eq!(
            theirs.status,
            StatusCode::NOT_FOUND,
            "{method} {path}: {said}"
        );
        assert_eq!(theirs.body, missing.body, "{method} {path}");
        tried.insert(thing.path);
    }
    assert_eq!(tried.len(), things.len());
    let one = FOR_ADMINS.replace("{id}", &Uuid::now_v7().to_string());
    assert_eq!(other.delete(&one).await.status, StatusCode::FORBIDDEN);
    let dead: i64 = things[2].id.parse().expect("a number");
    let requeued = other.post("/dlqs", &json!({"dlqs": [dead]})).await.json();
    assert_eq!(requeued["not_found"], json!([dead]));
    let [theirs, missing] = [subscription, Uuid::now_v7()].map(async |id| {
        let group = json!({"subscription_id": id, "reason": "exhausted", "last_error": "http_5xx"});
        other.fixed(&Method::POST, "/dlqs/groups", &group).await
    });
    let (theirs, missing) = (theirs.await, missing.await);
    assert_eq!(theirs.status, StatusCode::NOT_FOUND, "{}", theirs.text());
    assert_eq!(theirs.body, missing.body);
    assert_eq!(everything(&admin).await, before);
    // It is there for who has it.
    for thing in &things {
        let own = acme.get(&format!("{}/{}", thing.path, thing.id)).await;
        assert_eq!(own.status, StatusCode::OK, "{}: {}", thing.path, own.text());
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_list_of_anothers_subscription_is_as_one_of_what_is_not_there(db: PgPool) {
    let admin = admin(db);
    let (acme, other) = (
        admin.subscriber("acme").await,
        admin.subscriber("other").await,
    );
    let subscription = acme.subscription("a").await;
    things(&admin, subscription).await;
    let lists = lists_by_subscription(&admin).await;
    assert!(lists.len() >= 4, "{lists:?}");
    let until = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let series = format!("&granularity=1h&measures=attempts&until={until}");
    for list in lists {
        let of = async |client: &Client, id: Uuid| {
            let rest = match list.as_str() {
                "/stats/timeseries" => &*series,
                _ => "",
            };
            let path = format!("{list}?subscription_id={id}{rest}");
            client.fixed(&Method::GET, &path, &json!({})).await
        };
        let theirs = of(&other, subscription).await;
        let missing = of(&other, Uuid::now_v7()).await;
        assert_eq!(theirs.status, missing.status, "{list}: {}", theirs.text());
        assert_eq!(theirs.text(), missing.text(), "{list}");
        assert!(!theirs.text().contains(&subscription.to_string()), "{list}");
        let own = of(&acme, subscription).await;
        assert_eq!(own.status, StatusCode::OK, "{list}: {}", own.text());
        // Nothing was counted yet.
        if !list.starts_with("/stats") {
            assert_ne!(own.text(), theirs.text(), "{list}");
        }
    }
}

/// What can be listed of one subscription.
async fn lists_by_subscription(client: &Client) -> Vec<String> {
    let document = client.get("/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths").clone();
    let takes_one = |item: &Value| {
        let parameters = item["get"]["parameters"].as_array();
        let mut parameters = parameters.into_iter().flatten();
        parameters.any(|parameter| parameter["name"] == "subscription_id")
    };
    let lists = paths.into_iter().filter(|(_, item)| takes_one(item));
    lists.map(|(path, _)| path).collect()
}

/// What an admin sees of all that subscribers have.
async fn everything(admin: &Client) -> Vec<Value> {
    let mut all = Vec::new();
    for list in ["/subscriptions", "/dlqs", "/replays", "/deliveries"] {
        all.push(admin.get(list).await.json());
    }
    all
}

impl Client {
    /// Under a request id that is always the same.
    async fn fixed(&self, method: &Method, path: &str, body: &Value) -> Answer {
        let client = self.clone().with_request_id("fixed");
        client.raw(method.clone(), path, body.to_string()).await
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn lists_show_what_is_ones_own_and_an_admin_everything(db: PgPool) {
    let admin = admin(db);
    let (acme, other) = (
        admin.subscriber("acme").await,
        admin.subscriber("other").await,
    );
    for client in [&acme, &other, &admin] {
        let id = client.subscription("of the same name").await;
        client.dead_letter(Some(id), 1).await;
    }
    admin.dead_letter(None, 2).await;
    for (client, subscriptions, dead_letters) in [(&acme, 1, 1), (&other, 1, 1), (&admin, 3, 4)] {
        for (list, count) in [("/subscriptions", subscriptions), ("/dlqs", dead_letters)] {
            let items = client.get(list).await.json()["items"].clone();
            assert_eq!(items.as_array().map(Vec::len), Some(count), "{list}");
        }
    }
    let own = acme.get("/subscriptions").await.json();
    assert_eq!(own["items"][0]["owner"], "acme");
}

#[sqlx::test(migrations = "../../migrations")]
async fn only_an_admin_names_another_owner(db: PgPool) {
    let admin = admin(db);
    let acme = admin.subscriber("acme").await;
    let new = |owner: &str| json!({"name": owner, "url": "http://a", "owner": owner});
    assert_eq!(
        acme.post("/subscriptions", &new("other")).await.json()["pointer"],
        "/owner"
    );
    let own = acme.post("/subscriptions", &new("acme")).await;
    let path = own.header("location");
    for owner in [json!("other"), json!(null)] {
        let given = acme.patch(path, &json!({"owner": owner})).await;
        assert_eq!(
            (given.status.as_u16(), &given.json()["pointer"]),
            (422, &json!("/owner"))
        );
    }
    let moved = admin.patch(path, &json!({"owner": "other"})).await;
    assert_eq!(moved.json()["owner"], "other");
    assert_eq!(acme.get(path).await.status, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_happens_to_everybodys_subscriptions_is_told_to_no_owner(db: PgPool) {
    let admin = admin(db);
    let acme = admin.subscriber("acme").await;
    let with =
        |name: &str, types: &[&str]| json!({"name": name, "url": "http://a", "event_types": types});
    for types in [
        &["subscription.*"][..],
        &["temperature.*", "delivery.dead_lettered"],
    ] {
        let refused = acme.post("/subscriptions", &with("a", types)).await;
        assert_eq!(
            refused.json()["pointer"],
            "/event_types",
            "{}",
            refused.text()
        );
    }
    let own = acme
        .post("/subscriptions", &with("a", &["temperature.*"]))
        .await;
    let path = own.header("location");
    let types = json!({"event_types": ["subscription.disabled"]});
    assert_eq!(
        acme.patch(path, &types).await.json()["pointer"],
        "/event_types"
    );
    assert_eq!(
        admin.patch(path, &types).await.json()["pointer"],
        "/event_types"
    );
    // An admin's hears of it, and cannot be given away while it does.
    let ours = admin
        .post("/subscriptions", &with("b", &["subscription.*"]))
        .await;
    assert_eq!(ours.status, StatusCode::CREATED);
    let given = admin
        .patch(ours.header("location"), &json!({"owner": "acme"}))
        .await;
    assert_eq!(given.json()["pointer"], "/event_types");
}
