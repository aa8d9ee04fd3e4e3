//! Responses of proxies: result codes in successful responses, tasks with an open set of states, and errors as text only.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::super::common::tasks::{Progress, TaskStatus};
use crate::{error::ProviderError, upstream::failure_of};

/// The response to a submission.
#[derive(Deserialize)]
struct SubmissionWire {
    code: Option<i64>,
    description: Option<String>,
    result: Option<Value>,
    properties: Option<Value>,
}

/// The status of a task.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Task {
    status: Option<String>,
    image_url: Option<String>,
    image_urls: Option<Vec<LinkWire>>,
    buttons: Option<Vec<ButtonWire>>,
    fail_reason: Option<String>,
    prompt_en: Option<String>,
    properties: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum LinkWire {
    Bare(String),
    Object { url: Option<String> },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ButtonWire {
    custom_id: Option<String>,
    label: Option<String>,
}

/// Parses the response to a submission; returns the id of the task.
pub(super) fn task_id(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<String, ProviderError> {
    let wire = serde_json::from_slice::<SubmissionWire>(body.trim_ascii()).ok();
    let Some(SubmissionWire { code: Some(code), description, result, properties }) = wire else {
        return Err(if status.is_success() {
            ProviderError::Unreadable("the proxy sent an invalid response".to_owned())
        } else {
            failure_of(status, headers, body, false)
        });
    };
    let message = description.filter(|text| !text.trim().is_empty());
    let message = message.unwrap_or_else(|| format!("the proxy returned code {code}"));
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(ProviderError::Credentials(message));
    }
    match code {
        // Submitted; queued; exists already or awaits a confirmation.
        1 | 22 | 21 => match result {
            Some(Value::String(id)) if !id.is_empty() => Ok(id),
            Some(Value::Number(id)) => Ok(id.to_string()),
            _ => Err(ProviderError::Unreadable("the proxy accepted a task without returning its id".to_owned())),
        },
        23 | 30 => Err(ProviderError::RateLimited { message, retry_after: None }),
        24 => {
            let banned = properties.as_ref().and_then(|properties| properties["bannedWord"].as_str());
            Err(ProviderError::ContentPolicy(banned.map_or(message.clone(), |word| format!("{message}: {word}"))))
        }
        4 => Err(match classify(&message) {
            Some(error @ (ProviderError::Credentials(_) | ProviderError::ContentPolicy(_))) => error,
            Some(_) | None => ProviderError::Refused { message, field: None },
        }),
        _ if status == StatusCode::TOO_MANY_REQUESTS => Err(ProviderError::RateLimited { message, retry_after: None }),
        // No task was started. Some proxies report a full queue with a generic code.
        _ => Err(classify(&message).unwrap_or(ProviderError::unavailable(message))),
    }
}

/// Maps an error text to a provider error by its keywords; `None` without a known one.
fn classify(reason: &str) -> Option<ProviderError> {
    let text = reason.to_lowercase();
    let has = |keywords: &[&str]| keywords.iter().any(|keyword| text.contains(keyword));
    let reason = reason.to_owned();
    if has(&["subscription", "blocked account", "account is blocked", "payment", "quota", "余额", "额度"]) {
        Some(ProviderError::Credentials(reason))
    } else if has(&["banned", "moderat", "blocked", "敏感", "违规", "content policy"]) {
        Some(ProviderError::ContentPolicy(reason))
    } else if has(&["invalid parameter", "invalid link"]) {
        Some(ProviderError::Refused { message: reason, field: None })
    } else if has(&["timeout", "timed out", "超时"]) {
        Some(ProviderError::Timeout(reason))
    } else if has(&["queue", "busy", "limit", "concurrent", "队列", "已满"]) {
        Some(ProviderError::RateLimited { message: reason, retry_after: None })
    } else {
        None
    }
}

impl TaskStatus for Task {
    fn parse(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Option<Self>, ProviderError> {
        let body = body.trim_ascii();
        match status {
            StatusCode::NO_CONTENT | StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Ok(None),
            status if !status.is_success() => Err(failure_of(status, headers, body, false)),
            _ if body.is_empty() || body == b"null" => Ok(None),
            _ => serde_json::from_slice(body)
                .map(Some)
                .map_err(|error| ProviderError::Unreadable(format!("the proxy sent an invalid task: {error}"))),
        }
    }

    fn progress(&self) -> Progress {
        match self.status.as_deref().unwrap_or_default() {
            "SUCCESS" => Progress::Succeeded,
            "CANCEL" => Progress::Failed(ProviderError::Broken("the proxy's task was cancelled".to_owned())),
            "FAILURE" => {
                let reason = self.fail_reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
                let reason = reason.unwrap_or("the proxy's task failed without a reason");
                Progress::Failed(classify(reason).unwrap_or_else(|| ProviderError::Broken(reason.to_owned())))
            }
            _ => Progress::Running,
        }
    }
}

impl Task {
    /// Returns whether the task waits for the confirmation of a modal dialog.
    pub(super) fn awaits_confirmation(&self) -> bool {
        self.status.as_deref() == Some("MODAL")
    }

    /// Returns the link to the image or, while the task is running, to its preview.
    pub(super) fn link(&self) -> Option<&str> {
        self.image_url.as_deref().filter(|link| !link.is_empty())
    }

    /// Returns the links to the four images of a grid, if the proxy has split it.
    pub(super) fn single_links(&self) -> Option<[&str; 4]> {
        let links = self.image_urls.iter().flatten().filter_map(|link| match link {
            LinkWire::Bare(url) => Some(url.as_str()),
            LinkWire::Object { url } => url.as_deref(),
        });
        let links: Vec<_> = links.filter(|link| !link.is_empty()).collect();
        links.try_into().ok()
    }

    /// Returns the id of the button that extracts the image at a position, from 0.
    pub(super) fn upscale_button(&self, position: u32) -> Option<&str> {
        let (prefix, label) = (format!("MJ::JOB::upsample::{}::", position + 1), format!("U{}", position + 1));
        let has_prefix = |button: &&ButtonWire| button.custom_id.as_ref().is_some_and(|id| id.starts_with(&prefix));
        let mut buttons = self.buttons.iter().flatten();
        let found = buttons.clone().find(has_prefix).or_else(|| buttons.find(|it| it.label.as_deref() == Some(&label)));
        found?.custom_id.as_deref()
    }

    /// Returns whether the task has buttons. Proxies of the first generation have none.
    pub(super) fn has_buttons(&self) -> bool {
        self.buttons.as_ref().is_some_and(|buttons| !buttons.is_empty())
    }

    /// Returns the prompt that the bot finally used if its text differs from `sent`.
    pub(super) fn revised_prompt(&self, sent: &str) -> Option<String> {
        let last = self.properties.as_ref().and_then(|properties| properties["finalPrompt"].as_str());
        let last = without_links(last.or(self.prompt_en.as_deref())?);
        Some(last).filter(|last| !last.is_empty() && *last != without_links(sent))
    }
}

/// Removes links from a prompt. Proxies prepend the URLs of the uploaded input images, and Discord replaces every URL by
/// `<https://s.mj.run/...>`; clients must see neither.
fn without_links(prompt: &str) -> String {
    let words = prompt.split_whitespace().map(|word| {
        let (mut kept, mut rest) = (String::new(), word);
        while let Some(at) = ["https://", "http://"].iter().filter_map(|scheme| rest.find(scheme)).min() {
            let (before, link) = rest.split_at(at);
            let (before, end) = before.strip_suffix('<').map_or((before, None), |before| (before, link.find('>')));
            kept.push_str(before);
            // A link without angle brackets extends to the end of the word.
            rest = end.map_or("", |end| &link[end + 1..]);
        }
        kept + rest
    });
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
