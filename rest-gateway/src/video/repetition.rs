//! The member `request` of a video: the path and the body that create it again. The core names the inputs by media keys and URLs, never
//! by their bytes, and an `input_reference` as the first of `frame_images`.

use std::{borrow::Cow, collections::BTreeMap};

use openai_dialect::extra_members;
use serde::Serialize;
use serde_json::value::RawValue;
use triptych_proto::v1::{
    self as pb, MediaInput, media_input, video_frame::Position, video_reference::Kind, video_request::Request,
    video_source,
};

/// A request with the method POST.
#[derive(Debug, Serialize)]
pub(super) struct Repetition<'a> {
    path: Cow<'static, str>,
    body: Body<'a>,
}

/// The body, in the form in which clients send it. A remix has no model and takes the inputs of its source.
#[derive(Debug, Default, Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    model: &'a str,
    prompt: &'a str,
    /// The source of an edit or an extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    video: Option<Source<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    frame_images: Vec<Input<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    input_references: Vec<Input<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    size: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    resolution: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    aspect_ratio: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generate_audio: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    negative_prompt: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    /// The members that were passed on to the provider.
    #[serde(flatten)]
    extra: BTreeMap<String, &'a RawValue>,
}

/// An image, a video or a sound: `{"type": "image_url", "file_id": "..."}`, with a URL under the name of the type instead of the key.
#[derive(Debug, Serialize)]
struct Input<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<Url<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video_url: Option<Url<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_url: Option<Url<'a>>,
}

#[derive(Debug, Serialize)]
struct Url<'a> {
    url: &'a str,
}

/// The video of an edit or an extension.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Source<'a> {
    Id(&'a str),
    FileId(&'a str),
    Url(&'a str),
}

impl<'a> Repetition<'a> {
    /// Returns the request in JSON. `None` for a method that this gateway does not know.
    pub(super) fn new(request: &'a pb::VideoRequest) -> Option<Self> {
        let (path, body) = match request.request.as_ref()? {
            Request::Create(create) => (Cow::Borrowed("/v1/videos"), Body::of_create(create)),
            Request::Edit(edit) => {
                let pb::EditVideoRequest { model, prompt, video, user, extra_json, .. } = edit;
                let (video, extra) = (video.as_ref().and_then(source), extra(extra_json));
                (Cow::Borrowed("/v1/videos/edits"), Body { model, prompt, video, user, extra, ..Body::default() })
            }
            Request::Extend(extend) => {
                let pb::ExtendVideoRequest { model, prompt, video, duration_seconds, user, extra_json, .. } = extend;
                let (video, extra) = (video.as_ref().and_then(source), extra(extra_json));
                let seconds = duration_seconds.map(|seconds| seconds.to_string());
                let body = Body { model, prompt, video, seconds, user, extra, ..Body::default() };
                (Cow::Borrowed("/v1/videos/extensions"), body)
            }
            Request::Remix(pb::RemixVideoRequest { id, prompt, idempotency_key: _, extra_json }) => {
                let body = Body { prompt, extra: extra(extra_json), ..Body::default() };
                (Cow::Owned(format!("/v1/videos/{id}/remix")), body)
            }
        };
        Some(Self { path, body })
    }
}

impl<'a> Body<'a> {
    fn of_create(request: &'a pb::CreateVideoRequest) -> Self {
        let pb::CreateVideoRequest {
            model,
            prompt,
            input_reference: _,
            size,
            duration_seconds,
            seed,
            user,
            idempotency_key: _,
            frame_images,
            input_references,
            aspect_ratio,
            resolution,
            generate_audio,
            negative_prompt,
            callback_url: _,
            fit_policy: _,
            extra_json,
        } = request;
        let frame = |frame: &'a pb::VideoFrame| {
            let frame_type = match frame.position() {
                Position::Unspecified | Position::First => "first_frame",
                Position::Last => "last_frame",
            };
            Some(Input { frame_type: Some(frame_type), ..Input::new(Kind::Image, frame.image.as_ref()?)? })
        };
        let reference = |entry: &'a pb::VideoReference| Input::new(entry.kind(), entry.media.as_ref()?);
        Self {
            model,
            prompt,
            video: None,
            frame_images: frame_images.iter().filter_map(frame).collect(),
            input_references: input_references.iter().filter_map(reference).collect(),
            size,
            resolution,
            aspect_ratio,
            seconds: duration_seconds.map(|seconds| seconds.to_string()),
            generate_audio: *generate_audio,
            seed: *seed,
            negative_prompt,
            user,
            extra: extra(extra_json),
        }
    }
}

impl<'a> Input<'a> {
    /// Returns an input in JSON. `None` if it has neither a media key nor a URL.
    fn new(kind: Kind, media: &'a MediaInput) -> Option<Self> {
        let (file_id, url) = match media.source.as_ref()? {
            media_input::Source::MediaKey(key) => (Some(key.as_str()), None),
            media_input::Source::Url(url) => (None, Some(Url { url })),
            media_input::Source::Data(_) => return None,
        };
        let without_url =
            Self { r#type: "image_url", frame_type: None, file_id, image_url: None, video_url: None, audio_url: None };
        Some(match kind {
            Kind::Unspecified | Kind::Image => Self { image_url: url, ..without_url },
            Kind::Video => Self { r#type: "video_url", video_url: url, ..without_url },
            Kind::Audio => Self { r#type: "audio_url", audio_url: url, ..without_url },
        })
    }
}

fn source(video: &pb::VideoSource) -> Option<Source<'_>> {
    match video.source.as_ref()? {
        video_source::Source::Id(id) => Some(Source::Id(id)),
        video_source::Source::File(file) => match file.source.as_ref()? {
            media_input::Source::MediaKey(key) => Some(Source::FileId(key)),
            media_input::Source::Url(url) => Some(Source::Url(url)),
            media_input::Source::Data(_) => None,
        },
    }
}

/// Returns the members of an `extra_json`, which the core has validated.
fn extra(extra_json: &str) -> BTreeMap<String, &RawValue> {
    let members = extra_members(extra_json).unwrap_or_default().into_iter();
    members.filter_map(|(name, value)| Some((name, serde_json::from_str(value).ok()?))).collect()
}
