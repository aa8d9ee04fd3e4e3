//! State shared by the steps of a runner.

use std::{collections::BTreeSet, sync::Arc};

use http_server::MemoryBudget;
use tokio_util::sync::CancellationToken;

use super::{
    estimate::RenderTimes,
    load::{ActiveStep, Load, StepKind},
};
use crate::{
    live::Live,
    models::Models,
    video::{
        Slot, VideoModel,
        job::Job,
        jobs::Jobs,
        state::JobState,
        store::{BusyProviders, JobQueue},
    },
};

/// How many polls of parked renders (claimed jobs between two polls) a provider may have in progress, for each step that
/// `jobs.concurrency` permits. A poll is short and needs no memory for files.
const POLLS_PER_STEP: usize = 8;

/// The state that the steps of a runner share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Arc<dyn JobQueue>,
    pub(super) jobs: Jobs,
    pub(super) models: Live<Models<VideoModel>>,
    /// Interrupts the steps in progress.
    pub(super) interrupt: CancellationToken,
    /// The steps in progress.
    pub(super) load: Load,
    pub(super) render_times: RenderTimes,
    /// The memory for the inputs of submissions.
    pub(super) input_memory: MemoryBudget,
}

/// What a step of a job needs before it can start.
pub(super) struct StepStart {
    /// The slot of the render to start.
    pub(super) slot: Slot,
    /// Counts the step as in progress.
    pub(super) active: ActiveStep,
}

impl Shared {
    /// Returns the providers whose jobs have to wait: those with as many steps in progress as `jobs.concurrency` allows, and, for
    /// queued jobs, those without a free slot or with half as many submissions in progress. Submissions that stall do
    /// not delay the other steps of the same provider.
    pub(super) fn busy_providers(&self) -> BusyProviders {
        let (concurrency, max_submissions) = self.limits();
        let steps = self.load.with_steps(concurrency);
        let models = self.models.load();
        let without_slot = models.entries().iter().filter(|entry| entry.provider.provider.free_slots() == 0);
        let submissions: BTreeSet<_> = without_slot
            .map(|entry| entry.provider_id.clone())
            .chain(self.load.with_submissions(max_submissions))
            .chain(steps.iter().cloned())
            .collect();
        BusyProviders { submissions: submissions.into_iter().collect(), steps }
    }

    /// Returns the most steps and submissions of one provider in progress.
    fn limits(&self) -> (usize, usize) {
        let concurrency = self.jobs.settings.concurrency.max(1);
        (concurrency, (concurrency / 2).max(1))
    }

    /// Returns how many jobs can be claimed at once without exceeding a limit or the slots of a provider, whichever providers they are for.
    /// The jobs of providers without a free slot are not claimed.
    pub(super) fn room(&self) -> usize {
        let (max_steps, max_submissions) = self.limits();
        let models = self.models.load();
        let free = models.entries().iter().map(|entry| entry.provider.provider.free_slots()).filter(|free| *free > 0);
        self.load.least_room(max_steps, max_submissions).min(free.min().unwrap_or(usize::MAX))
    }

    /// Reserves what the next step of a job needs: for a queued job a slot of its provider. `None` if none is free.
    pub(super) fn reserve(&self, job: &Job) -> Option<StepStart> {
        let is_submission = job.state == JobState::Queued;
        let provider_id = &job.request.provider_id;
        let slot = match self.models.load().provider(provider_id) {
            Some(model) if is_submission => model.provider.reserve()?,
            Some(_) | None => Slot::default(),
        };
        let kind = if is_submission { StepKind::Submission } else { StepKind::Other };
        Some(StepStart { slot, active: self.load.begin(provider_id, kind) })
    }

    /// Returns the providers that get no further polls of parked renders now.
    pub(super) fn providers_with_busy_polls(&self) -> Vec<String> {
        self.load.with_polls(self.jobs.settings.concurrency.max(1) * POLLS_PER_STEP)
    }

    /// Counts a poll of a parked render, which needs no slot.
    pub(super) fn begin_poll(&self, job: &Job) -> StepStart {
        StepStart { slot: Slot::default(), active: self.load.begin(&job.request.provider_id, StepKind::Poll) }
    }
}
