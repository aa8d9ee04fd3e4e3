//! The video provider of the built-in mock engine (crate `offline_video`), with fault injection by model name.
//!
//! A task is an `OfflineTask` as JSON: everything that the render depends on. The engine is deterministic: after a crash, another
//! process renders the same video from the stored task.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use offline_video::{STILLS_MEDIA_TYPE, VIDEO_MEDIA_TYPE};

use self::{
    pictures::Pictures,
    renders::{POLL_INTERVAL, Renders},
    task::OfflineTask,
};
use crate::{
    call::{Call, Chunks},
    context::RequestContext,
    error::ProviderError,
    fault_injection::Fault,
    media::{MediaStore, clip::ClipInspector},
    model_facts::{FactsTable, fit::FitPolicy},
    models::{Entry, Visibility},
    video::{
        inputs::InputRole,
        provider::{
            Cancellation, Clip, ClipFile, LostSubmission, Progress, RenderRequest, Search, Slot, UpstreamTask, Variant,
            VideoModel, VideoProvider,
        },
    },
};

mod faults;
mod pictures;
mod render;
mod renders;
mod task;
#[cfg(test)]
mod tests;

/// The engine's model name.
pub const MODEL: &str = "offline-video";

/// The provider id of the fault models that lose the response to a submission. They need an id of their own: jobs store the id and
/// find their provider by it, and the provider of these models must not submit idempotently.
const NOT_IDEMPOTENT_ID: &str = "offline-not_idempotent";

/// The size of the chunks of a file, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// The built-in video engine.
#[derive(Debug)]
pub struct OfflineVideo {
    renders: Arc<Renders>,
    /// Whether a repeated submission counts as the same render: not for the models that lose the response to a submission.
    submits_idempotently: bool,
}

/// Returns the entry of the engine, followed by the entries of the fault models, which lists of models do not contain. Inputs
/// are read from `media_store`, frames of input videos with `clips`.
pub fn entries(
    media_store: &MediaStore,
    clips: &ClipInspector,
    facts: &FactsTable,
    fit_policy: FitPolicy,
) -> Vec<Entry<VideoModel>> {
    let renders = Arc::new(Renders::new(Pictures::new(media_store.clone(), clips.clone())));
    let idempotent = Arc::new(OfflineVideo { renders: Arc::clone(&renders), submits_idempotently: true });
    let not_idempotent = Arc::new(OfflineVideo { renders, submits_idempotently: false });
    let facts = facts.find("offline", MODEL);
    let entry = |id: &str, visibility, provider: &Arc<OfflineVideo>| {
        let provider = Arc::clone(provider) as Arc<dyn VideoProvider>;
        let model = VideoModel { provider, facts: facts.clone(), fit_policy };
        Entry::built_in(id, &[], visibility, facts.capabilities(), Arc::new(model))
    };
    let faults = Fault::VIDEO.iter().map(|fault| {
        let id = fault.model(MODEL);
        // A submission whose response was lost is sent again to an idempotent provider, and otherwise searched for.
        if fault.loses_submission() {
            Entry { provider_id: NOT_IDEMPOTENT_ID.to_owned(), ..entry(&id, Visibility::Hidden, &not_idempotent) }
        } else {
            entry(&id, Visibility::Hidden, &idempotent)
        }
    });
    std::iter::once(entry(MODEL, Visibility::Listed, &idempotent)).chain(faults).collect()
}

#[async_trait]
impl VideoProvider for OfflineVideo {
    fn submits_idempotently(&self) -> bool {
        self.submits_idempotently
    }

    fn free_slots(&self) -> usize {
        self.renders.free_slots()
    }

    fn reserve(&self) -> Option<Slot> {
        self.renders.reserve()
    }

