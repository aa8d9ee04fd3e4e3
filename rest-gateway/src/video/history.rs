//! `GET /v1/videos/{id}/history`: the changes of state of a video, and its work at the provider.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use triptych_proto::v1 as pb;

use crate::{app::App, context::RequestContext, error::GatewayError, metadata::with_metadata, path::PathId};

/// A history as JSON.
#[derive(Debug, Serialize)]
struct History<'a> {
    id: &'a str,
    object: &'static str,
    provider: &'a str,
    provider_task_id: Option<&'a str>,
    /// How often the video was submitted to its provider.
    submissions: u32,
    /// How often in a row the current step of the job has failed.
    failures: u32,
    transitions: Vec<Transition>,
}

#[derive(Debug, Serialize)]
struct Transition {
    state: &'static str,
    /// In Unix seconds, with milliseconds as decimals.
    at: f64,
}

/// `GET /v1/videos/{id}/history`.
pub(crate) async fn get(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
) -> Result<Response, GatewayError> {
    let call = context.call(pb::GetVideoHistoryRequest { id: id.clone() });
    let (metadata, reply, _) = app.core.video.get_video_history(call).await?.into_parts();
    let history = History {
        id: &id,
        object: "video.history",
        provider: &reply.provider,
        provider_task_id: (!reply.provider_task_id.is_empty()).then_some(&reply.provider_task_id),
        submissions: reply.submissions,
        failures: reply.failures,
        transitions: reply.transitions.iter().map(transition).collect(),
    };
    Ok(with_metadata(Json(history).into_response(), metadata))
}

fn transition(transition: &pb::VideoTransition) -> Transition {
    let time = transition.time.unwrap_or_default();
    let millis = time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos / 1_000_000));
    // Exact for times of this era: below 2^53 milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 have fewer than 53 bits")]
    let at = millis as f64 / 1000.0;
    Transition { state: state_name(transition.state()), at }
}

fn state_name(state: pb::video::State) -> &'static str {
    use pb::video::State;
    match state {
        State::Unspecified => "unknown",
        State::Queued => "queued",
        State::Submitting => "submitting",
        State::Rendering => "rendering",
        State::Storing => "storing",
        State::Succeeded => "completed",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}
