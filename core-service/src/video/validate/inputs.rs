//! Validation of the inputs of a new video.

use triptych_proto::v1::{self as pb, media_input::Source, video_frame::Position, video_reference::Kind};
use url::Url;

use crate::{
    error::Error,
    model_facts::{InputFacts, ModelFacts},
    video::inputs::InputRole,
};

/// The schemes of URIs that only a provider understands. They are never fetched.
const PROVIDER_SCHEMES: [&str; 2] = ["asset://", "oss://"];

/// The maximum length of a URL, in bytes.
const MAX_URL_BYTES: usize = 8192;

/// The maximum number of inputs, whatever the model accepts.
const MAX_INPUTS: usize = 64;

/// An input of a request, which is yet to be read.
#[derive(Debug)]
pub(in crate::video) struct RequestedInput {
    pub(in crate::video) role: InputRole,
    /// The path of its field, for messages.
    pub(in crate::video) field: String,
    pub(in crate::video) input: pb::MediaInput,
}

/// Returns whether only the provider understands the URI.
pub(in crate::video) fn is_provider_uri(url: &str) -> bool {
    PROVIDER_SCHEMES.iter().any(|scheme| url.starts_with(scheme))
}

/// Reads the inputs of a request: frames first, then references, each in the order of the request.
pub(super) fn read(
    input_reference: Option<pb::MediaInput>,
    frame_images: Vec<pb::VideoFrame>,
    input_references: Vec<pb::VideoReference>,
) -> Result<Vec<RequestedInput>, Error> {
    let mut inputs = Vec::new();
    if let Some(input) = input_reference {
        inputs.push(RequestedInput { role: InputRole::FirstFrame, field: "input_reference".to_owned(), input });
    }
    for (index, pb::VideoFrame { image, position }) in frame_images.into_iter().enumerate() {
        let field = format!("frame_images[{index}]");
        let role = match Position::try_from(position) {
            Ok(Position::Unspecified | Position::First) => InputRole::FirstFrame,
            Ok(Position::Last) => InputRole::LastFrame,
            Err(_) => return Err(Error::invalid(format!("{field}.position"), "must be FIRST or LAST")),
        };
        if inputs.iter().any(|other| other.role == role) {
            return Err(Error::invalid(field, "there is already an image for this end of the video; send one"));
        }
        let input = image.ok_or_else(|| Error::invalid(format!("{field}.image"), "is required"))?;
        inputs.push(RequestedInput { role, field, input });
    }
    if !inputs.is_empty() && !input_references.is_empty() {
        let message = "cannot be combined with frame_images and input_reference; send the images as references instead";
        return Err(Error::invalid("input_references", message));
    }
    for (index, pb::VideoReference { media, kind }) in input_references.into_iter().enumerate() {
        let field = format!("input_references[{index}]");
        let role = match Kind::try_from(kind) {
            Ok(Kind::Unspecified | Kind::Image) => InputRole::Image,
            Ok(Kind::Video) => InputRole::Video,
            Ok(Kind::Audio) => InputRole::Sound,
            Err(_) => return Err(Error::invalid(format!("{field}.kind"), "must be IMAGE, VIDEO or AUDIO")),
        };
        let input = media.ok_or_else(|| Error::invalid(format!("{field}.media"), "is required"))?;
        inputs.push(RequestedInput { role, field, input });
    }
    if inputs.len() > MAX_INPUTS {
        let message = format!("has {} entries; at most {MAX_INPUTS} are accepted", inputs.len());
        return Err(Error::invalid("input_references", message));
    }
    for RequestedInput { role, field, input } in &inputs {
        let is_image = matches!(role, InputRole::FirstFrame | InputRole::LastFrame | InputRole::Image);
        match &input.source {
            // The URLs of images are checked when they are fetched.
            Some(Source::Url(url)) if is_provider_uri(url) || !is_image => check_link(field, url)?,
            _ => {}
        }
    }
    Ok(inputs)
}

/// Checks a URL that is passed to a provider as it is.
pub(super) fn check_link(field: &str, url: &str) -> Result<(), Error> {
    let is_known = |url: Url| matches!(url.scheme(), "http" | "https" | "asset" | "oss") && url.has_host();
    if url.len() <= MAX_URL_BYTES && Url::parse(url).is_ok_and(is_known) {
        return Ok(());
    }
    Err(Error::invalid(field, format!("must be an http, https, asset or oss URL of at most {MAX_URL_BYTES} bytes")))
}

/// Checks that a model renders new videos. `model` is its public name, for messages.
///
/// # Errors
/// [`Error::InvalidField`] for a model that only edits or extends videos.
pub(in crate::video) fn check_can_generate(facts: &ModelFacts, model: &str) -> Result<(), Error> {
    if facts.generate {
        return Ok(());
    }
    let message = format!("the model `{model}` renders no new videos; use it to edit or extend a video");
    Err(Error::invalid("model", message))
}

