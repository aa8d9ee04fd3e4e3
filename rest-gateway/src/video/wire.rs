//! OpenAI's video JSON, converted from and to the contract.

use prost_types::Timestamp;
use serde::Serialize;
use triptych_proto::v1::{self as pb, video::State};

use crate::{error::GatewayError, form::FormBody, links::Links, query::QueryParams};

/// Members of a create that a remix takes from its source. Clients that send them anyway are served as before.
const INHERITED: [&str; 7] = ["model", "input_reference", "size", "seconds", "duration_seconds", "seed", "user"];

/// Parses the body of a create request.
pub(super) fn read(
    body: &mut FormBody,
    idempotency_key: String,
    links: &Links,
) -> Result<pb::CreateVideoRequest, GatewayError> {
    let mut fields = body.fields()?;
    let input_reference = fields.take("input_reference");
    let input_reference = input_reference.map(|value| value.image_input("input_reference", links)).transpose()?;
    Ok(pb::CreateVideoRequest {
        model: fields.string("model")?,
        prompt: fields.string("prompt")?,
        input_reference,
        size: fields.string("size")?,
        duration_seconds: fields.integer_or_string("seconds")?,
        seed: fields.integer("seed")?,
        user: fields.string("user")?,
        idempotency_key,
        extra_json: fields.into_extra_json()?,
        ..pb::CreateVideoRequest::default()
    })
}

/// Parses the body of a remix request of the video `id`.
pub(super) fn read_remix(
    id: String,
    body: &mut FormBody,
    idempotency_key: String,
) -> Result<pb::RemixVideoRequest, GatewayError> {
    let mut fields = body.fields()?;
    let prompt = fields.string("prompt")?;
    // The contract has no fields for them: a remix has those of its source.
    for name in INHERITED {
        fields.take(name);
    }
    Ok(pb::RemixVideoRequest { id, prompt, idempotency_key, extra_json: fields.into_extra_json()? })
}

/// Parses the query of a list request.
pub(super) fn read_list(query: &QueryParams) -> Result<pb::ListVideosRequest, GatewayError> {
    let limit = match query.get("limit") {
        None => None,
        Some(text) => {
            let limit = text.parse().ok().filter(|limit| *limit <= 100);
            Some(limit.ok_or_else(|| {
                GatewayError::invalid("limit", format!("limit \"{text}\": expected an integer, 0 to 100"))
            })?)
        }
    };
    let order = match query.get("order") {
        None | Some("desc") => pb::VideoOrder::NewestFirst,
        Some("asc") => pb::VideoOrder::OldestFirst,
        Some(word) => {
            let message = format!("order \"{word}\": expected `asc` or `desc`");
            return Err(GatewayError::invalid("order", message));
        }
    };
    let after = query.get("after").unwrap_or_default().to_owned();
    let owner = query.get("owner").map(str::to_owned);
    Ok(pb::ListVideosRequest { page_size: limit, page_token: after, order: order.into(), owner })
}

/// A video. The first thirteen members are OpenAI's and always present.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_position: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spritesheet_url: Option<String>,
}

#[derive(Debug, Serialize)]
struct Failure<'a> {
    code: &'a str,
    message: &'a str,
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
            resolution: _,
            aspect_ratio: _,
            generate_audio: _,
            adjustments: _,
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
            queue_position: *queue_position,
            owner: owner.as_deref(),
            video_url: link(pb::VideoVariant::Video),
            thumbnail_url: link(pb::VideoVariant::Thumbnail),
            spritesheet_url: link(pb::VideoVariant::Spritesheet),
        }
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

/// Parses the `variant` parameter of a download; the default is the video itself.
pub(super) fn read_variant(word: &str) -> Result<pb::VideoVariant, GatewayError> {
    match word {
        "" | "video" => Ok(pb::VideoVariant::Video),
        "thumbnail" => Ok(pb::VideoVariant::Thumbnail),
        "spritesheet" => Ok(pb::VideoVariant::Spritesheet),
        _ => Err(GatewayError::invalid(
            "variant",
            format!("variant \"{word}\": expected `video`, `thumbnail` or `spritesheet`"),
        )),
    }
}
