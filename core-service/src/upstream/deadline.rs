//! Time limits of one call.

use std::{future::Future, time::Duration};

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

use crate::error::ProviderError;

/// Returns the earlier of `limit` from now and the caller's deadline.
pub(crate) fn until(limit: Duration, deadline: Option<Instant>) -> Instant {
    let limit = Instant::now() + limit;
    deadline.map_or(limit, |deadline| deadline.min(limit))
}

/// Runs `work` until `until` at the latest; fails with [`ProviderError::Timeout`] after that.
///
/// Not an `async fn`: its future would hold `work` twice, once as the captured argument.
pub(crate) fn within<T>(
    until: Instant,
    work: impl Future<Output = T>,
) -> impl Future<Output = Result<T, ProviderError>> {
    let timed_out = |_| ProviderError::Timeout("the upstream did not respond in time".to_owned());
    timeout_at(until, work).map(move |result| result.map_err(timed_out))
}
