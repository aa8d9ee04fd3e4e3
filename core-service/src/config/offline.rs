//! The settings of the built-in engines.

use serde::Deserialize;

/// The `[offline]` settings: the built-in engines.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Offline {
    /// The rate of streamed chat responses in tokens per second. 0: no delay.
    pub chat_tokens_per_second: u32,
}

impl Default for Offline {
    fn default() -> Self {
        Self { chat_tokens_per_second: 40 }
    }
}
