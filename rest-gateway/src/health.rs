//! For whoever runs it: alive, ready, measured, described.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::time::timeout;
use tonic::Code;
use triptych_proto::v1 as pb;

use crate::{app::App, context::Context, meters};

/// How long the core may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);
/// The surface, as an OpenAPI 3.1 document.
pub(crate) const OPENAPI: &str = include_str!("../openapi.json");

/// The process answers.
pub(crate) async fn alive() -> Json<serde_json::Value> {
    Json(json!({"status": "ok"}))
}

/// The core answers as well.
pub(crate) async fn ready(State(app): State<App>, context: Context) -> Response {
    let ask = pb::ListModelsRequest::default();
    let why = match timeout(PATIENCE, app.core.model.list_models(context.call(ask))).await {
        Ok(Ok(_)) => return Json(json!({"status": "ok"})).into_response(),
        // Probes show no key, and that it asks for one is an answer.
        Ok(Err(status)) if status.code() == Code::Unauthenticated => {
            return Json(json!({"status": "ok"})).into_response();
        }
        Ok(Err(status)) => format!("the core answers {:?}", status.code()),
        Err(_elapsed) => format!("the core has not answered within {PATIENCE:?}"),
    };
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "unavailable", "message": why}))).into_response()
}

/// What was counted here, and how the core's targets stand. Where the core is away, or asks for a key that the scraper
/// does not show, the latter is missing.
pub(crate) async fn metrics(State(app): State<App>, context: Context) -> Response {
    let mut text = meters::prometheus().render();
    let ask = pb::ListModelsRequest::default();
    if let Ok(Ok(answer)) = timeout(PATIENCE, app.core.model.list_models(context.call(ask))).await {
        meters::write_targets(&mut text, &answer.into_inner().models);
    }
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], OPENAPI).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Script, get, send};

    #[tokio::test]
    async fn it_is_alive_without_the_core_and_ready_only_with_it() {
        let script = Script::default();
        assert_eq!(send(&script, get("/readyz")).await.json(), json!({"status": "ok"}));
        script.fails("INVALID_API_KEY", tonic::Code::Unauthenticated, None);
        assert_eq!(send(&script, get("/readyz")).await.json(), json!({"status": "ok"}));
        script.fails("SHUTTING_DOWN", tonic::Code::Unavailable, None);
        assert_eq!(send(&script, get("/healthz")).await.json(), json!({"status": "ok"}));
        let answer = send(&script, get("/readyz")).await;
        let told = json!({"status": "unavailable", "message": "the core answers Unavailable"});
        assert_eq!((answer.status.as_u16(), answer.json()), (503, told));
    }

    #[tokio::test]
    async fn requests_are_counted_by_route_method_and_status() {
        let script = Script::default();
        send(&script, get("/v1/models/counted")).await;
        let text = send(&script, get("/metrics")).await;
        let line = r#"triptych_rest_requests_total{route="/v1/models/{*id}",method="GET",status="200"} "#;
        assert!(text.text().contains(line), "{}", text.text());
        assert!(text.text().contains("triptych_rest_request_seconds_bucket{route=\"/v1/models/{*id}\",le=\"0.001\"}"));
        assert!(text.text().contains("\ntriptych_rest_requests_in_flight "));
        assert!(!text.text().contains("triptych_target"), "{}", text.text());
    }

    #[tokio::test]
    async fn targets_are_told_as_they_stand_and_not_at_all_while_the_core_is_away() {
        let script = Script::default();
        script.routes();
        let labels = r#"model="routed",target="near",upstream_model="theirs""#;
        let text = send(&script, get("/metrics")).await;
        for (state, value) in [("closed", 0), ("half_open", 1), ("open", 0)] {
            let line = format!("\ntriptych_target_state{{{labels},state=\"{state}\"}} {value}\n");
            assert!(text.text().contains(&line), "{line} is not in {}", text.text());
        }
        assert!(text.text().contains(&format!("\ntriptych_target_in_flight{{{labels}}} 2\n")), "{}", text.text());
        script.fails("SHUTTING_DOWN", tonic::Code::Unavailable, None);
        let text = send(&script, get("/metrics")).await;
        assert!(text.status == 200 && !text.text().contains("triptych_target"), "{}", text.text());
    }
}
