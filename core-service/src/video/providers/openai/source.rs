//! The requests for edits, extensions and remixes of a video: they name a video of the upstream by its id, or contain a file.
//! They have no model: the upstream uses that of the video.

use openai_dialect::extra_members;
use serde_json::json;

use super::{
    super::common::{
        exchange::{Content, path_segment},
        form::Form,
    },
    request::add_extra_members,
};
use crate::{
    error::ProviderError,
    json::JsonObject,
    video::{Operation, RenderRequest, inputs::InputRole, parameters::VideoParameters},
};

/// The file name of a video: several servers determine the type by the extension.
const FILE_NAME: &str = "source.mp4";

/// Returns the path of a submission, of a new video as well.
pub(super) fn path(parameters: &VideoParameters) -> String {
    match (parameters.operation, &parameters.source) {
        (Operation::Remix, Some(task)) => format!("videos/{}/remix", path_segment(&task.0)),
        (Operation::Edit, _) => "videos/edits".to_owned(),
        (Operation::Extend, _) => "videos/extensions".to_owned(),
        (Operation::Generate | Operation::Remix, _) => "videos".to_owned(),
    }
}

/// Encodes a request: JSON for a video of the upstream, a form for a file.
///
/// # Errors
/// [`ProviderError::NotSupported`] if the video is a link, or if there is none.
pub(super) fn encode(request: &RenderRequest) -> Result<Content, ProviderError> {
    let VideoParameters { prompt, operation, source, seconds, extra_json, .. } = &request.parameters;
    let seconds = (*operation == Operation::Extend).then(|| seconds.to_string());
    if let Some(task) = source {
        let mut members = JsonObject::default();
        members.add("prompt", prompt.as_str());
        if let Some(seconds) = seconds {
            members.add("seconds", seconds);
        }
        if *operation != Operation::Remix {
            members.add("video", json!({"id": task.0}));
        }
        for (name, value) in extra_members(extra_json).unwrap_or_default() {
            members.add_raw(&name, value);
        }
        return Ok(Content::json(members.to_string()));
    }
    let missing = || ProviderError::NotSupported("the request has no video to start from".to_owned());
    let (media_type, bytes) = request.input(InputRole::Source).ok_or_else(missing)?.file()?;
    // 4 KiB for names, boundaries and small parts.
    let mut form = Form::with_capacity(bytes.len() + prompt.len() + 4096);
    form.text("prompt", prompt);
    if let Some(seconds) = seconds {
        form.text("seconds", &seconds);
    }
    add_extra_members(&mut form, extra_json, &["video", "prompt", "seconds"]);
    form.file("video", FILE_NAME, media_type.as_str(), bytes);
    form.finish()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::Value;

    use super::*;
    use crate::{
        media::MediaType,
        video::{
            Slot, UpstreamTask,
            inputs::{InputContent, RenderInput},
            testing,
        },
    };

    fn request(operation: Operation, source: Option<&str>, content: Option<InputContent>) -> RenderRequest {
        let mut parameters = testing::request().parameters;
        (parameters.operation, parameters.seconds) = (operation, 8);
        parameters.source = source.map(|id| UpstreamTask(id.to_owned()));
        parameters.extra_json = r#"{"quality":"high","video":{"id":"other"}}"#.to_owned();
        let inputs = content.into_iter().map(|content| RenderInput { role: InputRole::Source, content }).collect();
        RenderRequest { parameters, inputs, slot: Slot::default() }
    }

    fn json_of(operation: Operation) -> (String, Value) {
        let request = request(operation, Some("v/1"), None);
        (path(&request.parameters), serde_json::from_slice(&encode(&request).unwrap().body).unwrap())
    }

    #[test]
    fn video_of_the_upstream_is_named_by_its_id() {
        let expected = json!({"prompt": "a boat", "video": {"id": "v/1"}, "quality": "high"});
        assert_eq!(json_of(Operation::Edit), ("videos/edits".to_owned(), expected));
        let expected = json!({"prompt": "a boat", "seconds": "8", "video": {"id": "v/1"}, "quality": "high"});
        assert_eq!(json_of(Operation::Extend), ("videos/extensions".to_owned(), expected));
        let (path, body) = json_of(Operation::Remix);
        assert_eq!((path.as_str(), &body["prompt"]), ("videos/v%2F1/remix", &json!("a boat")));
    }

    #[test]
    fn file_is_sent_as_a_part_of_a_form_without_model_and_a_link_is_refused() {
        let bytes = Bytes::from_static(b"MP4");
        let file = InputContent::File { media_type: MediaType::Mp4, bytes, link: None };
        let body = encode(&request(Operation::Extend, None, Some(file))).unwrap().body;
        let form = String::from_utf8_lossy(&body);
        for part in ["name=\"prompt\"\r\n\r\na boat", "name=\"seconds\"\r\n\r\n8", "name=\"quality\"\r\n\r\nhigh"] {
            assert!(form.contains(part), "{part} in {form}");
        }
        assert!(form.contains("name=\"video\"; filename=\"source.mp4\"\r\ncontent-type: video/mp4\r\n\r\nMP4"));
        assert!(!form.contains("other") && !form.contains("name=\"model\""), "{form}");
        let link = InputContent::Link("https://a.test/v.mp4".to_owned());
        assert!(matches!(encode(&request(Operation::Edit, None, Some(link))), Err(ProviderError::NotSupported(_))));
    }
}
