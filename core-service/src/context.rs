//! The context of one call: everything about the call except its message.
//!
//! The gRPC services create it before they read the message. It is part of every provider call and every job, so that
//! deadline, caller and trace have the same meaning for chat, images and videos.

use std::time::Duration;

use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, timeout_at};
use tonic::{
    Request,
    metadata::{Ascii, KeyAndValueRef, MetadataMap, MetadataValue},
};
use triptych_telemetry::{CallReport, trace::TraceParent};

use crate::{
    error::{Error, ProviderError},
    keys::{Caller, Keys},
};

/// The metadata key, and HTTP header, of the request id.
pub const REQUEST_ID: &str = "x-request-id";
/// [`REQUEST_ID`], parsed.
pub(crate) const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static(REQUEST_ID);
/// The metadata key of the deadline, defined by gRPC.
const TIMEOUT: &str = "grpc-timeout";
/// The header in which official OpenAI SDKs count the retries of a request, from 0.
const RETRY_COUNT: &str = "x-stainless-retry-count";
/// The metadata key, and HTTP header, of the W3C trace context.
const TRACEPARENT: &str = "traceparent";
/// The metadata key, and HTTP header, of the vendor part of the W3C trace context.
const TRACESTATE: &str = "tracestate";

/// The context of one call. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RequestContext {
    /// Identifies the call in logs and at the upstream.
    pub request_id: String,
    /// When the caller stops waiting. `None`: only the provider's own timeouts apply.
    pub deadline: Option<Instant>,
    /// The authenticated caller.
    pub caller: Caller,
    /// The caller's idempotency key; empty if there is none.
    pub idempotency_key: String,
    /// How often an OpenAI SDK has sent this request before; `None` for other clients.
    pub sdk_retries: Option<u32>,
    /// The W3C trace context.
    pub trace: TraceContext,
    /// Collects what becomes known about the call, for the access log and metrics.
    pub report: CallReport,
}

/// The W3C trace context of a call, passed on to upstreams. If traces are not exported, it is that of the caller, unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`.
    pub parent: Option<MetadataValue<Ascii>>,
    /// `tracestate`.
    pub state: Option<MetadataValue<Ascii>>,
}

impl TraceContext {
    /// Adds the trace context to the metadata of a call.
    pub(crate) fn write(&self, metadata: &mut MetadataMap) {
        for (name, value) in [(TRACEPARENT, &self.parent), (TRACESTATE, &self.state)] {
            if let Some(value) = value {
                metadata.insert(name, value.clone());
            }
        }
    }

    /// Returns the parent for spans of this process.
    pub(crate) fn span_parent(&self) -> Option<TraceParent> {
        let text = |value: &Option<MetadataValue<Ascii>>| {
            value.as_ref().and_then(|value| value.to_str().ok().map(str::to_owned))
        };
        TraceParent::parse(&text(&self.parent)?, text(&self.state).as_deref())
    }
}

impl RequestContext {
    /// Authenticates the caller and reads the metadata of a request. `idempotency_key` is a field of the message.
    ///
    /// # Errors
    /// [`Error::InvalidApiKey`]; [`Error::InvalidField`] for a malformed idempotency key.
    pub fn new<T>(request: &Request<T>, keys: &Keys, idempotency_key: &str) -> Result<Self, Error> {
        let caller = keys.caller(request)?;
        let report = request.extensions().get::<CallReport>().cloned().unwrap_or_default();
        check_idempotency_key(idempotency_key)?;
        let own_parent = report.trace_parent().and_then(|parent| parent.parse().ok());
        let metadata = KnownMetadata::from_metadata(request.metadata());
        Ok(Self {
            request_id: metadata.request_id(),
            deadline: metadata.deadline(),
            caller,
            idempotency_key: idempotency_key.to_owned(),
            sdk_retries: metadata.sdk_retries.and_then(|value| value.to_str().ok()?.parse().ok()),
            trace: TraceContext {
                // The span of the call itself, if it has one, or else that of the caller.
                parent: own_parent.or_else(|| metadata.trace_parent.cloned()),
                state: metadata.trace_state.cloned(),
            },
            report,
        })
    }

