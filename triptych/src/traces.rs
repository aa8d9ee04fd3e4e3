//! The export of traces.

use std::time::Duration;

use tokio::{task::spawn_blocking, time::timeout};
use triptych_telemetry::trace::{ExportSettings, Exporter};

use crate::config::Telemetry;

/// The time limit of a request to the collector.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval between two exports.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long the process waits at its end for the last export.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// The variables of OpenTelemetry that name a collector.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Starts the export if a collector is set. A failure is logged: it must not keep the service from starting.
pub(crate) fn start(settings: &Telemetry) -> Option<Exporter> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = settings.otlp_endpoint.as_ref().map(|url| url.as_str().to_owned());
    let is_disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if is_disabled || (endpoint.is_none() && !ENDPOINTS.iter().any(|name| variable(name).is_some())) {
        return None;
    }
    let settings = ExportSettings { endpoint, timeout: REQUEST_TIMEOUT, interval: INTERVAL };
    Exporter::start(&settings).inspect_err(|error| tracing::error!("no traces are exported: {error}")).ok()
}

/// Exports the remaining spans, as far as the collector takes them in time.
pub(crate) async fn flush(exporter: Option<Exporter>) {
    if let Some(exporter) = exporter {
        let flushed = spawn_blocking(move || exporter.shut_down(FLUSH_TIMEOUT));
        // In case the exporter exceeds its own time limit: its thread is then abandoned.
        let _ = timeout(2 * FLUSH_TIMEOUT, flushed).await;
    }
}
