//! A scripted provider behind [`Guarded`], with a paused clock.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use bytes::Bytes;
use tokio::time::advance;

use super::*;
use crate::{
    context::RequestContext,
    image::parameters::{Background, Encoding, Quality},
};

const SETTINGS: GuardSettings = GuardSettings {
    retries: 2,
    failure_threshold: 3,
    cooldown: Duration::from_secs(10),
    max_in_flight: 0,
    queue_limit: 0,
};

type Events = Vec<Result<ImageEvent, ProviderError>>;

/// Responds to each request with the next events; when they are used up, with one finished picture. With `hangs`, never.
#[derive(Debug, Default)]
struct Scripted {
    responses: Mutex<VecDeque<Events>>,
    requests: Mutex<u32>,
    hangs: bool,
}

#[async_trait]
impl ImageProvider for Scripted {
    async fn generate(&self, _: Call<ImageParameters>) -> Result<Chunks<ImageEvent>, ProviderError> {
        *self.requests.lock().unwrap() += 1;
        if self.hangs {
            return Ok(stream::pending().boxed());
        }
        let events = self.responses.lock().unwrap().pop_front();
        Ok(stream::iter(events.unwrap_or_else(|| vec![Ok(finished(0))])).boxed())
    }

    fn edits(&self, _: &str) -> Edits {
        Edits::NONE
    }
}

impl Scripted {
    fn new(responses: impl IntoIterator<Item = Events>) -> Arc<Self> {
        Arc::new(Self { responses: Mutex::new(responses.into_iter().collect()), ..Self::default() })
    }

    fn requests(&self) -> u32 {
        *self.requests.lock().unwrap()
    }
}

fn guarded(provider: &Arc<Scripted>, settings: GuardSettings) -> Guarded {
    let limit = Arc::new(ConcurrencyLimit::new(settings.max_in_flight, settings.queue_limit));
    Guarded::new(provider.clone(), "openai".to_owned(), "gpt-image-1".to_owned(), settings, limit)
}

fn call(n: u32) -> Call<ImageParameters> {
    let request = ImageParameters {
        prompt: "x".to_owned(),
        n,
        size: None,
        quality: Quality::Auto,
        style: None,
        background: Background::default(),
        seed: None,
        user: String::new(),
        pictures: Vec::new(),
        mask: None,
        partial_images: 0,
        format: Encoding::Png,
        extra_json: String::new(),
    };
    Call { model: "gpt-image-1".to_owned(), request, context: RequestContext::default() }
}

fn finished(index: u32) -> ImageEvent {
    ImageEvent::Finished { index, picture: Bytes::new(), revised_prompt: String::new() }
}

fn unavailable() -> ProviderError {
    ProviderError::unavailable("unavailable")
}

fn broken() -> ProviderError {
    ProviderError::Broken("broken".to_owned())
}

fn limited(seconds: u64) -> ProviderError {
    ProviderError::RateLimited { message: "slow down".to_owned(), retry_after: Some(Duration::from_secs(seconds)) }
}

/// Reads a response as the gRPC service does: not beyond its last picture. Returns its failure.
async fn generate(guarded: &Guarded, call: Call<ImageParameters>) -> Result<(), ProviderError> {
    let n = call.request.n as usize;
    let events = guarded.generate(call).await?;
    let settled = events.filter(|event| {
        let is_settled = matches!(event, Err(_) | Ok(ImageEvent::Finished { .. } | ImageEvent::Failed { .. }));
        std::future::ready(is_settled)
    });
    for event in settled.take(n).collect::<Vec<_>>().await {
        if let ImageEvent::Failed { error, .. } = event? {
            return Err(error);
        }
    }
    Ok(())
}

fn state(guarded: &Guarded) -> pb::model::target::State {
    guarded.targets()[0].state()
}

