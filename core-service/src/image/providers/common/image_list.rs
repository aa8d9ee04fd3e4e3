//! The list of images in responses of OpenAI's images API, which other upstreams use as well.
//!
//! Wire format: `{"data":[{"b64_json"|"url", "revised_prompt"}], "usage":{..}}`, with an `error` on either level.

use bytes::Bytes;

use super::decode::base64_image;
use crate::{
    error::ProviderError,
    image::Usage,
    json::members::{Members, read_object},
};

/// An image in an upstream's response.
#[derive(Debug, PartialEq)]
pub(in crate::image::providers) struct UpstreamImage {
    /// The image, or why this one failed; others may have succeeded.
    pub(in crate::image::providers) source: Result<ImageSource, ProviderError>,
    /// Empty if the prompt was not revised.
    pub(in crate::image::providers) revised_prompt: String,
}

/// How an upstream delivers an image.
#[derive(Debug, PartialEq)]
pub(in crate::image::providers) enum ImageSource {
    Bytes(Bytes),
    Link(String),
}

/// A parsed list of images.
#[derive(Debug)]
pub(in crate::image::providers) struct ImageList {
    pub(in crate::image::providers) images: Vec<UpstreamImage>,
    pub(in crate::image::providers) usage: Option<Usage>,
}

/// Maps the JSON text of an `error` within a successful response to a provider error.
pub(in crate::image::providers) type MapError = fn(&str) -> ProviderError;

/// Parses a non-streaming response.
///
/// # Errors
/// [`ProviderError::Unreadable`] if it is not a JSON object; the error that it reports if it has no image.
pub(in crate::image::providers) fn parse(body: &[u8], map_error: MapError) -> Result<ImageList, ProviderError> {
    read_object(body, |members| {
        let images: Vec<_> = members.objects("data").iter().map(|item| image(item, map_error)).collect();
        if !images.iter().any(|image| image.source.is_ok()) {
            if let Some(error) = members.error() {
                return Err(map_error(error));
            }
            let is_error = ["message", "error_message", "detail"].into_iter().any(|name| members.raw(name).is_some());
            if images.is_empty() && is_error {
                return Err(map_error(&String::from_utf8_lossy(body)));
            }
        }
        Ok(ImageList { images, usage: usage(&members.object("usage")) })
    })?
}

/// Returns the image of a list's item, or of a stream event.
pub(in crate::image::providers) fn image(members: &Members<'_>, map_error: MapError) -> UpstreamImage {
    UpstreamImage { source: source(members, map_error), revised_prompt: revised_prompt(members) }
}

/// Returns the bytes or the link of an item, or its error.
fn source(members: &Members<'_>, map_error: MapError) -> Result<ImageSource, ProviderError> {
    let decoded = members.string("b64_json").map(|encoded| base64_image(&encoded));
    if let Some(Ok(bytes)) = decoded {
        return Ok(ImageSource::Bytes(bytes));
    }
    match (members.string("url"), decoded, members.error()) {
        (Some(url), ..) if url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) => {
            base64_image(&url).map(ImageSource::Bytes)
        }
        (Some(url), ..) => Ok(ImageSource::Link(url.into_owned())),
        (None, Some(invalid), _) => invalid.map(ImageSource::Bytes),
        (None, None, Some(error)) => Err(map_error(error)),
        (None, None, None) => {
            Err(ProviderError::Unreadable("the upstream's response lacks the bytes or link of an image".to_owned()))
        }
    }
}

fn revised_prompt(members: &Members<'_>) -> String {
    members.text("revised_prompt").unwrap_or_default().into_owned()
}

/// Drops failed images while there are more than `n` in all: the request is fulfilled without them.
pub(in crate::image::providers) fn drop_surplus_failures(images: &mut Vec<UpstreamImage>, n: usize) {
    let mut surplus = images.len().saturating_sub(n);
    images.retain(|image| {
        let is_kept = surplus == 0 || image.source.is_ok();
        surplus -= usize::from(!is_kept);
        is_kept
    });
}

