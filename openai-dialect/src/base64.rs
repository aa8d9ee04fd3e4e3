//! Lenient base64 decoding, for images and sounds in requests and in responses of upstreams.

use std::borrow::Cow;

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD_ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const URL_SAFE_ENGINE: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Decodes base64 of either alphabet, with or without padding and line breaks, and with or without the prefix of a
/// `data:` URL, whose media type is ignored. Returns `None` if it is invalid or empty.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let is_url = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    let text = if is_url { data_of_url(text)? } else { text };
    let bytes = text.as_bytes();
    let has_space = memchr::memchr3(b'\n', b' ', b'\t', bytes).is_some() || memchr::memchr(b'\r', bytes).is_some();
    let text: Cow<'_, str> =
        if has_space { text.split_ascii_whitespace().collect::<String>().into() } else { text.into() };
    let is_url_safe = memchr::memchr2(b'-', b'_', text.as_bytes()).is_some();
    let engine = if is_url_safe { URL_SAFE_ENGINE } else { STANDARD_ENGINE };
    engine.decode(text.as_bytes()).ok().filter(|bytes| !bytes.is_empty())
}

/// Returns the data of a `data:` URL that is marked as base64: `data:image/png;name=a.png;base64,...`.
fn data_of_url(url: &str) -> Option<&str> {
    let (head, data) = url.split_once(',')?;
    let (_, last) = head.rsplit_once(';')?;
    last.trim_ascii().eq_ignore_ascii_case("base64").then_some(data)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn either_alphabet_is_decoded_with_and_without_padding_line_breaks_and_data_url() {
        for text in [
            "+//+fj8h",
            "-__-fj8h",
            "+//+\nfj8h\n",
            "\r\n+//+\r\nfj\t8h ",
            "-_\r\n_-fj8h",
            "data:image/png;base64,+//+fj8h",
            "DATA:;BASE64,+//+fj8h",
            "data:image/png;name=\"a b.png\";charset=utf-8; base64,-__-\nfj8h",
            "data:;base64, +//+fj8h",
        ] {
            assert_eq!(decode(text).as_deref(), Some(b"\xfb\xff\xfe~?!".as_slice()), "{text:?}");
        }
        for text in ["YQ==", "YQ", "YQ=", "Y\nQ\n=\n="] {
            assert_eq!(decode(text).as_deref(), Some(b"a".as_slice()), "{text:?}");
        }
    }

    #[test]
    fn text_that_is_not_base64_returns_none() {
        for text in [
            "",
            " ",
            "=",
            "not base64!",
            "Y",
            "data:,YQ==",
            "data:image/png,YQ==",
            "data:;base64,",
            "a.png",
            "YQ==YQ==",
        ] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
