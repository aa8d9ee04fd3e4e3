//! The routing context of one call: its session, the attempts made for it, whether its client is still connected.
//!
//! Task-local, because only the gRPC service and the router use it: providers between them need not pass it on.

use std::{
    fmt::Write as _,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use http::HeaderName;
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::error::ProviderError;

/// The metadata key, and HTTP header, of the session id, 1 to 256 characters: calls of one session go to one target.
pub const SESSION: &str = "x-session-id";
/// The metadata key, and HTTP header, that lists the attempts of a call: `a=unavailable,b=ok`.
pub const ATTEMPTS: &str = "x-triptych-attempts";

tokio::task_local! {
    /// The context of the call that the task serves.
    static CURRENT: RoutingContext;
}

/// The routing context of one call. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct RoutingContext(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    session: String,
    /// In the form of [`ATTEMPTS`].
    attempts: Mutex<String>,
    /// Whether an upstream has the request, or is streaming its response.
    in_progress: AtomicBool,
    disconnected: AtomicBool,
}

impl RoutingContext {
    /// Creates the context of a call with this metadata. A session id of invalid length is ignored.
    pub fn from_metadata(metadata: &MetadataMap) -> Self {
        const NAME: HeaderName = HeaderName::from_static(SESSION);
        let session = metadata.as_ref().get(NAME).and_then(|value| value.to_str().ok());
        let session = session.filter(|id| (1..=256).contains(&id.len())).unwrap_or_default();
        Self(Arc::new(Inner { session: session.to_owned(), ..Inner::default() }))
    }

    /// Runs `work` with this context as the current one.
    pub fn scope<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self.clone(), work)
    }

    /// Adds [`ATTEMPTS`] to the metadata of a response; nothing for a call that was not routed.
    pub fn write_attempts(&self, metadata: &mut MetadataMap) {
        let attempts = self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if !attempts.is_empty()
            && let Ok(value) = MetadataValue::try_from(attempts.as_str())
        {
            metadata.insert(ATTEMPTS, value);
        }
    }

    /// Returns the context of the current call, an empty one outside of [`scope`](Self::scope).
    pub(super) fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Returns the session id, or the empty string.
    pub(super) fn session(&self) -> &str {
        &self.0.session
    }

    /// Records whether an upstream has the request.
    pub(in crate::chat) fn set_in_progress(&self, in_progress: bool) {
        self.0.in_progress.store(in_progress, Ordering::Relaxed);
    }

    /// Records that the client has disconnected, which prevents further attempts. Returns whether an upstream has the
    /// request.
    pub(in crate::chat) fn disconnect(&self) -> bool {
        self.0.disconnected.store(true, Ordering::Relaxed);
        self.0.in_progress.load(Ordering::Relaxed)
    }

    /// Returns whether the client has disconnected.
    pub(super) fn is_disconnected(&self) -> bool {
        self.0.disconnected.load(Ordering::Relaxed)
    }

    /// Records an attempt at a target and its failure; without a failure, it succeeded.
    pub(super) fn add_attempt(&self, target: &str, error: Option<&ProviderError>) {
        let mut attempts = self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let comma = if attempts.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(attempts, "{comma}{target}={}", error.map_or("ok", result_name));
    }
}

/// Returns the name of a failure in [`ATTEMPTS`].
fn result_name(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::Reported { error, .. } => result_name(error),
        ProviderError::Refused { .. } => "refused",
        ProviderError::ContentPolicy(_) => "content_policy",
        ProviderError::RateLimited { .. } => "rate_limited",
        ProviderError::Overloaded { .. } => "overloaded",
        ProviderError::Credentials(_) => "credentials",
        ProviderError::NotSupported(_) => "not_supported",
        ProviderError::Timeout(_) => "timeout",
        ProviderError::Unreachable(_) => "unreachable",
        ProviderError::Unavailable { .. } => "unavailable",
        ProviderError::Broken(_) => "broken",
        ProviderError::LinkExpired(_) => "link_expired",
        ProviderError::Unreadable(_) => "unreadable",
    }
}
