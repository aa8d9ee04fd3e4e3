//! The responses of DashScope's image models: links to images, the status of tasks, and errors with or without an error status.

use http::{HeaderMap, StatusCode};

use super::super::common::{
    image_list::{ImageSource, UpstreamImage},
    tasks::{Progress, TaskState, TaskStatus},
};
use crate::{
    dashscope_errors::{self, error_of},
    error::ProviderError,
    json::members::{Members, read_object},
    upstream::parse_error_response_with,
};

/// The output of a synchronous call, or the status of a task.
#[derive(Debug)]
pub(super) struct Output {
    /// Empty if the response has none.
    task_id: String,
    task_status: String,
    images: Vec<UpstreamImage>,
    /// The text in place of images.
    text: String,
    error: Option<ProviderError>,
}

/// Parses the response to a synchronous call; returns at least one image.
pub(super) fn parse(body: &[u8]) -> Result<Vec<UpstreamImage>, ProviderError> {
    read_object(body, |response| output(&response).images())?
}

/// Parses the response to a submission; returns the id of the task.
pub(super) fn task_id(body: &[u8]) -> Result<String, ProviderError> {
    let Output { task_id, error, .. } = read_object(body, |response| output(&response))?;
    let missing = || ProviderError::Unreadable("the upstream accepted a task without returning its id".to_owned());
    if task_id.is_empty() { Err(error.unwrap_or_else(missing)) } else { Ok(task_id) }
}

/// Reads a response: images and texts are in `choices` of newer models, images in `results` of older ones.
fn output(response: &Members<'_>) -> Output {
    let output = response.object("output");
    let contents = output.objects("choices").into_iter().map(|choice| choice.object("message"));
    let (mut images, mut text) = (Vec::new(), String::new());
    for message in contents {
        text.extend(message.string("content"));
        for part in message.objects("content") {
            let link = part.string("image").map(|link| ImageSource::Link(link.into_owned()));
            images.extend(link.map(|link| UpstreamImage { source: Ok(link), revised_prompt: String::new() }));
            text.extend(part.string("text"));
        }
    }
    images.extend(output.objects("results").iter().map(image_of_result));
    let text_of = |name: &str| output.text(name).unwrap_or_default().into_owned();
    Output {
        task_id: text_of("task_id"),
        task_status: text_of("task_status"),
        images,
        text,
        error: error_of(response).or_else(|| error_of(&output)),
    }
}

/// Returns an image of a response with `results`, as Wan up to 2.5 has it, or its error; others may have succeeded.
fn image_of_result(result: &Members<'_>) -> UpstreamImage {
    let link = result.string("url").ok_or_else(|| error_of(result).unwrap_or_else(no_image));
    let revised = result.text("actual_prompt").filter(|prompt| Some(prompt) != result.text("orig_prompt").as_ref());
    UpstreamImage {
        source: link.map(|link| ImageSource::Link(link.into_owned())),
        revised_prompt: revised.unwrap_or_default().into_owned(),
    }
}

impl TaskStatus for Output {
    fn parse(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Option<Self>, ProviderError> {
        if !status.is_success() {
            return Err(failure(status, headers, body));
        }
        let output = read_object(body, |response| output(&response))?;
        // UNKNOWN is not an error yet: it is reported for expired tasks, and for tasks that were submitted a moment ago. The caller
        // polls again, and gives up after several in a row.
        let is_known = !output.task_status.is_empty() && !output.task_status.eq_ignore_ascii_case("UNKNOWN");
        match output.error {
            Some(error) if !is_known => Err(error),
            Some(_) | None => Ok(is_known.then_some(output)),
        }
    }

    fn progress(&self) -> Progress {
        match TaskState::of(&self.task_status) {
            TaskState::Succeeded => Progress::Succeeded,
            TaskState::Cancelled => {
                Progress::Failed(ProviderError::Broken("the upstream's task was cancelled".to_owned()))
            }
            TaskState::Failed => {
                let unknown = || ProviderError::Broken("the upstream's task failed without an error".to_owned());
                Progress::Failed(self.error.clone().unwrap_or_else(unknown))
            }
            TaskState::Running => Progress::Running,
        }
    }
}

impl Output {
    /// Returns the images, at least one. A response with text only is a refusal.
    pub(super) fn images(self) -> Result<Vec<UpstreamImage>, ProviderError> {
        let Self { images, text, error, .. } = self;
        let has_image = images.iter().any(|image| image.source.is_ok());
        match (error, text.trim()) {
            (Some(error), _) if !has_image => Err(error),
            _ if !images.is_empty() => Ok(images),
            (_, "") => Err(no_image()),
            (_, text) => Err(ProviderError::Refused { message: text.to_owned(), field: None }),
        }
    }
}

fn no_image() -> ProviderError {
    ProviderError::Unreadable("the upstream's response has no image".to_owned())
}

/// Maps an error response to a provider error.
pub(super) fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    parse_error_response_with(status, headers, body, dashscope_errors::refine)
}
