//! `GET /v1/videos/{id}/events`: each change of a clip, pushed.

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::{BufMut, BytesMut};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use tonic::Status;
use triptych_proto::v1 as pb;

use super::wire;
use crate::{app::App, context::Context, error::GatewayError, links::Links, path::Id, server::Draining, sse};

/// Snapshots as events whose `id` is the clip's revision, until a final one. `Last-Event-ID` leaves out a snapshot
/// that the client has already.
pub(crate) async fn follow(
    State(app): State<App>,
    context: Context,
    links: Links,
    draining: Option<Extension<Draining>>,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, GatewayError> {
    let seen = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let snapshots = app.core.video.watch_video(context.call(pb::WatchVideoRequest { id })).await?.into_inner();
    let mut snapshots = sse::opened(snapshots, app.settings.heartbeat).await?;
    let waiting = std::pin::Pin::new(&mut snapshots).peek();
    if let Some(Some(Ok(first))) = futures_util::FutureExt::now_or_never(waiting)
        && let Some(video) = &first.video
        && wire::is_final(video)
        && seen == Some(video.revision)
    {
        // Browsers reconnect to a stream that ends, and stop at this.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // A clip may take longer than the server has left; whoever watches comes back to its successor.
    let Extension(Draining(stop)) = draining.unwrap_or_default();
    let snapshots = snapshots.take_until(stop.cancelled_owned());
    let write = move |snapshot: Option<Result<pb::WatchVideoResponse, Status>>, out: &mut BytesMut| match snapshot {
        None => sse::Flow::End,
        Some(Ok(pb::WatchVideoResponse { video })) => {
            let video = video.unwrap_or_default();
            if seen != Some(video.revision) {
                write_event(&video, &links, out);
            }
            if wire::is_final(&video) { sse::Flow::End } else { sse::Flow::More }
        }
        Some(Err(status)) => {
            sse::write_error(&status.into(), out);
            sse::Flow::End
        }
    };
    Ok(sse::answer(snapshots, write, app.settings.heartbeat))
}

fn write_event(video: &pb::Video, links: &Links, out: &mut BytesMut) {
    out.extend_from_slice(format!("id: {}\ndata: ", video.revision).as_bytes());
    // Texts and numbers only: there is nothing in it that serde_json could refuse.
    let _ = serde_json::to_writer(out.writer(), &wire::Video::of(video, links));
    out.extend_from_slice(b"\n\n");
}
