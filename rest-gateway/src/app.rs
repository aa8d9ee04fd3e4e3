//! The state that all handlers share: the core, the settings and the metrics. It is the state of axum's router.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use http::Extensions;
use http_server::MemoryBudget;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tower_http::cors::CorsLayer;

use crate::{
    body::BodyLimits, core_client::CoreServices, cors, metrics::RequestMetrics, request_memory::RequestMemory,
    request_state::RequestState, settings::RuntimeSettings,
};

/// The state of handlers: what all servers of one gateway share, and the drain of one of them. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Served>);

/// The shared state, with the drain of the server that the handlers belong to.
#[derive(Debug)]
struct Served {
    shared: Arc<Shared>,
    /// Cancelled when the drain begins.
    draining: CancellationToken,
}

/// The state that all servers of one gateway share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The services of the core, to which all handlers translate requests.
    pub(crate) core: CoreServices,
    pub(crate) metrics: RequestMetrics,
    /// Bounds the memory of the bodies of all requests (`rest.body_memory_bytes`).
    pub(crate) body_memory: MemoryBudget,
    /// A Tokio runtime for work that would delay the other connections of a thread.
    pub(crate) background: Handle,
    runtime: ArcSwap<Runtime>,
    /// Whether `GET /readyz` responds with 503. Set before the drain begins.
    is_shutting_down: AtomicBool,
}

/// One version of the settings that can change while the gateway runs, with the values derived from them.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) settings: RuntimeSettings,
    pub(crate) cors: Option<CorsLayer>,
}

impl Runtime {
    fn new(settings: RuntimeSettings) -> Self {
        let cors = cors::layer(&settings.cors_allow_origins);
        Self { settings, cors }
    }
}

impl App {
    /// Creates the state of a gateway. Must be called within a Tokio runtime, which becomes `background`.
    pub(crate) fn new(
        core: CoreServices,
        runtime: RuntimeSettings,
        metrics: RequestMetrics,
        body_memory: MemoryBudget,
    ) -> Self {
        let runtime = ArcSwap::from_pointee(Runtime::new(runtime));
        let background = Handle::current();
        let is_shutting_down = AtomicBool::new(false);
        let shared = Arc::new(Shared { core, metrics, body_memory, background, runtime, is_shutting_down });
        Self(Arc::new(Served { shared, draining: CancellationToken::new() }))
    }

    /// Returns the same state for a server that cancels `draining` when its drain begins.
    pub(crate) fn served_until(&self, draining: CancellationToken) -> Self {
        Self(Arc::new(Served { shared: self.0.shared.clone(), draining }))
    }

    /// Returns the token that is cancelled when the drain begins. Handlers of endless streams end them then.
    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.0.draining
    }
}

impl Shared {
    /// Returns the runtime settings that hold now.
    pub(crate) fn runtime(&self) -> arc_swap::Guard<Arc<Runtime>> {
        self.runtime.load()
    }

    /// Returns the bounds of a request's body. `extensions` are those of the request, to which the middleware adds a
    /// [`RequestState`].
    pub(crate) fn body_limits(&self, extensions: &Extensions) -> BodyLimits {
        let runtime = self.runtime();
        BodyLimits {
            bytes: runtime.settings.body_limit_bytes,
            timeout: runtime.settings.body_timeout,
            memory: match extensions.get() {
                Some(RequestState { memory, .. }) => memory.clone(),
                None => RequestMemory::new(&self.body_memory),
            },
        }
    }

    /// Returns whether a shutdown has begun.
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.is_shutting_down.load(Ordering::Relaxed)
    }

    /// Records that a shutdown has begun.
    pub(crate) fn set_not_ready(&self) {
        self.is_shutting_down.store(true, Ordering::Relaxed);
    }

    /// Replaces the runtime settings.
    pub(crate) fn reload(&self, settings: RuntimeSettings) {
        self.runtime.store(Arc::new(Runtime::new(settings)));
    }
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0.shared
    }
}
