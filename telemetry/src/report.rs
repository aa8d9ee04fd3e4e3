//! The report of a call: what the layers that handle it find out about it.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::HeaderMap;

use crate::{
    modality::Modality,
    trace::{OpenSpan, TraceParent},
};

/// The report of one call, for the access log, metrics and traces. Clones share it.
///
/// The server that receives a call creates the report, passes it on with the call, and finishes it. The default is the report of
/// work without a client call: everything that is reported to it is discarded.
#[derive(Debug, Clone, Default)]
pub struct CallReport(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    start: Instant,
    /// Microseconds from the start to the first output; 0: none yet.
    first_output: AtomicU64,
    facts: Mutex<Facts>,
    default_headers: OnceLock<Arc<dyn DefaultHeaders>>,
    /// The span of the call, until it ends.
    span: Mutex<Option<OpenSpan>>,
    /// The same span, as the parent of others.
    parent: Option<TraceParent>,
}

/// Headers that the response to a call has, whichever layer creates it.
pub trait DefaultHeaders: fmt::Debug + Send + Sync {
    /// Adds those that a response does not have yet.
    fn add_missing(&self, headers: &mut HeaderMap);
}

/// The peer of the connection that a call arrived on. Displays its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// A client with this address.
    Ip(IpAddr),
    /// A process on the same machine, which displays as `unix`.
    UnixSocket,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::UnixSocket => f.write_str("unix"),
        }
    }
}

/// The properties of a call that are known so far. Its times are in [`Shared`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) client: Option<Client>,
    /// The name of the caller's API key.
    pub(crate) caller: Option<String>,
    pub(crate) model: Option<(Modality, String)>,
    /// The label of the model in metrics, if it is not its name.
    pub(crate) model_label: Option<String>,
    /// The upstream of the last attempt.
    pub(crate) upstream: Option<String>,
    pub(crate) attempts: u64,
    pub(crate) tokens: Option<Tokens>,
    /// The id of the video that the call creates.
    pub(crate) video: Option<String>,
}

/// The tokens of a call, as the upstream reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens of the prompt.
    pub input: u64,
    /// Those of `input` that the upstream read from a cache.
    pub cached: u64,
    /// Tokens of the response.
    pub output: u64,
    /// Those of `output` that are reasoning.
    pub reasoning: u64,
}

impl CallReport {
    /// Creates the report of a call that starts now.
    pub fn new(client: Option<Client>) -> Self {
        Self::with_span(client, None)
    }

    /// Creates the report of a call with its span.
    pub fn with_span(client: Option<Client>, span: Option<OpenSpan>) -> Self {
        let parent = span.as_ref().map(OpenSpan::as_parent);
        Self(Some(Arc::new(Shared {
            span: Mutex::new(span),
            parent,
            start: Instant::now(),
            first_output: AtomicU64::new(0),
            facts: Mutex::new(Facts { client, ..Facts::default() }),
            default_headers: OnceLock::new(),
        })))
    }

    /// Reports the name of the caller's API key.
    pub fn set_caller(&self, name: &str) {
        self.update(|facts| facts.caller = Some(name.to_owned()));
    }

    /// Sets the headers that the response must have. Only the first call counts.
    pub fn set_default_headers(&self, headers: Arc<dyn DefaultHeaders>) {
        if let Some(shared) = &self.0 {
            // Fails if another layer was first.
            let _ = shared.default_headers.set(headers);
        }
    }

    /// Adds the [headers](Self::set_default_headers) that a response does not have yet.
    pub fn add_default_headers(&self, headers: &mut HeaderMap) {
        if let Some(defaults) = self.0.as_ref().and_then(|shared| shared.default_headers.get()) {
            defaults.add_missing(headers);
        }
    }

    /// Reports the model. `id` must be a name of the catalog and not of the client: it becomes a label of metrics.
    pub fn set_model(&self, modality: Modality, id: &str) {
        self.update(|facts| facts.model = Some((modality, id.to_owned())));
    }

