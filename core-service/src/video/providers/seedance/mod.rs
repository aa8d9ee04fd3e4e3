//! Video provider for ByteDance's Seedance models on Ark, the model service of Volcengine (BytePlus outside China). Each video
//! is a task.

mod prompt;
mod request;
mod response;
mod search;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use secrecy::SecretString;

use self::search::Page;
use super::common::{
    context::{ProviderContext, url_or_default},
    exchange::{Content, exchange, path_segment},
    outcome::redacted,
};
use crate::{
    call::{Call, Chunks},
    config::Seedance,
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

const DEFAULT_BASE_URL: &str = "https://ark.cn-beijing.volces.com/api/v3";
/// The id of the provider in the catalog, which jobs store.
const PROVIDER_ID: &str = "seedance";
/// The path of all tasks.
const TASKS: &str = "contents/generations/tasks";

/// The Seedance models of Ark.
#[derive(Debug)]
pub struct SeedanceVideos {
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
pub(crate) fn entries(settings: &Seedance, context: &ProviderContext) -> Result<Vec<Entry<VideoModel>>, SetupError> {
    let Seedance { base_url, api_key, previous_api_keys, models, max_resolution, poll_interval } = settings;
    let Some(api_key) = api_key else { return Ok(Vec::new()) };
    let base = url_or_default(base_url.as_ref(), DEFAULT_BASE_URL)?;
    let build = |key: &SecretString| {
        Ok(SeedanceVideos {
            upstream: Upstream::new(base.clone(), Auth::Bearer(key.clone()), context.timeouts)?,
            downloads: context.downloads.clone(),
            origin: TrustedOrigin::new(base.clone()),
            facts: context.facts.clone(),
            poll_interval: *poll_interval,
            max_file_bytes: context.max_file_bytes,
        })
    };
    let provider = KeyRotation::new(api_key, previous_api_keys, build)?;
    let mut entries = context.entries(models, PROVIDER_ID, provider);
    // The highest resolution that the account may use, whatever the model offers.
    for entry in &mut entries {
        entry.provider = Arc::new(entry.provider.limited_to(max_resolution.as_str()));
    }
    Ok(entries)
}

#[async_trait]
impl VideoProvider for SeedanceVideos {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    /// Ark has no idempotency key.
    fn submits_idempotently(&self) -> bool {
        false
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let Call { model, request, context } = call;
        // The job runner sends the id of the job as the idempotency key.
        let job_id = context.idempotency_key.clone();
        let facts = self.facts.find(PROVIDER_ID, &model);
        let body = on_blocking_thread(move || request::encode(&model, &facts, &request, &job_id)).await?;
        let response = exchange(&self.upstream, Method::POST, TASKS, Some(Content::json(body)), &context).await?;
        response::parse_submission(&response).map(UpstreamTask).map_err(|error| self.upstream.redacted(error))
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let response = exchange(&self.upstream, Method::GET, &path(task), None, context).await?;
        let polled = response::parse_poll(&response, self.poll_interval);
        redacted(&self.upstream, polled)
    }

    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        self.downloads.clip(&file.location, &self.origin.for_call(context), self.max_file_bytes).await
    }

    /// Stops a queued task, and removes the record of a finished one. A running task runs on and is billed.
    async fn cancel(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Cancellation, ProviderError> {
        let response = exchange(&self.upstream, Method::DELETE, &path(task), None, context).await?;
        match response.status {
            status if status.is_success() => Ok(Cancellation::Stopped),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Cancellation::Stopped),
            StatusCode::CONFLICT => {
                let error = self.upstream.redacted(response::failure(&response));
                tracing::info!(task = task.0, "the upstream does not stop a render: {error}");
                Ok(Cancellation::StillRunning)
            }
            _ => Err(self.upstream.redacted(response::failure(&response))),
        }
    }

    /// Looks for the task of a submission whose response was lost, by the id of the job (`safety_identifier`) in the list of tasks. If
    /// the request had an identifier of the end user, the task has that identifier instead, and cannot be found.
    async fn find(&self, lost: &LostSubmission, context: &RequestContext) -> Result<Search, ProviderError> {
        if !lost.parameters.user.is_empty() {
            return Ok(Search::Inconclusive);
        }
        let mut page = 1;
        loop {
            let path = format!("{TASKS}?page_num={page}&page_size={}", search::PAGE_SIZE);
            let response = exchange(&self.upstream, Method::GET, &path, None, context).await?;
            match search::parse_page(&response, lost).map_err(|error| self.upstream.redacted(error))? {
                Page::Found(task) => return Ok(Search::Found(UpstreamTask(task))),
                Page::Last => return Ok(Search::Absent),
                // The list is longer than the search, which therefore proves nothing.
                Page::More if page == search::MAX_PAGES => return Ok(Search::Inconclusive),
                Page::More => page += 1,
            }
        }
    }
}

/// Returns the path of a task.
fn path(task: &UpstreamTask) -> String {
    format!("{TASKS}/{}", path_segment(&task.0))
}
