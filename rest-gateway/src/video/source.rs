//! The video to edit or to extend, in every form that clients send it: `{"id": "video_..."}` as OpenAI's SDKs do,
//! `{"url": "..."}` as xAI's and LiteLLM's clients do, or a file.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use triptych_proto::v1::{MediaInput, VideoSource, media_input, video_source::Source};

use crate::{
    error::GatewayError,
    form::{MediaKind, Value, parse_text_input, parse_url_input},
    links::Links,
};

/// The name of the member of a request.
pub(super) const FIELD: &str = "video";

/// The beginning of the ids of videos.
const ID_PREFIX: &str = "video_";

/// The object form. Exactly one member.
#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    url: Option<&'a RawValue>,
    /// Another name of `url`, like `image_url` of images.
    #[serde(borrow, default)]
    video_url: Option<&'a RawValue>,
    /// The key of a stored file, under the name that OpenAI's API has for a stored image.
    #[serde(borrow, default)]
    file_id: Option<Cow<'a, str>>,
}

/// Converts the value of the member.
pub(super) fn read(value: &Value<'_>, links: &Links) -> Result<VideoSource, GatewayError> {
    let source = match value {
        Value::File(bytes) if bytes.is_empty() => return Err(invalid()),
        Value::File(bytes) => file(media_input::Source::Data(bytes.clone())),
        Value::Text(text) if !text.trim_ascii().starts_with('{') => read_text(text.trim_ascii(), links)?,
        Value::Json(raw) if raw.get().starts_with('"') => {
            read_text(&serde_json::from_str::<String>(raw.get()).map_err(|_| invalid())?, links)?
        }
        Value::Json(_) | Value::Text(_) => read_object(value.object().ok_or_else(invalid)?, links)?,
    };
    Ok(VideoSource { source: Some(source) })
}

fn read_object(json: &str, links: &Links) -> Result<Source, GatewayError> {
    match serde_json::from_str(json).map_err(|_| invalid())? {
        Reference { id: Some(id), url: None, video_url: None, file_id: None } => Ok(Source::Id(id.into_owned())),
        Reference { id: None, url: Some(url), video_url: None, file_id: None }
        | Reference { id: None, url: None, video_url: Some(url), file_id: None } => {
            Ok(Source::File(parse_url_input(FIELD, MediaKind::Video, url, links)?))
        }
        Reference { id: None, url: None, video_url: None, file_id: Some(key) } => {
            Ok(file(media_input::Source::MediaKey(key.into_owned())))
        }
        _ => Err(invalid()),
    }
}

fn read_text(text: &str, links: &Links) -> Result<Source, GatewayError> {
    // A media key contains a dot.
    if text.starts_with(ID_PREFIX) && !text.contains('.') {
        return Ok(Source::Id(text.to_owned()));
    }
    Ok(Source::File(parse_text_input(FIELD, MediaKind::Video, text, links)?))
}

fn file(source: media_input::Source) -> Source {
    Source::File(MediaInput { source: Some(source) })
}

fn invalid() -> GatewayError {
    let message = r#"video: expected {"id": "video_..."}, {"url": "https://..."}, or an MP4 file"#;
    GatewayError::invalid(FIELD, message)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn of_json(json: &serde_json::Value) -> Result<Source, GatewayError> {
        let raw = RawValue::from_string(json.to_string()).unwrap();
        let links = Links::unsigned("http://gateway.test");
        Ok(read(&Value::Json(Cow::Borrowed(&*raw)), &links)?.source.unwrap())
    }

    #[test]
    fn video_is_accepted_in_every_form() {
        let id = || Source::Id("video_1".to_owned());
        let url = || file(media_input::Source::Url("https://a.test/v.mp4".to_owned()));
        let key = || file(media_input::Source::MediaKey("video_1.mp4".to_owned()));
        for (json, expected) in [
            (json!({"id": "video_1"}), id()),
            (json!("video_1"), id()),
            (json!({"url": "https://a.test/v.mp4"}), url()),
            (json!({"video_url": {"url": "https://a.test/v.mp4"}}), url()),
            (json!("https://a.test/v.mp4"), url()),
            (json!({"file_id": "video_1.mp4"}), key()),
            (json!({"url": "http://gateway.test/media/video_1.mp4"}), key()),
            (json!({"url": "data:video/mp4;base64,YQ=="}), file(media_input::Source::Data(Bytes::from_static(b"a")))),
        ] {
            assert_eq!(of_json(&json).unwrap(), expected, "{json}");
            // A multipart form has the same value as text.
            let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
            let links = Links::unsigned("http://gateway.test");
            assert_eq!(read(&Value::Text(text), &links).unwrap().source.unwrap(), expected, "{json}");
        }
        let links = Links::unsigned("http://gateway.test");
        let part = read(&Value::File(Bytes::from_static(b"mp4")), &links).unwrap().source.unwrap();
        assert_eq!(part, file(media_input::Source::Data(Bytes::from_static(b"mp4"))));
    }

    #[test]
    fn video_in_any_other_form_is_refused() {
        for json in [json!({}), json!([]), json!(7), json!(""), json!({"id": "a", "url": "b"}), json!({"id": 7})] {
            let error = of_json(&json).unwrap_err();
            assert_eq!((error.status().as_u16(), error.param()), (400, Some("video")), "{json}");
        }
    }
}
