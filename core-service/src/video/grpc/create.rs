//! The creation of jobs: `CreateVideo` and `RemixVideo`.

use bytes::Bytes;
use triptych_proto::v1::{self as pb, media_input::Source};

use super::VideoGrpc;
use crate::{
    check,
    config::MAX_INPUT_BYTES,
    context::RequestContext,
    error::Error,
    idempotency::Idempotency,
    media::{MediaKey, MediaType},
    model_facts::fit::{Fitted, fit},
    size::Size,
    video::{
        files::input_key,
        inputs::{InputRole, InputSource, StoredInput},
        job::{Job, JobId, JobRequest},
        parameters::VideoParameters,
        state::Phase,
        validate::{self, NewVideo, RequestedInput},
    },
};

/// The types of reference videos and sounds.
const VIDEOS: [MediaType; 1] = [MediaType::Mp4];
const SOUNDS: [MediaType; 2] = [MediaType::Mp3, MediaType::Wav];

/// An input that was read and checked, but not stored yet.
struct ResolvedInput {
    role: InputRole,
    content: ResolvedContent,
}

enum ResolvedContent {
    File { media_type: MediaType, bytes: Bytes, size: Option<Size> },
    Link(String),
}

impl VideoGrpc {
    pub(super) async fn create(&self, context: &RequestContext, request: pb::CreateVideoRequest) -> Result<Job, Error> {
        let call = Idempotency::from_request(context, "CreateVideo", &request).await;
        // Before everything else: a repeated create must succeed even if the URL of its image is dead by now.
        if let Some(existing) = self.find(call.as_ref()).await? {
            return Ok(existing);
        }
        let entry = self.models.load().find(&request.model)?;
        let model = &entry.provider;
        let NewVideo { prompt, user, extra_json, callback_url, mut wanted, fit_policy, inputs } =
            validate::create(request)?;
        callback_url.as_deref().map_or(Ok(()), |url| self.callbacks.check(url))?;
        validate::inputs(&model.facts, &entry.id, &inputs)?;
        let inputs = self.resolve(context, inputs).await?;
        wanted.frame = inputs.iter().find_map(ResolvedInput::frame_size);
        let policy = fit_policy.unwrap_or(model.fit_policy);
        let Fitted { size, resolution, aspect_ratio, seconds, generate_audio, seed, negative_prompt, adjustments } =
            fit(&model.facts, &entry.id, wanted, policy)?;
        let id = JobId::new();
        let parameters = VideoParameters {
            prompt,
            width: size.width,
            height: size.height,
            seconds,
            seed,
            inputs: self.store_inputs(context, &id, inputs).await?,
            user,
            resolution,
            aspect_ratio,
            generate_audio,
            negative_prompt,
            callback_url,
            adjustments,
            extra_json,
        };
        let request = JobRequest {
            provider_id: entry.provider_id.clone(),
            model: entry.id.clone(),
            upstream_model: entry.upstream_model.clone(),
            parameters,
            remixed_from: None,
        };
        self.jobs.create(id, request, context, call.as_ref()).await
    }

    pub(super) async fn remix(&self, context: &RequestContext, request: pb::RemixVideoRequest) -> Result<Job, Error> {
        let call = Idempotency::from_request(context, "RemixVideo", &request).await;
        if let Some(existing) = self.find(call.as_ref()).await? {
            return Ok(existing);
        }
        let pb::RemixVideoRequest { id, prompt, idempotency_key: _, extra_json } = request;
        check::prompt(&prompt)?;
        let source = self.jobs.get(&id, &context.caller.owners()).await?;
        if source.state.phase() != Phase::Succeeded {
            return Err(super::not_ready(&source));
        }
        let extra_json = validate::remix_extra(&source.request.parameters.extra_json, &extra_json)?;
        let entry = self.models.load().find(&source.request.model)?;
        let id = JobId::new();
        let inputs = self.copy_inputs(context, &id, &source.request.parameters.inputs).await?;
        let request = JobRequest {
            provider_id: entry.provider_id.clone(),
            upstream_model: entry.upstream_model.clone(),
            parameters: VideoParameters {
                prompt,
                inputs,
                extra_json,
                // It was given for the source.
                callback_url: None,
                ..source.request.parameters
            },
            remixed_from: Some(source.id),
            model: source.request.model,
        };
        self.jobs.create(id, request, context, call.as_ref()).await
    }

    async fn find(&self, call: Option<&Idempotency>) -> Result<Option<Job>, Error> {
        match call {
            Some(call) => self.jobs.find(call).await,
            None => Ok(None),
        }
    }

    /// Reads and checks the inputs. The URLs of videos and sounds are left to the provider.
    async fn resolve(
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
                    let (media_type, bytes) = self.inputs.resolve_recording(&field, input, types, &owners).await?;
                    ResolvedContent::File { media_type, bytes, size: None }
                }
            };
            resolved.push(ResolvedInput { role, content: read });
        }
        Ok(resolved)
    }

    /// Stores the job's own copies of its inputs, before the job that names them.
    async fn store_inputs(
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
    async fn copy_inputs(
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
    fn frame_size(&self) -> Option<Size> {
        match (self.role, &self.content) {
            (InputRole::FirstFrame | InputRole::LastFrame, ResolvedContent::File { size, .. }) => *size,
            _ => None,
        }
    }
}
