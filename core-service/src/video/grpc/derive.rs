//! Videos from other videos: `EditVideo`, `ExtendVideo` and `RemixVideo`.
//!
//! The source is a finished video of this service or a file of the request. The provider gets it in one of two forms: if
//! the same model rendered the video, as the id of that render at the provider (`native`); otherwise as an MP4 file or its URL.

use std::sync::Arc;

use triptych_proto::v1::{self as pb, media_input};
use triptych_telemetry::Modality;

use super::{Created, VideoGrpc, create::job_request};
use crate::{
    check,
    config::MAX_INPUT_BYTES,
    context::RequestContext,
    error::Error,
    idempotency::Idempotency,
    media::MediaKey,
    model_facts::{
        ModelFacts, SourceFacts,
        fit::{Fitted, SourceVideo, fit_source},
    },
    models::Entry,
    size::Size,
    video::{
        VideoModel,
        inputs::{InputRole, InputSource, StoredInput},
        job::{Job, JobId, JobRequest},
        operation::Operation,
        parameters::VideoParameters,
        provider::{UpstreamTask, Variant},
        state::{JobState, Phase, StoredFile},
        time::whole_seconds,
        validate::{self, DerivedVideo, RequestedInput, RequestedSource},
    },
};

/// The source of a new job, as its provider gets it.
struct Source {
    /// The provider's own render. `None`: the provider gets the file.
    task: Option<UpstreamTask>,
    /// The media key of the file of that render, which is sent if the provider no longer has the render.
    file: Option<String>,
    /// Without `task`, one input: the new job's own copy of the source, or its URL.
    inputs: Vec<StoredInput>,
    /// Size, duration and sound of the source, as far as they are known.
    video: SourceVideo,
}

impl VideoGrpc {
    pub(super) async fn edit(&self, context: &RequestContext, request: pb::EditVideoRequest) -> Result<Created, Error> {
        let call = Idempotency::from_request(context, "EditVideo", &request).await;
        match self.find(call.as_ref()).await? {
            Some(existing) => Ok(existing.into()),
            None => Box::pin(self.derive(context, validate::validate_edit(request)?, call.as_ref())).await,
        }
    }

    pub(super) async fn extend(
        &self,
        context: &RequestContext,
        request: pb::ExtendVideoRequest,
    ) -> Result<Created, Error> {
        let call = Idempotency::from_request(context, "ExtendVideo", &request).await;
        match self.find(call.as_ref()).await? {
            Some(existing) => Ok(existing.into()),
            None => Box::pin(self.derive(context, validate::validate_extend(request)?, call.as_ref())).await,
        }
    }

    /// Creates the job of an edit or an extension. Without a model in the request, the model of the source is used.
    async fn derive(
        &self,
        context: &RequestContext,
        request: DerivedVideo,
        call: Option<&Idempotency>,
    ) -> Result<Created, Error> {
        let DerivedVideo { operation, model, prompt, source, user, callback_url, seconds, fit_policy, extra_json } =
            request;
        callback_url.as_deref().map_or(Ok(()), |url| self.callbacks.check(url))?;
        let job = match &source {
            RequestedSource::Video(id) => Some(self.finished(context, id).await?),
            RequestedSource::File(_) => None,
        };
        let model_of_source = job.as_ref().map(|job| job.request.model.clone()).unwrap_or_default();
        let model = if model.is_empty() { &model_of_source } else { &model };
        let entry = self.models.load().find(model, |model| context.caller.may_call(model))?;
        entry.report(Modality::Video, &context.report);
        // Videos count no tokens.
        let admission = context.caller.admit(&entry.id, || 0)?;
        let VideoModel { facts, fit_policy: default_policy, .. } = &*entry.provider;
        let id = JobId::new();
        let (source_video, requested_seconds) = (job.as_ref().map(|job| job.id.clone()), seconds);
        let Source { task, file, inputs, video } = match (job, source) {
            (Some(job), _) => self.stored_source(context, &id, operation, &entry, &job).await?,
            (None, RequestedSource::File(input)) => self.given_source(context, &id, operation, &entry, input).await?,
            // Does not occur: the job of an id was read above.
            (None, RequestedSource::Video(id)) => return Err(Error::VideoNotFound(id)),
        };
        let extends = (operation == Operation::Extend).then_some(&facts.extend);
        let policy = fit_policy.unwrap_or(*default_policy);
        let fitted = match fit_source(facts, &entry.id, video, extends, seconds, policy) {
            Ok(fitted) => fitted,
            Err(error) => {
                self.remove_inputs(&inputs).await;
                return Err(error);
            }
        };
        let Fitted { size, resolution, aspect_ratio, seconds, generate_audio, adjustments, .. } = fitted;
        let parameters = VideoParameters {
            prompt,
            width: size.width,
            height: size.height,
            seconds,
            inputs,
            operation,
            source: task,
            source_file: file,
            user,
            resolution,
            aspect_ratio,
            generate_audio,
            callback_url,
            adjustments,
            extra_json,
            ..VideoParameters::default()
        };
        let request = JobRequest { source_video, requested_seconds, ..job_request(&entry, parameters) };
        let job = self.jobs.create(id, request, context, call).await?;
        Ok(Created { job, admission })
    }

