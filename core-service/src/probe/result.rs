//! The results of a probe.

/// The result for one upstream or provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// `chat` and the name of the upstream, or the section of the provider.
    pub name: String,
    /// The base URL, without its query.
    pub address: String,
    /// The result.
    pub result: ProbeResult,
}

/// The outcome of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// It responded, and accepted the key.
    Ok(String),
    /// It can be reached; its key was not checked, for this reason.
    NotProbed(String),
    /// It cannot be used, for this reason.
    Failed(String),
}
