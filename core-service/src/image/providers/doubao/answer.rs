//! What Ark answers: pictures, and failures in each of the places where it puts them.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    error::ProviderError,
    image::{Usage, providers::reading::decoded},
    upstream::{failure_in_reply, failure_of},
};

/// An answer in one piece.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) items: Vec<Item>,
    pub(super) usage: Option<Usage>,
}

/// One picture of an answer, or why it is missing though others may not be.
pub(super) type Item = Result<Picture, ProviderError>;

/// How a picture came.
#[derive(Debug, PartialEq)]
pub(super) enum Picture {
    Bytes(Bytes),
    Link(String),
}

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
struct WholeWire<'a> {
    #[serde(borrow)]
    data: Option<Vec<ItemWire<'a>>>,
    usage: Option<UsageWire>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ItemWire<'a> {
    #[serde(borrow)]
    b64_json: Option<Cow<'a, str>>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
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

#[derive(Deserialize, Clone, Copy)]
struct UsageWire {
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
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
    let WholeWire { data, usage, error } = serde_json::from_slice(body.trim_ascii())
        .map_err(|error| ProviderError::Unreadable(format!("the upstream's answer is no list of pictures: {error}")))?;
    let items: Vec<_> = data.unwrap_or_default().into_iter().map(item).collect();
    match present(error) {
        Some(error) if items.is_empty() => Err(failure_within(error)),
        Some(_) | None => Ok(Answer { items, usage: usage.and_then(spent) }),
    }
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
            Ok(Told::Picture { index, item: item(ItemWire { b64_json, url, error }) })
        }
        kind if kind.ends_with(".completed") => Ok(Told::Completed { usage: usage.and_then(spent) }),
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
fn failure_within(error: &RawValue) -> ProviderError {
    let words = serde_json::from_str(error.get()).ok();
    words.and_then(by_code).unwrap_or_else(|| failure_in_reply(error.get()))
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
        "NotFound" => ProviderError::Unavailable(message),
        "TooManyRequests" => ProviderError::RateLimited { message, retry_after: None },
        "InternalServerError" => ProviderError::Broken(message),
        _ => return None,
    })
}

fn present(error: Option<&RawValue>) -> Option<&RawValue> {
    error.filter(|error| error.get() != "null")
}

fn item(wire: ItemWire<'_>) -> Item {
    let ItemWire { b64_json, url, error } = wire;
    match (b64_json, url, present(error)) {
        (Some(encoded), ..) if !encoded.is_empty() => decoded(&encoded).map(Picture::Bytes),
        (_, Some(url), _) if !url.is_empty() => Ok(Picture::Link(url.into_owned())),
        (.., Some(error)) => Err(failure_within(error)),
        (.., None) => Err(ProviderError::Unreadable("the upstream's answer lacks a picture".to_owned())),
    }
}

fn spent(wire: UsageWire) -> Option<Usage> {
    let UsageWire { output_tokens, total_tokens } = wire;
    let output = output_tokens.or(total_tokens)?;
    let total = total_tokens.unwrap_or(output);
    Some(Usage { input: total.saturating_sub(output), input_images: 0, output, total })
}
