//! Pictures in requests, in all the ways that clients send them.

use std::borrow::Cow;

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use serde::Deserialize;
use triptych_proto::v1::{MediaInput, media_input::Source};

use super::Value;
use crate::{error::GatewayError, links::Links};

const TOLERANT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, TOLERANT);
const FOR_URLS: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, TOLERANT);

/// `{"image_url": "..."}`, `{"image_url": {"url": "..."}}` or `{"file_id": "..."}`.
#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(borrow, default)]
    image_url: Option<Address<'a>>,
    #[serde(borrow, default)]
    file_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Address<'a> {
    Plain(#[serde(borrow)] Cow<'a, str>),
    Wrapped { url: String },
}

impl Value<'_> {
    /// The picture that this value is or names. `field` is how the client calls it.
    pub(crate) fn picture(self, field: &str, links: &Links) -> Result<MediaInput, GatewayError> {
        let source = match self {
            Self::File(bytes) if bytes.is_empty() => return Err(wrong(field)),
            Self::File(bytes) => Source::Data(bytes),
            Self::Text(text) => named(field, &text, links)?,
            Self::Json(raw) if raw.get().starts_with('{') => object(field, raw.get(), links)?,
            Self::Json(raw) => {
                let text: Cow<'_, str> = text(raw.get()).ok_or_else(|| wrong(field))?;
                named(field, &text, links)?
            }
        };
        Ok(MediaInput { source: Some(source) })
    }

    /// The pictures of a value that may also be a list of them.
    pub(crate) fn pictures(self, field: &str, links: &Links) -> Result<Vec<MediaInput>, GatewayError> {
        let Self::Json(raw) = &self else { return Ok(vec![self.picture(field, links)?]) };
        if !raw.get().starts_with('[') {
            return Ok(vec![self.picture(field, links)?]);
        }
        let list: Vec<&serde_json::value::RawValue> = serde_json::from_str(raw.get()).map_err(|_| wrong(field))?;
        let numbered = list.into_iter().enumerate();
        numbered.map(|(place, raw)| Value::Json(raw).picture(&format!("{field}[{place}]"), links)).collect()
    }
}

/// Only a text with escapes is copied.
fn text(json: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<&str>(json).map(Cow::Borrowed).or_else(|_| serde_json::from_str(json).map(Cow::Owned)).ok()
}

fn object(field: &str, json: &str, links: &Links) -> Result<Source, GatewayError> {
    let reference: Reference<'_> = serde_json::from_str(json).map_err(|_| wrong(field))?;
    match reference {
        Reference { image_url: Some(Address::Plain(url)), file_id: None } => named(field, &url, links),
        Reference { image_url: Some(Address::Wrapped { url }), file_id: None } => named(field, &url, links),
        Reference { image_url: None, file_id: Some(id) } => Ok(Source::MediaKey(id.into_owned())),
        Reference { image_url: Some(_), file_id: Some(_) } | Reference { image_url: None, file_id: None } => {
            Err(GatewayError::invalid(field, format!("`{field}` must hold either `image_url` or `file_id`")))
        }
    }
}

/// The picture behind a text: an address, an object written as a text, base64, or the name of a stored picture.
fn named(field: &str, text: &str, links: &Links) -> Result<Source, GatewayError> {
    let text = text.trim();
    let begins = |with: &str| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if begins("http://") || begins("https://") {
        // Our own links need no network, and often could not be fetched: they lead back to a private address.
        return match links.key_of(text) {
            Some(Ok(key)) => Ok(Source::MediaKey(key.to_owned())),
            Some(Err(refused)) => {
                Err(GatewayError::invalid(field, format!("the link in `{field}` {}", refused.words())))
            }
            None => Ok(Source::Url(text.to_owned())),
        };
    }
    if begins("data:") {
        let data = text.split_once(',').filter(|(head, _)| head.to_ascii_lowercase().ends_with(";base64"));
        return data.and_then(|(_, base64)| decode(base64)).map(Source::Data).ok_or_else(|| wrong(field));
    }
    if begins("{") {
        return object(field, text, links);
    }
    if let Some(bytes) = decode(text) {
        return Ok(Source::Data(bytes));
    }
    // The dot of a key is in no base64 alphabet.
    let key = text.len() <= 128 && text.contains('.') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if key { Ok(Source::MediaKey(text.to_owned())) } else { Err(wrong(field)) }
}

/// Base64 of either alphabet, padded or not, in one line or many; not empty.
fn decode(text: &str) -> Option<Bytes> {
    let broken = memchr::memchr3(b'\n', b'\r', b' ', text.as_bytes()).is_some();
    let text: Cow<'_, str> =
        if broken { text.split_ascii_whitespace().collect::<String>().into() } else { Cow::Borrowed(text) };
    let engine = if memchr::memchr2(b'-', b'_', text.as_bytes()).is_some() { FOR_URLS } else { PLAIN };
    engine.decode(text.as_bytes()).ok().filter(|bytes| !bytes.is_empty()).map(Bytes::from)
}

fn wrong(field: &str) -> GatewayError {
    let right = "must be a picture: base64, a data: URL with base64, an http(s) URL, or the id of a stored picture";
    GatewayError::invalid(field, format!("`{field}` {right}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{json, value::RawValue};

    use super::*;

    fn source(json: &serde_json::Value) -> Result<Source, GatewayError> {
        let raw = RawValue::from_string(json.to_string()).unwrap();
        let links = Links::to("http://gateway.test");
        Ok(Value::Json(&raw).picture("input_reference", &links)?.source.unwrap())
    }

    #[test]
    fn base64_is_taken_in_every_form_that_clients_write() {
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
    fn addresses_and_ids_are_told_apart() {
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
            (json!({"image_url": "data:image/png;base64,YQ=="}), Source::Data(Bytes::from_static(b"a"))),
        ] {
            assert_eq!(source(&json).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_picture_names_the_field() {
        let both = json!({"image_url": "https://a.test/p.png", "file_id": "p.png"});
        for json in
            [json!(""), json!(7), json!(true), json!("not base64!"), json!("data:,x"), json!({}), json!([]), both]
        {
            let error = source(&json).unwrap_err();
            assert_eq!((error.status().as_u16(), error.param()), (400, Some("input_reference")), "{json}");
        }
    }
}