    /// Reports a model under a name of the client, which counts in metrics as `label`, a name of the configuration.
    pub fn set_passed_model(&self, modality: Modality, id: &str, label: &str) {
        self.update(|facts| {
            facts.model = Some((modality, id.to_owned()));
            facts.model_label = Some(label.to_owned());
        });
    }

    /// Reports the id of the video that the call creates.
    pub fn set_video(&self, id: &str) {
        self.update(|facts| facts.video = Some(id.to_owned()));
    }

    /// Reports an attempt at an upstream.
    pub fn add_attempt(&self, upstream: &str) {
        self.update(|facts| {
            facts.attempts += 1;
            let name = facts.upstream.get_or_insert_default();
            if name != upstream {
                upstream.clone_into(name);
            }
        });
    }

    /// Reports output of a streamed response. Only the first report counts.
    pub fn mark_output(&self) {
        if let Some(shared) = &self.0
            && shared.first_output.load(Relaxed) == 0
        {
            let elapsed = u64::try_from(shared.start.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
            // Another layer may have been first.
            let _ = shared.first_output.compare_exchange(0, elapsed, Relaxed, Relaxed);
        }
    }

    /// Reports the tokens of the call. Where an upstream reports them repeatedly, the last report counts.
    pub fn set_tokens(&self, tokens: Tokens) {
        self.update(|facts| facts.tokens = Some(tokens));
    }

    /// Adds tokens to those of the call, for upstreams that report each part of their work.
    pub fn add_tokens(&self, tokens: Tokens) {
        self.update(|facts| {
            let sum = facts.tokens.get_or_insert_default();
            sum.input += tokens.input;
            sum.cached += tokens.cached;
            sum.output += tokens.output;
            sum.reasoning += tokens.reasoning;
        });
    }

    /// Returns the header `traceparent` for the calls that this call makes; `None` if it has no span.
    pub fn trace_parent(&self) -> Option<String> {
        self.0.as_ref()?.parent.as_ref().map(TraceParent::header)
    }

    /// Takes the span, to end it.
    pub(crate) fn take_span(&self) -> Option<OpenSpan> {
        let shared = self.0.as_ref()?;
        // Saves the lock for calls without a span.
        shared.parent.as_ref()?;
        shared.span.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Returns the time since the call began.
    pub fn elapsed(&self) -> Duration {
        self.0.as_ref().map(|shared| shared.start.elapsed()).unwrap_or_default()
    }

    /// Returns the time to the first output of a stream.
    pub(crate) fn first_output(&self) -> Option<Duration> {
        let micros = self.0.as_ref()?.first_output.load(Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// Calls `read` with what is known.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Facts) -> T) -> T {
        match &self.0 {
            Some(shared) => read(&facts(shared)),
            None => read(&Facts::default()),
        }
    }

    fn update(&self, update: impl FnOnce(&mut Facts)) {
        if let Some(shared) = &self.0 {
            update(&mut facts(shared));
        }
    }
}

/// Locks the facts. They are complete after every update, so that a panic of another thread leaves them usable.
fn facts(shared: &Shared) -> MutexGuard<'_, Facts> {
    shared.facts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_report_to_the_same_call_and_the_last_upstream_counts() {
        let report = CallReport::new(None);
        let clone = report.clone();
        clone.set_caller("alice");
        clone.add_attempt("near");
        clone.add_attempt("far");
        report.read(|facts| {
            assert_eq!(facts.caller.as_deref(), Some("alice"));
            assert_eq!((facts.upstream.as_deref(), facts.attempts), (Some("far"), 2));
        });
    }

    #[test]
    fn first_output_is_timed_once_and_discarded_without_a_call() {
        let report = CallReport::new(None);
        assert_eq!(report.first_output(), None);
        report.mark_output();
        let first = report.first_output();
        assert!(first.is_some());
        report.mark_output();
        assert_eq!(report.first_output(), first);

        let none = CallReport::default();
        none.mark_output();
        none.set_caller("alice");
        assert_eq!((none.first_output(), none.read(Clone::clone)), (None, Facts::default()));
    }
}
