//! `CreateVideo`: checks the request, adapts it to the model, stores the inputs, and inserts the job that the runner then
//! executes.

use triptych_proto::v1 as pb;
use triptych_telemetry::Modality;

use super::{Created, VideoGrpc, inputs::ResolvedInput};
use crate::{
    context::RequestContext,
    error::Error,
    idempotency::Idempotency,
    model_facts::fit::{Fitted, fit},
    video::{
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
        let entry = self.models.load().find(&request.model, |model| context.caller.may_call(model))?;
        context.report.set_model(Modality::Video, &entry.id);
        let model = &entry.provider;
        validate::generates(&model.facts, &entry.id)?;
        let NewVideo { prompt, user, extra_json, callback_url, mut wanted, fit_policy, inputs } =
            validate::create(request)?;
        callback_url.as_deref().map_or(Ok(()), |url| self.callbacks.check(url))?;
        validate::inputs(&model.facts, &entry.id, &inputs)?;
        // Videos count no tokens.
        let admission = context.caller.admit(&entry.id, || 0)?;
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
        let request = JobRequest {
            provider_id: entry.provider_id.clone(),
            model: entry.id.clone(),
            upstream_model: entry.upstream_model.clone(),
            parameters,
            remixed_from: None,
        };
        let job = self.jobs.create(id, request, context, call.as_ref()).await?;
        Ok(Created { job, admission })
    }

    /// Returns the job of the earlier call that `call` repeats, if any. `None` is a call that cannot be recognised as a repetition.
    pub(super) async fn find(&self, call: Option<&Idempotency>) -> Result<Option<Job>, Error> {
        match call {
            Some(call) => self.jobs.find(call).await,
            None => Ok(None),
        }
    }
}
