//! `GET /metrics` on an address of its own.

use std::future::{Future, Ready, ready};

use anyhow::Context as _;
use bytes::Bytes;
use core_service::catalog::Catalog;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use http_server::{Application, ConnectionThreads, Drain, Refusal, RequestBody, ServerSettings, ThreadCount};
use tokio::net::TcpListener;
use triptych_proto::v1::Modality;
use triptych_telemetry::{recorder, targets};

use crate::config::{Config, variable};

/// The most connections: scrapers have one each.
const MAX_CONNECTIONS: usize = 64;

/// Serves the metrics of the process, and the state of the targets of `catalog`, on `telemetry.metrics_address` if that is set.
/// Returns once it listens; serves until the runtime ends, so that a shutdown can be observed.
pub(crate) async fn start(config: &Config, catalog: Option<Catalog>) -> anyhow::Result<()> {
    let Some(address) = config.telemetry.metrics_address else { return Ok(()) };
    let key = "telemetry.metrics_address";
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let message = format!("cannot listen: {error}; set another address in {}", variable(key));
        config.layers.config_error(key, &message)
    })?;
    tracing::info!("metrics at http://{}/metrics", listener.local_addr()?);
    let threads = ConnectionThreads::start(ThreadCount::Shared).context("cannot start the metrics server")?;
    let settings = ServerSettings { api: "metrics", max_connections: MAX_CONNECTIONS, ..ServerSettings::default() };
    tokio::spawn(async move {
        let application = Metrics { catalog };
        http_server::serve(listener, application, &threads, settings, Drain::default(), std::future::pending()).await;
    });
    Ok(())
}

/// The metrics as the application of an HTTP server.
#[derive(Debug, Clone)]
struct Metrics {
    /// `None` for a gateway without a core.
    catalog: Option<Catalog>,
}

impl Metrics {
    fn respond(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if path != "/metrics" {
            return plain(StatusCode::NOT_FOUND, "Not found: this port serves /metrics only.\n");
        }
        if method != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "Send GET.\n");
        }
        let mut text = recorder::install().render();
        if let Some(catalog) = &self.catalog {
            targets::write(&mut text, &catalog.models(Modality::Unspecified));
        }
        let mut response = Response::new(Full::from(text));
        let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    }
}

impl Application for Metrics {
    type Body = Full<Bytes>;

    fn handle(&self, request: Request<RequestBody>) -> impl Future<Output = Response<Full<Bytes>>> + Send + use<> {
        let response: Ready<_> = ready(self.respond(request.method(), request.uri().path()));
        response
    }

    fn refuse(&self, _refusal: Refusal, _request: &Request<RequestBody>) -> Response<Full<Bytes>> {
        plain(StatusCode::TOO_MANY_REQUESTS, "Too many connections.\n")
    }

    fn refuse_head(&self, status: StatusCode) -> Response<Bytes> {
        plain(status, "").map(|_| Bytes::new())
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
