//! Metrics, and logging to standard error. Standard output has the start-up banner only.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};
use tracing_subscriber::{fmt::layer, layer::SubscriberExt, util::SubscriberInitExt};
use triptych_telemetry::recorder;

use crate::{
    config::{Log, LogFormat},
    log_filter::LogFilter,
    log_format::{PlainFields, Utc},
    output::Output,
};

/// The interval at which dropped log lines are reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The interval of the upkeep of histograms.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Installs the metrics recorder, and the global subscriber and the panic hook, which write to `output`. Must be called once per process.
/// Returns the handle of the log filter.
pub(crate) fn start(log: &Log, output: &Output) -> anyhow::Result<LogFilter> {
    let filter = log.parse_filter().map_err(anyhow::Error::msg)?;
    recorder::install();
    let (filter_layer, filter) = LogFilter::new(filter);
    let registry = tracing_subscriber::registry().with(filter_layer);
    let output = output.clone();
    let writer = move || output.clone();
    match log.format {
        LogFormat::Text if std::io::IsTerminal::is_terminal(&std::io::stderr()) => {
            registry.with(layer().with_writer(writer).with_target(false)).try_init()?;
        }
        // No colour codes in files and log collectors.
        LogFormat::Text => {
            let layer = layer().with_writer(writer).with_ansi(false).with_target(false);
            registry.with(layer.with_timer(Utc).fmt_fields(PlainFields)).try_init()?;
        }
        LogFormat::Json => {
            registry.with(layer().json().flatten_event(true).with_writer(writer).with_timer(Utc)).try_init()?;
        }
    }
    // The default hook writes to standard error itself, which blocks while a pipe is full.
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!(%backtrace, "{panic}");
        } else {
            tracing::error!("{panic}");
        }
    }));
    Ok(filter)
}

/// Reports dropped log lines, in the log and as `triptych_log_lines_dropped_total`. Runs until it is dropped.
pub(crate) async fn report_dropped_lines(output: Output) {
    let mut ticks = interval(REPORT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported = 0;
    loop {
        ticks.tick().await;
        let dropped = output.dropped();
        metrics::counter!("triptych_log_lines_dropped_total").absolute(dropped);
        if dropped > reported {
            tracing::warn!(dropped, "log lines were dropped because standard error was not read fast enough");
            reported = dropped;
        }
    }
}

/// Aggregates the samples of histograms; without it the recorder keeps every sample until the next scrape. Runs until it is
/// dropped.
pub(crate) async fn upkeep_metrics() {
    let mut ticks = interval(UPKEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        recorder::install().run_upkeep();
    }
}
