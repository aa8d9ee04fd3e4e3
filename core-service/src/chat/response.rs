//! Completion ids and error statuses of responses.

use tonic::Status;

use crate::error::{Error, ProviderError};

/// Returns a new completion id in OpenAI's form.
pub(super) fn new_id() -> String {
    format!("chatcmpl-{}", uuid::Uuid::new_v4().simple())
}

/// Converts a provider error to a gRPC status.
pub(super) fn provider_error_status(error: ProviderError) -> Status {
    Error::Provider(error).into()
}
