//! The name of a render at its provider.

use serde::{Deserialize, Serialize};

/// The name of a render at its provider: the text by which the provider finds it again, in a format of the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamTask(pub String);
