//! The spans of calls, of attempts at upstreams, and of jobs.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    Context, KeyValue, Value,
    trace::{Link, Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _},
};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::{TRACER, context::TraceParent, names};
use crate::modality::Modality;

/// A span that has begun. It ends when it is dropped.
pub struct OpenSpan(Box<Span>);

impl OpenSpan {
    /// Begins the span of a call that this process serves; `None` without an exporter.
    pub fn server(name: &str, parent: Option<&TraceParent>) -> Option<Self> {
        Self::begin(name, SpanKind::Server, parent)
    }

    /// Begins the span of an attempt at an upstream; `None` without an exporter.
    pub fn attempt(upstream: &str, model: &str, modality: Modality, parent: Option<&TraceParent>) -> Option<Self> {
        let name = format!("{} {model}", names::operation(modality));
        let mut span = Self::begin(&name, SpanKind::Client, parent)?;
        span.set(names::GEN_AI_PROVIDER, upstream.to_owned());
        span.set_model(modality, model);
        Some(span)
    }

    fn begin(name: &str, kind: SpanKind, parent: Option<&TraceParent>) -> Option<Self> {
        TRACER.get().map(|tracer| Self::of(tracer, name, kind, parent))
    }

    /// Begins a span of this tracer.
    pub(super) fn of(tracer: &SdkTracer, name: &str, kind: SpanKind, parent: Option<&TraceParent>) -> Self {
        let span = SpanBuilder::from_name(name.to_owned()).with_kind(kind);
        Self(Box::new(span.start_with_context(tracer, &context(parent))))
    }

    /// Returns the span as the parent of others.
    pub fn as_parent(&self) -> TraceParent {
        TraceParent(self.0.span_context().clone())
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(name, value));
    }

    /// Sets the attributes of a model.
    pub fn set_model(&mut self, modality: Modality, model: &str) {
        self.set(names::GEN_AI_OPERATION, names::operation(modality));
        self.set(names::GEN_AI_OUTPUT, names::output(modality));
        self.set(names::GEN_AI_MODEL, model.to_owned());
    }

    /// Marks the span as failed, for this reason.
    pub fn fail(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.set(names::ERROR_TYPE, reason.clone());
        self.0.set_status(Status::error(reason));
    }
}

impl std::fmt::Debug for OpenSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.as_parent().header())
    }
}

/// A change of state of a video job, as a span of its own, linked to the call that created the job. A span over the whole job would
/// be exported only at its end, minutes or hours later.
#[derive(Debug, Clone)]
pub struct JobTransition<'a> {
    /// The id of the job.
    pub id: &'a str,
    /// The state that it entered.
    pub state: &'a str,
    /// The provider.
    pub provider: &'a str,
    /// When the previous state began, in milliseconds since 1970.
    pub from: i64,
    /// When the state was entered, in milliseconds since 1970.
    pub to: i64,
    /// The call that created the job.
    pub created_by: Option<TraceParent>,
}

impl JobTransition<'_> {
    /// Records the span, in a trace of its own.
    pub fn record(&self) {
        let Some(tracer) = TRACER.get() else { return };
        let at = |millis: i64| SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        // Without attributes, of which none was dropped.
        let links = self.created_by.iter().map(|parent| Link::new(parent.0.clone(), Vec::new(), 0)).collect();
        let builder = SpanBuilder::from_name(format!("job {}", self.state)).with_kind(SpanKind::Internal);
        let builder = builder.with_start_time(at(self.from)).with_links(links).with_attributes([
            KeyValue::new(names::JOB_ID, self.id.to_owned()),
            KeyValue::new(names::JOB_STATE, self.state.to_owned()),
            KeyValue::new(names::GEN_AI_PROVIDER, self.provider.to_owned()),
            KeyValue::new(names::GEN_AI_OPERATION, names::operation(Modality::Video)),
            KeyValue::new(names::GEN_AI_OUTPUT, names::output(Modality::Video)),
        ]);
        let mut span = builder.start_with_context(tracer, &Context::new());
        if self.state == "failed" {
            span.set_status(Status::error("failed"));
        }
        span.end_with_timestamp(at(self.to));
    }
}

fn context(parent: Option<&TraceParent>) -> Context {
    match parent {
        Some(parent) => Context::new().with_remote_span_context(parent.0.clone()),
        None => Context::new(),
    }
}
