//! Upstreams with OpenAI's images API: generations and edits, links or base64, previews if the model supports them.

mod family;
mod request;
mod response;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt, future::join_all, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use url::Url;

use self::{
    family::{Family, NativeParams},
    request::EncodedRequest,
    response::StreamEvent,
};
use super::common::{
    context::{self, ProviderContext},
    event_stream::{self, EventStream, is_event_stream},
    fetch::ImageFetcher,
    image_list::{ImageList, drop_surplus_failures},
    request::{headers, post},
};
use crate::{
    call::{Call, Chunks},
    config::{OpenaiFamily, OpenaiImages},
    context::RequestContext,
    error::ProviderError,
    image::{Edits, ImageEvent, ImageProvider, fan_out::fan_out, parameters::ImageParameters},
    media::TrustedOrigin,
    models::Entry,
    offload::on_blocking_thread,
    upstream::{Auth, QuotaMeaning, SetupError, Upstream, UpstreamResponse, parse_error_response, until},
};

const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// An OpenAI-compatible images upstream. Clones share the connections.
#[derive(Debug, Clone)]
pub struct OpenAiImages {
    upstream: Upstream,
    /// Follows links; sends the API key to the upstream's own origin only.
    fetcher: ImageFetcher,
    family: OpenaiFamily,
    calls_at_once: usize,
}

/// Returns the entries of the configured models, the default first; none unless an address or an API key is set.
pub(crate) fn entries(
    settings: &OpenaiImages,
    context: &ProviderContext,
) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    if !settings.is_configured() {
        return Ok(Vec::new());
    }
    let OpenaiImages { base_url, api_key, models, family } = settings;
    let base = base_url.clone().or_else(|| Url::parse(DEFAULT_BASE_URL).ok()).ok_or(SetupError::Key)?;
    let origin = match api_key.as_ref().map(bearer) {
        None => TrustedOrigin::new(base.clone()),
        Some(value) => TrustedOrigin::new(base.clone()).with_api_key(header::AUTHORIZATION, value?),
    };
    let auth = api_key.clone().map_or(Auth::None, Auth::Bearer);
    let upstream = Upstream::new(base, auth, context.timeouts)?;
    let provider = OpenAiImages {
        fetcher: ImageFetcher::new(upstream.clone(), context.downloads.clone(), origin),
        upstream,
        family: *family,
        calls_at_once: context.calls_at_once,
    };
    Ok(context::entries(models, "openai", |name| Family::of(name, *family).capabilities(), provider))
}

fn bearer(key: &SecretString) -> Result<HeaderValue, SetupError> {
    HeaderValue::try_from(format!("Bearer {}", key.expose_secret())).map_err(|_| SetupError::Key)
}

fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    parse_error_response(status, headers, body, QuotaMeaning::EmptyAccount)
}

#[async_trait]
impl ImageProvider for OpenAiImages {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    async fn generate(&self, call: Call<ImageParameters>) -> Result<Chunks<ImageEvent>, ProviderError> {
        let native = NativeParams::new(Family::of(&call.model, self.family), &call.request)?;
        let n = call.request.n;
        if !native.one_per_call || n == 1 {
            return Ok(self.clone().call(Arc::new(call), native, 0, n).boxed());
        }
        let (provider, call) = (self.clone(), Arc::new(call));
        let single = move |index| {
            // Under the same key the upstream would return the same image for every call.
            let idempotency_key = match call.context.idempotency_key.as_str() {
                "" => String::new(),
                key => format!("{key}-{index}"),
            };
            let context = RequestContext { idempotency_key, ..call.context.clone() };
            let call = Call { context, ..Call::clone(&call) };
            provider.clone().call(Arc::new(call), native, index, 1)
        };
        Ok(fan_out(n, self.calls_at_once, single))
    }

    fn edits(&self, model: &str) -> Edits {
        Family::of(model, self.family).edits()
    }
}

impl OpenAiImages {
    /// Returns the events of one call for `n` images, the first of which has the index `first`.
    fn call(
        mut self,
        call: Arc<Call<ImageParameters>>,
        native: NativeParams,
        first: u32,
        n: u32,
    ) -> impl Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static {
        self.fetcher = self.fetcher.for_call(&call.context);
        let events = async move {
            let until = until(self.upstream.timeouts.first_byte, call.context.deadline);
            let request = request::encode(&call.model, &call.request, native, first, n)?;
            let reply = self.send(&call.context, request, until).await?;
            let events: Chunks<ImageEvent> = if is_event_stream(&reply) {
                self.stream_events(reply, &call, first)
            } else {
                stream::iter(self.list_events(reply, until, first, n).await?.into_iter().map(Ok)).boxed()
            };
            Ok::<_, ProviderError>(events)
        };
        events.into_stream().try_flatten()
    }

    /// Sends a request and returns the response once its headers have arrived.
    async fn send(
        &self,
        context: &RequestContext,
        request: EncodedRequest,
        until: Instant,
    ) -> Result<UpstreamResponse, ProviderError> {
        let EncodedRequest { path, content_type, body } = request;
        let mut headers = headers(context, content_type);
        if !context.idempotency_key.is_empty()
            && let Ok(key) = HeaderValue::try_from(&context.idempotency_key)
        {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        post(&self.upstream, path, headers, body, until, failure).await
    }

    /// Returns the events of a non-streaming response.
    async fn list_events(
        &self,
        reply: UpstreamResponse,
        until: Instant,
        first: u32,
        n: u32,
    ) -> Result<Vec<ImageEvent>, ProviderError> {
        let body = self.upstream.body(reply, until).await?;
        let list = on_blocking_thread(move || response::parse(&body)).await;
        let ImageList { mut images, usage } = list.map_err(|error| self.upstream.redacted(error))?;
        drop_surplus_failures(&mut images, n as usize);
        if images.is_empty() {
            return Err(ProviderError::Unreadable("the upstream's response has no images".to_owned()));
        }
        let events = (first..first + n).zip(images).map(|(index, image)| self.fetcher.event(index, image));
        let events = join_all(events).await;
        Ok(usage.map(ImageEvent::Usage).into_iter().chain(events).collect())
    }

    /// Returns the previews and the final event of a streamed response.
    fn stream_events(self, reply: UpstreamResponse, call: &Call<ImageParameters>, index: u32) -> Chunks<ImageEvent> {
        let max_previews = call.request.partial_images;
        let event_stream = EventStream::new(reply, self.upstream.timeouts, call.context.deadline);
        let events = stream::try_unfold(Some((self, event_stream)), move |state| async move {
            let Some((provider, mut event_stream)) = state else { return Ok(None) };
            let event = event_stream.next(response::parse_event).await;
            // The events to yield, and the state with which to continue.
            let events = match event.map_err(|error| provider.upstream.redacted(error))? {
                (StreamEvent::Finished { image, usage }, _) => {
                    let finished = provider.fetcher.event(index, image).await;
                    (usage.map(ImageEvent::Usage).into_iter().chain([finished]).collect(), None)
                }
                (StreamEvent::Preview { .. } | StreamEvent::Unknown, true) => return Err(event_stream::truncated()),
                (StreamEvent::Preview { preview_index, picture }, false) if preview_index < max_previews => {
                    (vec![ImageEvent::Preview { index, preview_index, picture }], Some((provider, event_stream)))
                }
                (StreamEvent::Preview { .. } | StreamEvent::Unknown, false) => {
                    (Vec::new(), Some((provider, event_stream)))
                }
            };
            Ok::<_, ProviderError>(Some(events))
        });
        events.map_ok(|events| stream::iter(events.into_iter().map(Ok))).try_flatten().boxed()
    }
}
