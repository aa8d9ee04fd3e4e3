//! Classifies error responses of upstreams, in the many shapes they come in.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, value::RawValue};

use self::error_codes::status_of_error_code;
use crate::error::{ProviderError, UpstreamDetails};

mod error_codes;

/// The longest `Retry-After` that is honoured. Longer ones, such as a Unix time that an upstream sends by mistake, are cut to this.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);

/// The members of an error body; empty where the body lacks them.
#[derive(Debug, Default)]
struct ErrorBody {
    message: String,
    kind: String,
    code: String,
    /// A word or number of the error's status, if it has one.
    status: String,
    param: Option<String>,
    /// Whether the error lists reasons of a moderation, the only difference between OpenRouter's moderation errors and a rejected key.
    is_moderation: bool,
    retry_after: Option<Duration>,
    /// The members other than these, as the text of a JSON object.
    members_json: String,
    /// The error object; null if there is none.
    object: Value,
}

/// The longest text of further members that is passed on, in bytes.
const MAX_MEMBERS_BYTES: usize = 1024;

/// Replaces the failure that the status of an error means by the one that the error's members mean. The first argument is the
/// error object; null if the upstream sent none.
pub(crate) type Refine = fn(&Value, ProviderError) -> ProviderError;

/// What `insufficient_quota` with status 429 means at an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuotaMeaning {
    /// Waiting does not help.
    EmptyAccount,
    /// Tokens per minute, at DashScope.
    RateLimit,
}

/// Returns the failure that a response with an error status describes.
pub(crate) fn parse_error_response(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    quota: QuotaMeaning,
) -> ProviderError {
    let mut error = read(body);
    // Without the words `insufficient_quota`, which otherwise mean an empty account, the status decides.
    if quota == QuotaMeaning::RateLimit && status == StatusCode::TOO_MANY_REQUESTS {
        error.kind.clear();
        error.code.clear();
    }
    failure_of_response(status, headers, error, by_status)
}

/// Returns the failure that a response with an error status describes, refined by the provider's own error codes.
pub(crate) fn parse_error_response_with(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    refine: Refine,
) -> ProviderError {
    failure_of_response(status, headers, read(body), refine)
}

fn failure_of_response(status: StatusCode, headers: &HeaderMap, error: ErrorBody, refine: Refine) -> ProviderError {
    let message = if error.message.is_empty() {
        format!("the upstream responded with status {}", status.as_u16())
    } else {
        error.message.clone()
    };
    let retry_after = retry_after(headers).or(error.retry_after).map(|wait| wait.min(MAX_RETRY_AFTER));
    let mut failure = classify(status.as_u16(), message, error, retry_after, refine);
    if let ProviderError::Reported { details, .. } = &mut failure {
        details.status = Some(status.as_u16());
    }
    failure
}

/// Returns the failure that an `error` member in a successful response or in a stream describes.
pub(crate) fn parse_error_member(error: &str) -> ProviderError {
    parse_error_member_with(error, by_status)
}

/// Returns the failure that an `error` member in a successful response or in a stream describes, refined by the provider's own
/// error codes.
pub(crate) fn parse_error_member_with(error: &str, refine: Refine) -> ProviderError {
    // Old llama.cpp servers write `error:` fields with and without JSON.
    let repaired = openai_dialect::sanitized(error.as_bytes());
    let error = match serde_json::from_str::<&RawValue>(&repaired) {
        Ok(error) => read(format!("{{\"error\":{error}}}").as_bytes()),
        Err(_) => read(error.as_bytes()),
    };
    let message = if error.message.is_empty() {
        "the upstream failed while responding".to_owned()
    } else {
        error.message.clone()
    };
    let status = error.status();
    let retry_after = error.retry_after.map(|wait| wait.min(MAX_RETRY_AFTER));
    classify(status, message, error, retry_after, refine)
}

/// Returns the failure unchanged: the [`Refine`] of upstreams without error codes of their own.
fn by_status(_: &Value, failure: ProviderError) -> ProviderError {
    failure
}

impl ErrorBody {
    /// Returns the HTTP status that fits the error: the number that it has as its code or status, else the status for a known
    /// word in its code, status or type, else 500.
    fn status(&self) -> u16 {
        let members = [&self.code, &self.status, &self.kind];
        let numbers = members.into_iter().filter_map(|text| text.parse().ok());
        let number = numbers.into_iter().find(|number| (400..600).contains(number));
        number.or_else(|| members.into_iter().find_map(|word| status_of_error_code(word))).unwrap_or(500)
    }
}

/// Returns the failure, with the members of the upstream's error unless only the operator can correct it.
fn classify(
    status: u16,
    message: String,
    mut error: ErrorBody,
    retry_after: Option<Duration>,
    refine: Refine,
) -> ProviderError {
    let object = std::mem::take(&mut error.object);
    let details = UpstreamDetails {
        code: error.code.clone(),
        kind: error.kind.clone(),
        param: error.param.clone().unwrap_or_default(),
        members_json: error.members_json.clone(),
        status: None,
    };
    let mut failure = refine(&object, failure_with_status(status, message, error, retry_after));
    if let ProviderError::RateLimited { retry_after: delay, .. } = &mut failure {
        *delay = delay.or(retry_after);
    }
    // The operator chose model and address.
    let is_setup = matches!(status, 404 | 405) && matches!(failure, ProviderError::Unavailable { .. });
    if is_setup { failure } else { failure.with_upstream_details(details) }
}

