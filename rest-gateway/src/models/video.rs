//! `GET /v1/videos/models`: the video models and what they accept, in the form of OpenRouter's list, extended with
//! members of the gateway's own.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use triptych_proto::{
    time::unix_seconds,
    v1::{self as pb, video_capabilities::Audio},
};

use crate::{app::App, context::RequestContext, error::GatewayError, metadata::with_metadata};

#[derive(Debug, Serialize)]
struct VideoModelList {
    object: &'static str,
    data: Vec<VideoModel>,
}

/// A video model. OpenRouter's clients require the names, the creation time and the first members of the capabilities.
#[derive(Debug, Serialize)]
struct VideoModel {
    id: String,
    canonical_slug: String,
    name: String,
    created: i64,
    owned_by: String,
    default: bool,
    aliases: Vec<String>,
    #[serde(flatten)]
    capabilities: VideoCapabilities,
}

/// What a video model accepts and returns. A list is null if nothing is known, or every value is accepted.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "members of the API")]
pub(super) struct VideoCapabilities {
    supported_resolutions: Option<Vec<String>>,
    supported_aspect_ratios: Option<Vec<String>>,
    supported_sizes: Option<Vec<String>>,
    /// In seconds.
    supported_durations: Option<Vec<u32>>,
    supported_frame_images: Vec<&'static str>,
    /// Whether the videos can have sound.
    generate_audio: Option<bool>,
    seed: bool,
    /// Members that a request may have besides those of the API. Empty: there is no list, every unknown member is
    /// passed on.
    allowed_passthrough_parameters: [&'static str; 0],
    /// When videos have sound: `never`, `default_on`, `default_off` or `always`.
    audio: Option<&'static str>,
    negative_prompt: bool,
    input_required: bool,
    max_reference_images: u32,
    max_reference_videos: u32,
    max_reference_sounds: u32,
    frames_per_second: Option<u32>,
    edit: bool,
    /// Whether files and the videos of other models can be edited.
    edit_file: bool,
    extend: bool,
    /// Whether files and the videos of other models can be extended.
    extend_file: bool,
    /// In seconds. Empty if videos cannot be extended.
    supported_extension_durations: Vec<u32>,
    deprecation_date: Option<String>,
}

impl From<pb::VideoCapabilities> for VideoCapabilities {
    fn from(capabilities: pb::VideoCapabilities) -> Self {
        let audio = match capabilities.audio() {
            Audio::Unspecified => None,
            Audio::Never => Some("never"),
            Audio::DefaultOn => Some("default_on"),
            Audio::DefaultOff => Some("default_off"),
            Audio::Always => Some("always"),
        };
        let pb::VideoCapabilities {
            sizes,
            resolutions,
            aspect_ratios,
            durations,
            frames_per_second,
            input_required,
            first_frame,
            last_frame,
            max_reference_images,
            max_reference_videos,
            max_reference_sounds,
            audio: _,
            seed,
            negative_prompt,
            edit,
            extend,
            deprecation_date,
            edit_file,
            extend_file,
            extend_durations,
        } = capabilities;
        let frames = [first_frame.then_some("first_frame"), last_frame.then_some("last_frame")];
        Self {
            supported_resolutions: known(resolutions),
            supported_aspect_ratios: known(aspect_ratios),
            supported_sizes: known(sizes),
            supported_durations: known(durations),
            supported_frame_images: frames.into_iter().flatten().collect(),
            generate_audio: audio.map(|audio| audio != "never"),
            seed,
            allowed_passthrough_parameters: [],
            audio,
            negative_prompt,
            input_required,
            max_reference_images,
            max_reference_videos,
            max_reference_sounds,
            frames_per_second,
            edit,
            edit_file,
            extend,
            extend_file,
            supported_extension_durations: extend_durations,
            deprecation_date: Some(deprecation_date).filter(|date| !date.is_empty()),
        }
    }
}

/// Returns the list, `None` if it is empty: in the protobuf message, an empty list means that nothing is known.
fn known<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

impl VideoModel {
    /// Converts a model; `None` for models of another modality.
    fn from_model(model: pb::Model) -> Option<Self> {
        if model.modality() != pb::Modality::Video {
            return None;
        }
        let pb::Model { id, create_time, owned_by, default, aliases, video, .. } = model;
        Some(Self {
            canonical_slug: id.clone(),
            name: id.clone(),
            id,
            created: unix_seconds(create_time),
            owned_by,
            default,
            aliases,
            capabilities: video.unwrap_or_default().into(),
        })
    }
}

/// `GET /v1/videos/models`.
pub(crate) async fn list(State(app): State<App>, context: RequestContext) -> Result<Response, GatewayError> {
    let request = pb::ListModelsRequest { modality: pb::Modality::Video.into(), ..Default::default() };
    let (metadata, reply, _) = app.core.model.list_models(context.call(request)).await?.into_parts();
    let list =
        VideoModelList { object: "list", data: reply.models.into_iter().filter_map(VideoModel::from_model).collect() };
    Ok(with_metadata(Json(list).into_response(), metadata))
}
