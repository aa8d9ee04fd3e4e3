//! State shared by the steps of a runner.

use std::{collections::BTreeSet, sync::Arc};

use tokio_util::sync::CancellationToken;

use crate::{
    live::Live,
    models::Models,
    video::{
        Slot, VideoModel,
        job::Job,
        jobs::Jobs,
        state::JobState,
        store::{JobQueue, WorkerId},
    },
};

/// The holder of a runner's leases, with everything that a step needs.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) queue: Arc<dyn JobQueue>,
    pub(super) jobs: Jobs,
    pub(super) models: Live<Models<VideoModel>>,
    pub(super) id: WorkerId,
    /// Interrupts the steps in progress.
    pub(super) interrupt: CancellationToken,
}

impl Worker {
    /// Returns the ids of the providers without a free slot. Their queued jobs stay queued.
    pub(super) fn busy_providers(&self) -> Vec<String> {
        let models = self.models.load();
        let busy = models.entries().iter().filter(|entry| !entry.provider.provider.has_free_slot());
        busy.map(|entry| entry.provider_id.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Reserves what the next step of a job needs: for a queued job a slot of its provider. `None` if none is free.
    pub(super) fn reserve(&self, job: &Job) -> Option<Slot> {
        match self.models.load().provider(&job.request.provider_id) {
            Some(model) if job.state == JobState::Queued => model.provider.reserve(),
            Some(_) | None => Some(Slot::default()),
        }
    }
}
