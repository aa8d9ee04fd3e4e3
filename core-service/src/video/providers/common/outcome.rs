//! Adjustments of the results of provider calls, before they reach the runner of video jobs.

use crate::{error::ProviderError, upstream::Upstream, video::Progress};

/// Turns [`ProviderError::Unavailable`], which the runner retries, into [`ProviderError::Refused`], which fails the job without
/// a retry: for failures that only the operator can correct, such as an unknown model, which most vendors report with status
/// 404.
pub(in crate::video::providers) fn permanent_refusal(error: ProviderError) -> ProviderError {
    let message = error.to_string();
    error.map_failure(|failure| {
        if matches!(failure, ProviderError::Unavailable { .. }) {
            ProviderError::Refused { message, field: None }
        } else {
            failure
        }
    })
}

/// Removes the API key from the error messages in a poll's result, and truncates them: see [`Upstream::redacted`].
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

/// Returns the percentage that a fraction from 0 to 1 means, such as `0.42`; `None` for other text. At most 99: a job has 100
/// percent only once its files are stored.
pub(in crate::video::providers) fn percent_of_fraction(fraction: &str) -> Option<u8> {
    let fraction = fraction.trim().parse::<f64>().ok().filter(|fraction| (0.0..=1.0).contains(fraction))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 99")]
    let percent = (fraction * 100.0).min(99.0) as u8;
    Some(percent)
}