/// Returns the failure that the status means, unless a known code or type of the error means another one.
fn failure_with_status(status: u16, message: String, error: ErrorBody, retry_after: Option<Duration>) -> ProviderError {
    let ErrorBody { kind, code, param, is_moderation, .. } = error;
    let is = |word: &str| code.eq_ignore_ascii_case(word) || kind.eq_ignore_ascii_case(word);
    let policy_words = ["content_policy_violation", "content_filter", "data_inspection_failed", "moderation_blocked"];
    if is_moderation || policy_words.into_iter().any(is) {
        return ProviderError::ContentPolicy(message);
    }
    // Waiting does not help an empty account, although it comes with status 429.
    if ["insufficient_quota", "billing_hard_limit_reached", "Arrearage"].into_iter().any(is) {
        return ProviderError::Credentials(message);
    }
    match status {
        // OpenRouter: a rate limit with `Retry-After`, an empty account without.
        402 if retry_after.is_some() => ProviderError::RateLimited { message, retry_after },
        401..=403 => ProviderError::Credentials(message),
        // The operator chose the model and the address: the caller cannot correct them.
        404 | 405 => ProviderError::unavailable(message),
        // The upstream has not started the request.
        503 => ProviderError::Unavailable { message, retry_after },
        408 | 504 => ProviderError::Timeout(message),
        429 => ProviderError::RateLimited { message, retry_after },
        501 => ProviderError::NotSupported(message),
        400..=499 => ProviderError::Refused { message, field: param },
        500.. => ProviderError::Broken(message),
        _ => ProviderError::Unreadable(message),
    }
}

/// Reads an error body: JSON of any known shape, or plain text, which is the message.
fn read(body: &[u8]) -> ErrorBody {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    let value = serde_json::from_str::<Value>(text);
    let Ok(value) = value.or_else(|_| serde_json::from_str(&openai_dialect::sanitized(text.as_bytes()))) else {
        // An HTML page of a proxy is not passed on to the caller.
        let message = if text.starts_with('<') { "" } else { text };
        return ErrorBody { message: message.to_owned(), ..ErrorBody::default() };
    };
    // Gemini and some gateways wrap the error in a list.
    let value = value.get(0).unwrap_or(&value);
    match value.get("error") {
        Some(Value::String(message)) => ErrorBody { message: message.clone(), ..ErrorBody::default() },
        Some(error @ Value::Object(_)) => error_body(error),
        _ => error_body(value),
    }
}

/// Reads the members of an error object.
fn error_body(error: &Value) -> ErrorBody {
    // FastAPI's `detail`, with or without an `error` around it; Mistral has it as the message.
    if let Some(detail) = error.get("detail").or_else(|| error["message"].get("detail")) {
        let first = &detail[0];
        let message = detail.as_str().or(first["msg"].as_str()).unwrap_or_default().to_owned();
        return ErrorBody { message, param: location(&first["loc"]), ..ErrorBody::default() };
    }
    let text = |name: &str| match &error[name] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    };
    let either =
        |name: &str, other: &str| Some(text(name)).filter(|text| !text.is_empty()).unwrap_or_else(|| text(other));
    ErrorBody {
        message: either("message", "error_message"),
        kind: either("type", "error_type"),
        is_moderation: error["metadata"]["reasons"].is_array(),
        code: text("code"),
        status: either("status", "status_code"),
        members_json: further_members(error),
        param: Some(text("param")).filter(|param| !param.is_empty()),
        retry_after: retry_delay(&error["details"]),
        object: error.clone(),
    }
}

/// Returns the member that FastAPI names by its path, `["body", "stream_options", "include_usage"]`.
fn location(path: &Value) -> Option<String> {
    let parts: Vec<_> = path.as_array()?.iter().filter(|part| *part != "body").collect();
    let names = parts.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned));
    Some(names.collect::<Vec<_>>().join(".")).filter(|location| !location.is_empty())
}

/// Returns the members of an error that have no field of their own, as JSON text.
fn further_members(error: &Value) -> String {
    const KNOWN: [&str; 6] = ["message", "error_message", "type", "error_type", "code", "param"];
    // The member `object` only says that this is an error.
    let members = error
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| !KNOWN.contains(&name.as_str()) && !value.is_null() && *name != "object");
    let mut further = serde_json::Map::new();
    // Of the braces; below, each member adds two quotes, a colon and a comma.
    let mut length = 2;
    for (name, value) in members {
        let added = name.len() + value.to_string().len() + 4;
        if length + added <= MAX_MEMBERS_BYTES {
            length += added;
            further.insert(name.clone(), value.clone());
        }
    }
    if further.is_empty() { String::new() } else { Value::Object(further).to_string() }
}

/// Returns the delay of a `google.rpc.RetryInfo` in JSON (`34.4s`), which Gemini sends in place of a `Retry-After` header.
fn retry_delay(details: &Value) -> Option<Duration> {
    let text = details.as_array()?.iter().find_map(|detail| detail["retryDelay"].as_str())?;
    Duration::try_from_secs_f64(text.strip_suffix('s')?.parse().ok()?).ok()
}

/// Returns the delay of `retry-after-ms`, else of `retry-after` in seconds or as an HTTP date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str| text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let milliseconds = text("retry-after-ms").and_then(seconds).map(|parsed| parsed / 1000);
    milliseconds.or_else(|| {
        let text = text(header::RETRY_AFTER.as_str())?;
        seconds(text).or_else(|| httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok())
    })
}

#[cfg(test)]
mod tests;
