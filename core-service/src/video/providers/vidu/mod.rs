//! Video provider for Vidu of ShengShu. Each video is a task, whose result is a list of creations.

mod request;
mod response;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::json;

use super::common::{
    context::{ProviderContext, url_or_default},
    exchange::{Content, exchange, path_segment},
    outcome::redacted,
};
use crate::{
    call::{Call, Chunks},
    config::Vidu,
    context::RequestContext,
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
    model_facts::FactsTable,
    models::Entry,
    offload::on_blocking_thread,
    upstream::{Auth, SetupError, Upstream},
    video::{
        Cancellation, ClipFile, LostSubmission, Progress, RenderRequest, Search, UpstreamTask, VideoModel,
        VideoProvider, key_rotation::KeyRotation, time::Timestamp,
    },
};

const DEFAULT_BASE_URL: &str = "https://api.vidu.com";
/// The id of the provider in the catalog, which jobs store.
const PROVIDER_ID: &str = "vidu";
/// The path of all tasks.
const TASKS: &str = "ent/v2/tasks";
/// The tolerated difference between the clocks of this machine and of Vidu.
const CLOCK_SKEW: Duration = Duration::from_mins(1);

/// The video models of Vidu.
#[derive(Debug)]
pub struct ViduVideos {
    upstream: Upstream,
    downloads: Downloader,
    /// The API's origin: only download links with it may lead to private addresses. Without the API key: links are
    /// signed.
    origin: TrustedOrigin,
    /// The parameters that each model accepts, and how its API spells them.
    facts: FactsTable,
    poll_interval: Duration,
    max_file_bytes: u64,
}

/// Returns the entries of the configured models, the default first; none without an API key.
pub(crate) fn entries(settings: &Vidu, context: &ProviderContext) -> Result<Vec<Entry<VideoModel>>, SetupError> {
    let Vidu { base_url, api_key, previous_api_keys, models, poll_interval } = settings;
    let Some(api_key) = api_key else { return Ok(Vec::new()) };
    let base = url_or_default(base_url.as_ref(), DEFAULT_BASE_URL)?;
    let build = |key: &SecretString| {
        Ok(ViduVideos {
            upstream: Upstream::new(base.clone(), Auth::Scheme("Token", key.clone()), context.timeouts)?,
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
impl VideoProvider for ViduVideos {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    /// Vidu has no idempotency key.
    fn submits_idempotently(&self) -> bool {
        false
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let Call { model, request, context } = call;
        let facts = self.facts.find(PROVIDER_ID, &model);
        let path = request::path(&request.parameters);
        // The job runner sends the id of the job as the idempotency key.
        let job_id = context.idempotency_key.clone();
        let body = on_blocking_thread(move || request::encode(&model, &facts, &request, &job_id)).await?;
        let response = exchange(&self.upstream, Method::POST, path, Some(Content::json(body)), &context).await?;
        response::parse_submission(&response).map(UpstreamTask).map_err(|error| self.upstream.redacted(error))
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let path = format!("{TASKS}/{}/creations", path_segment(&task.0));
        let response = exchange(&self.upstream, Method::GET, &path, None, context).await?;
        redacted(&self.upstream, response::parse_poll(&response, self.poll_interval))
    }

    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        self.downloads.clip(&file.location, &self.origin.for_call(context), self.max_file_bytes).await
    }

    /// Stops a task that waits. A task that has been scheduled runs on and is billed.
    async fn cancel(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Cancellation, ProviderError> {
        let path = format!("{TASKS}/{}/cancel", path_segment(&task.0));
        let message = Content::json(json!({"id": task.0}).to_string());
        let response = exchange(&self.upstream, Method::POST, &path, Some(message), context).await?;
        match response.status {
            status if status.is_success() => Ok(Cancellation::Stopped),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Cancellation::Stopped),
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT => Ok(Cancellation::StillRunning),
            _ => Err(self.upstream.redacted(response::failure(&response))),
        }
    }

    /// Looks for the task of a submission whose response was lost, by the id of the job (`payload`) in the list of the newest tasks. A
    /// list without the id proves nothing, because the list may be incomplete.
    async fn find(&self, lost: &LostSubmission, context: &RequestContext) -> Result<Search, ProviderError> {
        let begin = Timestamp(0).after(Duration::from_secs(lost.submitted_at).saturating_sub(CLOCK_SKEW));
        // The text is RFC 3339.
        let from = prost_types::Timestamp::from(begin).to_string();
        let from: String = url::form_urlencoded::byte_serialize(from.as_bytes()).collect();
        let path = format!("{TASKS}?created_at.from={from}&pager.page=0&pager.pagesz=100");
        let response = exchange(&self.upstream, Method::GET, &path, None, context).await?;
        let found = response::parse_list(&response, &lost.job_id).map_err(|error| self.upstream.redacted(error))?;
        Ok(found.map_or(Search::Inconclusive, |id| Search::Found(UpstreamTask(id))))
    }
}
