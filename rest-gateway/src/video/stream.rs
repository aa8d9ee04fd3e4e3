//! The event stream of a video job: one event for each change of the video.

use std::ops::ControlFlow;

use bytes::BytesMut;
use triptych_proto::v1 as pb;

use super::response;
use crate::{
    links::Links,
    sse::{Event, EventEncoder},
};

/// Encodes snapshots as events whose `id` is the revision of the video. They have no name, so that the `onmessage` of a
/// browser's `EventSource` receives them. The stream ends with the first snapshot in a final state.
pub(super) struct SnapshotEncoder {
    pub(super) links: Links,
    /// The revision that the client has already received.
    pub(super) last_seen: Option<u64>,
}

impl EventEncoder for SnapshotEncoder {
    type Item = pb::WatchVideoResponse;

    fn encode(&mut self, snapshot: pb::WatchVideoResponse, out: &mut BytesMut) -> ControlFlow<()> {
        let video = snapshot.video.unwrap_or_default();
        if self.last_seen != Some(video.revision) {
            // Strings and numbers only: serialization cannot fail.
            let json = serde_json::to_vec(&response::Video::new(&video, &self.links)).unwrap_or_default();
            Event { name: None, id: Some(video.revision), data: &json }.write(out);
        }
        if response::is_final(&video) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
