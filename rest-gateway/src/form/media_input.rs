//! Images, videos and sounds in requests, in every form that clients send them.

use std::borrow::Cow;

use bytes::Bytes;
use openai_dialect::base64;
use serde::Deserialize;
use serde_json::value::RawValue;
use triptych_proto::v1::{MediaInput, media_input::Source};

use super::value::Value;
use crate::{error::GatewayError, links::Links};

/// The schemes of URIs that only the provider of a video model understands: files that a client has stored at the
/// provider.
const PROVIDER_SCHEMES: [&str; 2] = ["asset://", "oss://"];

/// Longer texts are not taken for media keys. The keys of the core are shorter.
const MAX_KEY_LENGTH: usize = 128;

/// Whether an input is an image, a video or a sound, for error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaKind {
    Image,
    Video,
    Sound,
}

/// The object form of an image: `{"image_url": "..."}`, `{"image_url": {"url": "..."}}` or `{"file_id": "..."}`.
#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(borrow, default)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    file_id: Option<Cow<'a, str>>,
}

impl Value<'_> {
    /// Converts the value to an image input. `field` is its path in the client's spelling, for error messages.
    pub(crate) fn image_input(self, field: &str, links: &Links) -> Result<MediaInput, GatewayError> {
        let source = match self {
            Self::File(bytes) if bytes.is_empty() => return Err(invalid(field, MediaKind::Image)),
            Self::File(bytes) => Source::Data(bytes),
            Self::Text(text) => parse_text(field, &text, links)?,
            Self::Json(raw) if raw.get().starts_with('{') => parse_object(field, raw.get(), links)?,
            Self::Json(raw) => {
                let text = json_string(raw.get()).ok_or_else(|| invalid(field, MediaKind::Image))?;
                parse_text(field, &text, links)?
            }
        };
        Ok(MediaInput { source: Some(source) })
    }

    /// Converts a value that is one image input or a list of them.
    pub(crate) fn image_inputs(self, field: &str, links: &Links) -> Result<Vec<MediaInput>, GatewayError> {
        let Self::Json(raw) = &self else { return Ok(vec![self.image_input(field, links)?]) };
        if !raw.get().starts_with('[') {
            return Ok(vec![self.image_input(field, links)?]);
        }
        let list: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| invalid(field, MediaKind::Image))?;
        let indexed = list.into_iter().enumerate();
        indexed
            .map(|(index, raw)| Value::Json(Cow::Borrowed(raw)).image_input(&format!("{field}[{index}]"), links))
            .collect()
    }
}

/// Converts the URL member of an object, `"..."` or `{"url": "..."}`, to an input.
pub(crate) fn parse_url_input(
    field: &str,
    kind: MediaKind,
    url: &RawValue,
    links: &Links,
) -> Result<MediaInput, GatewayError> {
    let text = url_text(url.get()).ok_or_else(|| invalid(field, kind))?;
    Ok(MediaInput { source: Some(parse_source(field, kind, &text, links)?) })
}

/// Converts a text, which is a URL, base64 or a media key, to an input.
pub(crate) fn parse_text_input(
    field: &str,
    kind: MediaKind,
    text: &str,
    links: &Links,
) -> Result<MediaInput, GatewayError> {
    Ok(MediaInput { source: Some(parse_source(field, kind, text, links)?) })
}

/// Returns the text of `"..."` or `{"url": "..."}`.
fn url_text(json: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Nested<'a> {
        #[serde(borrow)]
        url: Cow<'a, str>,
    }
    if json.starts_with('{') {
        return serde_json::from_str::<Nested<'_>>(json).map(|nested| nested.url).ok();
    }
    json_string(json)
}

/// Parses a JSON string; only one with escapes is copied.
fn json_string(json: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<&str>(json).map(Cow::Borrowed).or_else(|_| serde_json::from_str(json).map(Cow::Owned)).ok()
}

fn parse_object(field: &str, json: &str, links: &Links) -> Result<Source, GatewayError> {
    let reference: Reference<'_> = serde_json::from_str(json).map_err(|_| invalid(field, MediaKind::Image))?;
    match reference {
        Reference { image_url: Some(url), file_id: None } => {
            let text = url_text(url.get()).ok_or_else(|| invalid(field, MediaKind::Image))?;
            parse_source(field, MediaKind::Image, &text, links)
        }
        Reference { image_url: None, file_id: Some(id) } => Ok(Source::MediaKey(id.into_owned())),
        Reference { image_url: Some(_), file_id: Some(_) } | Reference { image_url: None, file_id: None } => {
            Err(GatewayError::invalid(field, format!("{field}: expected either `image_url` or `file_id`")))
        }
    }
}

