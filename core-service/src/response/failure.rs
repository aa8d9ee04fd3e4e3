//! Errors of responses: invalid requests, and failures of calls as the error of a response object.

use openai_dialect::responses::InvalidRequest;
use tonic::Status;
use tonic_types::StatusExt;
use triptych_proto::{error_info::reason_of_name, v1::ErrorReason};

use crate::error::Error;

/// The field that an error names if it concerns no single parameter of the request.
const REQUEST: &str = "request_json";

/// Converts the error of a request.
pub(super) fn invalid(error: InvalidRequest) -> Error {
    let InvalidRequest { param, message, code: _ } = error;
    match param {
        Some(param) => {
            // `Error::invalid` puts the name of the parameter before the message again.
            let message = message.strip_prefix(&format!("{param}: ")).unwrap_or(&message).to_owned();
            Error::invalid(param, message)
        }
        None => Error::invalid(REQUEST, message),
    }
}

/// Returns the `code` of the error in a response object. OpenAI's clients accept a few codes only.
pub(super) fn code(status: &Status) -> &'static str {
    let details = status.get_error_details();
    let reason = details.error_info().and_then(|info| reason_of_name(&info.reason));
    match reason {
        Some(ErrorReason::RateLimitExceeded | ErrorReason::Overloaded | ErrorReason::BudgetExceeded) => {
            "rate_limit_exceeded"
        }
        Some(ErrorReason::InvalidField | ErrorReason::UpstreamRefused | ErrorReason::ContentPolicyViolation) => {
            "invalid_prompt"
        }
        Some(
            ErrorReason::Unspecified
            | ErrorReason::VideoNotReady
            | ErrorReason::InvalidApiKey
            | ErrorReason::ModelNotAllowed
            | ErrorReason::ModelNotFound
            | ErrorReason::VideoNotFound
            | ErrorReason::MediaNotFound
            | ErrorReason::RangeNotSatisfiable
            | ErrorReason::IdempotencyConflict
            | ErrorReason::ProviderCredentials
            | ErrorReason::UpstreamUnreadable
            | ErrorReason::NotSupported
            | ErrorReason::UpstreamUnavailable
            | ErrorReason::StorageUnavailable
            | ErrorReason::UpstreamTimeout
            | ErrorReason::ShuttingDown
            | ErrorReason::Internal
            | ErrorReason::RequestTimeout
            | ErrorReason::PermissionDenied
            | ErrorReason::WebhookEndpointNotFound
            | ErrorReason::WebhookDeliveryNotFound
            | ErrorReason::ModelNotPriced
            | ErrorReason::StorageNotWritable
            | ErrorReason::KeyNotFound
            | ErrorReason::KeyExists
            | ErrorReason::HoldNotFound
            | ErrorReason::ResponseNotFound
            | ErrorReason::PreviousResponseNotFound,
        )
        | None => "server_error",
    }
}
