//! Volcengine Ark's Seedream: one call for each picture, or one streamed call for a series.

mod answer;
mod family;
mod request;
mod series;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use http::Method;
use tokio::time::Instant;
use url::Url;

use self::{family::Family, request::Plan, series::Series};
use super::{
    super::{
        Edits, ImageEvent, ImageProvider, ImageSpec,
        assembly::{self, ProviderContext},
        fan_out,
    },
    asking::json_headers,
    picture::{Answer, Item},
    reading::{is_stream, offloaded},
};
use crate::{
    call::{Call, Chunks},
    catalog::Entry,
    config::{Doubao, SeedreamFamily},
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
    upstream::{Auth, Reply, SetupError, Upstream, until},
};

/// Where a key alone leads.
const HOME: &str = "https://ark.cn-beijing.volces.com/api/v3";
/// The header in which the upstream takes an id of ours for its logs.
const TRACE: &str = "x-client-request-id";

/// Seedream behind Ark's API. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Seedream {
    upstream: Upstream,
    /// Links begin here, and none is shown the key: they are signed already, and the store refuses both at once.
    own: TrustedOrigin,
    downloads: Downloader,
    family: SeedreamFamily,
    watermark: bool,
    calls_at_once: usize,
}

/// The upstream's models, the default first; none where it is not connected.
pub(crate) fn entries(settings: &Doubao, means: &ProviderContext) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    let Doubao { base_url, api_key, models, family, watermark } = settings;
    let Some(api_key) = api_key else { return Ok(Vec::new()) };
    let base = base_url.clone().or_else(|| Url::parse(HOME).ok()).ok_or(SetupError::Key)?;
    let provider = Seedream {
        upstream: Upstream::new(base.clone(), Auth::Bearer(api_key.clone()), means.limits)?,
        own: TrustedOrigin::new(base),
        downloads: means.downloads.clone(),
        family: *family,
        watermark: *watermark,
        calls_at_once: means.calls_at_once,
    };
    Ok(assembly::models(models, "doubao", |name| Family::of(name, *family).capabilities(), provider))
}

#[async_trait]
impl ImageProvider for Seedream {
    async fn generate(&self, call: Call<ImageSpec>) -> Result<Chunks<ImageEvent>, ProviderError> {
        let plan = Plan::of(Family::of(&call.model, self.family), &call.request)?;
        let n = call.request.n;
        let (provider, call) = (self.clone(), Arc::new(call));
        if plan.series {
            return Ok(provider.series(call, plan).boxed());
        }
        if n == 1 {
            return Ok(provider.picture(call, plan, 0).boxed());
        }
        Ok(fan_out(n, self.calls_at_once, move |index| {
            provider.clone().picture(Arc::clone(&call), plan.clone(), index)
        }))
    }

    fn edits(&self, model: &str) -> Edits {
        Family::of(model, self.family).edits()
    }
}

impl Seedream {
    /// The events of one call for the picture of this index.
    fn picture(
        self,
        call: Arc<Call<ImageSpec>>,
        plan: Plan,
        index: u32,
    ) -> impl Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static {
        let made = async move {
            let until = until(self.upstream.limits.first_byte, call.context.deadline);
            let reply = self.ask(&call, &plan, index, until).await?;
            let Answer { items, usage } = self.answer(reply, until).await?;
            // More than one would be layers of it, which have no place here.
            let item = items.into_iter().next();
            let item =
                item.ok_or_else(|| ProviderError::Unreadable("the upstream's answer has no picture".to_owned()))?;
            let picture = self.event(index, item).await;
            Ok::<_, ProviderError>(stream::iter(usage.map(ImageEvent::Usage).into_iter().chain([picture]).map(Ok)))
        };
        made.into_stream().try_flatten()
    }

    /// The events of one call for all pictures, each told when it is finished.
    fn series(
        self,
        call: Arc<Call<ImageSpec>>,
        plan: Plan,
    ) -> impl Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static {
        let begun = async move {
            let until = until(self.upstream.limits.first_byte, call.context.deadline);
            let reply = self.ask(&call, &plan, 0, until).await?;
            let n = call.request.n;
            if is_stream(&reply) {
                return Ok::<_, ProviderError>(Series::new(self, reply, n, call.context.deadline).events().boxed());
            }
            // A gateway in between that knows no streams.
            let Answer { items, usage } = self.answer(reply, until).await?;
            let made = items.len();
            let pictures = (0..n).zip(items.into_iter().map(Some).chain(std::iter::repeat_with(|| None)));
            let pictures = stream::iter(pictures.collect::<Vec<_>>()).then(move |(index, item)| {
                let provider = self.clone();
                async move {
                    Ok(match item {
                        Some(item) => provider.event(index, item).await,
                        None => series::missing(index, made),
                    })
                }
            });
            Ok(stream::iter(usage.map(ImageEvent::Usage).map(Ok)).chain(pictures).boxed())
        };
        begun.into_stream().try_flatten()
    }

    /// Sends the request and answers once the headers of a successful reply are there.
    async fn ask(
        &self,
        call: &Arc<Call<ImageSpec>>,
        plan: &Plan,
        index: u32,
        until: Instant,
    ) -> Result<Reply, ProviderError> {
        let (asked, plan, watermark) = (Arc::clone(call), plan.clone(), self.watermark);
        // Pictures to start from are hundreds of megabytes at worst.
        let body = offloaded(move || Ok(request::write(&asked.model, &asked.request, &plan, index, watermark))).await?;
        let headers = json_headers(Some((TRACE, &call.context.request_id)));
        let reply = self.upstream.send(Method::POST, "images/generations", headers, body.into(), until).await?;
        if reply.status.is_success() {
            return Ok(reply);
        }
        let (status, headers) = (reply.status, reply.headers.clone());
        // Where the words are lost, the status alone tells what happened.
        let body = self.upstream.body(reply, until).await.unwrap_or_default();
        Err(self.clean(answer::refusal(status, &headers, &body)))
    }

    async fn answer(&self, reply: Reply, until: Instant) -> Result<Answer, ProviderError> {
        let body = self.upstream.body(reply, until).await?;
        offloaded(move || answer::read(&body)).await.map_err(|error| self.clean(error))
    }

    async fn event(&self, index: u32, item: Item) -> ImageEvent {
        item.event(index, &self.upstream, &self.downloads, &self.own).await
    }

    fn clean(&self, error: ProviderError) -> ProviderError {
        self.upstream.redacted(error)
    }
}
