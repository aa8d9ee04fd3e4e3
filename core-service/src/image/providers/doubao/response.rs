//! Ark's responses: images, stream events and errors, which it reports in several places.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::super::common::image_list::{self, ImageList, UpstreamImage};
use crate::{
    error::ProviderError,
    image::Usage,
    json::members::read_object,
    upstream::{refined_failure_in_reply, refined_failure_of},
};

/// An event of a streamed series.
#[derive(Debug, Default, PartialEq)]
pub(super) enum SeriesEvent {
    /// An image is finished or has failed.
    Image {
        /// The index of the image, from 0, if the event has one.
        index: Option<usize>,
        image: UpstreamImage,
    },
    /// The series is complete.
    Completed { usage: Option<Usage> },
    /// An unknown event, which is ignored.
    #[default]
    Unknown,
}

/// Parses a non-streaming response.
pub(super) fn parse(body: &[u8]) -> Result<ImageList, ProviderError> {
    image_list::parse(body, embedded_error)
}

/// Parses the data of one stream event.
pub(super) fn parse_event(data: &[u8]) -> Result<SeriesEvent, ProviderError> {
    read_object(data, |members| match members.text("type").as_deref().unwrap_or_default() {
        kind if kind.ends_with(".partial_succeeded") || kind.ends_with(".partial_failed") => {
            let index = members.number("image_index").and_then(|index| index.try_into().ok());
            Ok(SeriesEvent::Image { index, image: image_list::image(&members, embedded_error) })
        }
        kind if kind.ends_with(".completed") => {
            Ok(SeriesEvent::Completed { usage: image_list::usage(&members.object("usage")) })
        }
        _ => members.error().map_or(Ok(SeriesEvent::Unknown), |error| Err(embedded_error(error))),
    })?
}

/// Maps an error response to a provider error.
pub(super) fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    refined_failure_of(status, headers, body, refine)
}

/// Maps an `error` within a successful response to a provider error.
fn embedded_error(error: &str) -> ProviderError {
    refined_failure_in_reply(error, refine)
}

/// Replaces the failure by status: the error code is often more specific.
fn refine(error: &Value, by_status: ProviderError) -> ProviderError {
    by_code(error).unwrap_or(by_status)
}

/// Maps an error by its code, or by its type if the code is unknown; `None` if both are unknown.
///
/// Codes have the form `FAMILY.DETAIL`. Ark keeps adding details to the families, so the mapping uses the family and common
/// parts of the names.
fn by_code(error: &Value) -> Option<ProviderError> {
    let text = |name: &str| error[name].as_str().unwrap_or_default();
    let code = text("code");
    let message = Some(text("message")).filter(|message| !message.is_empty()).unwrap_or(code).to_owned();
    let (family, detail) = code.split_once('.').unwrap_or((code, ""));
    if ["Sensitive", "RiskDetection", "PolicyViolation"].iter().any(|part| code.contains(part)) {
        return Some(ProviderError::ContentPolicy(message));
    }
    if code.contains("RateLimit") {
        return Some(ProviderError::RateLimited { message, retry_after: None });
    }
    // `InvalidParameter.size` names a request member, `InvalidParameter.OversizedImage` does not.
    let member = Some(detail).filter(|detail| detail.starts_with(|first: char| first.is_ascii_lowercase()));
    let field = Some(text("param")).filter(|param| !param.is_empty()).or(member).map(str::to_owned);
    let kind = match family {
        "InvalidParameter" | "MissingParameter" => "BadRequest",
        "AuthenticationError" | "AccessDenied" | "OperationDenied" => "Unauthorized",
        // Retrying does not help: the account is empty, or has reached a limit that its owner set.
        "AccountOverdueError" | "SetLimitExceeded" => "Forbidden",
        // A configuration error of the operator: the model or its endpoint is wrong.
        "InvalidEndpointOrModel" | "InvalidEndpoint" | "ModelNotOpen" | "UnsupportedModel" | "NotFound" => "NotFound",
        "QuotaExceeded" | "ServerOverloaded" | "RequestBurstTooFast" => "TooManyRequests",
        // With the second one the content check itself failed; the content was not rejected.
        "InternalServiceError" | "ContentSecurityDetectionError" => "InternalServerError",
        // The name of the HTTP status, for example `BadRequest`.
        _ => text("type"),
    };
    Some(match kind {
        "BadRequest" => ProviderError::Refused { message, field },
        "Unauthorized" | "Forbidden" => ProviderError::Credentials(message),
        "NotFound" => ProviderError::unavailable(message),
        "TooManyRequests" => ProviderError::RateLimited { message, retry_after: None },
        "InternalServerError" => ProviderError::Broken(message),
        _ => return None,
    })
}
