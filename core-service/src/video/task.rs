//! The id of a render at its provider: its task.

use serde::{Deserialize, Serialize};

/// The id of a render at its provider, by which the provider finds it again: a text in a format of the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamTask(pub String);
