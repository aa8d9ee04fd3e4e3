//! What Ark answers: pictures, and failures in each of the places where it puts them.

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    error::ProviderError,
    image::{
        Usage,
        providers::picture::{self, Answer, Item, ItemWire, UsageWire, present},
    },
    upstream::{failure_in_reply, failure_of},
};

/// What an event tells.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Told {
    /// A picture is finished, or will not come.
    Picture {
        /// Which one, from 0.
        index: u32,
        item: Item,
    },
    /// No more will come.
    Completed { usage: Option<Usage> },
    /// Nothing that is known here.
    #[default]
    Nothing,
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
    /// A word for the HTTP status.
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct RefusalWire {
    error: ErrorWire,
}

/// Reads an answer in one piece.
pub(super) fn read(body: &[u8]) -> Result<Answer, ProviderError> {
    picture::read(body, failure_within)
}

/// Reads the data of one event.
pub(super) fn read_event(data: &[u8]) -> Result<Told, ProviderError> {
    let EventWire { kind, image_index, b64_json, url, error, usage } =
        serde_json::from_slice(data).map_err(|error| {
            ProviderError::Unreadable(format!("an event of the upstream's stream makes no sense: {error}"))
        })?;
    let index = image_index.unwrap_or_default();
    match kind.as_deref().unwrap_or_default() {
        kind if kind.ends_with(".partial_succeeded") || kind.ends_with(".partial_failed") => {
            let item = ItemWire { b64_json, url, revised_prompt: None, error };
            Ok(Told::Picture { index, item: item.read(failure_within) })
        }
        kind if kind.ends_with(".completed") => Ok(Told::Completed { usage: usage.and_then(UsageWire::spent) }),
        _ => match present(error) {
            Some(error) => Err(failure_within(error)),
            None => Ok(Told::Nothing),
        },
    }
}

/// What an answer with an error status stands for.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    // By its status; the code often knows better, but never when to come back.
    let by_status = failure_of(status, headers, body, false);
    let Ok(RefusalWire { error }) = serde_json::from_slice(body) else { return by_status };
    match (by_code(error), by_status) {
        (Some(ProviderError::RateLimited { message, .. }), ProviderError::RateLimited { retry_after, .. }) => {
            ProviderError::RateLimited { message, retry_after }
        }
        (by_code, by_status) => by_code.unwrap_or(by_status),
    }
}

/// What an `error` within a success stands for.
fn failure_within(error: &str) -> ProviderError {
    let words = serde_json::from_str(error).ok();
    words.and_then(by_code).unwrap_or_else(|| failure_in_reply(error))
}

/// What a failure's code stands for, or at least its type; nothing where both are unknown. New codes keep being added
/// to the families of codes, so these are told by what they have in common.
fn by_code(error: ErrorWire) -> Option<ProviderError> {
    let ErrorWire { code, message, param, kind } = error;
    let message = if message.is_empty() { code.clone() } else { message };
    let (family, member) = code.split_once('.').unwrap_or((&code, ""));
    if ["Sensitive", "RiskDetection", "PolicyViolation"].iter().any(|word| code.contains(word)) {
        return Some(ProviderError::ContentPolicy(message));
    }
    if code.contains("RateLimit") {
        return Some(ProviderError::RateLimited { message, retry_after: None });
    }
    // `InvalidParameter.size` names a member, `InvalidParameter.OversizedImage` does not.
    let member = Some(member).filter(|member| member.starts_with(|first: char| first.is_ascii_lowercase()));
    let field = param.filter(|param| !param.is_empty()).or_else(|| member.map(str::to_owned));
    let kind = match family {
        "InvalidParameter" | "MissingParameter" => "BadRequest",
        "AuthenticationError" | "AccessDenied" | "OperationDenied" => "Unauthorized",
        // Neither is over after a while: an account that is empty, and a bound that its owner set.
        "AccountOverdueError" | "SetLimitExceeded" => "Forbidden",
        // The operator chose the model, or the endpoint that stands for it.
        "InvalidEndpointOrModel" | "InvalidEndpoint" | "ModelNotOpen" | "UnsupportedModel" | "NotFound" => "NotFound",
        "QuotaExceeded" | "ServerOverloaded" | "RequestBurstTooFast" => "TooManyRequests",
        // The second is the upstream's own check of the content that failed, not the content.
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
