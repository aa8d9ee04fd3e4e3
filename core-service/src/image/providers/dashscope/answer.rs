//! What DashScope answers: links to pictures, and failures with or without an error status.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::{
    error::ProviderError,
    upstream::{failure_in_reply, failure_of},
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct AnswerWire {
    output: Option<OutputWire>,
    code: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OutputWire {
    choices: Vec<ChoiceWire>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ChoiceWire {
    message: MessageWire,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct MessageWire {
    content: Vec<PartWire>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PartWire {
    image: Option<String>,
    text: Option<String>,
}

/// The links of a successful answer, at least one.
pub(super) fn read(body: &[u8]) -> Result<Vec<String>, ProviderError> {
    let AnswerWire { output, code, message } = serde_json::from_slice(body.trim_ascii())
        .map_err(|error| ProviderError::Unreadable(format!("the upstream's answer is no list of pictures: {error}")))?;
    let parts: Vec<_> =
        output.unwrap_or_default().choices.into_iter().flat_map(|choice| choice.message.content).collect();
    let links: Vec<_> = parts.iter().filter_map(|part| part.image.clone()).filter(|link| !link.is_empty()).collect();
    if !links.is_empty() {
        return Ok(links);
    }
    if let Some(code) = code.filter(|code| !code.is_empty()) {
        let message = message.filter(|message| !message.is_empty()).unwrap_or_else(|| code.clone());
        let unknown = || failure_in_reply(&serde_json::json!({"code": code, "message": message}).to_string());
        return Err(by_code(&code, &message).unwrap_or_else(unknown));
    }
    let words: Vec<_> = parts.into_iter().filter_map(|part| part.text).collect();
    Err(match words.concat().trim() {
        "" => ProviderError::Unreadable("the upstream's answer has no picture".to_owned()),
        words => ProviderError::Refused { message: words.to_owned(), field: None },
    })
}

/// What an answer with an error status stands for.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    let by_status = failure_of(status, headers, body, false);
    let AnswerWire { code, message, .. } = serde_json::from_slice(body).unwrap_or_default();
    match (by_code(&code.unwrap_or_default(), &message.unwrap_or_default()), by_status) {
        (Some(ProviderError::RateLimited { message, .. }), ProviderError::RateLimited { retry_after, .. }) => {
            ProviderError::RateLimited { message, retry_after }
        }
        (by_code, by_status) => by_code.unwrap_or(by_status),
    }
}

/// What a failure's code stands for. Codes are families with members behind a dot.
fn by_code(code: &str, message: &str) -> Option<ProviderError> {
    let message = message.to_owned();
    let family = code.split('.').next().unwrap_or(code);
    Some(match family {
        "DataInspectionFailed" | "IPInfringementSuspect" => ProviderError::ContentPolicy(message),
        "InvalidApiKey" | "AccessDenied" | "Arrearage" | "AllocationQuota" => ProviderError::Credentials(message),
        "Throttling" => ProviderError::RateLimited { message, retry_after: None },
        // The operator chose the model.
        "ModelNotFound" | "ModelUnavailable" => ProviderError::Unavailable(message),
        "InvalidParameter" | "InvalidURL" | "BadRequest" => ProviderError::Refused { message, field: None },
        "InternalError" if code.ends_with("Timeout") => ProviderError::Timeout(message),
        "RequestTimeOut" => ProviderError::Timeout(message),
        "InternalError" => ProviderError::Broken(message),
        _ => return None,
    })
}
