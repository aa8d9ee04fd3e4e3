//! Timeout and interruption of one call to a provider.

use std::future::Future;

use tokio::time::{Instant, timeout};

use super::step::{Step, StepError};
use crate::{context::RequestContext, error::ProviderError, video::provider::PROVIDER_TIMEOUT};

impl Step {
    /// Returns the context of a provider call that starts now.
    pub(super) fn call_context(&self) -> RequestContext {
        self.claim.job.context(Some(Instant::now() + PROVIDER_TIMEOUT))
    }

    /// Runs a provider call that may be dropped at any time, within [`PROVIDER_TIMEOUT`]. The inner result is that of the call.
    pub(super) async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<Result<T, ProviderError>, StepError> {
        tokio::select! {
            result = timeout(PROVIDER_TIMEOUT, call) => Ok(result.unwrap_or_else(|_| Err(timed_out()))),
            () = self.interrupted.cancelled() => Err(StepError::Interrupted),
        }
    }
}

pub(super) fn timed_out() -> ProviderError {
    ProviderError::Timeout(format!("the provider did not respond within {} seconds", PROVIDER_TIMEOUT.as_secs()))
}
