//! Protection of a connected image provider: circuit breaker, concurrency limit, retries. A connected provider calls an upstream,
//! in contrast to the built-in engine.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep};
use triptych_proto::v1 as pb;
use triptych_telemetry::Modality;

use super::{Edits, ImageEvent, ImageProvider, parameters::ImageParameters};
use crate::{
    call::{Call, Chunks},
    config::GuardSettings,
    context::TraceContext,
    error::ProviderError,
    upstream::{AdmittedCall, ConcurrencyLimit, UpstreamAdmission, delay},
};

/// One model of a connected provider, behind a circuit breaker and a concurrency limit. "Guarded" means protected by these and
/// by retries.
///
/// A request is retried only after a failure that is safe to retry, and only before its first event: pictures cost money,
/// so a request that may have been executed is never sent twice.
#[derive(Debug)]
pub(crate) struct Guarded {
    inner: Arc<dyn ImageProvider>,
    admission: Arc<UpstreamAdmission>,
    retries: u32,
    /// The provider's id.
    name: String,
    /// The provider's name of the model.
    model: String,
}

impl Guarded {
    /// Wraps one model of a provider. `limit` limits the requests in flight of all models that share it.
    pub(crate) fn new(
        inner: Arc<dyn ImageProvider>,
        name: String,
        model: String,
        settings: GuardSettings,
        limit: Arc<ConcurrencyLimit>,
    ) -> Self {
        let admission = Arc::new(UpstreamAdmission::new(&name, inner.address(), limit, settings.breaker()));
        Self { inner, admission, retries: settings.retries, name, model }
    }
}

#[async_trait]
impl ImageProvider for Guarded {
    async fn generate(&self, mut call: Call<ImageParameters>) -> Result<Chunks<ImageEvent>, ProviderError> {
        let mut admitted = self.admission.admit(&call.context).await?;
        let trace = call.context.trace.clone();
        admitted.trace(&mut call.context, Modality::Image, &call.model);
        call.context.report.add_attempt(&self.name);
        let events = match self.inner.generate(call.clone()).await {
            Ok(events) => events,
            // Refused before the upstream was called: says nothing about the upstream's health.
            Err(error @ (ProviderError::Refused { .. } | ProviderError::NotSupported(_))) => return Err(error),
            Err(error) => stream::iter([Err(error)]).boxed(),
        };
        let request = Request {
            inner: Arc::clone(&self.inner),
            name: self.name.clone(),
            trace,
            admission: Arc::clone(&self.admission),
            retries: self.retries,
            call,
            events,
            admitted,
            failures: 0,
            has_started: false,
            completed: 0,
            has_finished_picture: false,
            picture_failure: None,
        };
        let events = stream::unfold(Some(request), |request| async move {
            let mut request = request?;
            let event = request.next().await?;
            // Dropped after an error, which releases its permit.
            let request = event.is_ok().then_some(request);
            Some((event, request))
        });
        Ok(events.boxed())
    }

    fn edits(&self, model: &str) -> Edits {
        self.inner.edits(model)
    }

    fn resolution(&self, model: &str, parameters: &ImageParameters) -> Option<&'static str> {
        self.inner.resolution(model, parameters)
    }

    fn targets(&self) -> Vec<pb::model::Target> {
        vec![self.admission.to_target(self.name.clone(), self.model.clone())]
    }
}

/// A request in flight.
struct Request {
    inner: Arc<dyn ImageProvider>,
    /// The provider's id.
    name: String,
    /// The trace context of the request, without the attempts.
    trace: TraceContext,
    admission: Arc<UpstreamAdmission>,
    retries: u32,
    call: Call<ImageParameters>,
    events: Chunks<ImageEvent>,
    admitted: AdmittedCall,
    /// Failed attempts.
    failures: u32,
    /// An event was returned: no more retries.
    has_started: bool,
    /// How many pictures are finished or failed.
    completed: u32,
    /// At least one picture is finished.
    has_finished_picture: bool,
    /// The latest failure of a single picture.
    picture_failure: Option<ProviderError>,
}

impl Request {
    /// Returns the next event, after retries if necessary; `None` at the end. Must not be called after an error.
    async fn next(&mut self) -> Option<Result<ImageEvent, ProviderError>> {
        loop {
            let error = match self.events.next().await {
                // A request for several pictures is not retried because of one: the others may be in progress.
                Some(Ok(ImageEvent::Failed { error, .. })) if self.call.request.n == 1 && self.may_retry(&error) => {
                    error
                }
                Some(Err(error)) if self.may_retry(&error) => error,
                Some(Err(error)) => {
                    self.admitted.record_failure(&error);
                    return Some(Err(error));
                }
                Some(Ok(event)) => {
                    self.record(&event);
                    return Some(Ok(event));
                }
                None => {
                    // The stream ended without a result for each picture. It counts as complete.
                    if self.completed < self.call.request.n {
                        self.record_end();
                    }
                    return None;
                }
            };
            if let Err(error) = self.retry(error).await {
                return Some(Err(error));
            }
        }
    }

    fn may_retry(&self, error: &ProviderError) -> bool {
        let is_own_limit = matches!(error, ProviderError::Overloaded { .. });
        !self.has_started && self.failures < self.retries && error.is_safe_to_retry() && !is_own_limit
    }

    /// Sends the request again after the back-off.
    ///
    /// # Errors
    /// The failure `error` itself, if its delay is too long, the deadline too near, or the breaker open by then.
    async fn retry(&mut self, error: ProviderError) -> Result<(), ProviderError> {
        self.admitted.record_failure(&error);
        self.failures += 1;
        let deadline = self.call.context.deadline;
        let is_in_time = |wait: &_| deadline.is_none_or(|deadline| Instant::now() + *wait < deadline);
        let Some(wait) = delay(&error, self.failures).filter(is_in_time) else { return Err(error) };
        tracing::info!(model = self.call.model, failures = self.failures, "an image request is retried");
        sleep(wait).await;
        let Ok(mut admitted) = self.admission.admit(&self.call.context).await else { return Err(error) };
        // The attempts are siblings in the trace.
        self.call.context.trace.clone_from(&self.trace);
        admitted.trace(&mut self.call.context, Modality::Image, &self.call.model);
        self.admitted = admitted;
        self.call.context.report.add_attempt(&self.name);
        self.events = match self.inner.generate(self.call.clone()).await {
            Ok(events) => events,
            Err(error) => stream::iter([Err(error)]).boxed(),
        };
        Ok(())
    }

    /// Records an event. The last picture completes the response: the gRPC service does not read on after it.
    fn record(&mut self, event: &ImageEvent) {
        match event {
            ImageEvent::Preview { .. } | ImageEvent::Usage(_) => {}
            ImageEvent::Finished { .. } => {
                self.completed += 1;
                self.has_finished_picture = true;
            }
            ImageEvent::Failed { error, .. } => {
                self.completed += 1;
                self.picture_failure = Some(error.clone());
            }
        }
        if !self.has_started && self.picture_failure.is_none() {
            self.admitted.record_start();
        }
        self.has_started = true;
        if self.completed == self.call.request.n {
            self.record_end();
        }
    }

    /// Records the result of the whole request. The failure of a picture counts if no picture was finished, or if it names a
    /// delay, for which the upstream then gets no requests.
    fn record_end(&mut self) {
        match &self.picture_failure {
            Some(error) if !self.has_finished_picture || error.retry_after().is_some() => {
                self.admitted.record_failure(error);
            }
            Some(_) | None => self.admitted.record_success(),
        }
    }
}

#[cfg(test)]
mod tests;
