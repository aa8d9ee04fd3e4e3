//! The circuit breaker and the concurrency limit over a provider that follows a script.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::time::advance;

use super::*;
use crate::{
    context::RequestContext,
    video::{parameters::VideoParameters, testing::request},
};

const SETTINGS: GuardSettings = GuardSettings {
    // Without effect here: the runner retries submissions.
    retries: 2,
    failure_threshold: 2,
    cooldown: Duration::from_secs(10),
    max_in_flight: 1,
    queue_limit: 0,
};

/// Fails submissions and polls with these errors in order, then succeeds.
#[derive(Debug, Default)]
struct Scripted {
    errors: Mutex<VecDeque<ProviderError>>,
    submissions: Mutex<u32>,
}

impl Scripted {
    fn next(&self) -> Result<(), ProviderError> {
        self.errors.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl VideoProvider for Scripted {
    fn submits_idempotently(&self) -> bool {
        true
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        *self.submissions.lock().unwrap() += 1;
        if call.request.parameters.prompt == "hang" {
            std::future::pending::<()>().await;
        }
        self.next().map(|()| UpstreamTask("task".to_owned()))
    }

    async fn poll(&self, _: &UpstreamTask, _: &RequestContext) -> Result<Progress, ProviderError> {
        self.next().map(|()| Progress::Working { percent: None, poll_after: Duration::ZERO })
    }

    async fn fetch(&self, _: &ClipFile, _: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        Ok(stream::empty().boxed())
    }

    async fn cancel(&self, _: &UpstreamTask, _: &RequestContext) -> Result<Cancellation, ProviderError> {
        Ok(Cancellation::Stopped)
    }
}

fn guarded(errors: impl IntoIterator<Item = ProviderError>) -> (Guarded, Arc<Scripted>) {
    let provider = Arc::new(Scripted { errors: Mutex::new(errors.into_iter().collect()), ..Scripted::default() });
    let limit = Arc::new(ConcurrencyLimit::new(SETTINGS.max_in_flight, SETTINGS.queue_limit));
    (Guarded::new(provider.clone(), "veo".to_owned(), "veo-3".to_owned(), SETTINGS, limit), provider)
}

fn call(prompt: &str) -> Call<RenderRequest> {
    let parameters = VideoParameters { prompt: prompt.to_owned(), ..request().parameters };
    let request = RenderRequest { parameters, inputs: Vec::new(), slot: Slot::default() };
    Call { model: "veo-3".to_owned(), request, context: RequestContext::default() }
}

fn unavailable() -> ProviderError {
    ProviderError::unavailable("unavailable")
}

#[tokio::test(start_paused = true)]
async fn submissions_are_not_retried_and_open_the_breaker_while_polls_pass() {
    let (guarded, provider) = guarded([unavailable(), unavailable()]);
    for _ in 0..2 {
        assert_eq!(guarded.submit(call("x")).await, Err(unavailable()));
    }
    let rejected = guarded.submit(call("x")).await.unwrap_err();
    assert_eq!((rejected.retry_after(), rejected.is_safe_to_retry()), (Some(SETTINGS.cooldown), true));
    assert_eq!(*provider.submissions.lock().unwrap(), 2);
    assert_eq!(guarded.for_model("veo-3-fast".to_owned()).targets()[0].state(), pb::model::target::State::Open);
    assert!(guarded.poll(&UpstreamTask("task".to_owned()), &RequestContext::default()).await.is_ok());
    advance(SETTINGS.cooldown).await;
    assert!(guarded.submit(call("x")).await.is_ok());
    assert_eq!(guarded.targets()[0].state(), pb::model::target::State::Closed);
}

#[tokio::test(start_paused = true)]
async fn rate_limit_of_a_poll_delays_submissions_and_failure_of_one_task_does_not() {
    let limited = ProviderError::RateLimited { message: String::new(), retry_after: Some(Duration::from_secs(30)) };
    let lost = || ProviderError::Broken("unknown task".to_owned());
    let (guarded, _) = guarded([lost(), lost(), lost(), limited]);
    let task = UpstreamTask("task".to_owned());
    for state in [pb::model::target::State::Closed; 3].into_iter().chain([pb::model::target::State::Open]) {
        assert!(guarded.poll(&task, &RequestContext::default()).await.is_err());
        assert_eq!(guarded.targets()[0].state(), state);
    }
    assert_eq!(guarded.submit(call("x")).await.unwrap_err().retry_after(), Some(Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn submissions_beyond_the_concurrency_limit_are_rejected() {
    let (guarded, _) = guarded([]);
    let mut hanging = Box::pin(guarded.submit(call("hang")));
    assert!(futures_util::poll!(&mut hanging).is_pending());
    assert!(matches!(guarded.submit(call("x")).await, Err(ProviderError::Overloaded { .. })));
    drop(hanging);
    assert!(guarded.submit(call("x")).await.is_ok());
}
