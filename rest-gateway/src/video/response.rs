//! Videos as JSON, in the form of OpenAI with further members.

use prost_types::Timestamp;
use serde::Serialize;
use triptych_proto::{
    usd::usd,
    v1::{self as pb, video::State},
};

use super::repetition::Repetition;
use crate::{error::to_json_path, links::Links};

/// A video. The first thirteen members are OpenAI's and always present. Times are Unix seconds.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "member names are part of the API")]
pub(super) struct Video<'a> {
    id: &'a str,
    object: &'static str,
    model: &'a str,
    status: &'static str,
    progress: u32,
    created_at: i64,
    completed_at: Option<i64>,
    expires_at: Option<i64>,
    prompt: &'a str,
    size: &'a str,
    seconds: String,
    remixed_from_video_id: Option<&'a str>,
    error: Option<Failure<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    resolution: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    aspect_ratio: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    generate_audio: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    adjustments: Vec<Adjustment<'a>>,
    /// The number of jobs that were queued before this one, as an estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_position: Option<u32>,
    /// What the video cost, in US dollars, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<String>,
    /// The cost as estimated at the create, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_cost: Option<String>,
    /// The version of the price at the create.
    #[serde(skip_serializing_if = "str::is_empty")]
    price_version: &'a str,
    /// The name of the API key that created the video, for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spritesheet_url: Option<String>,
    /// The request that creates such a video again; only in the response to a request for one video.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Repetition<'a>>,
}

#[derive(Debug, Serialize)]
struct Failure<'a> {
    code: &'a str,
    message: &'a str,
}

/// A parameter that the model does not accept as requested, with the value used instead.
#[derive(Debug, Serialize)]
pub(super) struct Adjustment<'a> {
    /// The member of the request.
    field: String,
    requested: &'a str,
    /// Null if the model has no such parameter.
    used: Option<&'a str>,
}

impl<'a> Video<'a> {
    pub(super) fn new(video: &'a pb::Video, links: &Links) -> Self {
        let pb::Video {
            id,
            model,
            state: _,
            phase: _,
            progress_percent,
            create_time,
            complete_time,
            expire_time,
            prompt,
            size,
            duration_seconds,
            remixed_from_video_id,
            error,
            queue_position,
            media,
            poll_after: _,
            revision: _,
            owner,
            resolution,
            aspect_ratio,
            generate_audio,
            adjustments,
            cost_micros,
            estimated_cost_micros,
            price_version,
            request,
        } = video;
        let status = status(video.state());
        let link = |variant| {
            let file = media.iter().find(|file| file.variant() == variant)?.media.as_ref()?;
            Some(links.media(&file.key))
        };
        let seconds = |time: &Option<Timestamp>| time.map(|time| time.seconds);
        Self {
            id,
            object: "video",
            model,
            status,
            progress: *progress_percent,
            created_at: seconds(create_time).unwrap_or_default(),
            completed_at: seconds(complete_time),
            expires_at: seconds(expire_time),
            prompt,
            size,
            seconds: duration_seconds.to_string(),
            remixed_from_video_id: (!remixed_from_video_id.is_empty()).then_some(remixed_from_video_id),
            error: failure(video.state(), error.as_ref()),
            resolution,
            aspect_ratio,
            generate_audio: *generate_audio,
            adjustments: adjustments.iter().map(Adjustment::new).collect(),
            queue_position: *queue_position,
            cost: cost_micros.map(usd),
            estimated_cost: estimated_cost_micros.map(usd),
            price_version,
            owner: owner.as_deref(),
            video_url: link(pb::VideoVariant::Video),
            thumbnail_url: link(pb::VideoVariant::Thumbnail),
            spritesheet_url: link(pb::VideoVariant::Spritesheet),
            request: request.as_deref().and_then(Repetition::new),
        }
    }
}

impl<'a> Adjustment<'a> {
    pub(super) fn new(adjustment: &'a pb::VideoAdjustment) -> Self {
        let pb::VideoAdjustment { field, requested, used } = adjustment;
        let field = to_json_path(field).unwrap_or_default();
        Self { field, requested, used: (!used.is_empty()).then_some(used) }
    }
}

/// Returns the status. OpenAI's poll helpers know these four and stop polling at any other.
fn status(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Submitting | State::Rendering | State::Storing | State::Unspecified => "in_progress",
        State::Succeeded => "completed",
        State::Failed | State::Cancelled => "failed",
    }
}

/// Returns whether the video is in a final state.
pub(super) fn is_final(video: &pb::Video) -> bool {
    matches!(status(video.state()), "completed" | "failed")
}

/// Returns the `error` member. A failed video always has one, even if the core sent none.
fn failure(state: State, error: Option<&pb::VideoError>) -> Option<Failure<'_>> {
    match (state, error) {
        (_, Some(pb::VideoError { code, message })) => Some(Failure { code, message }),
        (State::Cancelled, None) => Some(Failure { code: "cancelled", message: "the video was cancelled" }),
        (State::Failed, None) => Some(Failure { code: "internal", message: "the video failed" }),
        (
            State::Unspecified
            | State::Queued
            | State::Submitting
            | State::Rendering
            | State::Storing
            | State::Succeeded,
            None,
        ) => None,
    }
}

/// A page of videos.
#[derive(Debug, Serialize)]
pub(super) struct VideoList<'a> {
    object: &'static str,
    data: Vec<Video<'a>>,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
    has_more: bool,
}

impl<'a> VideoList<'a> {
    pub(super) fn new(reply: &'a pb::ListVideosResponse, links: &Links) -> Self {
        let pb::ListVideosResponse { videos, next_page_token } = reply;
        Self {
            object: "list",
            data: videos.iter().map(|video| Video::new(video, links)).collect(),
            first_id: videos.first().map(|video| video.id.as_str()),
            last_id: videos.last().map(|video| video.id.as_str()),
            has_more: !next_page_token.is_empty(),
        }
    }
}
