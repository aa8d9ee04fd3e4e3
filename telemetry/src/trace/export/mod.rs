//! The exporter of traces: sends batches of spans to a collector by OTLP over HTTP.

use std::{io, time::Duration};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider},
};

use super::{TRACER, client::ExportClient};

/// Spans that wait for their export. Further ones are dropped.
const MAX_QUEUED: usize = 8192;
/// The most spans in one request.
const BATCH: usize = 512;

/// The settings of the export.
#[derive(Debug, Clone)]
pub struct ExportSettings {
    /// The base URL of the collector, to which `/v1/traces` is appended. `None`: that of the environment variables of
    /// OpenTelemetry, or its default.
    pub endpoint: Option<String>,
    /// The time limit of a request to the collector.
    pub timeout: Duration,
    /// The interval between two exports.
    pub interval: Duration,
}

/// The export could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operating system refuses a thread.
    #[error("the thread of the exporter cannot be started: {0}")]
    Thread(#[from] io::Error),
    /// The settings are invalid.
    #[error("the exporter of traces cannot be set up: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// It was started before.
    #[error("the exporter of traces is already started")]
    Started,
}

/// The export of all spans of the process.
#[derive(Debug, Clone)]
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Starts the export. Spans are recorded from now on.
    pub fn start(settings: &ExportSettings) -> Result<Self, StartError> {
        let (exporter, tracer) = Self::with_tracer(settings)?;
        TRACER.set(tracer).map_err(|_| StartError::Started)?;
        Ok(exporter)
    }

    /// Starts an export of the spans of the returned tracer.
    fn with_tracer(settings: &ExportSettings) -> Result<(Self, SdkTracer), StartError> {
        let client = ExportClient::start(settings.timeout)?;
        let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        let exporter = exporter.with_timeout(settings.timeout).with_http_client(client);
        let exporter = match &settings.endpoint {
            Some(base) => exporter.with_endpoint(format!("{}/v1/traces", base.trim_end_matches('/'))),
            None => exporter,
        };
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_QUEUED)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(settings.interval)
            .build();
        let processor = BatchSpanProcessor::builder(exporter.build()?).with_batch_config(batch).build();
        // `Resource::builder` reads this variable.
        let resource = match std::env::var_os("OTEL_SERVICE_NAME") {
            Some(_) => Resource::builder(),
            None => Resource::builder().with_service_name("triptych"),
        };
        let provider =
            SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource.build()).build();
        let tracer = provider.tracer("triptych");
        Ok((Self(provider), tracer))
    }

    /// Exports the remaining spans within `timeout`, and ends the export. Blocks its thread.
    pub fn shut_down(&self, timeout: Duration) {
        if let Err(error) = self.0.shutdown_with_timeout(timeout) {
            tracing::warn!("not all spans were exported: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
