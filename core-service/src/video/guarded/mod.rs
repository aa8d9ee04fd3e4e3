//! Protection of a connected video provider: circuit breaker and concurrency limit.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use triptych_proto::v1 as pb;
use triptych_telemetry::Modality;

use super::provider::{
    Cancellation, ClipFile, LostSubmission, Progress, RenderRequest, Search, Slot, UpstreamTask, VideoProvider,
};
use crate::{
    call::{Call, Chunks},
    config::GuardSettings,
    context::RequestContext,
    error::ProviderError,
    upstream::{ConcurrencyLimit, UpstreamAdmission},
};

/// A connected provider behind a circuit breaker and a concurrency limit. "Guarded" means protected by these two.
///
/// Both apply to submissions only. Polls, downloads and cancellations always pass, because their render is already paid
/// for. Nothing is retried here: the runner retries the steps of a job, and a submission only where that cannot start a
/// second render. Slots, which limit the renders in progress, are those of the inner provider.
#[derive(Debug)]
pub struct Guarded {
    inner: Arc<dyn VideoProvider>,
    admission: Arc<UpstreamAdmission>,
    /// The provider's id.
    name: String,
    /// The provider's name of the model.
    model: String,
}

impl Guarded {
    /// Wraps a provider and the first of its models. All providers with the same `limit` object together stay
    /// within it.
    pub fn new(
        inner: Arc<dyn VideoProvider>,
        name: String,
        model: String,
        settings: GuardSettings,
        limit: Arc<ConcurrencyLimit>,
    ) -> Self {
        let admission = Arc::new(UpstreamAdmission::new(&name, inner.address(), limit, settings.breaker()));
        Self { inner, admission, name, model }
    }

    /// Returns the wrapper for another model of the same provider. All models share one breaker, because a job finds its
    /// provider by the provider's id, whatever its model.
    #[must_use]
    pub fn for_model(&self, model: String) -> Self {
        let (inner, admission) = (Arc::clone(&self.inner), Arc::clone(&self.admission));
        Self { inner, admission, name: self.name.clone(), model }
    }
}

#[async_trait]
impl VideoProvider for Guarded {
    fn submits_idempotently(&self) -> bool {
        self.inner.submits_idempotently()
    }

    fn free_slots(&self) -> usize {
        self.inner.free_slots()
    }

    fn reserve(&self) -> Option<Slot> {
        self.inner.reserve()
    }

    async fn submit(&self, mut call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let mut admitted = self.admission.admit(&call.context).await?;
        admitted.trace(&mut call.context, Modality::Video, &call.model);
        let result = self.inner.submit(call).await;
        match &result {
            Ok(_) => admitted.record_success(),
            Err(error) => admitted.record_failure(error),
        }
        result
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let result = self.inner.poll(task, context).await;
        // Other failures of a poll may concern its task only.
        let concerns_provider = match &result {
            Ok(_) => true,
            Err(error) => matches!(error, ProviderError::Unreachable(_)) || error.retry_after().is_some(),
        };
        if concerns_provider {
            self.admission.record(&result);
        } else if let Err(error) = &result {
            self.admission.log(error, context.deadline);
        }
        result
    }

    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        self.inner.fetch(file, context).await
    }

    async fn cancel(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Cancellation, ProviderError> {
        self.inner.cancel(task, context).await
    }

    async fn find(&self, lost: &LostSubmission, context: &RequestContext) -> Result<Search, ProviderError> {
        self.inner.find(lost, context).await
    }

    fn targets(&self) -> Vec<pb::model::Target> {
        vec![self.admission.to_target(self.name.clone(), self.model.clone())]
    }
}

#[cfg(test)]
mod tests;
