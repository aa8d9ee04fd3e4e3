//! The input files of new jobs (frames, references, source videos): read, checked, and stored as the job's own copies, which
//! live as long as the job.

use bytes::Bytes;
use triptych_proto::v1::media_input::Source;

use super::VideoGrpc;
use crate::{
    config::MAX_INPUT_BYTES,
    context::RequestContext,
    error::Error,
    media::{MediaKey, MediaType},
    size::Size,
    video::{
        files::input_key,
        inputs::{InputRole, InputSource, StoredInput},
        job::JobId,
        validate::{self, RequestedInput},
    },
};

/// The accepted types of input videos, and of input sounds.
const VIDEOS: [MediaType; 1] = [MediaType::Mp4];
const SOUNDS: [MediaType; 2] = [MediaType::Mp3, MediaType::Wav];

/// An input that was read and checked, but not stored yet.
pub(super) struct ResolvedInput {
    role: InputRole,
    content: ResolvedContent,
}

enum ResolvedContent {
    /// `size` is that of an image, in pixels.
    File { media_type: MediaType, bytes: Bytes, size: Option<Size> },
    /// A URL that only the provider reads.
    Link(String),
}

impl VideoGrpc {
    /// Reads and checks the inputs. URLs of videos and sounds, and URIs of the provider's own file store, are left to the provider.
    pub(super) async fn resolve(
        &self,
        context: &RequestContext,
        inputs: Vec<RequestedInput>,
    ) -> Result<Vec<ResolvedInput>, Error> {
        let owners = context.caller.owners();
        let mut resolved = Vec::with_capacity(inputs.len());
        for RequestedInput { role, field, input } in inputs {
            let is_image = matches!(role, InputRole::FirstFrame | InputRole::LastFrame | InputRole::Image);
            let read = match input.source {
                Some(Source::Url(url)) if !is_image || validate::is_provider_uri(&url) => ResolvedContent::Link(url),
                _ if is_image => {
                    let image = self.inputs.resolve(&field, input, &owners).await?;
                    ResolvedContent::File { media_type: image.format, bytes: image.bytes, size: Some(image.size) }
                }
                _ => {
                    let types = if role == InputRole::Sound { SOUNDS.as_slice() } else { &VIDEOS };
                    let (media_type, bytes) = self.inputs.resolve_video_or_audio(&field, input, types, &owners).await?;
                    ResolvedContent::File { media_type, bytes, size: None }
                }
            };
            resolved.push(ResolvedInput { role, content: read });
        }
        Ok(resolved)
    }

    /// Stores the job's own copies of its inputs, before the job that names them.
    pub(super) async fn store_inputs(
        &self,
        context: &RequestContext,
        id: &JobId,
        inputs: Vec<ResolvedInput>,
    ) -> Result<Vec<StoredInput>, Error> {
        let mut stored = Vec::with_capacity(inputs.len());
        for (index, ResolvedInput { role, content }) in inputs.into_iter().enumerate() {
            let source = match content {
                ResolvedContent::Link(url) => InputSource::Link(url),
                ResolvedContent::File { media_type, bytes, .. } => {
                    InputSource::Stored(self.store_input(context, id, index, media_type, bytes).await?)
                }
            };
            stored.push(StoredInput { role, source });
        }
        Ok(stored)
    }

    /// Copies the inputs of another job: either job may be deleted first.
    pub(super) async fn copy_inputs(
        &self,
        context: &RequestContext,
        id: &JobId,
        inputs: &[StoredInput],
    ) -> Result<Vec<StoredInput>, Error> {
        let mut copies = Vec::with_capacity(inputs.len());
        for (index, StoredInput { role, source }) in inputs.iter().enumerate() {
            let source = match source {
                InputSource::Link(url) => InputSource::Link(url.clone()),
                InputSource::Stored(key) => {
                    let key = MediaKey::from_request(key)?;
                    let bytes = self.media_store.bytes(&key, MAX_INPUT_BYTES).await?;
                    InputSource::Stored(self.store_input(context, id, index, key.media_type(), bytes).await?)
                }
            };
            copies.push(StoredInput { role: *role, source });
        }
        Ok(copies)
    }

    async fn store_input(
        &self,
        context: &RequestContext,
        id: &JobId,
        index: usize,
        media_type: MediaType,
        bytes: Bytes,
    ) -> Result<String, Error> {
        let media_store = self.media_store.owned_by(&context.caller.owner());
        Ok(media_store.put(&input_key(id, index, media_type)?, bytes).await?.key)
    }
}

impl ResolvedInput {
    /// Returns the size of a first or last frame.
    pub(super) fn frame_size(&self) -> Option<Size> {
        match (self.role, &self.content) {
            (InputRole::FirstFrame | InputRole::LastFrame, ResolvedContent::File { size, .. }) => *size,
            _ => None,
        }
    }
}