/// Parses a text that is an image, or JSON of an object with an image.
fn parse_text(field: &str, text: &str, links: &Links) -> Result<Source, GatewayError> {
    let text = text.trim();
    if text.starts_with('{') {
        parse_object(field, text, links)
    } else {
        parse_source(field, MediaKind::Image, text, links)
    }
}

fn parse_source(field: &str, kind: MediaKind, text: &str, links: &Links) -> Result<Source, GatewayError> {
    let text = text.trim();
    let starts = |with: &str| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if starts("http://") || starts("https://") {
        // Links of this gateway are read from the store. Fetching them often fails: they point to a private address.
        return match links.key_of(text) {
            Some(Ok(key)) => Ok(Source::MediaKey(key.to_owned())),
            Some(Err(invalid)) => {
                Err(GatewayError::invalid(field, format!("{field}: the link {}", invalid.description())))
            }
            None => Ok(Source::Url(text.to_owned())),
        };
    }
    if PROVIDER_SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
        return Ok(Source::Url(text.to_owned()));
    }
    if starts("data:") {
        return decode(text).map(Source::Data).ok_or_else(|| invalid(field, kind));
    }
    if let Some(bytes) = decode(text) {
        return Ok(Source::Data(bytes));
    }
    // A media key contains a dot, which is in neither base64 alphabet.
    let is_key = text.len() <= MAX_KEY_LENGTH && text.contains('.') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_key { Ok(Source::MediaKey(text.to_owned())) } else { Err(invalid(field, kind)) }
}

fn decode(text: &str) -> Option<Bytes> {
    base64::decode(text).map(Bytes::from)
}

fn invalid(field: &str, kind: MediaKind) -> GatewayError {
    let (one, stored) = match kind {
        MediaKind::Image => ("an image", "image"),
        MediaKind::Video => ("a video", "video"),
        MediaKind::Sound => ("a sound", "sound"),
    };
    let expected = format!("{one} as base64, as a base64 data: URL, as an http(s) URL, or the id of a stored {stored}");
    GatewayError::invalid(field, format!("{field}: expected {expected}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{json, value::RawValue};

    use super::*;

    fn source(json: &serde_json::Value) -> Result<Source, GatewayError> {
        let raw = RawValue::from_string(json.to_string()).unwrap();
        let links = Links::unsigned("http://gateway.test");
        Ok(Value::Json(Cow::Borrowed(&*raw)).image_input("input_reference", &links)?.source.unwrap())
    }

    #[test]
    fn base64_is_accepted_in_both_alphabets_padded_or_not() {
        let bytes = Bytes::from_static(b"\xfb\xff\xfe~?!");
        for text in ["+//+fj8h", "-__-fj8h", "+//+\nfj8h\n", "data:image/png;base64,+//+fj8h", "DATA:;BASE64,+//+fj8h"]
        {
            assert_eq!(source(&json!(text)).unwrap(), Source::Data(bytes.clone()), "{text}");
        }
        for text in ["YQ==", "YQ"] {
            assert_eq!(source(&json!(text)).unwrap(), Source::Data(Bytes::from_static(b"a")), "{text}");
        }
    }

    #[test]
    fn urls_and_media_keys_are_distinguished() {
        let url = || Source::Url("https://a.test/p.png".to_owned());
        let key = || Source::MediaKey("p.png".to_owned());
        for (json, expected) in [
            (json!("https://a.test/p.png"), url()),
            (json!({"image_url": "https://a.test/p.png"}), url()),
            (json!({"image_url": {"url": "https://a.test/p.png"}}), url()),
            (json!("{\"image_url\": \"https://a.test/p.png\"}"), url()),
            (json!({"file_id": "p.png"}), key()),
            (json!("p.png"), key()),
            (json!("http://gateway.test/media/p.png"), key()),
            (json!("asset://face.png"), Source::Url("asset://face.png".to_owned())),
            (json!({"image_url": "oss://b/p.png"}), Source::Url("oss://b/p.png".to_owned())),
            (json!({"image_url": "data:image/png;base64,YQ=="}), Source::Data(Bytes::from_static(b"a"))),
        ] {
            assert_eq!(source(&json).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn invalid_image_is_refused_with_its_field() {
        let both = json!({"image_url": "https://a.test/p.png", "file_id": "p.png"});
        for json in
            [json!(""), json!(7), json!(true), json!("not base64!"), json!("data:,x"), json!({}), json!([]), both]
        {
            let error = source(&json).unwrap_err();
            assert_eq!((error.status().as_u16(), error.param()), (400, Some("input_reference")), "{json}");
        }
    }
}
