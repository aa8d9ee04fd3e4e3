//! Responses of upstreams with OpenAI's images API: lists of images and stream events.

use bytes::Bytes;

use super::super::common::{
    decode::base64_image,
    image_list::{self, ImageList, UpstreamImage},
};
use crate::{error::ProviderError, image::Usage, json::members::read_object, upstream::parse_error_member};

/// An event of a streamed response.
#[derive(Debug, Default, PartialEq)]
pub(super) enum StreamEvent {
    Preview {
        preview_index: u32,
        picture: Bytes,
    },
    Finished {
        image: UpstreamImage,
        usage: Option<Usage>,
    },
    /// An event without an image, which is ignored.
    #[default]
    Unknown,
}

/// Parses a non-streaming response.
pub(super) fn parse(body: &[u8]) -> Result<ImageList, ProviderError> {
    image_list::parse(body, parse_error_member)
}

/// Parses the data of one stream event. A preview that cannot be decoded is ignored: the finished image follows.
pub(super) fn parse_event(data: &[u8]) -> Result<StreamEvent, ProviderError> {
    read_object(data, |members| {
        let kind = members.text("type");
        let has_image = ["b64_json", "url"].into_iter().any(|name| members.raw(name).is_some());
        if let Some(error) = members.error().filter(|_| !has_image) {
            return Err(parse_error_member(error));
        }
        let is_preview = match kind.as_deref() {
            Some(kind) if kind.ends_with(".partial_image") => true,
            Some(kind) if kind.ends_with(".completed") => false,
            Some("error") => return Err(parse_error_member(&String::from_utf8_lossy(data))),
            None if has_image => members.raw("partial_image_index").is_some(),
            Some(_) | None => return Ok(StreamEvent::Unknown),
        };
        if !is_preview {
            let image = image_list::image(&members, parse_error_member);
            return Ok(StreamEvent::Finished { image, usage: image_list::usage(&members.object("usage")) });
        }
        let picture = members.string("b64_json").and_then(|encoded| base64_image(&encoded).ok());
        let preview_index = members.number("partial_image_index").unwrap_or_default().try_into().unwrap_or_default();
        Ok(picture.map_or(StreamEvent::Unknown, |picture| StreamEvent::Preview { preview_index, picture }))
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unexpected_values_beside_an_image_do_not_fail_an_event() {
        for members in [
            r#""type":"image_generation.completed","usage":"none","created_at":"now""#,
            r#""type":"image_generation.completed","error":{"message":"late"},"revised_prompt":[]"#,
            r#""type":7,"type":null,"usage":{"total_tokens":-9},"size":{}"#,
        ] {
            let event = parse_event(format!("{{{members},\"b64_json\":\"YQ==\"}}").as_bytes()).unwrap();
            assert!(
                matches!(&event, StreamEvent::Finished { image, usage: None } if image.source.is_ok()),
                "{members}: {event:?}"
            );
        }
        for (index, preview_index) in [("\"2\"", 2), ("-1", 0), ("{}", 0), ("1e12", 0)] {
            let event =
                format!(r#"{{"type":"image_edit.partial_image","b64_json":"YQ","partial_image_index":{index}}}"#);
            let picture = Bytes::from_static(b"a");
            assert_eq!(parse_event(event.as_bytes()), Ok(StreamEvent::Preview { preview_index, picture }), "{index}");
        }
        for invalid in [r#""b64_json":"?""#, r#""b64_json":7"#, r#""b64_json":null"#] {
            let event = format!(r#"{{"type":"image_generation.partial_image",{invalid}}}"#);
            assert_eq!(parse_event(event.as_bytes()), Ok(StreamEvent::Unknown), "{invalid}");
        }
    }

    #[test]
    fn error_event_is_reported_with_its_members() {
        let error = r#""code":"invalid_prompt","message":"no","param":"prompt""#;
        for event in [
            format!(r#"{{"type":"error","error":{{{error}}}}}"#),
            format!(r#"{{"type":"error",{error}}}"#),
            format!(r#"{{"error":{{{error}}}}}"#),
            format!(r#"{{"type":"image_generation.completed","b64_json":"","error":{{{error}}}}}"#),
        ] {
            let error = parse_event(event.as_bytes()).unwrap_err();
            assert!(matches!(error.failure(), ProviderError::Refused { .. }), "{event}: {error:?}");
            let details = error.details().unwrap();
            assert_eq!((&*details.code, &*details.param), ("invalid_prompt", "prompt"), "{event}");
        }
    }
}
