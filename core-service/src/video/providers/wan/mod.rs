//! Video provider for Wan and the other video models of DashScope, the model service of Alibaba Cloud. Each video is an
//! asynchronous task.

mod request;
mod response;
mod search;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use secrecy::SecretString;

use self::{response::TaskList, search::Candidate};
use super::common::{
    context::{ProviderContext, url_or_default},
    exchange::{Content, Response, exchange, exchange_with_headers, path_segment},
    outcome::redacted,
};
use crate::{
    call::{Call, Chunks},
    config::Wan,
    context::RequestContext,
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
    model_facts::FactsTable,
    models::Entry,
    offload::on_blocking_thread,
    upstream::{Auth, SetupError, Upstream},
    video::{
        Cancellation, ClipFile, LostSubmission, Progress, RenderRequest, Search, UpstreamTask, VideoModel,
        VideoProvider, key_rotation::KeyRotation,
    },
};

const DEFAULT_BASE_URL: &str = "https://dashscope.aliyuncs.com";
/// The id of the provider in the catalog, which jobs store.
const PROVIDER_ID: &str = "wan";
/// The path of all services of generation, which submissions are sent to.
const SERVICES: &str = "api/v1/services/aigc";
/// The path of all tasks.
const TASKS: &str = "api/v1/tasks";
/// The header that turns a request into an asynchronous task.
const ASYNC: HeaderName = HeaderName::from_static("x-dashscope-async");
/// The header that permits inputs in DashScope's own object store (`oss://` URLs).
const RESOLVE_OSS: HeaderName = HeaderName::from_static("x-dashscope-ossresourceresolve");
const ENABLE: HeaderValue = HeaderValue::from_static("enable");

/// The video models of DashScope.
#[derive(Debug)]
pub struct WanVideos {
    upstream: Upstream,
    downloads: Downloader,
    /// The API's origin: only download links with it may lead to private addresses. Without the API key: links are
    /// signed already, and the object store rejects two credentials.
    origin: TrustedOrigin,
    /// The parameters that each model accepts, and how its API spells them.
    facts: FactsTable,
    poll_interval: Duration,
    max_file_bytes: u64,
}

/// Returns the entries of the configured models, the default first; none without an API key.
pub(crate) fn entries(settings: &Wan, context: &ProviderContext) -> Result<Vec<Entry<VideoModel>>, SetupError> {
    let Wan { base_url, api_key, previous_api_keys, models, poll_interval } = settings;
    let Some(api_key) = api_key else { return Ok(Vec::new()) };
    let base = url_or_default(base_url.as_ref(), DEFAULT_BASE_URL)?;
    let build = |key: &SecretString| {
        Ok(WanVideos {
            upstream: Upstream::new(base.clone(), Auth::Bearer(key.clone()), context.timeouts)?,
            downloads: context.downloads.clone(),
            origin: TrustedOrigin::new(base.clone()),
            facts: context.facts.clone(),
            poll_interval: *poll_interval,
            max_file_bytes: context.max_file_bytes,
        })
    };
    let provider = KeyRotation::new(api_key, previous_api_keys, build)?;
    Ok(context.entries(models, PROVIDER_ID, provider))
}

#[async_trait]
impl VideoProvider for WanVideos {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    /// DashScope has no idempotency key.
    fn submits_idempotently(&self) -> bool {
        false
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let Call { model, request, context } = call;
        let facts = self.facts.find(PROVIDER_ID, &model);
        let path = format!("{SERVICES}/{}", request::path(&facts));
        let mut headers = HeaderMap::from_iter([(ASYNC, ENABLE)]);
        if request::has_oss_input(&request) {
            headers.insert(RESOLVE_OSS, ENABLE);
        }
        let body = on_blocking_thread(move || request::encode(&model, &facts, &request)).await?;
        let content = Some(Content::json(body));
        let response = exchange_with_headers(&self.upstream, Method::POST, &path, content, headers, &context).await?;
        response::parse_submission(&response).map(UpstreamTask).map_err(|error| self.upstream.redacted(error))
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let response = self.get(&path(&task.0), context).await?;
        redacted(&self.upstream, response::parse_poll(&response, self.poll_interval))
    }

    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        self.downloads.clip(&file.location, &self.origin.for_call(context), self.max_file_bytes).await
    }

    /// Stops a pending task. A running one runs on and is billed.
    async fn cancel(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Cancellation, ProviderError> {
        let path = format!("{}/cancel", path(&task.0));
        let response = exchange(&self.upstream, Method::POST, &path, None, context).await?;
        match response.status {
            status if status.is_success() => Ok(Cancellation::Stopped),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Cancellation::Stopped),
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT => {
                let error = self.upstream.redacted(response::failure(&response));
                tracing::info!(task = task.0, "the upstream does not stop a render: {error}");
                Ok(Cancellation::StillRunning)
            }
            _ => Err(self.upstream.redacted(response::failure(&response))),
        }
    }

    /// Looks for the task of a submission whose response was lost, by model, time and prompt: see `search`. Each listed task is polled,
    /// because the list has no prompts.
    async fn find(&self, lost: &LostSubmission, context: &RequestContext) -> Result<Search, ProviderError> {
        let LostSubmission { model, parameters, submitted_at, .. } = lost;
        let facts = self.facts.find(PROVIDER_ID, model);
        let name = facts.upstream_name(model, parameters.input_kind());
        let response = self.get(&format!("{TASKS}?{}", search::query(name, *submitted_at)), context).await?;
        let TaskList { ids, has_more } =
            response::parse_list(&response).map_err(|error| self.upstream.redacted(error))?;
        if has_more {
            return Ok(Search::Inconclusive);
        }
        let mut tasks = Vec::with_capacity(ids.len());
        for id in ids {
            let task = self.get(&path(&id), context).await?;
            // The candidate of a failed poll is unknown: as the error of the search, a transient one is retried.
            let progress = redacted(&self.upstream, response::parse_poll(&task, self.poll_interval))?;
            let has_ended = !matches!(progress, Progress::Working { .. });
            tasks.push(Candidate { id, prompt: response::parse_prompt(&task), has_ended });
        }
        search::search(lost, tasks)
    }
}

impl WanVideos {
    async fn get(&self, path: &str, context: &RequestContext) -> Result<Response, ProviderError> {
        exchange(&self.upstream, Method::GET, path, None, context).await
    }
}

/// Returns the path of a task.
fn path(id: &str) -> String {
    format!("{TASKS}/{}", path_segment(id))
}