    async fn submit(&self, mut call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let slot = std::mem::take(&mut call.request.slot);
        // URLs are refused, because the engine reads files only; except those of sounds, which it does not use.
        call.request
            .inputs
            .iter()
            .filter(|input| input.role != InputRole::Sound)
            .try_for_each(|input| input.file().map(drop))?;
        let task = OfflineTask::new(call);
        task.validate()?;
        let count = || self.renders.count_call(&task.id, |calls| calls.submissions += 1);
        let error = task.fault.and_then(|fault| faults::of_submission(fault, count()));
        let text = task.to_json()?;
        // A stuck render needs no work, and one with an unknown outcome is never found.
        let starts = match task.fault {
            Some(Fault::RenderStuck | Fault::OutcomeUnknown) => false,
            Some(Fault::SubmissionLost) | None => true,
            Some(_) => error.is_none(),
        };
        if starts {
            self.renders.start(task, slot);
        }
        error.map_or(Ok(UpstreamTask(text)), Err)
    }

    async fn poll(&self, task: &UpstreamTask, _: &RequestContext) -> Result<Progress, ProviderError> {
        let UpstreamTask(text) = task;
        let task = OfflineTask::parse(text)?;
        let count = || self.renders.count_call(&task.id, |calls| calls.polls += 1);
        if let Some(progress) = task.fault.and_then(|fault| faults::of_poll(fault, count())) {
            return Ok(progress);
        }
        let render = self.renders.start(task, Slot::default());
        match render.outcome() {
            None => Ok(Progress::Working { percent: Some(render.percent()), poll_after: POLL_INTERVAL }),
            Some(Err(error)) => Ok(Progress::Failed(error)),
            Some(Ok(_)) => {
                let file = |variant, media_type: &str| ClipFile {
                    variant,
                    media_type: media_type.to_owned(),
                    location: text.clone(),
                };
                Ok(Progress::Ready(Clip::new([
                    file(Variant::Video, VIDEO_MEDIA_TYPE),
                    file(Variant::Thumbnail, STILLS_MEDIA_TYPE),
                    file(Variant::Spritesheet, STILLS_MEDIA_TYPE),
                ])))
            }
        }
    }

    async fn fetch(&self, file: &ClipFile, _: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        let task = OfflineTask::parse(&file.location)?;
        let count = || self.renders.count_call(&task.id, |calls| calls.fetches += 1);
        if let Some(response) = task.fault.and_then(|fault| faults::of_fetch(fault, count(), file.variant)) {
            return response;
        }
        let bytes = self.renders.file(task, file.variant).await?;
        Ok(stream::iter(chunks(bytes)).map(Ok).boxed())
    }

    async fn cancel(&self, task: &UpstreamTask, _: &RequestContext) -> Result<Cancellation, ProviderError> {
        // A task that cannot be parsed was never started.
        if let Ok(task) = OfflineTask::parse(&task.0) {
            self.renders.cancel(&task.id);
        }
        Ok(Cancellation::Stopped)
    }

    /// Rebuilds the task from the lost submission, which contains all of it. The render is therefore always found, except with
    /// `Fault::OutcomeUnknown`.
    async fn find(&self, lost: &LostSubmission, _: &RequestContext) -> Result<Search, ProviderError> {
        if Fault::of(&lost.model) == Some(Fault::OutcomeUnknown) {
            return Ok(Search::Inconclusive);
        }
        let (id, fault, parameters) = (lost.job_id.clone(), Fault::of(&lost.model), lost.parameters.clone());
        let task = OfflineTask { id, fault, parameters }.to_json()?;
        Ok(Search::Found(UpstreamTask(task)))
    }
}

/// Splits a file into chunks of at most [`CHUNK_BYTES`].
fn chunks(mut bytes: Bytes) -> Vec<Bytes> {
    let mut chunks = Vec::with_capacity(bytes.len().div_ceil(CHUNK_BYTES));
    while !bytes.is_empty() {
        chunks.push(bytes.split_to(bytes.len().min(CHUNK_BYTES)));
    }
    chunks
}
