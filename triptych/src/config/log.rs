//! The settings of logging.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// Logging.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    /// The directives of the filter.
    pub(crate) filter: String,
    /// The format of log lines.
    pub(crate) format: LogFormat,
}

/// A format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// Human-readable text.
    Text,
    /// One JSON object per line.
    Json,
}

impl Log {
    /// Parses the directives of the filter.
    ///
    /// # Errors
    /// The first invalid directive, as a message.
    pub(crate) fn parse_filter(&self) -> Result<EnvFilter, String> {
        EnvFilter::builder()
            .parse(&self.filter)
            .map_err(|error| format!("{error}; valid are, for example, \"info\" and \"warn,core_service=debug\""))
    }
}
