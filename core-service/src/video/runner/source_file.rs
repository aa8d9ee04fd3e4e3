//! Edits and extensions of a video that the provider no longer has: its stored file is sent in place of the provider's own video.

use tokio::time::timeout;

use super::{provider_call::timed_out, step::Step};
use crate::{
    call::Call,
    error::ProviderError,
    video::{
        inputs::{InputRole, InputSource, StoredInput},
        parameters::VideoParameters,
        provider::{PROVIDER_TIMEOUT, Progress, RenderRequest, UpstreamTask, VideoProvider},
    },
};

impl Step {
    /// Sends a submission. If the provider refuses it and does not have the video that it names, sends the file of that video.
    pub(super) async fn submit_request(
        &self,
        provider: &dyn VideoProvider,
        request: RenderRequest,
    ) -> Result<UpstreamTask, ProviderError> {
        let VideoParameters { source, source_file, .. } = &self.claim.job.request.parameters;
        let refused = match (self.send(provider, request).await, source) {
            (Err(error), Some(source)) if self.is_gone(provider, source, &error).await => error,
            (submitted, _) => return submitted,
        };
        let Some(file) = source_file else { return Err(refused) };
        let input = StoredInput { role: InputRole::Source, source: InputSource::Stored(file.clone()) };
        let parameters =
            VideoParameters { source: None, inputs: vec![input], ..self.claim.job.request.parameters.clone() };
        // If the stored file is gone as well, the job still fails with the refusal: the provider does not have the source.
        let (request, _memory) = match self.build_request(parameters).await {
            Ok(built) => built,
            Err(error) => {
                tracing::warn!("the stored file of the source cannot be sent: {error}");
                return Err(refused);
            }
        };
        tracing::info!("the provider no longer has the source; sending its stored file");
        self.send(provider, request).await
    }

    /// Returns whether nothing was submitted because the provider no longer has the source.
    async fn is_gone(&self, provider: &dyn VideoProvider, source: &UpstreamTask, error: &ProviderError) -> bool {
        // Refusals of the content, the account or the rate have nothing to do with the source.
        if !matches!(error.failure(), ProviderError::Refused { .. } | ProviderError::NotSupported(_)) {
            return false;
        }
        let context = self.call_context();
        let polled = timeout(PROVIDER_TIMEOUT, provider.poll(source, &context)).await;
        matches!(polled, Ok(Ok(Progress::Missing | Progress::Cancelled)))
    }

    /// Sends one submission. Must not be interrupted: without the response, the id of the started render is lost.
    async fn send(&self, provider: &dyn VideoProvider, request: RenderRequest) -> Result<UpstreamTask, ProviderError> {
        let model = self.claim.job.request.upstream_model.clone();
        let call = Call { model, request, context: self.call_context() };
        timeout(PROVIDER_TIMEOUT, provider.submit(call)).await.unwrap_or_else(|_| Err(timed_out()))
    }
}
