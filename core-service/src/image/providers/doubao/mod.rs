//! Seedream, ByteDance's image models (also called Doubao), through the API of Volcengine Ark: one call per image, or one
//! streamed call for a series, which is a number of related images.

mod family;
mod request;
mod response;
mod series;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use http::{HeaderName, HeaderValue};
use tokio::time::Instant;
use url::Url;

use self::{family::Family, request::NativeParams, series::Series};
use super::common::{
    context::{self, ProviderContext},
    event_stream::is_event_stream,
    fetch::ImageFetcher,
    image_list::{ImageList, drop_surplus_failures},
    request::{JSON, headers, post},
};
use crate::{
    call::{Call, Chunks},
    config::{Doubao, SeedreamFamily},
    error::ProviderError,
    image::{Edits, ImageEvent, ImageProvider, fan_out::fan_out, parameters::ImageParameters},
    media::TrustedOrigin,
    models::Entry,
    offload::on_blocking_thread,
    upstream::{Auth, SetupError, Upstream, UpstreamResponse, until},
};

const DEFAULT_BASE_URL: &str = "https://ark.cn-beijing.volces.com/api/v3";
/// The header in which Ark accepts a request id for its own logs.
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");

/// Seedream through Ark's API. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Seedream {
    upstream: Upstream,
    /// Follows links without the API key: they are signed already, and the object store rejects two credentials.
    fetcher: ImageFetcher,
    family: SeedreamFamily,
    watermark: bool,
    calls_at_once: usize,
}

/// Returns the entries of the configured models, the default first; none without an API key.
pub(crate) fn entries(
    settings: &Doubao,
    context: &ProviderContext,
) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    let Doubao { base_url, api_key, models, family, watermark } = settings;
    let Some(api_key) = api_key else { return Ok(Vec::new()) };
    let base = base_url.clone().or_else(|| Url::parse(DEFAULT_BASE_URL).ok()).ok_or(SetupError::Key)?;
    let upstream = Upstream::new(base.clone(), Auth::Bearer(api_key.clone()), context.timeouts)?;
    let provider = Seedream {
        fetcher: ImageFetcher::new(upstream.clone(), context.downloads.clone(), TrustedOrigin::new(base)),
        upstream,
        family: *family,
        watermark: *watermark,
        calls_at_once: context.calls_at_once,
    };
    Ok(context::entries(models, "doubao", |name| Family::of(name, *family).capabilities(), provider))
}

#[async_trait]
impl ImageProvider for Seedream {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    async fn generate(&self, call: Call<ImageParameters>) -> Result<Chunks<ImageEvent>, ProviderError> {
        let native = NativeParams::new(Family::of(&call.model, self.family), &call.request)?;
        let n = call.request.n;
        let (provider, call) = (self.clone(), Arc::new(call));
        if native.series {
            return Ok(provider.series(call, native).boxed());
        }
        if n == 1 {
            return Ok(provider.single(call, native, 0).boxed());
        }
        Ok(fan_out(n, self.calls_at_once, move |index| {
            provider.clone().single(Arc::clone(&call), native.clone(), index)
        }))
    }

    fn edits(&self, model: &str) -> Edits {
        Family::of(model, self.family).edits()
    }
}

impl Seedream {
    /// Returns the events of the call for one image.
    fn single(
        mut self,
        call: Arc<Call<ImageParameters>>,
        native: NativeParams,
        index: u32,
    ) -> impl Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static {
        self.fetcher = self.fetcher.for_call(&call.context);
        let events = async move {
            let until = until(self.upstream.timeouts.first_byte, call.context.deadline);
            let reply = self.send(&call, &native, index, until).await?;
            let ImageList { images, usage } = self.image_list(reply, until, 1).await?;
            // Further images would be layers of the first one, for which the gRPC API has no field.
            let image = images.into_iter().next();
            let image =
                image.ok_or_else(|| ProviderError::Unreadable("the upstream's response has no image".to_owned()))?;
            let event = self.fetcher.event(index, image).await;
            Ok::<_, ProviderError>(stream::iter(usage.map(ImageEvent::Usage).into_iter().chain([event]).map(Ok)))
        };
        events.into_stream().try_flatten()
    }

    /// Returns the events of one streamed call for all images.
    fn series(
        mut self,
        call: Arc<Call<ImageParameters>>,
        native: NativeParams,
    ) -> impl Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static {
        self.fetcher = self.fetcher.for_call(&call.context);
        let events = async move {
            let until = until(self.upstream.timeouts.first_byte, call.context.deadline);
            let reply = self.send(&call, &native, 0, until).await?;
            let n = call.request.n;
            if is_event_stream(&reply) {
                let (upstream, deadline) = (self.upstream.clone(), call.context.deadline);
                let series = Series::new(upstream, self.fetcher.clone(), reply, n, deadline);
                return Ok::<_, ProviderError>(series.events().boxed());
            }
            // Some gateways in front of Ark do not stream.
            let ImageList { images, usage } = self.image_list(reply, until, n).await?;
            let count = images.len();
            let images = (0..n).zip(images.into_iter().map(Some).chain(std::iter::repeat_with(|| None)));
            let events = stream::iter(images.collect::<Vec<_>>()).then(move |(index, image)| {
                let fetcher = self.fetcher.clone();
                async move {
                    Ok(match image {
                        Some(image) => fetcher.event(index, image).await,
                        None => series::missing(index, count),
                    })
                }
            });
            Ok(stream::iter(usage.map(ImageEvent::Usage).map(Ok)).chain(events).boxed())
        };
        events.into_stream().try_flatten()
    }

    /// Sends the request and returns the response once its headers have arrived.
    async fn send(
        &self,
        call: &Arc<Call<ImageParameters>>,
        native: &NativeParams,
        index: u32,
        until: Instant,
    ) -> Result<UpstreamResponse, ProviderError> {
        let (shared_call, native, watermark) = (Arc::clone(call), native.clone(), self.watermark);
        // The input images of a request may have hundreds of megabytes.
        let body = on_blocking_thread(move || {
            Ok(request::body(&shared_call.model, &shared_call.request, &native, index, watermark))
        });
        let body = body.await?;
        let mut headers = headers(&call.context, JSON);
        if let Ok(id) = HeaderValue::try_from(&call.context.request_id) {
            headers.insert(CLIENT_REQUEST_ID, id);
        }
        post(&self.upstream, "images/generations", headers, body.into(), until, response::failure).await
    }

    /// Reads a non-streaming response to a request for `n` images.
    async fn image_list(&self, reply: UpstreamResponse, until: Instant, n: u32) -> Result<ImageList, ProviderError> {
        let body = self.upstream.body(reply, until).await?;
        let list = on_blocking_thread(move || response::parse(&body)).await;
        let mut list = list.map_err(|error| self.upstream.redacted(error))?;
        drop_surplus_failures(&mut list.images, n as usize);
        Ok(list)
    }
}
