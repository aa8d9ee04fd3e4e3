//! What DashScope answers: links to pictures, at once or from a task, and failures with or without an error status.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::super::{
    picture::{Item, Picture},
    tasks::{Look, Stage},
};
use crate::{
    error::ProviderError,
    upstream::{failure_in_reply, failure_of},
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct AnswerWire {
    output: Option<Output>,
    #[serde(flatten)]
    failure: FailureWire,
}

/// What was made, or a task as it stands.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Output {
    task_id: Option<String>,
    task_status: Option<String>,
    choices: Vec<ChoiceWire>,
    results: Vec<ResultWire>,
    #[serde(flatten)]
    failure: FailureWire,
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

/// A picture of the older models, or why it is missing though others may not be.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ResultWire {
    url: Option<String>,
    orig_prompt: Option<String>,
    actual_prompt: Option<String>,
    #[serde(flatten)]
    failure: FailureWire,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct FailureWire {
    code: Option<String>,
    message: Option<String>,
}

/// The pictures of a successful answer, at least one.
pub(super) fn read(body: &[u8]) -> Result<Vec<Item>, ProviderError> {
    let AnswerWire { output, failure } = parsed(body)?;
    match (output, failure.told()) {
        (Some(output), None) => output.pictures(),
        (output, Some(failure)) => output.map_or(Err(failure.clone()), |output| output.pictures().map_err(|_| failure)),
        (None, None) => Err(none()),
    }
}

/// The id of the task that a request became.
pub(super) fn submitted(body: &[u8]) -> Result<String, ProviderError> {
    let AnswerWire { output, failure } = parsed(body)?;
    let Output { task_id, failure: within, .. } = output.unwrap_or_default();
    let nameless = || ProviderError::Unreadable("the upstream took the task and does not name it".to_owned());
    task_id.filter(|id| !id.is_empty()).ok_or_else(|| failure.told().or_else(|| within.told()).unwrap_or_else(nameless))
}

impl Look for Output {
    fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Option<Self>, ProviderError> {
        if !status.is_success() {
            return Err(refusal(status, headers, body));
        }
        let AnswerWire { output, failure } = parsed(body)?;
        // A task of another region or day, or one that is too new, is no error.
        let known = output.filter(|output| !matches!(output.task_status.as_deref(), None | Some("UNKNOWN")));
        match failure.told() {
            Some(failure) if known.is_none() => Err(failure),
            Some(_) | None => Ok(known),
        }
    }

    fn stage(&self) -> Stage {
        match self.task_status.as_deref().unwrap_or_default() {
            "SUCCEEDED" => Stage::Done,
            "CANCELED" => Stage::Failed(ProviderError::Broken("the task was cancelled at the upstream".to_owned())),
            "FAILED" => Stage::Failed(
                self.failure
                    .told()
                    .unwrap_or_else(|| ProviderError::Broken("the task failed without saying why".to_owned())),
            ),
            // PENDING, RUNNING, SUSPENDED, and what may be added to them.
            _ => Stage::Running,
        }
    }
}

impl Output {
    /// The pictures, at least one.
    pub(super) fn pictures(self) -> Result<Vec<Item>, ProviderError> {
        let parts: Vec<_> = self.choices.into_iter().flat_map(|choice| choice.message.content).collect();
        let links = parts.iter().filter_map(|part| part.image.clone()).filter(|link| !link.is_empty());
        let made = links.map(|link| Item { picture: Ok(Picture::Link(link)), revised_prompt: String::new() });
        let pictures: Vec<_> = made.chain(self.results.into_iter().map(ResultWire::picture)).collect();
        if !pictures.is_empty() {
            return Ok(pictures);
        }
        let words: Vec<_> = parts.into_iter().filter_map(|part| part.text).collect();
        Err(match words.concat().trim() {
            "" => none(),
            words => ProviderError::Refused { message: words.to_owned(), field: None },
        })
    }
}

impl ResultWire {
    fn picture(self) -> Item {
        let Self { url, orig_prompt, actual_prompt, failure } = self;
        let link = url.filter(|link| !link.is_empty()).ok_or_else(|| failure.told().unwrap_or_else(none));
        let revised = actual_prompt.filter(|prompt| Some(prompt) != orig_prompt.as_ref());
        Item { picture: link.map(Picture::Link), revised_prompt: revised.unwrap_or_default() }
    }
}

impl FailureWire {
    /// The failure, if there is one.
    fn told(&self) -> Option<ProviderError> {
        let code = self.code.as_deref().filter(|code| !code.is_empty())?;
        let message = self.message.as_deref().filter(|message| !message.is_empty()).unwrap_or(code);
        let unknown = || failure_in_reply(&serde_json::json!({"code": code, "message": message}).to_string());
        Some(by_code(code, message).unwrap_or_else(unknown))
    }
}

fn parsed(body: &[u8]) -> Result<AnswerWire, ProviderError> {
    serde_json::from_slice(body.trim_ascii())
        .map_err(|error| ProviderError::Unreadable(format!("the upstream's answer makes no sense: {error}")))
}

fn none() -> ProviderError {
    ProviderError::Unreadable("the upstream's answer has no picture".to_owned())
}

/// What an answer with an error status stands for.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    let by_status = failure_of(status, headers, body, false);
    let FailureWire { code, message } = serde_json::from_slice(body).unwrap_or_default();
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
        "ModelNotFound" | "ModelUnavailable" => ProviderError::unavailable(message),
        "InvalidParameter" | "InvalidURL" | "BadRequest" => ProviderError::Refused { message, field: None },
        "InternalError" if code.ends_with("Timeout") => ProviderError::Timeout(message),
        "RequestTimeOut" => ProviderError::Timeout(message),
        "InternalError" => ProviderError::Broken(message),
        _ => return None,
    })
}
