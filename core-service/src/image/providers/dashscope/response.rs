//! DashScope's responses: links to images, the status of tasks, and errors with or without an error status.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::super::common::{
    image_list::{ImageSource, UpstreamImage},
    tasks::{Progress, TaskStatus},
};
use crate::{
    error::ProviderError,
    upstream::{failure_in_reply, failure_of},
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseWire {
    output: Option<Output>,
    #[serde(flatten)]
    failure: FailureWire,
}

/// The output of a synchronous call, or the status of a task.
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

/// An image of the older models, or its error; others may have succeeded.
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

/// Parses the response to a synchronous call; returns at least one image.
pub(super) fn parse(body: &[u8]) -> Result<Vec<UpstreamImage>, ProviderError> {
    let ResponseWire { output, failure } = parse_wire(body)?;
    match (output, failure.to_error()) {
        (Some(output), None) => output.images(),
        (output, Some(failure)) => output.map_or(Err(failure.clone()), |output| output.images().map_err(|_| failure)),
        (None, None) => Err(no_image()),
    }
}

/// Parses the response to a submission; returns the id of the task.
pub(super) fn task_id(body: &[u8]) -> Result<String, ProviderError> {
    let ResponseWire { output, failure } = parse_wire(body)?;
    let Output { task_id, failure: nested, .. } = output.unwrap_or_default();
    let missing = || ProviderError::Unreadable("the upstream accepted a task without returning its id".to_owned());
    task_id
        .filter(|id| !id.is_empty())
        .ok_or_else(|| failure.to_error().or_else(|| nested.to_error()).unwrap_or_else(missing))
}

impl TaskStatus for Output {
    fn parse(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Option<Self>, ProviderError> {
        if !status.is_success() {
            return Err(failure(status, headers, body));
        }
        let ResponseWire { output, failure } = parse_wire(body)?;
        // UNKNOWN is not an error yet: it is reported for expired tasks, and for tasks that were submitted a moment ago.
        let known = output.filter(|output| !matches!(output.task_status.as_deref(), None | Some("UNKNOWN")));
        match failure.to_error() {
            Some(failure) if known.is_none() => Err(failure),
            Some(_) | None => Ok(known),
        }
    }

    fn progress(&self) -> Progress {
        match self.task_status.as_deref().unwrap_or_default() {
            "SUCCEEDED" => Progress::Succeeded,
            "CANCELED" => Progress::Failed(ProviderError::Broken("the upstream's task was cancelled".to_owned())),
            "FAILED" => Progress::Failed(
                self.failure
                    .to_error()
                    .unwrap_or_else(|| ProviderError::Broken("the upstream's task failed without an error".to_owned())),
            ),
            // PENDING, RUNNING, SUSPENDED, and states unknown to this version.
            _ => Progress::Running,
        }
    }
}

impl Output {
    /// Returns the images, at least one. A response with text only is a refusal.
    pub(super) fn images(self) -> Result<Vec<UpstreamImage>, ProviderError> {
        let parts: Vec<_> = self.choices.into_iter().flat_map(|choice| choice.message.content).collect();
        let links = parts.iter().filter_map(|part| part.image.clone()).filter(|link| !link.is_empty());
        let images =
            links.map(|link| UpstreamImage { source: Ok(ImageSource::Link(link)), revised_prompt: String::new() });
        let images: Vec<_> = images.chain(self.results.into_iter().map(ResultWire::into_image)).collect();
        if !images.is_empty() {
            return Ok(images);
        }
        let text: Vec<_> = parts.into_iter().filter_map(|part| part.text).collect();
        Err(match text.concat().trim() {
            "" => no_image(),
            text => ProviderError::Refused { message: text.to_owned(), field: None },
        })
    }
}

impl ResultWire {
    fn into_image(self) -> UpstreamImage {
        let Self { url, orig_prompt, actual_prompt, failure } = self;
        let link = url.filter(|link| !link.is_empty()).ok_or_else(|| failure.to_error().unwrap_or_else(no_image));
        let revised = actual_prompt.filter(|prompt| Some(prompt) != orig_prompt.as_ref());
        UpstreamImage { source: link.map(ImageSource::Link), revised_prompt: revised.unwrap_or_default() }
    }
}

impl FailureWire {
    /// Returns the error, if there is one.
    fn to_error(&self) -> Option<ProviderError> {
        let code = self.code.as_deref().filter(|code| !code.is_empty())?;
        let message = self.message.as_deref().filter(|message| !message.is_empty()).unwrap_or(code);
        let unknown = || failure_in_reply(&serde_json::json!({"code": code, "message": message}).to_string());
        Some(by_code(code, message).unwrap_or_else(unknown))
    }
}

fn parse_wire(body: &[u8]) -> Result<ResponseWire, ProviderError> {
    serde_json::from_slice(body.trim_ascii())
        .map_err(|error| ProviderError::Unreadable(format!("the upstream sent an invalid response: {error}")))
}

fn no_image() -> ProviderError {
    ProviderError::Unreadable("the upstream's response has no image".to_owned())
}

/// Maps an error response to a provider error. The error code is more specific than the status, but only the headers have the
/// time to retry after.
pub(super) fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    let by_status = failure_of(status, headers, body, false);
    let FailureWire { code, message } = serde_json::from_slice(body).unwrap_or_default();
    match (by_code(&code.unwrap_or_default(), &message.unwrap_or_default()), by_status) {
        (Some(ProviderError::RateLimited { message, .. }), ProviderError::RateLimited { retry_after, .. }) => {
            ProviderError::RateLimited { message, retry_after }
        }
        (by_code, by_status) => by_code.unwrap_or(by_status),
    }
}

/// Maps an error by its code; `None` for unknown codes. Codes have the form `FAMILY.DETAIL`.
fn by_code(code: &str, message: &str) -> Option<ProviderError> {
    let message = message.to_owned();
    let family = code.split('.').next().unwrap_or(code);
    Some(match family {
        "DataInspectionFailed" | "IPInfringementSuspect" => ProviderError::ContentPolicy(message),
        "InvalidApiKey" | "AccessDenied" | "Arrearage" | "AllocationQuota" => ProviderError::Credentials(message),
        "Throttling" => ProviderError::RateLimited { message, retry_after: None },
        // A configuration error of the operator: the model is wrong.
        "ModelNotFound" | "ModelUnavailable" => ProviderError::unavailable(message),
        "InvalidParameter" | "InvalidURL" | "BadRequest" => ProviderError::Refused { message, field: None },
        "InternalError" if code.ends_with("Timeout") => ProviderError::Timeout(message),
        "RequestTimeOut" => ProviderError::Timeout(message),
        "InternalError" => ProviderError::Broken(message),
        _ => return None,
    })
}
