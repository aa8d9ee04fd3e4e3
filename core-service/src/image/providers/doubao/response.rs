//! Ark's responses: images, stream events and errors, which it reports in several places.

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::common::image_list::{self, ImageList, ImageWire, UpstreamImage, UsageWire, non_null};
use crate::{
    error::ProviderError,
    image::Usage,
    upstream::{failure_in_reply, failure_of},
};

/// An event of a streamed series.
#[derive(Debug, Default, PartialEq)]
pub(super) enum SeriesEvent {
    /// An image is finished or has failed.
    Image {
        /// The index of the image, from 0.
        index: u32,
        image: UpstreamImage,
    },
    /// The series is complete.
    Completed { usage: Option<Usage> },
    /// An unknown event, which is ignored.
    #[default]
    Unknown,
}

#[derive(Deserialize)]
struct EventWire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    image_index: Option<u32>,
    #[serde(borrow)]
    b64_json: Option<Cow<'a, str>>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    usage: Option<UsageWire>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorWire {
    code: String,
    message: String,
    param: Option<String>,
    /// The name of the HTTP status, for example `BadRequest`.
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct FailureWire {
    error: ErrorWire,
}

/// Parses a non-streaming response.
pub(super) fn parse(body: &[u8]) -> Result<ImageList, ProviderError> {
    image_list::parse(body, embedded_error)
}

/// Parses the data of one stream event.
pub(super) fn parse_event(data: &[u8]) -> Result<SeriesEvent, ProviderError> {
    let EventWire { kind, image_index, b64_json, url, error, usage } = serde_json::from_slice(data)
        .map_err(|error| ProviderError::Unreadable(format!("the upstream sent an invalid stream event: {error}")))?;
    let index = image_index.unwrap_or_default();
    match kind.as_deref().unwrap_or_default() {
        kind if kind.ends_with(".partial_succeeded") || kind.ends_with(".partial_failed") => {
            let image = ImageWire { b64_json, url, revised_prompt: None, error };
            Ok(SeriesEvent::Image { index, image: image.into_image(embedded_error) })
        }
        kind if kind.ends_with(".completed") => {
            Ok(SeriesEvent::Completed { usage: usage.and_then(UsageWire::into_usage) })
        }
        _ => match non_null(error) {
            Some(error) => Err(embedded_error(error)),
            None => Ok(SeriesEvent::Unknown),
        },
    }
}

/// Maps an error response to a provider error.
pub(super) fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    // The error code is often more specific than the status, but only the headers have the time to retry after.
    let by_status = failure_of(status, headers, body, false);
    let Ok(FailureWire { error }) = serde_json::from_slice(body) else { return by_status };
    match (by_code(error), by_status) {
        (Some(ProviderError::RateLimited { message, .. }), ProviderError::RateLimited { retry_after, .. }) => {
            ProviderError::RateLimited { message, retry_after }
        }
        (by_code, by_status) => by_code.unwrap_or(by_status),
    }
}

/// Maps an `error` within a successful response to a provider error.
fn embedded_error(error: &str) -> ProviderError {
    let wire = serde_json::from_str(error).ok();
    wire.and_then(by_code).unwrap_or_else(|| failure_in_reply(error))
}

/// Maps an error by its code, or by its type if the code is unknown; `None` if both are unknown.
///
/// Codes have the form `FAMILY.DETAIL`. Ark keeps adding details to the families, so the mapping uses the family and common
/// parts of the names.
fn by_code(error: ErrorWire) -> Option<ProviderError> {
    let ErrorWire { code, message, param, kind } = error;
    let message = if message.is_empty() { code.clone() } else { message };
    let (family, detail) = code.split_once('.').unwrap_or((&code, ""));
    if ["Sensitive", "RiskDetection", "PolicyViolation"].iter().any(|part| code.contains(part)) {
        return Some(ProviderError::ContentPolicy(message));
    }
    if code.contains("RateLimit") {
        return Some(ProviderError::RateLimited { message, retry_after: None });
    }
    // `InvalidParameter.size` names a request member, `InvalidParameter.OversizedImage` does not.
    let member = Some(detail).filter(|detail| detail.starts_with(|first: char| first.is_ascii_lowercase()));
    let field = param.filter(|param| !param.is_empty()).or_else(|| member.map(str::to_owned));
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
        _ => &kind,
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
