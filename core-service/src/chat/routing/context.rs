//! What goes beside a routed call and not in it: the session it belongs to, and afterwards what was tried.
//!
//! Task-local, since it is the door's and the router's business alone: no provider between them need know of it.

use std::{
    fmt::Write as _,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tonic::metadata::{MetadataMap, MetadataValue};

use crate::error::ProviderError;

/// The metadata key, and HTTP header, by which calls of one session are kept at one target. 1 to 256 characters.
pub const SESSION: &str = "x-session-id";
/// The metadata key, and HTTP header, that tells what was tried: `a=unavailable,b=ok`.
pub const ATTEMPTS: &str = "x-triptych-attempts";

tokio::task_local! {
    static CURRENT: RoutingContext;
}

/// The companion of one call.
#[derive(Debug, Clone, Default)]
pub struct RoutingContext(Arc<Companion>);

#[derive(Debug, Default)]
struct Companion {
    session: String,
    attempts: Mutex<String>,
    /// An upstream has the request.
    at_work: AtomicBool,
    /// The caller has gone.
    left: AtomicBool,
}

impl RoutingContext {
    /// The route of a call with this metadata.
    pub fn of(metadata: &MetadataMap) -> Self {
        let session = metadata.get(SESSION).and_then(|value| value.to_str().ok());
        let session = session.filter(|id| (1..=256).contains(&id.len())).unwrap_or_default();
        Self(Arc::new(Companion { session: session.to_owned(), ..Companion::default() }))
    }

    /// Accompanies the work.
    pub fn scope<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self.clone(), work)
    }

    /// Writes what was tried into an answer's metadata; nothing where nobody chose.
    pub fn tell(&self, metadata: &mut MetadataMap) {
        let attempts = self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(value) = MetadataValue::try_from(attempts.as_str())
            && !attempts.is_empty()
        {
            metadata.insert(ATTEMPTS, value);
        }
    }

    /// The route of the call under way; an empty one where none was given.
    pub(super) fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    pub(super) fn session(&self) -> &str {
        &self.0.session
    }

    /// Notes whether an upstream has the request.
    pub(in crate::chat) fn at_work(&self, begun: bool) {
        self.0.at_work.store(begun, Ordering::Relaxed);
    }

    /// Notes that the caller has gone: nothing is begun any more. Whether an upstream is at work for it.
    pub(in crate::chat) fn leave(&self) -> bool {
        self.0.left.store(true, Ordering::Relaxed);
        self.0.at_work.load(Ordering::Relaxed)
    }

    /// Whether the caller has gone.
    pub(super) fn left(&self) -> bool {
        self.0.left.load(Ordering::Relaxed)
    }

    pub(super) fn tried(&self, target: &str, error: Option<&ProviderError>) {
        let mut attempts = self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let comma = if attempts.is_empty() { "" } else { "," };
        // Writing to a text cannot fail.
        let _ = write!(attempts, "{comma}{target}={}", error.map_or("ok", word));
    }
}

fn word(error: &ProviderError) -> &'static str {
    match error {
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
        ProviderError::Unreadable(_) => "unreadable",
    }
}
