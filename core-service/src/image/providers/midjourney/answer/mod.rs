//! What proxies answer: codes within successes, tasks whose states are an open set, reasons in words alone.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::super::tasks::{Look, Stage};
use crate::{error::ProviderError, upstream::failure_of};

/// The answer to a submission.
#[derive(Deserialize)]
struct SubmittedWire {
    code: Option<i64>,
    description: Option<String>,
    result: Option<Value>,
    properties: Option<Value>,
}

/// A task as it stands.
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

/// The task's id, if the submission was taken.
pub(super) fn submitted(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<String, ProviderError> {
    let wire = serde_json::from_slice::<SubmittedWire>(body.trim_ascii()).ok();
    let Some(SubmittedWire { code: Some(code), description, result, properties }) = wire else {
        return Err(if status.is_success() {
            ProviderError::Unreadable("the proxy's answer makes no sense".to_owned())
        } else {
            failure_of(status, headers, body, false)
        });
    };
    let message = description.filter(|text| !text.trim().is_empty());
    let message = message.unwrap_or_else(|| format!("the proxy answered with code {code}"));
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(ProviderError::Credentials(message));
    }
    match code {
        // Taken; taken and waiting; there already, or asking something.
        1 | 22 | 21 => match result {
            Some(Value::String(id)) if !id.is_empty() => Ok(id),
            Some(Value::Number(id)) => Ok(id.to_string()),
            _ => Err(ProviderError::Unreadable("the proxy took the task and does not name it".to_owned())),
        },
        23 | 30 => Err(ProviderError::RateLimited { message, retry_after: None }),
        24 => {
            let word = properties.as_ref().and_then(|properties| properties["bannedWord"].as_str());
            Err(ProviderError::ContentPolicy(word.map_or(message.clone(), |word| format!("{message}: {word}"))))
        }
        4 => Err(match in_words(&message) {
            Some(told @ (ProviderError::Credentials(_) | ProviderError::ContentPolicy(_))) => told,
            Some(_) | None => ProviderError::Refused { message, field: None },
        }),
        _ if status == StatusCode::TOO_MANY_REQUESTS => Err(ProviderError::RateLimited { message, retry_after: None }),
        // Nothing is under way; some say with a general code that their queue is full.
        _ => Err(in_words(&message).unwrap_or(ProviderError::unavailable(message))),
    }
}

/// What a reason in words stands for, if it tells.
fn in_words(reason: &str) -> Option<ProviderError> {
    let text = reason.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let reason = reason.to_owned();
    if says(&["subscription", "blocked account", "account is blocked", "payment", "quota", "余额", "额度"]) {
        Some(ProviderError::Credentials(reason))
    } else if says(&["banned", "moderat", "blocked", "敏感", "违规", "content policy"]) {
        Some(ProviderError::ContentPolicy(reason))
    } else if says(&["invalid parameter", "invalid link"]) {
        Some(ProviderError::Refused { message: reason, field: None })
    } else if says(&["timeout", "timed out", "超时"]) {
        Some(ProviderError::Timeout(reason))
    } else if says(&["queue", "busy", "limit", "concurrent", "队列", "已满"]) {
        Some(ProviderError::RateLimited { message: reason, retry_after: None })
    } else {
        None
    }
}

impl Look for Task {
    fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Option<Self>, ProviderError> {
        let body = body.trim_ascii();
        match status {
            StatusCode::NO_CONTENT | StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Ok(None),
            status if !status.is_success() => Err(failure_of(status, headers, body, false)),
            _ if body.is_empty() || body == b"null" => Ok(None),
            _ => serde_json::from_slice(body).map(Some).map_err(|error| {
                ProviderError::Unreadable(format!("what the proxy says of a task makes no sense: {error}"))
            }),
        }
    }

    fn stage(&self) -> Stage {
        match self.status.as_deref().unwrap_or_default() {
            "SUCCESS" => Stage::Done,
            "CANCEL" => Stage::Failed(ProviderError::Broken("the task was cancelled at the proxy".to_owned())),
            "FAILURE" => {
                let reason = self.fail_reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
                let reason = reason.unwrap_or("the proxy failed without saying why");
                Stage::Failed(in_words(reason).unwrap_or_else(|| ProviderError::Broken(reason.to_owned())))
            }
            _ => Stage::Running,
        }
    }
}

impl Task {
    /// Whether it waits for the answer to a dialogue.
    pub(super) fn asks(&self) -> bool {
        self.status.as_deref() == Some("MODAL")
    }

    /// The picture, or what it looks like so far.
    pub(super) fn link(&self) -> Option<&str> {
        self.image_url.as_deref().filter(|link| !link.is_empty())
    }

    /// The four pictures of a grid, where the proxy has taken it apart.
    pub(super) fn singles(&self) -> Option<[&str; 4]> {
        let links = self.image_urls.iter().flatten().filter_map(|link| match link {
            LinkWire::Bare(url) => Some(url.as_str()),
            LinkWire::Object { url } => url.as_deref(),
        });
        let links: Vec<_> = links.filter(|link| !link.is_empty()).collect();
        links.try_into().ok()
    }

    /// The button that takes the picture of this place, from 0, out of the grid.
    pub(super) fn button(&self, place: u32) -> Option<&str> {
        let (beginning, label) = (format!("MJ::JOB::upsample::{}::", place + 1), format!("U{}", place + 1));
        let ids = |button: &&ButtonWire| button.custom_id.as_ref().is_some_and(|id| id.starts_with(&beginning));
        let mut buttons = self.buttons.iter().flatten();
        let found = buttons.clone().find(ids).or_else(|| buttons.find(|it| it.label.as_deref() == Some(&label)));
        found?.custom_id.as_deref()
    }

    /// Whether the proxy has buttons at all: if not, it is one of the first generation.
    pub(super) fn has_buttons(&self) -> bool {
        self.buttons.as_ref().is_some_and(|buttons| !buttons.is_empty())
    }

    /// The prompt as the bot was given it in the end, where its words are others than those that were `asked`.
    pub(super) fn revised(&self, asked: &str) -> Option<String> {
        let last = self.properties.as_ref().and_then(|properties| properties["finalPrompt"].as_str());
        let last = without_links(last.or(self.prompt_en.as_deref())?);
        Some(last).filter(|last| !last.is_empty() && *last != without_links(asked))
    }
}

/// The words alone. In front of them proxies put where they have uploaded the pictures to, and Discord replaces every
/// address by one of its own, `<https://s.mj.run/...>`: neither is the caller's to see.
fn without_links(prompt: &str) -> String {
    let words = prompt.split_whitespace().map(|word| {
        let (mut kept, mut rest) = (String::new(), word);
        while let Some(at) = ["https://", "http://"].iter().filter_map(|scheme| rest.find(scheme)).min() {
            let (before, link) = rest.split_at(at);
            let (before, end) = before.strip_suffix('<').map_or((before, None), |before| (before, link.find('>')));
            kept.push_str(before);
            // Nothing but the word's end tells where a bare link ends.
            rest = end.map_or("", |end| &link[end + 1..]);
        }
        kept + rest
    });
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
