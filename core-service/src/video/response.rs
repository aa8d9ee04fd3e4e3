//! Conversion of a job into the protobuf message `Video`.

use std::time::Duration;

use triptych_proto::v1::{self as pb, video::State};

use super::{
    charge::Charge,
    job::Job,
    provider::Variant,
    state::{JobState, Phase, VideoContent},
    time::{Timestamp, whole_seconds},
};
use crate::{model_facts::fit::Adjustment, size::Size, usd::Usd};

/// The recommended client poll comes this much after the runner's own poll, whose result it would otherwise just miss.
const MARGIN: Duration = Duration::from_millis(100);

/// The shortest and the longest recommended poll interval. The maximum keeps a cancellation by another client from going
/// unnoticed for minutes.
const POLL_INTERVAL: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Returns the snapshot of a job at `now`. `queue_position` is the number of jobs queued before it, if known. Only administrators
/// see the owner.
pub(super) fn video(job: &Job, queue_position: Option<u32>, with_owner: bool, now: Timestamp) -> pb::Video {
    let Job { id, owner, request, state, revision, created_at, completed_at, expires_at, due_at, charge, .. } = job;
    // A finished video is reported as its file is, which can differ from the request.
    let (size, duration_seconds, generate_audio) = if let JobState::Succeeded { content: Some(content), .. } = state {
        let VideoContent { width, height, duration_millis, has_audio } = *content;
        let seconds = whole_seconds(duration_millis.into());
        (Size::new(width, height), seconds, Some(has_audio))
    } else {
        (request.parameters.size(), request.parameters.seconds, request.parameters.generate_audio)
    };
    pb::Video {
        id: id.to_string(),
        model: request.model.clone(),
        state: to_proto_state(state.phase()).into(),
        phase: description(state).to_owned(),
        progress_percent: state.percent().into(),
        create_time: Some((*created_at).into()),
        complete_time: completed_at.map(Into::into),
        expire_time: expires_at.map(Into::into),
        prompt: request.parameters.prompt.clone(),
        size: size.to_string(),
        duration_seconds,
        remixed_from_video_id: request.remixed_from.as_ref().map(ToString::to_string).unwrap_or_default(),
        error: error(state),
        queue_position: queue_position.filter(|_| state.phase() == Phase::Queued),
        media: media(state),
        poll_after: (!state.is_final()).then(|| poll_after(*due_at, now)),
        revision: *revision,
        owner: with_owner.then(|| owner.as_str().to_owned()),
        resolution: request.parameters.resolution.clone(),
        aspect_ratio: request.parameters.aspect_ratio.clone(),
        generate_audio,
        adjustments: request.parameters.adjustments.iter().map(adjustment).collect(),
        cost_micros: charge.as_ref().and_then(Charge::cost).map(Usd::micros),
        estimated_cost_micros: charge
            .as_ref()
            .filter(|charge| charge.price.is_some())
            .map(|charge| charge.estimate.micros()),
        price_version: charge.as_ref().map(Charge::price_version).unwrap_or_default(),
        // Only `GetVideo` adds it.
        request: None,
    }
}

pub(super) fn adjustment(adjustment: &Adjustment) -> pb::VideoAdjustment {
    let Adjustment { field, requested, used } = adjustment.clone();
    pb::VideoAdjustment { field, requested, used }
}

pub(super) fn to_proto_state(phase: Phase) -> State {
    match phase {
        Phase::Queued => State::Queued,
        Phase::Submitting => State::Submitting,
        Phase::Rendering => State::Rendering,
        Phase::Storing => State::Storing,
        Phase::Succeeded => State::Succeeded,
        Phase::Failed => State::Failed,
        Phase::Cancelled => State::Cancelled,
    }
}

/// Returns a human-readable description of the state.
pub(super) fn description(state: &JobState) -> &'static str {
    match state.phase() {
        Phase::Queued => "queued",
        Phase::Submitting => "being submitted to the provider",
        Phase::Rendering => "rendering",
        Phase::Storing => "being copied into the media store",
        Phase::Succeeded => "finished",
        Phase::Failed => "failed",
        Phase::Cancelled => "cancelled",
    }
}

fn error(state: &JobState) -> Option<pb::VideoError> {
    match state {
        JobState::Failed { code, message, .. } => Some(pb::VideoError { code: code.clone(), message: message.clone() }),
        JobState::Cancelled { may_be_billed, .. } => {
            let billed = "; the provider could not stop the render and may bill it";
            let message = format!("the video was cancelled{}", if *may_be_billed { billed } else { "" });
            Some(pb::VideoError { code: "cancelled".to_owned(), message })
        }
        JobState::Queued
        | JobState::Submitting { .. }
        | JobState::Rendering { .. }
        | JobState::Storing { .. }
        | JobState::Succeeded { .. } => None,
    }
}

fn media(state: &JobState) -> Vec<pb::VideoMedia> {
    let JobState::Succeeded { media, .. } = state else { return Vec::new() };
    let files = media.iter().filter(|file| !file.missing).map(|file| pb::VideoMedia {
        variant: variant(file.variant).into(),
        media: Some(pb::Media {
            key: file.key.clone(),
            media_type: file.media_type.clone(),
            size_bytes: file.size_bytes,
            etag: file.etag.clone(),
        }),
    });
    files.collect()
}

fn variant(variant: Variant) -> pb::VideoVariant {
    match variant {
        Variant::Video => pb::VideoVariant::Video,
        Variant::Thumbnail => pb::VideoVariant::Thumbnail,
        Variant::Spritesheet => pb::VideoVariant::Spritesheet,
    }
}

fn poll_after(due: Option<Timestamp>, now: Timestamp) -> prost_types::Duration {
    let delay = due.map_or(Duration::ZERO, |due| due.since(now)) + MARGIN;
    let delay = delay.clamp(POLL_INTERVAL.0, POLL_INTERVAL.1);
    // Both casts fit: the delay is at most 10 seconds.
    prost_types::Duration { seconds: delay.as_secs().cast_signed(), nanos: delay.subsec_nanos().cast_signed() }
}
