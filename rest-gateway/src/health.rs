//! Endpoints for operators: `/healthz` (liveness), `/readyz` (readiness) and `/metrics`.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::time::timeout;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use triptych_proto::v1 as pb;
use triptych_telemetry::targets;

use crate::{app::App, context::RequestContext, metrics};

/// Maximum time for a call to the core: shorter than the usual timeouts of probes and scrapers, so that they get a response.
const CORE_TIMEOUT: Duration = Duration::from_secs(2);

/// `GET /healthz`: always 200 while the process can respond. Does not call the core.
pub(crate) async fn live() -> Json<serde_json::Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /readyz`: 200 if the core is serving and can use its stores, otherwise 503. Also 503 once the shutdown of the gateway
/// has begun.
pub(crate) async fn ready(State(app): State<App>, context: RequestContext) -> Response {
    if app.is_shutting_down() {
        return unavailable("the gateway is shutting down");
    }
    // In the gRPC health protocol, the empty service name means the whole server.
    let call = context.call(HealthCheckRequest { service: String::new() });
    match timeout(CORE_TIMEOUT, app.core.health.check(call)).await {
        Ok(Ok(health)) if health.get_ref().status() == ServingStatus::Serving => {
            Json(json!({"status": "ok"})).into_response()
        }
        Ok(Ok(_)) => unavailable("the core cannot use its stores, or is shutting down"),
        Ok(Err(status)) => unavailable(&format!("the core responds {:?}", status.code())),
        Err(_elapsed) => unavailable(&format!("the core has not responded within {CORE_TIMEOUT:?}")),
    }
}

fn unavailable(message: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "unavailable", "message": message}))).into_response()
}

/// `GET /metrics`: the metrics of this process, and the state of the targets of the core, in the Prometheus text
/// format. A target is one of several upstreams that serve a model.
///
/// The targets are omitted while the core is unreachable, or if it requires an API key that the scraper does not send.
pub(crate) async fn metrics(State(app): State<App>, context: RequestContext) -> Response {
    let mut text = metrics::prometheus().render();
    let call = context.call(pb::ListModelsRequest::default());
    if let Ok(Ok(response)) = timeout(CORE_TIMEOUT, app.core.model.list_models(call)).await {
        targets::write(&mut text, &response.into_inner().models);
    }
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        Gateway, Settings,
        testing::{CoreStub, get, send, send_to},
    };

    #[tokio::test]
    async fn failing_core_makes_readyz_503_and_leaves_healthz_200() {
        let core = CoreStub::default();
        assert_eq!(send(&core, get("/readyz")).await.json(), json!({"status": "ok"}));
        core.fail_every_call("SHUTTING_DOWN", tonic::Code::Unavailable, None);
        assert_eq!(send(&core, get("/healthz")).await.json(), json!({"status": "ok"}));
        let response = send(&core, get("/readyz")).await;
        let unavailable = json!({"status": "unavailable", "message": "the core responds Unavailable"});
        assert_eq!((response.status.as_u16(), response.json()), (503, unavailable));
    }

    #[tokio::test]
    async fn readyz_is_503_if_the_core_is_not_serving() {
        let core = CoreStub::default();
        core.set_not_serving();
        assert_eq!(send(&core, get("/readyz")).await.status, 503);
    }

    #[tokio::test]
    async fn readyz_is_503_during_a_shutdown_while_other_requests_succeed() {
        let core = CoreStub::default();
        let gateway = Gateway::new(core.services(), Settings::default());
        assert_eq!(send_to(gateway.router(), get("/readyz")).await.status, 200);
        gateway.set_not_ready();
        let response = send_to(gateway.router(), get("/readyz")).await;
        assert_eq!(
            (response.status.as_u16(), &response.json()["message"]),
            (503, &json!("the gateway is shutting down"))
        );
        assert_eq!(send_to(gateway.router(), get("/v1/models")).await.status, 200);
    }

    #[tokio::test]
    async fn metrics_count_and_time_requests_by_route() {
        let core = CoreStub::default();
        send(&core, get("/v1/models/counted")).await;
        let metrics = send(&core, get("/metrics")).await;
        let line = r#"triptych_rest_requests_total{route="/v1/models/{*id}",method="GET",status="200"} "#;
        assert!(metrics.text().contains(line), "{}", metrics.text());
        assert!(
            metrics.text().contains("triptych_rest_request_seconds_bucket{route=\"/v1/models/{*id}\",le=\"0.001\"}")
        );
        assert!(metrics.text().contains("\ntriptych_rest_requests_in_flight "));
        assert!(!metrics.text().contains("triptych_target"), "{}", metrics.text());
    }

    #[tokio::test]
    async fn metrics_have_target_states_unless_the_core_is_unreachable() {
        let core = CoreStub::default();
        // One model with one half-open target and two calls in flight.
        core.serve_routed_model();
        let labels = r#"model="routed",target="near",upstream_model="theirs""#;
        let metrics = send(&core, get("/metrics")).await;
        for (state, value) in [("closed", 0), ("half_open", 1), ("open", 0)] {
            let line = format!("\ntriptych_target_state{{{labels},state=\"{state}\"}} {value}\n");
            assert!(metrics.text().contains(&line), "{line} is not in {}", metrics.text());
        }
        assert!(metrics.text().contains(&format!("\ntriptych_target_in_flight{{{labels}}} 2\n")), "{}", metrics.text());
        core.fail_every_call("SHUTTING_DOWN", tonic::Code::Unavailable, None);
        let metrics = send(&core, get("/metrics")).await;
        assert!(metrics.status == 200 && !metrics.text().contains("triptych_target"), "{}", metrics.text());
    }
}
