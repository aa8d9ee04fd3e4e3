//! The faults between submission and download that a render of the engine can have.

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

/// The chunks of [`Fault::SlowCopy`], together far less than the minimum rate of a copy.
const TRICKLE_BYTES: usize = 1024;
const TRICKLE_INTERVAL: Duration = Duration::from_millis(500);

/// Returns the error of a submission that starts no render, or whose response is lost; the latter if the fault says so.
pub(super) fn of_submission(fault: Fault, calls: Calls) -> Option<ProviderError> {
    let is_limited = fault == Fault::RateLimited && calls.submissions <= Fault::REJECTED_SUBMISSIONS;
    fault.error().filter(|_| is_limited || fault == Fault::Refused || fault.loses_submission())
}

/// Returns the response to a poll; `None` if it depends on the render.
pub(super) fn of_poll(fault: Fault, calls: Calls) -> Option<Progress> {
    let is_missing = fault == Fault::RenderGone || fault == Fault::RenderMissing && calls.polls <= Fault::MISSED_POLLS;
    if is_missing {
        return Some(Progress::Missing);
    }
    if fault == Fault::RenderStuck {
        return Some(Progress::Working { percent: Some(Fault::RENDER_STUCK_AT), poll_after: POLL_INTERVAL * 5 });
    }
    // As a provider adapter reports a state that it does not know.
    let is_unknown = fault == Fault::StateUnknown && calls.polls <= Fault::UNKNOWN_POLLS;
    is_unknown.then_some(Progress::Working { percent: None, poll_after: POLL_INTERVAL })
}

/// Returns the response to a download; `None` for the file itself.
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