    /// Renders a finished video again with another prompt: by a remix at the provider if the model has that, otherwise by
    /// repeating the operation and the parameters of the source.
    pub(super) async fn remix(
        &self,
        context: &RequestContext,
        request: pb::RemixVideoRequest,
    ) -> Result<Created, Error> {
        let call = Idempotency::from_request(context, "RemixVideo", &request).await;
        if let Some(existing) = self.find(call.as_ref()).await? {
            return Ok(existing.into());
        }
        let pb::RemixVideoRequest { id, prompt, idempotency_key: _, extra_json } = request;
        check::prompt(&prompt)?;
        let source = self.finished(context, &id).await?;
        let merged = validate::remix_extra(&source.request.parameters.extra_json, &extra_json)?;
        let entry = self.models.load().find(&source.request.model, |model| context.caller.may_call(model))?;
        entry.report(Modality::Video, &context.report);
        // Videos count no tokens.
        let admission = context.caller.admit(&entry.id, || 0)?;
        let id = JobId::new();
        let task = native_task(&entry, &source, &entry.provider.facts.remix);
        let JobRequest { parameters, source_video, requested_seconds, .. } = source.request;
        // A callback applies to one job.
        let mut parameters = VideoParameters { prompt, callback_url: None, ..parameters };
        if task.is_some() {
            // The provider has the inputs and the other members of its own render.
            (parameters.operation, parameters.source, parameters.source_file) = (Operation::Remix, task, None);
            (parameters.inputs, parameters.extra_json) = (Vec::new(), extra_json);
        } else {
            parameters.inputs = self.copy_inputs(context, &id, &parameters.inputs).await?;
            parameters.extra_json = merged;
        }
        let remixed_from = Some(source.id);
        let request = JobRequest { remixed_from, source_video, requested_seconds, ..job_request(&entry, parameters) };
        let job = self.jobs.create(id, request, context, call.as_ref()).await?;
        Ok(Created { job, admission })
    }

    /// Returns a succeeded job that the caller may see.
    async fn finished(&self, context: &RequestContext, id: &str) -> Result<Job, Error> {
        let job = self.jobs.get(id, &context.caller.owners()).await?;
        if job.state.phase() == Phase::Succeeded { Ok(job) } else { Err(super::not_ready(&job)) }
    }

    /// Returns the video of a job as a source: the provider's own render, or a copy of the file.
    async fn stored_source(
        &self,
        context: &RequestContext,
        id: &JobId,
        operation: Operation,
        entry: &Arc<Entry<VideoModel>>,
        job: &Job,
    ) -> Result<Source, Error> {
        let accepted = accepted(&entry.provider.facts, operation);
        let video = source_video_of(job);
        if let Some(task) = native_task(entry, job, accepted) {
            let file = stored_video(job).filter(|file| accepted.file && file.size_bytes <= MAX_INPUT_BYTES);
            let file = file.map(|file| file.key.clone());
            return Ok(Source { task: Some(task), file, inputs: Vec::new(), video });
        }
        if !accepted.file {
            return Err(self.refusal(operation, entry));
        }
        let file = stored_video(job).ok_or_else(|| super::not_ready(job))?;
        let key = MediaKey::from_request(&file.key)?;
        if file.size_bytes > MAX_INPUT_BYTES {
            let message = format!("has {} bytes; at most {MAX_INPUT_BYTES} are accepted", file.size_bytes);
            return Err(Error::invalid(validate::SOURCE_FIELD, message));
        }
        let stored = StoredInput { role: InputRole::Source, source: InputSource::Stored(key.as_str().to_owned()) };
        Ok(Source { task: None, file: None, inputs: self.copy_inputs(context, id, &[stored]).await?, video })
    }

