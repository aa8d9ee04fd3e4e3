//! The name of a render at its provider.

use serde::{Deserialize, Serialize};

/// A render at a provider, in whatever text the provider needs to find it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamTask(pub String);
