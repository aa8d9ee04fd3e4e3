//! What non-streaming and streamed responses have in common.

use tonic::Status;

use crate::error::{Error, ProviderError};

/// Returns a new completion id in OpenAI's form.
pub(super) fn new_id() -> String {
    format!("chatcmpl-{}", uuid::Uuid::new_v4().simple())
}

/// Returns the status of a provider failure.
pub(super) fn failed(error: ProviderError) -> Status {
    Error::Provider(error).into()
}