    /// Returns the HTTP headers by which an upstream recognizes the call: request id and W3C trace context.
    pub(crate) fn trace_headers(&self) -> HeaderMap {
        // `HeaderMap` allocates 8 slots for 4 headers and fills three quarters of them: six headers fit without a second allocation.
        let mut headers = HeaderMap::with_capacity(4);
        if let Ok(id) = HeaderValue::try_from(&self.request_id) {
            headers.insert(REQUEST_ID_HEADER, id);
        }
        for (name, value) in [(TRACEPARENT, &self.trace.parent), (TRACESTATE, &self.trace.state)] {
            if let Some(value) = value.as_ref().and_then(|value| HeaderValue::from_bytes(value.as_encoded_bytes()).ok())
            {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers
    }

    /// Runs the work of a call until its deadline, which drops the work.
    ///
    /// # Errors
    /// [`ProviderError::Timeout`] at the deadline.
    pub async fn within<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(deadline_exceeded());
        }
        before_deadline(self.deadline, work).await
    }

    /// Ends a response stream at the deadline of the call, with [`ProviderError::Timeout`]. The stream is dropped then.
    pub fn within_stream<T: Send + 'static>(
        &self,
        items: impl Stream<Item = Result<T, Error>> + Send + 'static,
    ) -> BoxStream<'static, Result<T, Error>> {
        let Some(deadline) = self.deadline else { return items.boxed() };
        let items = stream::unfold(Some(items.boxed()), move |items| async move {
            let mut items = items?;
            match timeout_at(deadline, items.next()).await {
                Ok(item) => item.map(|item| (item, Some(items))),
                Err(_) => Some((Err(deadline_exceeded()), None)),
            }
        });
        items.boxed()
    }
}

/// Runs work until a deadline, which drops it. Polls the work at least once, even after the deadline, so that a result that is
/// ready is not lost.
///
/// # Errors
/// [`ProviderError::Timeout`] at the deadline.
pub(crate) async fn before_deadline<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(deadline) = deadline else { return work.await };
    timeout_at(deadline, work).await.unwrap_or_else(|_| Err(deadline_exceeded()))
}

fn deadline_exceeded() -> Error {
    ProviderError::Timeout("the deadline of the call was exceeded".to_owned()).into()
}

/// The metadata that the core reads of every call. Found in one pass, which costs less than a look-up of each key.
#[derive(Debug, Default)]
pub(crate) struct KnownMetadata<'a> {
    request_id: Option<&'a MetadataValue<Ascii>>,
    timeout: Option<&'a MetadataValue<Ascii>>,
    sdk_retries: Option<&'a MetadataValue<Ascii>>,
    trace_parent: Option<&'a MetadataValue<Ascii>>,
    trace_state: Option<&'a MetadataValue<Ascii>>,
}

impl<'a> KnownMetadata<'a> {
    pub(crate) fn from_metadata(metadata: &'a MetadataMap) -> Self {
        let mut known = Self::default();
        for entry in metadata.iter() {
            let KeyAndValueRef::Ascii(key, value) = entry else { continue };
            let field = match key.as_str() {
                REQUEST_ID => &mut known.request_id,
                TIMEOUT => &mut known.timeout,
                RETRY_COUNT => &mut known.sdk_retries,
                TRACEPARENT => &mut known.trace_parent,
                TRACESTATE => &mut known.trace_state,
                _ => continue,
            };
            // The first of several values.
            field.get_or_insert(value);
        }
        known
    }

    /// Returns the caller's request id if it is 1 to 128 graphic ASCII characters, otherwise a new one.
    pub(crate) fn request_id(&self) -> String {
        // Long enough for all customary formats, and short enough for every line of the log.
        self.request_id
            .and_then(|value| value.to_str().ok())
            .filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()))
            .map_or_else(|| format!("req_{}", uuid::Uuid::new_v4().simple()), str::to_owned)
    }

    /// Returns the span of the caller.
    pub(crate) fn span_parent(&self) -> Option<TraceParent> {
        TraceContext { parent: self.trace_parent.cloned(), state: self.trace_state.cloned() }.span_parent()
    }

    /// Returns the deadline of the `grpc-timeout` metadata.
    ///
    /// Parsed here rather than in the transport, so that it applies to calls within the process as well.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        deadline(self.timeout?)
    }
}

fn deadline(timeout: &MetadataValue<Ascii>) -> Option<Instant> {
    let text = timeout.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    // The specification of gRPC permits at most 8 digits.
    let amount: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    let timeout = match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    };
    Instant::now().checked_add(timeout)
}

/// Validates an idempotency key. The empty text, which means none, is valid.
pub fn check_idempotency_key(key: &str) -> Result<(), Error> {
    if key.len() <= 255 && key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Ok(());
    }
    Err(Error::invalid("idempotency_key", "must have 1 to 255 printable ASCII characters"))
}
