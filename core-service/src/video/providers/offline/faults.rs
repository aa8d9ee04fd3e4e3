//! The injected faults of submissions, polls and downloads of the built-in engine; [`Fault`] has the list. `render` injects the
//! one fault of the render itself.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::sleep;

use super::renders::{Calls, POLL_INTERVAL};
use crate::{
    call::Chunks,
    error::ProviderError,
    fault_injection::Fault,
    video::provider::{Progress, Variant},
};

/// The size and the interval of the chunks of [`Fault::SlowCopy`]: 2 KiB/s, far less than the minimum rate of a copy.
const TRICKLE_BYTES: usize = 1024;
const TRICKLE_INTERVAL: Duration = Duration::from_millis(500);

/// Returns the error of a submission that is rejected, or whose response is lost; `None` if the fault concerns something else.
/// `calls` are the calls about the task so far, this one included.
pub(super) fn of_submission(fault: Fault, calls: Calls) -> Option<ProviderError> {
    let is_limited = fault == Fault::RateLimited && calls.submissions <= Fault::REJECTED_SUBMISSIONS;
    fault.error().filter(|_| is_limited || fault == Fault::Refused || fault.loses_submission())
}

/// Returns the injected response to a poll; `None` if the fault does not concern this poll.
pub(super) fn of_poll(fault: Fault, calls: Calls) -> Option<Progress> {
    let is_missing = fault == Fault::RenderGone || fault == Fault::RenderMissing && calls.polls <= Fault::MISSED_POLLS;
    if is_missing {
        return Some(Progress::Missing);
    }
    if fault == Fault::RenderStuck {
        // Polled less often, as nothing will change.
        return Some(Progress::Working { percent: Some(Fault::RENDER_STUCK_AT), poll_after: POLL_INTERVAL * 5 });
    }
    // Like the state of an upstream that a provider does not know: work in progress without a percentage.
    let is_unknown = fault == Fault::StateUnknown && calls.polls <= Fault::UNKNOWN_POLLS;
    is_unknown.then_some(Progress::Working { percent: None, poll_after: POLL_INTERVAL })
}

/// Returns the injected response to a download; `None` if the fault does not concern this download.
pub(super) fn of_fetch(fault: Fault, calls: Calls, variant: Variant) -> Option<Result<Chunks<Bytes>, ProviderError>> {
    let is_first = calls.fetches == 1;
    if fault == Fault::LinkExpired || fault == Fault::LinkRenewed && is_first {
        return fault.error().map(Err);
    }
    (fault == Fault::SlowCopy && is_first && variant == Variant::Video).then(|| Ok(trickle()))
}

/// An endless file that arrives too slowly.
fn trickle() -> Chunks<Bytes> {
    let chunks = stream::repeat(Bytes::from(vec![0; TRICKLE_BYTES]));
    let delayed = chunks.then(async |chunk| {
        sleep(TRICKLE_INTERVAL).await;
        Ok(chunk)
    });
    delayed.boxed()
}
