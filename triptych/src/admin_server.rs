//! The admin port: metrics, health, and the routes of the gateway below `/admin/`.

use std::{convert::Infallible, future::Future, time::Duration};

use anyhow::Context as _;
use axum::{Json, Router, body::Body, response::IntoResponse as _};
use bytes::Bytes;
use core_service::{catalog::Catalog, health::HealthGrpc};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_server::{
    Application, BoundListener, ConnectionThreads, Drain, Refusal, RequestBody, ServerSettings, ThreadCount,
};
use serde_json::json;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use tower::Service as _;
use triptych_proto::v1::Modality;
use triptych_telemetry::{recorder, targets};

/// The most connections: scrapers have one each.
const MAX_CONNECTIONS: usize = 64;
/// How long requests in flight may continue when the process ends.
const DRAIN: Duration = Duration::from_secs(1);

/// The handler of the paths other than `/metrics`.
#[derive(Debug, Clone)]
pub(crate) enum AdminRoutes {
    /// The gateway.
    Gateway(Router),
    /// The health of a core without a gateway.
    Core(HealthGrpc),
}

/// A running admin server.
#[derive(Debug)]
pub(crate) struct AdminServer {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl AdminServer {
    /// Serves the metrics of the process, the state of the targets of `catalog`, and `routes`, until [`close`](Self::close).
    pub(crate) fn start(
        listener: BoundListener,
        catalog: Option<Catalog>,
        routes: AdminRoutes,
    ) -> anyhow::Result<Self> {
        let threads = ConnectionThreads::start(ThreadCount::Shared).context("cannot start the admin server")?;
        let settings = ServerSettings { api: "admin", max_connections: MAX_CONNECTIONS, ..ServerSettings::default() };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let application = Admin { catalog, routes };
            let stop = async {
                stopped.cancelled().await;
                Instant::now() + DRAIN
            };
            http_server::serve(listener, application, &threads, settings, Drain::default(), stop).await;
        });
        Ok(Self { stop, task })
    }

    /// Ends the server. It is called last, so that a shutdown can be observed.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// The admin port as the application of an HTTP server.
#[derive(Debug, Clone)]
struct Admin {
    /// `None` for a gateway without a core.
    catalog: Option<Catalog>,
    routes: AdminRoutes,
}

impl Admin {
    /// Renders the metrics. Reads the catalog directly, because a call of the core would require an API key.
    fn metrics(&self, method: &Method) -> Response<Body> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "Send GET.\n");
        }
        let mut text = recorder::install().render();
        if let Some(catalog) = &self.catalog {
            targets::write(&mut text, &catalog.models(Modality::Unspecified));
        }
        let mut response = Response::new(Body::from(text));
        let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    }
}

impl Application for Admin {
    type Body = Body;

    fn handle(&self, request: Request<RequestBody>) -> impl Future<Output = Response<Body>> + Send + use<> {
        let admin = self.clone();
        async move {
            if request.uri().path() == "/metrics" {
                return admin.metrics(request.method());
            }
            match admin.routes {
                AdminRoutes::Gateway(mut router) => {
                    let response = router.call(request.map(Body::new)).await;
                    response.unwrap_or_else(|never: Infallible| match never {})
                }
                AdminRoutes::Core(health) => core_health(&health, request.uri().path()).await,
            }
        }
    }

    fn refuse(&self, _refusal: Refusal, _request: &Request<RequestBody>) -> Response<Body> {
        plain(StatusCode::TOO_MANY_REQUESTS, "Too many connections.\n")
    }

    fn refuse_head(&self, status: StatusCode) -> Response<Bytes> {
        plain(status, "").map(|_| Bytes::new())
    }
}

/// Answers `/healthz` and `/readyz` for a core without a gateway, in the form of the gateway.
async fn core_health(health: &HealthGrpc, path: &str) -> Response<Body> {
    let ok = || Json(json!({"status": "ok"})).into_response();
    match path {
        "/healthz" => ok(),
        "/readyz" if health.is_serving().await => ok(),
        "/readyz" => {
            let message = "the core cannot use its stores, or is shutting down";
            let body = Json(json!({"status": "unavailable", "message": message}));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
        _ => plain(StatusCode::NOT_FOUND, "Not found: this port serves /metrics, /healthz and /readyz.\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}
