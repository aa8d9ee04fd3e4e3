//! DashScope's Qwen-Image and Wan stills: one call, or one task, for as many pictures as the model makes at once, handed
//! over as links.

mod answer;
mod family;
mod request;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use http::{HeaderName, HeaderValue, Method};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use url::Url;

use self::{
    answer::Output,
    family::{Family, Way},
    request::Plan,
};
use super::{
    super::{
        Edits, ImageEvent, ImageProvider, ImageSpec,
        assembly::{self, ProviderContext},
        fan_out,
    },
    asking::json_headers,
    picture::Item,
    reading::offloaded,
    tasks::Tasks,
};
use crate::{
    call::{Call, Chunks},
    catalog::Entry,
    config::DashscopeImages,
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
    upstream::{Auth, SetupError, Upstream, until},
};

/// Where a key alone leads.
const HOME: &str = "https://dashscope.aliyuncs.com";
const SERVICES: &str = "api/v1/services/aigc";
const TASKS: &str = "api/v1/tasks";
/// What makes a task of a request.
const ASYNC: HeaderName = HeaderName::from_static("x-dashscope-async");
/// Pictures of one answer that are fetched at a time.
const FETCHED_AT_ONCE: usize = 4;

/// Qwen-Image and Wan stills. Clones share the connections.
#[derive(Debug, Clone)]
pub struct QwenImages {
    upstream: Upstream,
    /// Links begin here, and none is shown the key: they are signed already.
    own: TrustedOrigin,
    downloads: Downloader,
    calls_at_once: usize,
    /// Which models are asked by tasks.
    tasks: Arc<[String]>,
    /// Between two looks at a task.
    interval: Duration,
    background: TaskTracker,
}

/// The upstream's models, the default first; none where it is not connected.
pub(crate) fn entries(
    settings: &DashscopeImages,
    means: &ProviderContext,
) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    let DashscopeImages { base_url, api_key, models, tasks, poll_interval } = settings;
    let Some(api_key) = api_key else { return Ok(Vec::new()) };
    let base = base_url.clone().or_else(|| Url::parse(HOME).ok()).ok_or(SetupError::Key)?;
    let provider = QwenImages {
        upstream: Upstream::new(base.clone(), Auth::Bearer(api_key.clone()), means.limits)?,
        own: TrustedOrigin::new(base),
        downloads: means.downloads.clone(),
        calls_at_once: means.calls_at_once,
        tasks: tasks.as_slice().into(),
        interval: *poll_interval,
        background: means.background.clone(),
    };
    Ok(assembly::models(models, "dashscope", |name| Family::of(name).capabilities(), provider))
}

#[async_trait]
impl ImageProvider for QwenImages {
    async fn generate(&self, call: Call<ImageSpec>) -> Result<Chunks<ImageEvent>, ProviderError> {
        let family = Family::of(&call.model);
        let plan = Plan::of(family, Way::of(&call.model, &self.tasks), &call.request)?;
        let n = call.request.n;
        let (provider, call) = (self.clone(), Arc::new(call));
        if n <= family.at_once() {
            return Ok(provider.call(call, plan, 0, n).boxed());
        }
        Ok(fan_out(n, self.calls_at_once, move |index| provider.clone().call(Arc::clone(&call), plan, index, 1)))
    }

    fn edits(&self, model: &str) -> Edits {
        Family::of(model).edits()
    }
}

impl QwenImages {
    /// The events of one request for the pictures from `first` on.
    fn call(
        self,
        call: Arc<Call<ImageSpec>>,
        plan: Plan,
        first: u32,
        n: u32,
    ) -> impl Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static {
        let made = async move {
            let made = self.made(call, plan, first, n).await.map_err(|error| self.upstream.redacted(error))?;
            let pictures = (first..first + n).zip(made).map(move |(index, made)| {
                let provider = self.clone();
                async move { Ok(made.event(index, &provider.upstream, &provider.downloads, &provider.own).await) }
            });
            Ok::<_, ProviderError>(stream::iter(pictures).buffer_unordered(FETCHED_AT_ONCE))
        };
        made.into_stream().try_flatten()
    }

    /// What one request makes.
    async fn made(
        &self,
        call: Arc<Call<ImageSpec>>,
        plan: Plan,
        first: u32,
        n: u32,
    ) -> Result<Vec<Item>, ProviderError> {
        let until = until(self.upstream.limits.first_byte, call.context.deadline);
        // Pictures to start from are dozens of megabytes.
        let body = offloaded(move || Ok(request::write(&call.model, &call.request, plan, first, n))).await?;
        let body = self.ask(plan, body.into(), until).await?;
        if plan.way == Way::Call {
            return answer::read(&body);
        }
        let tasks = Tasks {
            upstream: self.upstream.clone(),
            place: TASKS,
            look: "",
            headers: json_headers(None),
            interval: self.interval,
            until,
            background: self.background.clone(),
        };
        let mut watch = tasks.watch(answer::submitted(&body)?);
        loop {
            if let (task, true) = watch.next::<Output>().await? {
                return task.pictures();
            }
        }
    }

    /// The answer to a request, if it was a success.
    async fn ask(&self, plan: Plan, body: Bytes, until: Instant) -> Result<Bytes, ProviderError> {
        let mut headers = json_headers(None);
        if plan.way == Way::Task {
            headers.insert(ASYNC, HeaderValue::from_static("enable"));
        }
        let path = format!("{SERVICES}/{}", plan.path());
        let reply = self.upstream.send(Method::POST, &path, headers, body, until).await?;
        let (status, headers) = (reply.status, reply.headers.clone());
        let body = self.upstream.body(reply, until).await;
        if status.is_success() {
            return body;
        }
        // Where the words are lost, the status alone tells what happened.
        Err(answer::refusal(status, &headers, &body.unwrap_or_default()))
    }
}
