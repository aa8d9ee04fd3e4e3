//! Endpoints for operators: liveness, readiness, metrics.

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

use crate::{app::App, context::RequestContext, metrics};

/// Maximum time for the core's reply to a probe.
const CORE_TIMEOUT: Duration = Duration::from_secs(2);

/// `GET /healthz`: the process responds.
pub(crate) async fn live() -> Json<serde_json::Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /readyz`: the core responds as well.
pub(crate) async fn ready(State(app): State<App>, context: RequestContext) -> Response {
    let call = context.call(pb::ListModelsRequest::default());
    let message = match timeout(CORE_TIMEOUT, app.core.model.list_models(call)).await {
        Ok(Ok(_)) => return Json(json!({"status": "ok"})).into_response(),
        // Probes send no API key, and a core that requires one is ready.
        Ok(Err(status)) if status.code() == Code::Unauthenticated => {
            return Json(json!({"status": "ok"})).into_response();
        }
        Ok(Err(status)) => format!("the core responds {:?}", status.code()),
        Err(_elapsed) => format!("the core has not responded within {CORE_TIMEOUT:?}"),
    };
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "unavailable", "message": message}))).into_response()
}

/// `GET /metrics`: the metrics of this process, and the state of the core's targets. The latter is left out while the
/// core is unreachable, or if it requires an API key that the scraper does not send.
pub(crate) async fn metrics(State(app): State<App>, context: RequestContext) -> Response {
    let mut text = metrics::prometheus().render();
    let call = context.call(pb::ListModelsRequest::default());
    if let Ok(Ok(response)) = timeout(CORE_TIMEOUT, app.core.model.list_models(call)).await {
        metrics::write_targets(&mut text, &response.into_inner().models);
    }
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{CoreStub, get, send};

    #[tokio::test]
    async fn healthz_ignores_the_core_and_readyz_requires_it() {
        let core = CoreStub::default();
        assert_eq!(send(&core, get("/readyz")).await.json(), json!({"status": "ok"}));
        core.fail_every_call("INVALID_API_KEY", tonic::Code::Unauthenticated, None);
        assert_eq!(send(&core, get("/readyz")).await.json(), json!({"status": "ok"}));
        core.fail_every_call("SHUTTING_DOWN", tonic::Code::Unavailable, None);
        assert_eq!(send(&core, get("/healthz")).await.json(), json!({"status": "ok"}));
        let response = send(&core, get("/readyz")).await;
        let unavailable = json!({"status": "unavailable", "message": "the core responds Unavailable"});
        assert_eq!((response.status.as_u16(), response.json()), (503, unavailable));
    }

    #[tokio::test]
    async fn requests_are_counted_by_route_method_and_status() {
        let core = CoreStub::default();
        send(&core, get("/v1/models/counted")).await;
        let text = send(&core, get("/metrics")).await;
        let line = r#"triptych_rest_requests_total{route="/v1/models/{*id}",method="GET",status="200"} "#;
        assert!(text.text().contains(line), "{}", text.text());
        assert!(text.text().contains("triptych_rest_request_seconds_bucket{route=\"/v1/models/{*id}\",le=\"0.001\"}"));
        assert!(text.text().contains("\ntriptych_rest_requests_in_flight "));
        assert!(!text.text().contains("triptych_target"), "{}", text.text());
    }

    #[tokio::test]
    async fn target_metrics_are_left_out_while_the_core_is_unreachable() {
        let core = CoreStub::default();
        core.serve_routed_model();
        let labels = r#"model="routed",target="near",upstream_model="theirs""#;
        let text = send(&core, get("/metrics")).await;
        for (state, value) in [("closed", 0), ("half_open", 1), ("open", 0)] {
            let line = format!("\ntriptych_target_state{{{labels},state=\"{state}\"}} {value}\n");
            assert!(text.text().contains(&line), "{line} is not in {}", text.text());
        }
        assert!(text.text().contains(&format!("\ntriptych_target_in_flight{{{labels}}} 2\n")), "{}", text.text());
        core.fail_every_call("SHUTTING_DOWN", tonic::Code::Unavailable, None);
        let text = send(&core, get("/metrics")).await;
        assert!(text.status == 200 && !text.text().contains("triptych_target"), "{}", text.text());
    }
}
