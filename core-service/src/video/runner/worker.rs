//! State shared by the steps of a runner.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{
    live::Live,
    models::Models,
    video::{
        VideoProvider,
        jobs::Jobs,
        store::{JobQueue, WorkerId},
    },
};

/// The holder of a runner's leases, with everything that a step needs.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) queue: Arc<dyn JobQueue>,
    pub(super) jobs: Jobs,
    pub(super) models: Live<Models<dyn VideoProvider>>,
    pub(super) id: WorkerId,
    /// Interrupts the steps in progress.
    pub(super) interrupt: CancellationToken,
}
