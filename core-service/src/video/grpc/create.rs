//! `CreateVideo`: checks the request, adapts it to the model, stores the inputs, and inserts the job that the runner then
//! executes.

use std::sync::Arc;

use triptych_proto::v1 as pb;
use triptych_telemetry::Modality;

use super::{Created, VideoGrpc, inputs::ResolvedInput};
use crate::{
    context::RequestContext,
    error::Error,
    idempotency::Idempotency,
    model_facts::fit::{Fitted, Wanted, fit},
    models::Entry,
    size::Size,
    video::{
        VideoModel,
        job::{Job, JobId, JobRequest},
        operation::Operation,
        parameters::VideoParameters,
        validate::{self, NewVideo},
    },
};

impl VideoGrpc {
    pub(super) async fn create(
        &self,
        context: &RequestContext,
        request: pb::CreateVideoRequest,
    ) -> Result<Created, Error> {
        let call = Idempotency::from_request(context, "CreateVideo", &request).await;
        // Before everything else: a repeated create must succeed even if the URL of its image is dead by now.
        if let Some(existing) = self.find(call.as_ref()).await? {
            return Ok(existing.into());
        }
        let (entry, mut video) = self.validated(context, request)?;
        // Videos count no tokens.
        let admission = context.caller.admit(&entry.id, || 0)?;
        let inputs = self.resolve(context, std::mem::take(&mut video.inputs)).await?;
        let mut request = fitted(&entry, video, inputs.iter().find_map(ResolvedInput::frame_size))?;
        let id = JobId::new();
        request.parameters.inputs = self.store_inputs(context, &id, inputs).await?;
        let job = self.jobs.create(id, request, context, call.as_ref()).await?;
        Ok(Created { job, admission })
    }

    /// Validates a create request, except for its idempotency key, and finds its model.
    pub(super) fn validated(
        &self,
        context: &RequestContext,
        request: pb::CreateVideoRequest,
    ) -> Result<(Arc<Entry<VideoModel>>, NewVideo), Error> {
        let entry = self.models.load().find(&request.model, |model| context.caller.may_call(model))?;
        entry.report(Modality::Video, &context.report);
        let facts = &entry.provider.facts;
        validate::check_can_generate(facts, &entry.id)?;
        let video = validate::validate_create(request)?;
        video.callback_url.as_deref().map_or(Ok(()), |url| self.callbacks.check(url))?;
        validate::check_inputs(facts, &entry.id, &video.inputs)?;
        Ok((entry, video))
    }

    /// Returns the job of the earlier call that `call` repeats, if any. `None` is a call that cannot be recognised as a repetition.
    pub(super) async fn find(&self, call: Option<&Idempotency>) -> Result<Option<Job>, Error> {
        match call {
            Some(call) => self.jobs.find(call).await,
            None => Ok(None),
        }
    }
}

/// Fits a create request to its model. `frame` is the size of its first or last frame, if known. The result has no inputs yet.
pub(super) fn fitted(entry: &Entry<VideoModel>, video: NewVideo, frame: Option<Size>) -> Result<JobRequest, Error> {
    let NewVideo { prompt, user, extra_json, callback_url, wanted, fit_policy, inputs: _ } = video;
    let VideoModel { facts, fit_policy: default_policy, .. } = &*entry.provider;
    let wanted = Wanted { frame, ..wanted };
    let Fitted { size, resolution, aspect_ratio, seconds, generate_audio, seed, negative_prompt, adjustments } =
        fit(facts, &entry.id, wanted, fit_policy.unwrap_or(*default_policy))?;
    let parameters = VideoParameters {
        prompt,
        width: size.width,
        height: size.height,
        seconds,
        seed,
        inputs: Vec::new(),
        operation: Operation::Generate,
        source: None,
        source_file: None,
        user,
        resolution,
        aspect_ratio,
        generate_audio,
        negative_prompt,
        callback_url,
        adjustments,
        extra_json,
    };
    Ok(job_request(entry, parameters))
}

/// Returns the request for a job of this model, which is made from no other video.
pub(super) fn job_request(entry: &Entry<VideoModel>, parameters: VideoParameters) -> JobRequest {
    JobRequest {
        provider_id: entry.provider_id.clone(),
        model: entry.id.clone(),
        upstream_model: entry.upstream_model.clone(),
        parameters,
        remixed_from: None,
        source_video: None,
        requested_seconds: None,
    }
}
