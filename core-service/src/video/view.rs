//! A job as the contract shows it.

use std::time::Duration;

use triptych_proto::v1::{self as pb, video::State};

use super::{
    Variant,
    job::Job,
    state::{JobState, Phase},
    time::Timestamp,
};

/// A poll is worth its while this much after the runner's own, which it would else just miss.
const MARGIN: Duration = Duration::from_millis(100);

/// The shortest and the longest wait a caller is advised: progress is for people, and a cancel by somebody else should
/// not go unnoticed for minutes.
const ADVISED: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// The snapshot of a job at `now`. `ahead` is how many jobs stand before it, where that was asked for.
pub(super) fn video(job: &Job, ahead: Option<u32>, now: Timestamp) -> pb::Video {
    let Job { id, order, state, revision, created_at, completed_at, expires_at, due_at, .. } = job;
    pb::Video {
        id: id.to_string(),
        model: order.model.clone(),
        state: contract(state.phase()).into(),
        phase: words(state).to_owned(),
        progress_percent: state.percent().into(),
        create_time: Some((*created_at).into()),
        complete_time: completed_at.map(Into::into),
        expire_time: expires_at.map(Into::into),
        prompt: order.prompt.clone(),
        size: order.size().to_string(),
        duration_seconds: order.seconds,
        remixed_from_video_id: order.remixed_from.as_ref().map(ToString::to_string).unwrap_or_default(),
        error: error(state),
        queue_position: ahead.filter(|_| state.phase() == Phase::Queued),
        media: media(state),
        poll_after: (!state.is_final()).then(|| poll_after(*due_at, now)),
        revision: *revision,
    }
}

fn contract(phase: Phase) -> State {
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

/// What happens just now, for people.
pub(super) fn words(state: &JobState) -> &'static str {
    match state.phase() {
        Phase::Queued => "waiting for its turn",
        Phase::Submitting => "being handed to the provider",
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
        JobState::Cancelled { .. } => {
            Some(pb::VideoError { code: "cancelled".to_owned(), message: "the video was cancelled".to_owned() })
        }
        JobState::Queued
        | JobState::Submitting
        | JobState::Rendering { .. }
        | JobState::Storing { .. }
        | JobState::Succeeded { .. } => None,
    }
}

fn media(state: &JobState) -> Vec<pb::VideoMedia> {
    let JobState::Succeeded { media } = state else { return Vec::new() };
    let files = media.iter().map(|file| pb::VideoMedia {
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
    let wait = due.map_or(Duration::ZERO, |due| due.since(now)) + MARGIN;
    let wait = wait.clamp(ADVISED.0, ADVISED.1);
    // Both fit: the wait is clamped to seconds.
    prost_types::Duration { seconds: wait.as_secs().cast_signed(), nanos: wait.subsec_nanos().cast_signed() }
}