#[tokio::test(start_paused = true)]
async fn safe_failures_are_retried_before_the_first_event_only() {
    let failed = Ok(ImageEvent::Failed { index: 0, error: unavailable() });
    let usage = || Ok(ImageEvent::Usage(crate::image::Usage::default()));
    // The number of pictures, the events of the first response, the result, and the number of requests.
    let cases = [
        (1, vec![Err(unavailable())], Ok(()), 2),
        (1, vec![failed.clone()], Ok(()), 2),
        (2, vec![failed, Ok(finished(1))], Err(unavailable()), 1),
        (1, vec![Err(broken())], Err(broken()), 1),
        (1, vec![usage(), Err(unavailable())], Err(unavailable()), 1),
        // A delay of a minute is longer than a retry waits.
        (1, vec![Err(limited(60))], Err(limited(60)), 1),
    ];
    for (n, events, result, requests) in cases {
        let case = format!("{events:?}");
        let provider = Scripted::new([events]);
        let guarded = guarded(&provider, SETTINGS);
        assert_eq!((generate(&guarded, call(n)).await, provider.requests()), (result, requests), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_stop_at_their_limit_and_before_the_deadline() {
    let provider = Scripted::new((0..9).map(|_| vec![Err(unavailable())]));
    let settings = GuardSettings { failure_threshold: 9, ..SETTINGS };
    assert_eq!(generate(&guarded(&provider, settings), call(1)).await, Err(unavailable()));
    assert_eq!(provider.requests(), 3);
    let provider = Scripted::new([vec![Err(limited(3))]]);
    let mut call = call(1);
    call.context.deadline = Some(Instant::now() + Duration::from_secs(2));
    let started = Instant::now();
    assert_eq!(generate(&guarded(&provider, settings), call).await, Err(limited(3)));
    assert_eq!((provider.requests(), started.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn consecutive_failures_open_the_breaker_and_a_probe_closes_it() {
    let preview = || Ok(ImageEvent::Preview { index: 0, preview_index: 0, picture: Bytes::new() });
    // The last one breaks in the middle of the stream.
    let provider = Scripted::new([vec![Err(broken())], vec![Err(broken())], vec![preview(), Err(broken())]]);
    let guarded = guarded(&provider, SETTINGS);
    for _ in 0..3 {
        assert_eq!(state(&guarded), pb::model::target::State::Closed);
        assert_eq!(generate(&guarded, call(1)).await, Err(broken()));
    }
    assert_eq!(state(&guarded), pb::model::target::State::Open);
    let rejected = generate(&guarded, call(1)).await.unwrap_err();
    assert_eq!((rejected.retry_after(), provider.requests()), (Some(SETTINGS.cooldown), 3));
    advance(SETTINGS.cooldown).await;
    assert_eq!(state(&guarded), pb::model::target::State::HalfOpen);
    assert_eq!(generate(&guarded, call(1)).await, Ok(()));
    assert_eq!(state(&guarded), pb::model::target::State::Closed);
}

#[tokio::test(start_paused = true)]
async fn refusals_finished_pictures_and_disconnects_keep_the_breaker_closed() {
    let refused = || ProviderError::ContentPolicy("no".to_owned());
    let partly = || vec![Ok(finished(0)), Ok(ImageEvent::Failed { index: 1, error: broken() })];
    let provider = Scripted::new([vec![Err(refused())], partly(), partly(), vec![Err(refused())]]);
    let guarded_once = guarded(&provider, GuardSettings { failure_threshold: 1, ..SETTINGS });
    for (n, result) in [(1, Err(refused())), (2, Err(broken())), (2, Err(broken())), (1, Err(refused()))] {
        assert_eq!(generate(&guarded_once, call(n)).await, result);
        assert_eq!(state(&guarded_once), pb::model::target::State::Closed);
    }
    let hanging = Arc::new(Scripted { hangs: true, ..Scripted::default() });
    let guarded_once = guarded(&hanging, GuardSettings { failure_threshold: 1, ..SETTINGS });
    let mut events = guarded_once.generate(call(1)).await.unwrap();
    assert!(futures_util::poll!(events.next()).is_pending());
    assert_eq!(guarded_once.targets()[0].in_flight, 1);
    drop(events);
    assert_eq!((state(&guarded_once), guarded_once.targets()[0].in_flight), (pb::model::target::State::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn retry_after_opens_the_breaker_for_that_long() {
    let provider = Scripted::new([vec![Err(limited(60))]]);
    let guarded = guarded(&provider, SETTINGS);
    assert_eq!(generate(&guarded, call(1)).await, Err(limited(60)));
    let rejected = generate(&guarded, call(1)).await.unwrap_err();
    assert!(matches!(rejected, ProviderError::RateLimited { .. }), "{rejected:?}");
    assert_eq!((rejected.retry_after(), provider.requests()), (Some(Duration::from_mins(1)), 1));
    advance(Duration::from_mins(1)).await;
    assert_eq!(generate(&guarded, call(1)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_concurrency_limit_are_rejected() {
    let hanging = Arc::new(Scripted { hangs: true, ..Scripted::default() });
    let guarded = guarded(&hanging, GuardSettings { max_in_flight: 1, ..SETTINGS });
    let in_flight = guarded.generate(call(1)).await.unwrap();
    let rejected = guarded.generate(call(1)).await.err();
    assert!(matches!(rejected, Some(ProviderError::Overloaded { .. })), "{rejected:?}");
    drop(in_flight);
    assert!(guarded.generate(call(1)).await.is_ok());
}
