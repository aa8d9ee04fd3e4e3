//! Logging, to standard error: standard output belongs to the banner.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// The filter of these settings, or what is wrong with its directives.
pub(crate) fn filter(log: &Log) -> Result<EnvFilter, String> {
    EnvFilter::builder()
        .parse(&log.filter)
        .map_err(|error| format!("{error}; right would be info or warn,core_service=debug"))
}

/// Begins to log. Once per process.
pub(crate) fn start(log: &Log) -> anyhow::Result<()> {
    let filter = filter(log).map_err(anyhow::Error::msg)?;
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Text => {
            // Colour codes would only soil a file or a collector.
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(false)).try_init()?;
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()?;
        }
    }
    Ok(())
}
