//! Traces, which are exported by OTLP.
//!
//! Spans are made from the reports of calls and not from the spans of the log: they do not depend on the filter of the log, and
//! without an exporter a call costs one atomic read more.

mod client;
mod context;
mod export;
pub mod names;
mod span;

pub use self::{
    context::TraceParent,
    export::{ExportSettings, Exporter, StartError},
    span::{JobTransition, OpenSpan},
};
use opentelemetry_sdk::trace::SdkTracer;
use std::sync::OnceLock;

/// The tracer of the process, once an exporter is started.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Returns whether spans are recorded.
pub fn is_enabled() -> bool {
    TRACER.get().is_some()
}
