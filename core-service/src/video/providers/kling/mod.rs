//! Video provider for Kling AI of Kuaishou. Each video is a task, which is polled at the endpoint that it was submitted to.

mod credentials;
mod endpoint;
mod request;
mod response;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use secrecy::SecretString;

use self::{
    credentials::{KeyPair, Token},
    endpoint::{Endpoint, task_path},
    response::Page,
};
use super::common::{
    context::{ProviderContext, url_or_default},
    exchange::{Content, Response, exchange_with_headers},
    outcome::redacted,
};
use crate::{
    call::{Call, Chunks},
    config::Kling,
    context::RequestContext,
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
    model_facts::FactsTable,
    models::Entry,
    offload::on_blocking_thread,
    upstream::{Auth, SetupError, Upstream},
    video::{
        Cancellation, ClipFile, LostSubmission, Progress, RenderRequest, Search, UpstreamTask, VideoModel,
        VideoProvider, key_rotation::KeyRotation, time::Clock,
    },
};

const DEFAULT_BASE_URL: &str = "https://api-singapore.klingai.com";
/// The id of the provider in the catalog, which jobs store.
const PROVIDER_ID: &str = "kling";
/// The number of tasks in a page of a list, the maximum that Kling accepts.
const PAGE_LENGTH: usize = 500;
/// How many pages are searched for the task of a lost submission: without a maximum, a long list would cause hundreds of requests.
const MAX_PAGES: usize = 10;

/// The video models of Kling.
#[derive(Debug)]
pub struct KlingVideos {
    upstream: Upstream,
    /// The keys of an account that has no API key.
    key_pair: Option<KeyPair>,
    downloads: Downloader,
    /// The API's origin: only download links with it may lead to private addresses. Without the API key: links are
    /// signed.
    origin: TrustedOrigin,
    /// The parameters that each model accepts, and how its API spells them.
    facts: FactsTable,
    poll_interval: Duration,
    max_file_bytes: u64,
}

/// Returns the entries of the configured models, the default first; none without keys.
pub(crate) fn entries(settings: &Kling, context: &ProviderContext) -> Result<Vec<Entry<VideoModel>>, SetupError> {
    let Kling { base_url, api_key, previous_api_keys, access_key, secret_key, models, poll_interval } = settings;
    let base = url_or_default(base_url.as_ref(), DEFAULT_BASE_URL)?;
    let provider = |auth, key_pair| {
        Ok(KlingVideos {
            upstream: Upstream::new(base.clone(), auth, context.timeouts)?,
            key_pair,
            downloads: context.downloads.clone(),
            origin: TrustedOrigin::new(base.clone()),
            facts: context.facts.clone(),
            poll_interval: *poll_interval,
            max_file_bytes: context.max_file_bytes,
        })
    };
    let build = |key: &SecretString| provider(Auth::Bearer(key.clone()), None);
    let provider = match (api_key, access_key, secret_key) {
        (Some(api_key), _, _) => KeyRotation::new(api_key, previous_api_keys, build)?,
        (None, Some(access_key), Some(secret_key)) => {
            let key_pair = KeyPair::new(access_key.clone(), secret_key.clone(), Clock::system());
            KeyRotation::without_key(provider(Auth::None, Some(key_pair))?, previous_api_keys, build)?
        }
        (None, _, _) => return Ok(Vec::new()),
    };
    Ok(context.entries(models, PROVIDER_ID, provider))
}

#[async_trait]
impl VideoProvider for KlingVideos {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    /// `external_task_id` is unique in an account, but it is not known that a second submission with the same one is refused.
    fn submits_idempotently(&self) -> bool {
        false
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let Call { model, request, context } = call;
        let endpoint = Endpoint::of(&self.facts.find(PROVIDER_ID, &model), &request.parameters);
        // The job runner sends the id of the job as the idempotency key.
        let job_id = context.idempotency_key.clone();
        let body = on_blocking_thread(move || request::encode(&model, endpoint, &request, &job_id)).await?;
        let response = self.exchange(Method::POST, &endpoint.path(), Some(Content::json(body)), &context).await?;
        let submitted = response::parse_submission(&response);
        submitted.map(|id| endpoint.task(&id)).map_err(|error| self.upstream.redacted(error))
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let response = self.exchange(Method::GET, &task_path(task)?, None, context).await?;
        redacted(&self.upstream, response::parse_poll(&response, self.poll_interval))
    }

    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        self.downloads.clip(&file.location, &self.origin.for_call(context), self.max_file_bytes).await
    }

    /// Kling cannot stop a task.
    async fn cancel(&self, _: &UpstreamTask, _: &RequestContext) -> Result<Cancellation, ProviderError> {
        Ok(Cancellation::StillRunning)
    }

    /// Looks for the task of a submission whose response was lost, by the id of the job (`external_task_id`) in the list of tasks. Only
    /// the end of the list proves that there is no such task.
    async fn find(&self, lost: &LostSubmission, context: &RequestContext) -> Result<Search, ProviderError> {
        let endpoint = Endpoint::of(&self.facts.find(PROVIDER_ID, &lost.model), &lost.parameters);
        for number in 1..=MAX_PAGES {
            let path = format!("{}?pageNum={number}&pageSize={PAGE_LENGTH}", endpoint.path());
            let response = self.exchange(Method::GET, &path, None, context).await?;
            let page = response::parse_list(&response, &lost.job_id).map_err(|error| self.upstream.redacted(error))?;
            match page {
                Page { found: Some(id), .. } => return Ok(Search::Found(endpoint.task(&id))),
                // Kling may shorten pages: only an empty one is the end of the list.
                Page { length: 0, .. } => return Ok(Search::Absent),
                Page { .. } => {}
            }
        }
        // The list is longer than the search, which therefore proves nothing.
        Ok(Search::Inconclusive)
    }
}

impl KlingVideos {
    /// Sends a request, with a token if the account has no API key, and removes the token from the response.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        message: Option<Content>,
        context: &RequestContext,
    ) -> Result<Response, ProviderError> {
        let token = self.key_pair.as_ref().map(KeyPair::token).transpose()?;
        let headers = token.as_ref().map(Token::headers).transpose()?.unwrap_or_default();
        let mut response = exchange_with_headers(&self.upstream, method, path, message, headers, context).await?;
        if let Some(body) = token.and_then(|token| token.removed_from(&response.body)) {
            response.body = body.into();
        }
        Ok(response)
    }
}