/// Returns the token usage; missing counts are derived, as some upstreams report only part of them.
pub(in crate::image::providers) fn usage(members: &Members<'_>) -> Option<Usage> {
    let [input, output, total] = ["input_tokens", "output_tokens", "total_tokens"].map(|name| members.number(name));
    input.or(output).or(total)?;
    let reported_input = input.unwrap_or_default();
    let total = total.unwrap_or(reported_input.saturating_add(output.unwrap_or_default()));
    let output = output.unwrap_or(total.saturating_sub(reported_input));
    let input = input.unwrap_or(total.saturating_sub(output));
    let input_images = members.object("input_tokens_details").number("image_tokens").unwrap_or_default();
    Some(Usage { input, input_images, output, total })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::parse_error_member;

    fn list(body: &str) -> Result<ImageList, ProviderError> {
        parse(body.as_bytes(), parse_error_member)
    }

    #[test]
    fn unexpected_values_beside_an_image_do_not_fail_it() {
        for members in [
            r#""created":"now","usage":7"#,
            r#""created":null,"usage":null,"error":null"#,
            r#""usage":{"input_tokens":-1,"output_tokens":"x","total_tokens":[]},"size":{},"seed":"7""#,
            r#""usage":[1],"output_format":"tiff","quality":7,"error":{}"#,
            r#""error":{"message":"late"},"created":-Infinity"#,
        ] {
            for item in [
                r#""revised_prompt":{},"error":"odd""#,
                r#""revised_prompt":null,"url":7,"size":[1]"#,
                r#""revised_prompt":["x"],"error":null,"error":null"#,
            ] {
                let list = list(&format!("\u{feff}{{{members},\"data\":[{{\"b64_json\":\"YQ==\",{item}}}]}}")).unwrap();
                let expected = [UpstreamImage {
                    source: Ok(ImageSource::Bytes(Bytes::from_static(b"a"))),
                    revised_prompt: String::new(),
                }];
                assert_eq!((list.usage, list.images.as_slice()), (None, expected.as_slice()), "{members} {item}");
            }
        }
        let revised = list(r#"{"data":{"b64_json":"YQ==","revised_prompt":7}}"#).unwrap();
        assert_eq!(revised.images[0].revised_prompt, "7");
    }

    #[test]
    fn usable_counts_of_a_usage_are_kept() {
        let usage = |usage: &str| list(&format!(r#"{{"data":[],"usage":{usage}}}"#)).unwrap().usage;
        let expected = Usage { input: 10, input_images: 4, output: 5, total: 15 };
        let details = r#""input_tokens_details":{"image_tokens":4,"text_tokens":"x"}"#;
        for counts in [
            r#""input_tokens":10,"output_tokens":5.0,"total_tokens":-1"#,
            r#""input_tokens":"10","output_tokens":null,"total_tokens":15"#,
        ] {
            assert_eq!(usage(&format!("{{{counts},{details}}}")), Some(expected), "{counts}");
        }
    }

    #[test]
    fn failed_images_are_dropped_while_there_are_more_than_requested() {
        let body = r#"{"data":[null,{"b64_json":"?"},{"b64_json":"?","url":"https://x.example/1"},{"b64_json":"YQ"}]}"#;
        for (n, left) in [(1, vec![true, true]), (3, vec![false, true, true]), (4, vec![false, false, true, true])] {
            let mut images = list(body).unwrap().images;
            drop_surplus_failures(&mut images, n);
            assert_eq!(images.iter().map(|image| image.source.is_ok()).collect::<Vec<_>>(), left);
        }
    }

    #[test]
    fn response_without_an_image_fails_with_the_error_that_it_reports() {
        for body in [
            r#"{"error":{"message":"no","code":"invalid_prompt"}}"#,
            r#"{"data":[{"revised_prompt":"x"}],"error":{"message":"no","code":"invalid_prompt"}}"#,
            r#"{"message":"no","code":"invalid_prompt","data":null}"#,
        ] {
            let error = list(body).unwrap_err();
            assert!(matches!(error.failure(), ProviderError::Refused { message, .. } if message == "no"), "{error:?}");
            assert_eq!(error.details().unwrap().code, "invalid_prompt");
        }
    }
}
