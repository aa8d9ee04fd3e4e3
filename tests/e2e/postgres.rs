//! The server with PostgreSQL instead of SQLite.

use core_service::config::Settings;
use http_server::ThreadCount;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    rest_response::Events,
    test_server::{CoreLocation, TestServer, within_timeout},
};

async fn get(server: &TestServer, path: &str) -> Value {
    let response = server.request(Method::GET, path).send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Starts two nodes that share the database of this name and a directory of media, which exists until the returned [`TempDir`] is
/// dropped. Each node has its own upstream. `None` without PostgreSQL.
pub(crate) async fn two_nodes(
    database: &str,
    adjust: impl Fn(&mut Settings, &mut rest_gateway::Settings),
) -> Option<([TestServer; 2], TempDir)> {
    let url = postgres_fixture::database(database).await?;
    let media = tempfile::tempdir().unwrap();
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        settings.database_url = Some(url.clone().into());
        settings.media.url = format!("file://{}", media.path().display());
        adjust(settings, gateway);
    };
    let first = TestServer::start(CoreLocation::InProcess, ThreadCount::Shared, &adjust).await;
    let second = TestServer::start(CoreLocation::InProcess, ThreadCount::Shared, &adjust).await;
    Some(([first, second], media))
}

#[tokio::test]
async fn video_is_created_watched_and_listed_after_a_restart() {
    let Some(url) = postgres_fixture::database("video").await else { return };
    let adjust = move |settings: &mut Settings, _: &mut rest_gateway::Settings| {
        settings.database_url = Some(url.clone().into());
    };
    let server = TestServer::start(CoreLocation::InProcess, ThreadCount::Shared, &adjust).await;
    let mut ids = Vec::new();
    for prompt in ["Pan left", "Pan right"] {
        let created = server.post("/v1/videos", &json!({"prompt": prompt, "size": "160x96", "seconds": 1})).await;
        assert_eq!(created.status(), StatusCode::OK);
        let created: Value = serde_json::from_str(&created.text().await.unwrap()).unwrap();
        let id = created["id"].as_str().unwrap().to_owned();
        let events = server.request(Method::GET, &format!("/v1/videos/{id}/events")).send().await.unwrap();
        let events = within_timeout("the video", Events::new(events).read_all()).await;
        assert!(events.last().unwrap().contains("completed"), "{events:?}");
        ids.push(id);
    }

    let mut server = server.restart(CoreLocation::InProcess, ThreadCount::Shared, &adjust).await;
    let list = get(&server, "/v1/videos?order=asc").await;
    let listed: Vec<_> = list["data"].as_array().unwrap().iter().map(|video| video["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids);
    let content = server.request(Method::GET, &format!("/v1/videos/{}/content", ids[0])).send().await.unwrap();
    assert_eq!(content.status(), StatusCode::OK);
    let data = server.media_dir().parent().unwrap().to_owned();
    assert!(!data.join("jobs.sqlite").exists() && !data.join("lock").exists());
    let deleted = server.request(Method::DELETE, &format!("/v1/videos/{}", ids[0])).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::OK);
    let list = get(&server, "/v1/videos").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    server.shut_down().await;
}

/// Adds a column to each table, as the migrations of a later version do while this one runs.
const ADD_COLUMNS: &str = "DO $$ DECLARE name TEXT; BEGIN \
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '\\_%' LOOP \
    EXECUTE format('ALTER TABLE %I ADD COLUMN later BIGINT NOT NULL DEFAULT 0', name); END LOOP; END $$";

#[tokio::test]
async fn calls_succeed_after_a_later_version_has_added_columns() {
    let Some(url) = postgres_fixture::database("upgrade").await else { return };
    let adjust = move |settings: &mut Settings, _: &mut rest_gateway::Settings| {
        settings.database_url = Some(url.clone().into());
        // One connection, on which the first calls prepare all statements.
        settings.database_connections = 1;
    };
    let mut server = TestServer::start(CoreLocation::InProcess, ThreadCount::Shared, &adjust).await;
    call_stores(&server, "before").await;
    postgres_fixture::execute("upgrade", ADD_COLUMNS).await;
    call_stores(&server, "after").await;
    server.shut_down().await;
}

/// Creates and reads something in most stores, with this idempotency key.
async fn call_stores(server: &TestServer, key: &str) {
    let post = async |path: &str, body: &Value| {
        let request = server.request(Method::POST, path).header("content-type", "application/json");
        let response = request.header("idempotency-key", key).body(body.to_string()).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        let created: Value = serde_json::from_str(&text).unwrap();
        created["id"].as_str().unwrap().to_owned()
    };
    let endpoint = post("/v1/webhook_endpoints", &json!({"url": "https://a.example/hook"})).await;
    get(server, "/v1/webhook_endpoints").await;
    let create = json!({"prompt": "Pan left", "size": "160x96", "seconds": 1});
    let video = post("/v1/videos", &create).await;
    assert_eq!(post("/v1/videos", &create).await, video);
    let events = server.request(Method::GET, &format!("/v1/videos/{video}/events")).send().await.unwrap();
    let events = within_timeout("the video", Events::new(events).read_all()).await;
    assert!(events.last().unwrap().contains("completed"), "{events:?}");
    for path in ["", "/history"] {
        get(server, &format!("/v1/videos/{video}{path}")).await;
    }
    get(server, &format!("/v1/webhook_endpoints/{endpoint}/deliveries")).await;
    let create = json!({"model": "offline-chat", "input": "Hello"});
    let response = post("/v1/responses", &create).await;
    assert_eq!(post("/v1/responses", &create).await, response);
    get(server, &format!("/v1/responses/{response}")).await;
    let next = json!({"model": "offline-chat", "input": "And?", "previous_response_id": response});
    let continued = server.post("/v1/responses", &next).await;
    assert_eq!(continued.status(), StatusCode::OK);
}
