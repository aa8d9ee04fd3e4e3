//! Adjustments of the results of provider calls.

use crate::{error::ProviderError, upstream::Upstream, video::Progress};

/// Turns [`ProviderError::Unavailable`] into [`ProviderError::Refused`], so that the job is not retried: for failures that only
/// the operator can correct, such as an unknown model.
pub(in crate::video::providers) fn final_refusal(error: ProviderError) -> ProviderError {
    let message = error.to_string();
    error.map_failure(|failure| {
        if matches!(failure, ProviderError::Unavailable { .. }) {
            ProviderError::Refused { message, field: None }
        } else {
            failure
        }
    })
}

/// Removes secrets from the messages of a poll's result, and truncates them: see [`Upstream::redacted`].
pub(in crate::video::providers) fn redacted(
    upstream: &Upstream,
    polled: Result<Progress, ProviderError>,
) -> Result<Progress, ProviderError> {
    match polled {
        Ok(Progress::Failed(error)) => Ok(Progress::Failed(upstream.redacted(error))),
        Ok(progress) => Ok(progress),
        Err(error) => Err(upstream.redacted(error)),
    }
}
