//! Several images from an upstream that returns one image per call.

use std::sync::{Arc, OnceLock};

use futures_util::{Stream, StreamExt, stream};

use super::ImageEvent;
use crate::{call::Chunks, error::ProviderError};

/// Generates `n` images with one call each, at most `at_once` of them concurrently.
///
/// `generate` returns the events of the image with an index; it must not send the request before its stream is polled. The
/// error of a call fails its image only, unless all other calls would fail with it too, for example because of a wrong API key:
/// then the images whose calls have not started fail with this error as well. Calls that have started may be billed already and
/// run to their end. Dropping the stream drops every running call.
pub fn fan_out<S>(n: u32, at_once: usize, generate: impl Fn(u32) -> S + Send + 'static) -> Chunks<ImageEvent>
where
    S: Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static,
{
    let common_error = Arc::new(OnceLock::new());
    let calls = stream::iter(0..n).map(move |index| {
        let (call, common_error) = (ImageCall::new(generate(index)), Arc::clone(&common_error));
        stream::unfold(Some(call), move |call| {
            let common_error = Arc::clone(&common_error);
            async move {
                let mut call = call?;
                match call.next(&common_error).await? {
                    Ok(event) => Some((Ok(event), Some(call))),
                    Err(error) => {
                        if fails_all(&error) {
                            // Already set by another call: either error will do.
                            let _ = common_error.set(error.clone());
                        }
                        // An error after the final event of the image does not change its outcome.
                        (!call.is_over).then_some((Ok(ImageEvent::Failed { index, error }), None))
                    }
                }
            }
        })
        .boxed()
    });
    calls.flatten_unordered(at_once.max(1)).boxed()
}

/// The call for one image.
struct ImageCall {
    events: Chunks<ImageEvent>,
    has_started: bool,
    /// Whether the final event of the image was yielded.
    is_over: bool,
}

impl ImageCall {
    fn new(events: impl Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static) -> Self {
        Self { events: events.boxed(), has_started: false, is_over: false }
    }

    async fn next(&mut self, common_error: &OnceLock<ProviderError>) -> Option<Result<ImageEvent, ProviderError>> {
        if let Some(error) = common_error.get().filter(|_| !self.has_started) {
            return Some(Err(error.clone()));
        }
        self.has_started = true;
        let next = self.events.next().await;
        self.is_over |= matches!(next, Some(Ok(ImageEvent::Finished { .. } | ImageEvent::Failed { .. })));
        next
    }
}

/// Returns whether the calls for the other images would fail with the same error.
fn fails_all(error: &ProviderError) -> bool {
    match error {
        ProviderError::Reported { error, .. } => fails_all(error),
        // The cause is the request, the account, the model, or the queue of this process, which is full.
        ProviderError::Refused { .. }
        | ProviderError::Credentials(_)
        | ProviderError::NotSupported(_)
        | ProviderError::Overloaded { .. } => true,
        // A content policy may apply to the generated image only; the other errors may be transient.
        ProviderError::ContentPolicy(_)
        | ProviderError::RateLimited { .. }
        | ProviderError::Timeout(_)
        | ProviderError::Unreachable(_)
        | ProviderError::Unavailable { .. }
        | ProviderError::Broken(_)
        | ProviderError::LinkExpired(_)
        | ProviderError::Unreadable(_) => false,
    }
}

#[cfg(test)]
mod tests;
