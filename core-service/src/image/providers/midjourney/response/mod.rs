//! The responses of Midjourney proxies: result codes in successful responses, tasks with an open set of states, and errors as text
//! only.

use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;

use super::super::common::tasks::{Progress, TaskState, TaskStatus};
use crate::{
    error::ProviderError,
    json::members::{Members, object, read_object, text},
    midjourney_errors::classify,
    upstream::{QuotaMeaning, parse_error_response},
};

/// The status of a task. Texts are empty where the response lacks them.
#[derive(Debug, Default)]
pub(super) struct Task {
    status: String,
    image_url: String,
    image_urls: Vec<String>,
    buttons: Vec<Button>,
    fail_reason: String,
    /// The prompt, translated to English.
    prompt_en: String,
    /// The prompt that the bot used.
    final_prompt: String,
}

/// A button that Discord shows below a grid, for example to extract one of its images.
#[derive(Debug)]
struct Button {
    custom_id: String,
    label: String,
}

impl TaskStatus for Task {
    fn parse(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Option<Self>, ProviderError> {
        let body = body.trim_ascii();
        match status {
            // Proxies report an unknown task in one of these ways, or with an empty body.
            StatusCode::NO_CONTENT | StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Ok(None),
            status if !status.is_success() => {
                Err(parse_error_response(status, headers, body, QuotaMeaning::EmptyAccount))
            }
            _ if body.is_empty() || body == b"null" => Ok(None),
            _ => read_object(body, |members| Some(Self::new(&members))),
        }
    }

    fn progress(&self) -> Progress {
        match TaskState::of(&self.status) {
            TaskState::Succeeded => Progress::Succeeded,
            TaskState::Cancelled => {
                Progress::Failed(ProviderError::Broken("the proxy's task was cancelled".to_owned()))
            }
            TaskState::Failed => {
                let reason = Some(self.fail_reason.trim()).filter(|reason| !reason.is_empty());
                let reason = reason.unwrap_or("the proxy's task failed without a reason");
                Progress::Failed(classify(reason).unwrap_or_else(|| ProviderError::Broken(reason.to_owned())))
            }
            TaskState::Running => Progress::Running,
        }
    }
}

impl Task {
    fn new(members: &Members<'_>) -> Self {
        let owned = |members: &Members<'_>, name: &str| members.text(name).unwrap_or_default().into_owned();

        let button =
            |button: &Members<'_>| Button { custom_id: owned(button, "customId"), label: owned(button, "label") };
        Self {
            status: owned(members, "status"),
            image_url: members.string("imageUrl").unwrap_or_default().into_owned(),
            image_urls: members.list("imageUrls").into_iter().filter_map(link).collect(),
            buttons: members.objects("buttons").iter().map(button).collect(),
            fail_reason: owned(members, "failReason"),
            prompt_en: owned(members, "promptEn"),
            final_prompt: owned(&members.object("properties"), "finalPrompt"),
        }
    }

    /// Returns whether the task waits for the confirmation of a modal dialog.
    pub(super) fn awaits_confirmation(&self) -> bool {
        self.status.trim().eq_ignore_ascii_case("MODAL")
    }

    /// Returns the link to the image or, while the task is running, to its preview.
    pub(super) fn link(&self) -> Option<&str> {
        Some(self.image_url.as_str()).filter(|link| !link.is_empty())
    }

    /// Returns the links to the four images of a grid, if the proxy has split it.
    pub(super) fn single_links(&self) -> Option<[&str; 4]> {
        let links: Vec<_> = self.image_urls.iter().map(String::as_str).filter(|link| !link.is_empty()).collect();
        links.try_into().ok()
    }

    /// Returns the id of the button that extracts the image at a position, from 0.
    pub(super) fn upscale_button(&self, position: u32) -> Option<&str> {
        let (prefix, label) = (format!("MJ::JOB::upsample::{}::", position + 1), format!("U{}", position + 1));
        let mut buttons = self.buttons.iter().filter(|button| !button.custom_id.is_empty());
        let found = buttons.clone().find(|button| button.custom_id.starts_with(&prefix));
        found.or_else(|| buttons.find(|button| button.label == label)).map(|button| button.custom_id.as_str())
    }

    /// Returns whether the task has buttons. Proxies of the first generation have none.
    pub(super) fn has_buttons(&self) -> bool {
        !self.buttons.is_empty()
    }

    /// Returns the prompt that the bot finally used if its text differs from `sent`.
    pub(super) fn revised_prompt(&self, sent: &str) -> Option<String> {
        let last = if self.final_prompt.is_empty() { &self.prompt_en } else { &self.final_prompt };
        let last = without_links(last);
        Some(last).filter(|last| !last.is_empty() && *last != without_links(sent))
    }
}

/// Returns a link: a string, or the `url` of an object.
fn link(value: &RawValue) -> Option<String> {
    text(value).or_else(|| object(value).string("url")).map(String::from)
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
