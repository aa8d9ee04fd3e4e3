//! The video in the response to a poll of Google's APIs: a URI or base64, at a place that depends on the API and on the model.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::location::Location;
use crate::{
    error::ProviderError,
    json::members::{Members, read_object},
    video::{Clip, ClipFile, Variant},
};

/// The members with the address of the file.
const ADDRESSES: [&str; 2] = ["uri", "gcsUri"];
/// The members with the file in base64.
const DATA: [&str; 3] = ["data", "bytesBase64Encoded", "encodedVideo"];

/// Returns the result of the finished task `task`; `None` if the response has no video.
pub(in crate::video::providers) fn clip(members: &Members<'_>, task: &str) -> Result<Option<Clip>, ProviderError> {
    let Some(video) = find(members) else { return Ok(None) };
    let location = match address(&video) {
        Some(uri) => Location::Uri(uri.into_owned()),
        None => Location::Inline(task.to_owned()),
    };
    let location = location.to_text()?;
    let file = ClipFile { variant: Variant::Video, media_type: "video/mp4".to_owned(), location };
    Ok(Some(Clip::new([file])))
}

fn address<'a>(video: &Members<'a>) -> Option<Cow<'a, str>> {
    ADDRESSES.iter().find_map(|name| video.string(name))
}

/// Decodes the video in a response.
pub(in crate::video::providers) fn inline_file(body: &[u8]) -> Result<Bytes, ProviderError> {
    let unreadable = |reason: &str| ProviderError::Unreadable(format!("the video in the upstream's response {reason}"));
    read_object(body, |members| {
        let video = find(&members).ok_or_else(|| unreadable("is missing"))?;
        let data = DATA.iter().find_map(|name| video.string(name)).ok_or_else(|| unreadable("has no data"))?;
        let bytes = STANDARD.decode(data.as_bytes()).map_err(|_| unreadable("is not valid base64"))?;
        // An MP4 file begins with the box `ftyp`, after its length.
        if bytes.get(4..8) != Some(b"ftyp") {
            return Err(unreadable("is not an MP4 file"));
        }
        Ok(bytes.into())
    })?
}

/// Returns the first video of a response that has a URI or data.
fn find<'a>(members: &Members<'a>) -> Option<Members<'a>> {
    let has_content =
        |video: &Members<'a>| address(video).is_some() || DATA.iter().any(|name| video.raw(name).is_some());
    // Gemini Omni: `output_video`, which official clients derive from the steps, or the last video in the steps.
    let outputs = members.objects("steps").into_iter().rev().flat_map(|step| step.objects("content"));
    let outputs = outputs.filter(|content| content.string("type").is_some_and(|kind| kind == "video"));
    // Veo: `generatedSamples` on the Gemini API, `videos` on Vertex AI.
    let response = members.object("response");
    let samples = response.object("generateVideoResponse").objects("generatedSamples");
    let samples = samples.into_iter().map(|sample| sample.object("video"));
    let candidates = std::iter::once(members.object("output_video")).chain(outputs);
    candidates.chain(samples).chain(response.objects("videos")).find(has_content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(body: &str) -> Option<Location> {
        let clip = read_object(body.as_bytes(), |members| clip(&members, "t")).unwrap().unwrap()?;
        Some(Location::parse(&clip.files[0].location).unwrap())
    }

    #[test]
    fn video_is_found_at_every_place() {
        let uri = || Some(Location::Uri("u".to_owned()));
        for (body, expected) in [
            (r#"{"output_video":{"type":"video","uri":"u"}}"#, uri()),
            (
                r#"{"steps":[{"type":"model_output","content":[{"type":"text","text":"t"},{"type":"video","uri":"u"}]}]}"#,
                uri(),
            ),
            (r#"{"steps":[{"content":[{"type":"video","data":"AAAA"}]}]}"#, Some(Location::Inline("t".to_owned()))),
            (r#"{"response":{"generateVideoResponse":{"generatedSamples":[{"video":{"uri":"u"}}]}}}"#, uri()),
            (r#"{"response":{"videos":[{"gcsUri":"u","mimeType":"video/mp4"}]}}"#, uri()),
            (r#"{"response":{"videos":[{"bytesBase64Encoded":"AAAA"}]}}"#, Some(Location::Inline("t".to_owned()))),
            (r#"{"output_video":{"type":"video"},"steps":[{"content":[{"type":"image","uri":"u"}]}]}"#, None),
        ] {
            assert_eq!(location(body), expected, "{body}");
        }
    }

    #[test]
    fn inline_data_must_be_an_mp4_file() {
        let file = |data: &str| inline_file(format!(r#"{{"output_video":{{"data":"{data}"}}}}"#).as_bytes());
        let mp4 = STANDARD.encode(b"\0\0\0\x18ftypisom");
        assert_eq!(file(&mp4).unwrap().as_ref(), b"\0\0\0\x18ftypisom");
        for wrong in ["!!", "AAAA", ""] {
            assert!(matches!(file(wrong), Err(ProviderError::Unreadable(_))), "{wrong}");
        }
    }
}
