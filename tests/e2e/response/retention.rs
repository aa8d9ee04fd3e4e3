//! The retention of responses.

use std::time::Duration;

use core_service::config::Settings;
use serde_json::json;

use super::{body, create, get, id, text};
use crate::test_server::{with_local_and_remote_core_and_settings, within_timeout};

#[tokio::test]
async fn response_is_removed_after_its_retention() {
    let adjust = |settings: &mut Settings, _: &mut rest_gateway::Settings| {
        settings.responses.retention = Duration::from_millis(50);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        server.upstream.enqueue(text("Hello!"));
        let created = create(server, &body("Hi", &json!({}))).await;
        server.upstream.skip_requests(1).await;
        let path = format!("/v1/responses/{}", id(&created));
        within_timeout("the removal", async { while get(server, &path).await.0 != 404 {} }).await;
    })
    .await;
}
