//! Video provider for Runway, which serves its own models and those of other vendors. Each video is a task.

mod request;
mod response;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use secrecy::SecretString;

use super::common::{
    context::{ProviderContext, url_or_default},
    exchange::{Content, exchange, path_segment},
    outcome::redacted,
};
use crate::{
    call::{Call, Chunks},
    config::Runway,
    context::RequestContext,
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
    model_facts::FactsTable,
    models::Entry,
    offload::on_blocking_thread,
    upstream::{Auth, SetupError, Upstream},
    video::{
        Cancellation, ClipFile, Progress, RenderRequest, UpstreamTask, VideoModel, VideoProvider,
        key_rotation::KeyRotation,
    },
};

const DEFAULT_BASE_URL: &str = "https://api.dev.runwayml.com/v1";
/// The id of the provider in the catalog, which jobs store.
const PROVIDER_ID: &str = "runway";
/// The header with the version of the API whose requests and responses this provider implements.
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-runway-version"), HeaderValue::from_static("2024-11-06"));

/// The video models of Runway.
#[derive(Debug)]
pub struct RunwayVideos {
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
pub(crate) fn entries(settings: &Runway, context: &ProviderContext) -> Result<Vec<Entry<VideoModel>>, SetupError> {
    let Runway { base_url, api_key, previous_api_keys, models, poll_interval } = settings;
    let Some(api_key) = api_key else { return Ok(Vec::new()) };
    let base = url_or_default(base_url.as_ref(), DEFAULT_BASE_URL)?;
    let build = |key: &SecretString| {
        Ok(RunwayVideos {
            upstream: Upstream::new(base.clone(), Auth::Bearer(key.clone()), context.timeouts)?
                .with_headers(&HeaderMap::from_iter([VERSION])),
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
impl VideoProvider for RunwayVideos {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    /// Runway documents no idempotency key.
    fn submits_idempotently(&self) -> bool {
        false
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let Call { model, request, context } = call;
        let path = request::endpoint(&request);
        let facts = self.facts.find(PROVIDER_ID, &model);
        let body = on_blocking_thread(move || request::encode(&model, &facts, &request)).await?;
        let response = exchange(&self.upstream, Method::POST, path, Some(Content::json(body)), &context).await?;
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

    /// Stops a task that waits or runs, and deletes a finished one.
    async fn cancel(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Cancellation, ProviderError> {
        let response = exchange(&self.upstream, Method::DELETE, &path(task), None, context).await?;
        match response.status {
            status if status.is_success() => Ok(Cancellation::Stopped),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Cancellation::Stopped),
            _ => Err(self.upstream.redacted(response::failure(&response))),
        }
    }
}

/// Returns the path of a task.
fn path(task: &UpstreamTask) -> String {
    format!("tasks/{}", path_segment(&task.0))
}