    /// Returns a file of the request as a source.
    async fn given_source(
        &self,
        context: &RequestContext,
        id: &JobId,
        operation: Operation,
        entry: &Arc<Entry<VideoModel>>,
        input: RequestedInput,
    ) -> Result<Source, Error> {
        let accepted = accepted(&entry.provider.facts, operation);
        if !accepted.file {
            return Err(self.refusal(operation, entry));
        }
        if accepted.no_url && matches!(input.input.source, Some(media_input::Source::Url(_))) {
            return Err(self.refusal_of_url(operation, entry));
        }
        let resolved = self.resolve(context, vec![input]).await?;
        let inputs = self.store_inputs(context, id, resolved).await?;
        let key = inputs.iter().find_map(StoredInput::key).and_then(MediaKey::parse);
        let info = match (&self.jobs.inspector, key) {
            (Some(inspector), Some(key)) => inspector.inspect(&key).await,
            _ => None,
        };
        let video = SourceVideo {
            size: info.map(|info| info.size),
            seconds: info.map(|info| whole_seconds(info.duration.as_millis())),
            generate_audio: None,
        };
        Ok(Source { task: None, file: None, inputs, video })
    }

    /// Removes the files of a job that is not created. What remains is removed by the sweeper.
    async fn remove_inputs(&self, inputs: &[StoredInput]) {
        for key in inputs.iter().filter_map(StoredInput::key).filter_map(MediaKey::parse) {
            if let Err(error) = self.media_store.remove(&key).await {
                tracing::warn!("the source of a refused video could not be removed: {error}");
            }
        }
    }

    /// Returns the error for a source that the model does not accept, which names the models that do.
    fn refusal(&self, operation: Operation, entry: &Entry<VideoModel>) -> Error {
        let verb = operation.verb();
        let names = self.models_that(|facts| accepted(facts, operation).file);
        let instead = if names.is_empty() {
            format!("no connected model can {verb} it")
        } else {
            format!("models that can {verb} it: {names}")
        };
        if accepted(&entry.provider.facts, operation).native {
            let message = format!("the model `{}` can {verb} only its own videos, by their id; {instead}", entry.id);
            return Error::invalid(validate::SOURCE_FIELD, message);
        }
        Error::invalid("model", format!("the model `{}` cannot {verb} videos; {instead}", entry.id))
    }

    /// Returns the error for a source that is given by its URL, to a model that accepts files only.
    fn refusal_of_url(&self, operation: Operation, entry: &Entry<VideoModel>) -> Error {
        let verb = operation.verb();
        let names = self.models_that(|facts| {
            let accepted = accepted(facts, operation);
            accepted.file && !accepted.no_url
        });
        let instead = match names.as_str() {
            "" => String::new(),
            names => format!(". Models that can {verb} the video of a URL: {names}"),
        };
        let message = format!(
            "is a URL, and the model `{}` accepts the video itself: send the MP4 file, or the id of a video{instead}",
            entry.id
        );
        Error::invalid(validate::SOURCE_FIELD, message)
    }

    /// Returns the names of the listed models whose facts meet the condition, for error messages.
    fn models_that(&self, accept: impl Fn(&ModelFacts) -> bool) -> String {
        let models = self.models.load();
        let entries = models.entries().iter().filter(|entry| !entry.hidden && accept(&entry.provider.facts));
        entries.map(|entry| format!("`{}`", entry.id)).collect::<Vec<_>>().join(", ")
    }
}

/// Returns the source videos that a model accepts for an operation; `Generate`, which has no source, does not occur.
fn accepted(facts: &ModelFacts, operation: Operation) -> &SourceFacts {
    match operation {
        Operation::Extend => &facts.extend,
        Operation::Remix => &facts.remix,
        Operation::Edit | Operation::Generate => &facts.edit,
    }
}

/// Returns the provider's render of a video, if the same model rendered it and accepts its own renders.
fn native_task(entry: &Entry<VideoModel>, job: &Job, accepted: &SourceFacts) -> Option<UpstreamTask> {
    let JobRequest { provider_id, upstream_model, .. } = &job.request;
    let is_own = *provider_id == entry.provider_id && *upstream_model == entry.upstream_model;
    job.state.task().filter(|_| is_own && accepted.native).cloned()
}

fn stored_video(job: &Job) -> Option<&StoredFile> {
    let JobState::Succeeded { media, .. } = &job.state else { return None };
    media.iter().find(|file| file.variant == Variant::Video)
}

/// Returns size, duration and sound of the video of a finished job: as read from its file, otherwise as requested.
fn source_video_of(job: &Job) -> SourceVideo {
    let parameters = &job.request.parameters;
    let generate_audio = parameters.generate_audio;
    if let JobState::Succeeded { content: Some(content), .. } = &job.state {
        let size = Some(Size::new(content.width, content.height));
        let seconds = Some(whole_seconds(content.duration_millis.into()));
        return SourceVideo { size, seconds, generate_audio };
    }
    SourceVideo { size: Some(parameters.size()), seconds: Some(parameters.seconds), generate_audio }
}
