//! The image models Qwen-Image and Wan through DashScope, the model API of Alibaba Cloud: synchronous calls or asynchronous tasks
//! that return several images as links.

mod family;
mod request;
mod response;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use http::{HeaderName, HeaderValue};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use url::Url;

use self::{
    family::{ApiMode, Family},
    request::NativeParams,
    response::Output,
};
use super::common::{
    context::{self, ProviderContext},
    fetch::ImageFetcher,
    image_list::{UpstreamImage, drop_surplus_failures},
    request::{JSON, headers, post},
    tasks::TaskClient,
};
use crate::{
    call::{Call, Chunks},
    config::DashscopeImages,
    context::RequestContext,
    error::ProviderError,
    image::{Edits, ImageEvent, ImageProvider, fan_out::fan_out, parameters::ImageParameters},
    media::TrustedOrigin,
    models::Entry,
    offload::on_blocking_thread,
    upstream::{Auth, SetupError, Upstream, until},
};

const DEFAULT_BASE_URL: &str = "https://dashscope.aliyuncs.com";
/// The paths of requests and of tasks; `aigc` is DashScope's name for generated content.
const SERVICES: &str = "api/v1/services/aigc";
const TASKS: &str = "api/v1/tasks";
/// The header that turns a request into an asynchronous task.
const ASYNC: HeaderName = HeaderName::from_static("x-dashscope-async");
/// How many images of one response are downloaded concurrently.
const DOWNLOADS_AT_ONCE: usize = 4;

/// Qwen-Image and Wan through DashScope's API. Clones share the connections.
#[derive(Debug, Clone)]
pub struct QwenImages {
    upstream: Upstream,
    /// Follows links without the API key: they are signed already.
    fetcher: ImageFetcher,
    calls_at_once: usize,
    /// Patterns of the models that are called with asynchronous tasks.
    task_models: Arc<[String]>,
    poll_interval: Duration,
    background: TaskTracker,
}

/// Returns the entries of the configured models, the default first; none without an API key.
pub(crate) fn entries(
    settings: &DashscopeImages,
    context: &ProviderContext,
) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    let DashscopeImages { base_url, api_key, models, tasks, poll_interval } = settings;
    let Some(api_key) = api_key else { return Ok(Vec::new()) };
    let base = base_url.clone().or_else(|| Url::parse(DEFAULT_BASE_URL).ok()).ok_or(SetupError::Key)?;
    let upstream = Upstream::new(base.clone(), Auth::Bearer(api_key.clone()), context.timeouts)?;
    let provider = QwenImages {
        fetcher: ImageFetcher::new(upstream.clone(), context.downloads.clone(), TrustedOrigin::new(base)),
        upstream,
        calls_at_once: context.calls_at_once,
        task_models: tasks.as_slice().into(),
        poll_interval: *poll_interval,
        background: context.background.clone(),
    };
    Ok(context::entries(models, "dashscope", |name| Family::of(name).capabilities(), provider))
}

#[async_trait]
impl ImageProvider for QwenImages {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    async fn generate(&self, call: Call<ImageParameters>) -> Result<Chunks<ImageEvent>, ProviderError> {
        let family = Family::of(&call.model);
        let native = NativeParams::new(family, ApiMode::of(&call.model, &self.task_models), &call.request)?;
        let n = call.request.n;
        let (provider, call) = (self.clone(), Arc::new(call));
        if n <= family.images_per_request() {
            return Ok(provider.request(call, native, 0, n).boxed());
        }
        let single = move |index| provider.clone().request(Arc::clone(&call), native, index, 1);
        Ok(fan_out(n, self.calls_at_once, single))
    }

    fn edits(&self, model: &str) -> Edits {
        Family::of(model).edits()
    }
}

impl QwenImages {
    /// Returns the events of one request for `n` images, the first of which has the index `first`.
    fn request(
        mut self,
        call: Arc<Call<ImageParameters>>,
        native: NativeParams,
        first: u32,
        n: u32,
    ) -> impl Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static {
        self.fetcher = self.fetcher.for_call(&call.context);
        let events = async move {
            let images = self.images(call, native, first, n).await;
            let mut images = images.map_err(|error| self.upstream.redacted(error))?;
            drop_surplus_failures(&mut images, n as usize);
            let events = (first..first + n).zip(images).map(move |(index, image)| {
                let fetcher = self.fetcher.clone();
                async move { Ok(fetcher.event(index, image).await) }
            });
            Ok::<_, ProviderError>(stream::iter(events).buffer_unordered(DOWNLOADS_AT_ONCE))
        };
        events.into_stream().try_flatten()
    }

    /// Sends one request and returns its images; waits for the task in [`ApiMode::Async`].
    async fn images(
        &self,
        call: Arc<Call<ImageParameters>>,
        native: NativeParams,
        first: u32,
        n: u32,
    ) -> Result<Vec<UpstreamImage>, ProviderError> {
        let until = until(self.upstream.timeouts.first_byte, call.context.deadline);
        let shared_call = Arc::clone(&call);
        // The input images of a request may have dozens of megabytes.
        let body =
            on_blocking_thread(move || Ok(request::body(&shared_call.model, &shared_call.request, native, first, n)));
        let body = self.send(&call.context, native, body.await?.into(), until).await?;
        if native.mode == ApiMode::Sync {
            return response::parse(&body);
        }
        let tasks = TaskClient {
            upstream: self.upstream.clone(),
            path: TASKS,
            poll_suffix: "",
            headers: headers(&call.context, JSON),
            interval: self.poll_interval,
            until,
            background: self.background.clone(),
        };
        let mut poller = tasks.poller(response::task_id(&body)?);
        loop {
            if let (output, true) = poller.next::<Output>().await? {
                return output.images();
            }
        }
    }

    /// Sends a request and returns the body of a successful response.
    async fn send(
        &self,
        context: &RequestContext,
        native: NativeParams,
        body: Bytes,
        until: Instant,
    ) -> Result<Bytes, ProviderError> {
        let mut headers = headers(context, JSON);
        if native.mode == ApiMode::Async {
            headers.insert(ASYNC, HeaderValue::from_static("enable"));
        }
        let path = format!("{SERVICES}/{}", native.path());
        let reply = post(&self.upstream, &path, headers, body, until, response::failure).await?;
        self.upstream.body(reply, until).await
    }
}