/// Checks the inputs against what a model accepts. `model` is its public name, for messages.
///
/// # Errors
/// [`Error::InvalidField`] for the first input that the model cannot use.
pub(in crate::video) fn check_inputs(facts: &ModelFacts, model: &str, inputs: &[RequestedInput]) -> Result<(), Error> {
    let InputFacts {
        required, first_frame, last_frame, last_frame_alone, images, videos, sounds, sounds_alone, ..
    } = facts.inputs;
    let count = |role| inputs.iter().filter(|input| input.role == role).count();
    let field = |role: InputRole| inputs.iter().rfind(|input| input.role == role).map(|input| input.field.clone());
    let refuse = |role: InputRole, message: String| {
        Err(Error::invalid(field(role).unwrap_or_default(), format!("the model `{model}` {message}")))
    };
    if inputs.is_empty() && required {
        return Err(Error::invalid("frame_images", format!("the model `{model}` requires an image")));
    }
    let has = |role| count(role) > 0;
    if has(InputRole::FirstFrame) && !first_frame {
        return refuse(InputRole::FirstFrame, "cannot start from an image".to_owned());
    }
    if has(InputRole::LastFrame) && !last_frame {
        return refuse(InputRole::LastFrame, "cannot end with an image".to_owned());
    }
    if has(InputRole::LastFrame) && !has(InputRole::FirstFrame) && !last_frame_alone {
        return refuse(InputRole::LastFrame, "requires a first frame beside the last one".to_owned());
    }
    for (role, max, name) in [
        (InputRole::Image, images, "reference images"),
        (InputRole::Video, videos, "reference videos"),
        (InputRole::Sound, sounds, "reference sounds"),
    ] {
        if count(role) > max as usize {
            let accepted = if max == 0 { "no".to_owned() } else { format!("at most {max}") };
            return refuse(role, format!("accepts {accepted} {name}"));
        }
    }
    if has(InputRole::Sound) && !has(InputRole::Image) && !has(InputRole::Video) && !sounds_alone {
        return refuse(InputRole::Sound, "accepts sounds only beside an image or a video".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::refused_field, *};
    use crate::model_facts::FactsTable;

    fn input(url: &str) -> pb::MediaInput {
        pb::MediaInput { source: Some(Source::Url(url.to_owned())) }
    }

    fn frame(position: Position) -> pb::VideoFrame {
        pb::VideoFrame { image: Some(input("https://a.test/p.png")), position: position.into() }
    }

    fn reference(kind: Kind, link: &str) -> pb::VideoReference {
        pb::VideoReference { media: Some(input(link)), kind: kind.into() }
    }

    #[test]
    fn frames_and_references_are_read_in_order() {
        let roles = |inputs: Vec<RequestedInput>| inputs.iter().map(|input| input.role).collect::<Vec<_>>();
        let frames = read(None, vec![frame(Position::Last), frame(Position::Unspecified)], Vec::new()).unwrap();
        assert_eq!(roles(frames), [InputRole::LastFrame, InputRole::FirstFrame]);
        let references =
            [(Kind::Unspecified, "asset://face"), (Kind::Audio, "oss://b/a.mp3"), (Kind::Video, "http://a/v")];
        let references = references.map(|(kind, link)| reference(kind, link)).into();
        let expected = [InputRole::Image, InputRole::Sound, InputRole::Video];
        assert_eq!(roles(read(None, Vec::new(), references).unwrap()), expected);
    }

    #[test]
    fn contradicting_inputs_are_refused() {
        let first = || frame(Position::First);
        assert_eq!(refused_field(read(None, vec![first(), first()], Vec::new())), "frame_images[1]");
        assert_eq!(refused_field(read(Some(input("http://a/b")), vec![first()], Vec::new())), "frame_images[0]");
        let image = reference(Kind::Image, "http://a/b");
        assert_eq!(refused_field(read(None, vec![first()], vec![image])), "input_references");
        let empty = pb::VideoFrame { image: None, position: 0 };
        assert_eq!(refused_field(read(None, vec![empty], Vec::new())), "frame_images[0].image");
        for wrong in ["file:///etc/passwd", "a.mp4", "asset:x"] {
            let video = reference(Kind::Video, wrong);
            assert_eq!(refused_field(read(None, Vec::new(), vec![video])), "input_references[0]", "{wrong}");
        }
    }

    #[test]
    fn inputs_that_the_model_cannot_use_are_refused() {
        let facts = |model| FactsTable::default().find("seedance", model);
        let old = facts("seedance-1-0-pro");
        let new = facts("seedance-2-0");
        let checked = |facts: &ModelFacts, frames: Vec<_>, references: Vec<_>| {
            check_inputs(facts, "m", &read(None, frames, references).unwrap())
        };
        let image = || reference(Kind::Image, "asset://a");
        let sound = || reference(Kind::Audio, "asset://a");
        assert!(checked(&old, vec![frame(Position::First), frame(Position::Last)], vec![]).is_ok());
        assert_eq!(refused_field(checked(&old, vec![frame(Position::Last)], vec![])), "frame_images[0]");
        assert_eq!(refused_field(checked(&old, vec![], vec![image()])), "input_references[0]");
        assert!(checked(&new, vec![], vec![image(), sound()]).is_ok());
        assert_eq!(refused_field(checked(&new, vec![], vec![sound()])), "input_references[0]");
        assert_eq!(refused_field(checked(&new, vec![], (0..10).map(|_| image()).collect())), "input_references[9]");
        let lite = facts("doubao-seedance-1-0-lite-i2v");
        assert_eq!(refused_field(checked(&lite, vec![], vec![])), "frame_images");
    }
}
