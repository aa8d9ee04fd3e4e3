//! [`Gateway`], the interface of this crate: the OpenAI REST API as a router, or served on a listener.

use std::{future::Future, time::Duration};

use axum::Router;
use http_server::{Announcement, ConnectionThreads, Drain, Listener, MemoryBudget};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    app::App,
    core_client::CoreServices,
    metrics::{self, RequestMetrics},
    pages,
    routes::{self, Port, ROUTES},
    server::RestApplication,
    settings::{RuntimeSettings, Settings},
};

/// Interval at which the samples of histograms are aggregated.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// The OpenAI REST API in front of one core. Clones share their state.
#[derive(Debug, Clone)]
pub struct Gateway {
    app: App,
    server: http_server::ServerSettings,
    /// The announcement of the shutdown to clients that keep connections open.
    announced: Announcement,
    /// Maximum time that requests in flight may continue after shutdown has begun.
    drain: Duration,
    port: Port,
}

impl Gateway {
    /// Creates a gateway in front of `core`. The first gateway of a process installs its metrics recorder. Must be called within
    /// a Tokio runtime, which does the work that would delay the connections of a thread.
    pub fn new(core: CoreServices, settings: Settings) -> Self {
        let metrics = RequestMetrics::new(ROUTES.iter().map(|route| route.path).chain(pages::paths()));
        let body_memory = MemoryBudget::new(settings.body_memory_bytes);
        Self {
            app: App::new(core, settings.runtime, metrics, body_memory),
            server: settings.server,
            announced: Announcement::default(),
            drain: settings.drain,
            port: if settings.has_admin_port { Port::Public } else { Port::Single },
        }
    }

    /// Returns the API as a service for any HTTP server.
    pub fn router(&self) -> Router {
        routes::router(self.app.clone(), self.port)
    }

    /// Returns the routes of the admin port as a service for any HTTP server: health, metrics, and those below `/admin/`.
    pub fn admin_router(&self) -> Router {
        routes::router(self.app.clone(), Port::Admin)
    }

    /// Replaces the runtime settings. New requests use them; requests in flight keep what they have already read.
    pub fn reload(&self, settings: RuntimeSettings) {
        self.app.reload(settings);
    }

    /// Makes `GET /readyz` respond with 503, so that load balancers stop sending requests before the drain. All other requests
    /// are served as before, but each HTTP/1.1 response closes its connection.
    pub fn set_not_ready(&self) {
        self.announced.announce();
        self.app.set_not_ready();
    }

    /// Serves connections on `threads` until `stop` resolves, then lets requests in flight finish within the drain period.
    /// Returns when the last connection has closed. Dropping the future closes all connections at once.
    pub async fn serve(
        &self,
        listener: impl Listener + 'static,
        threads: &ConnectionThreads,
        stop: impl Future<Output = ()>,
    ) {
        let drain = Drain { announced: self.announced.clone(), ..Drain::default() };
        let app = self.app.served_until(drain.draining.clone());
        let application = RestApplication::new(routes::router_for_folded_paths(app, self.port));
        let stop = async {
            stop.await;
            Instant::now() + self.drain
        };
        let serving = http_server::serve(listener, application, threads, self.server.clone(), drain, stop);
        tokio::select! {
            () = serving => {}
            () = upkeep_metrics() => {}
        }
    }
}

/// Aggregates the samples of histograms; without it the recorder keeps every sample until the next scrape.
async fn upkeep_metrics() {
    let mut upkeep = interval(METRICS_UPKEEP);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        upkeep.tick().await;
        metrics::prometheus().run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{CoreStub, get, post, send_to};

    fn preflight() -> http::Request<axum::body::Body> {
        let mut request = get("/v1/models");
        *request.method_mut() = http::Method::OPTIONS;
        for (name, value) in [
            ("origin", "https://a.test"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "authorization,x-custom"),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    }

    #[tokio::test]
    async fn admin_port_has_the_routes_of_operators_and_the_public_port_has_the_others() {
        let core = CoreStub::default();
        let settings = Settings { has_admin_port: true, ..Settings::default() };
        let gateway = Gateway::new(core.services(), settings);
        let status =
            |router: Router, path: &'static str| async move { send_to(router, get(path)).await.status.as_u16() };
        for (path, public, admin) in
            [("/metrics", 404, 200), ("/healthz", 200, 200), ("/readyz", 200, 200), ("/v1/models", 200, 404)]
        {
            assert_eq!(status(gateway.router(), path).await, public, "{path}");
            assert_eq!(status(gateway.admin_router(), path).await, admin, "{path}");
        }
        let single = Gateway::new(core.services(), Settings::default());
        assert_eq!(status(single.router(), "/metrics").await, 200);
    }

    #[tokio::test]
    async fn reload_changes_cors_origins_body_limit_and_base_url_of_a_running_router() {
        let core = CoreStub::default();
        let gateway = Gateway::new(core.services(), Settings::default());
        let router = gateway.router();
        assert_eq!(send_to(router.clone(), preflight()).await.status, 405);

        gateway.reload(RuntimeSettings {
            cors_allow_origins: vec!["https://a.test".to_owned()],
            public_base_url: Some("https://b.test".to_owned()),
            body_limit_bytes: 20,
            ..RuntimeSettings::default()
        });
        let response = send_to(router.clone(), preflight()).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("access-control-allow-origin"), Some("https://a.test"));
        assert_eq!(response.header("access-control-allow-headers"), Some("authorization,x-custom"));
        let image = |prompt| post("/v1/images/generations", &serde_json::json!({"prompt": prompt}));
        let response = send_to(router.clone(), image("p")).await;
        assert_eq!(response.json()["data"][0]["url"], "https://b.test/media/p.png");
        assert_eq!(send_to(router, image("longer than 20 bytes")).await.status, 413);
    }
}
