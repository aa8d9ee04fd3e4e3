//! OpenAI's video documents to and from the contract.

use prost_types::Timestamp;
use serde::Serialize;
use triptych_proto::v1::{self as pb, video::State};

use super::{Pairs, last};
use crate::{error::GatewayError, form::FormBody, links::Links};

/// `input_reference` in all its spellings: a file, a text or an object, or the bracketed texts of a form.
const REFERENCES: [(&str, bool); 3] =
    [("input_reference", false), ("input_reference[image_url]", false), ("input_reference[file_id]", true)];

pub(super) fn create(body: &FormBody, links: &Links) -> Result<pb::CreateVideoRequest, GatewayError> {
    let mut form = body.form()?;
    let mut input_reference = None;
    for (name, stored) in REFERENCES {
        if stored {
            let key = form.text(name)?;
            let source = (!key.is_empty()).then_some(pb::media_input::Source::MediaKey(key));
            input_reference = source.map(|source| pb::MediaInput { source: Some(source) }).or(input_reference);
        } else if let Some(value) = form.take(name) {
            input_reference = Some(value.picture("input_reference", links)?);
        }
    }
    Ok(pb::CreateVideoRequest {
        model: form.text("model")?,
        prompt: form.text("prompt")?,
        input_reference,
        size: form.text("size")?,
        duration_seconds: form.integer_or_text("seconds")?,
        seed: form.integer("seed")?,
        user: form.text("user")?,
        idempotency_key: String::new(),
        extra_json: form.rest()?,
    })
}

pub(super) fn list(query: &Pairs) -> Result<pb::ListVideosRequest, GatewayError> {
    let limit = match last(query, "limit") {
        None => None,
        Some(text) => {
            let limit = text.parse().ok().filter(|limit| *limit <= 100);
            Some(limit.ok_or_else(|| GatewayError::invalid("limit", "`limit` must be an integer, 0 to 100"))?)
        }
    };
    let order = match last(query, "order") {
        None | Some("desc") => pb::VideoOrder::NewestFirst,
        Some("asc") => pb::VideoOrder::OldestFirst,
        Some(_) => return Err(GatewayError::invalid("order", "`order` must be `asc` or `desc`")),
    };
    let after = last(query, "after").unwrap_or_default().to_owned();
    Ok(pb::ListVideosRequest { page_size: limit, page_token: after, order: order.into() })
}

/// A clip, as all clients read it. The first thirteen members are OpenAI's, and always there.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "clients know the link by this name")]
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
    pub(super) fn of(video: &'a pb::Video, links: &Links) -> Self {
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
            video_url: link(pb::VideoVariant::Video),
            thumbnail_url: link(pb::VideoVariant::Thumbnail),
            spritesheet_url: link(pb::VideoVariant::Spritesheet),
        }
    }
}

/// The four words that the clients' poll helpers know; on any other they would leave their loop.
fn status(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Submitting | State::Rendering | State::Storing | State::Unspecified => "in_progress",
        State::Succeeded => "completed",
        State::Failed | State::Cancelled => "failed",
    }
}

/// Whether a clip will not change any more.
pub(super) fn is_final(video: &pb::Video) -> bool {
    matches!(status(video.state()), "completed" | "failed")
}

/// A failed clip always says why, whatever the core left out.
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

/// A page of clips.
#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    object: &'static str,
    data: Vec<Video<'a>>,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
    has_more: bool,
}

pub(super) fn page<'a>(answer: &'a pb::ListVideosResponse, links: &Links) -> Page<'a> {
    let pb::ListVideosResponse { videos, next_page_token } = answer;
    Page {
        object: "list",
        data: videos.iter().map(|video| Video::of(video, links)).collect(),
        first_id: videos.first().map(|video| video.id.as_str()),
        last_id: videos.last().map(|video| video.id.as_str()),
        has_more: !next_page_token.is_empty(),
    }
}

/// Parses the `variant` of a download; the empty word is the video itself.
pub(super) fn variant(word: &str) -> Result<pb::VideoVariant, GatewayError> {
    match word {
        "" | "video" => Ok(pb::VideoVariant::Video),
        "thumbnail" => Ok(pb::VideoVariant::Thumbnail),
        "spritesheet" => Ok(pb::VideoVariant::Spritesheet),
        _ => Err(GatewayError::invalid("variant", "`variant` must be `video`, `thumbnail` or `spritesheet`")),
    }
}
