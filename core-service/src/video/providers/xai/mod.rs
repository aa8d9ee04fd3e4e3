//! Video provider for xAI's Grok Imagine. A submission creates a *request*, whose id is the task that a job stores; it cannot be
//! cancelled.

mod request;
mod response;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use secrecy::SecretString;

use super::common::{
    context::{ProviderContext, url_or_default},
    exchange::{Content, exchange, path_segment},
    outcome::redacted,
};
use crate::{
    call::{Call, Chunks},
    config::Xai,
    context::RequestContext,
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
    models::Entry,
    offload::on_blocking_thread,
    upstream::{Auth, SetupError, Upstream},
    video::{
        Cancellation, ClipFile, Progress, RenderRequest, UpstreamTask, VideoModel, VideoProvider,
        key_rotation::KeyRotation,
    },
};

const DEFAULT_BASE_URL: &str = "https://api.x.ai/v1";
/// The id of the provider in the catalog, which jobs store.
const PROVIDER_ID: &str = "xai";

/// The video models of xAI.
#[derive(Debug)]
pub struct XaiVideos {
    upstream: Upstream,
    downloads: Downloader,
    /// The API's origin: only download links with it may lead to private addresses. Without the API key: results are
    /// files of another host.
    origin: TrustedOrigin,
    poll_interval: Duration,
    max_file_bytes: u64,
}

/// Returns the entries of the configured models, the default first; none without an API key.
pub(crate) fn entries(settings: &Xai, context: &ProviderContext) -> Result<Vec<Entry<VideoModel>>, SetupError> {
    let Xai { base_url, api_key, previous_api_keys, models, poll_interval } = settings;
    let Some(api_key) = api_key else { return Ok(Vec::new()) };
    let base = url_or_default(base_url.as_ref(), DEFAULT_BASE_URL)?;
    let build = |key: &SecretString| {
        Ok(XaiVideos {
            upstream: Upstream::new(base.clone(), Auth::Bearer(key.clone()), context.timeouts)?,
            downloads: context.downloads.clone(),
            origin: TrustedOrigin::new(base.clone()),
            poll_interval: *poll_interval,
            max_file_bytes: context.max_file_bytes,
        })
    };
    let provider = KeyRotation::new(api_key, previous_api_keys, build)?;
    Ok(context.entries(models, PROVIDER_ID, provider))
}

#[async_trait]
impl VideoProvider for XaiVideos {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    /// xAI documents no idempotency key.
    fn submits_idempotently(&self) -> bool {
        false
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let Call { model, request, context } = call;
        let path = request::endpoint(&request);
        let body = on_blocking_thread(move || Ok(request::encode(&model, &request))).await?;
        let response = exchange(&self.upstream, Method::POST, path, Some(Content::json(body)), &context).await?;
        response::parse_submission(&response).map(UpstreamTask).map_err(|error| self.upstream.redacted(error))
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let path = format!("videos/{}", path_segment(&task.0));
        let response = exchange(&self.upstream, Method::GET, &path, None, context).await?;
        redacted(&self.upstream, response::parse_poll(&response, self.poll_interval))
    }

    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        self.downloads.clip(&file.location, &self.origin.for_call(context), self.max_file_bytes).await
    }

    /// The API has no cancellation.
    async fn cancel(&self, _: &UpstreamTask, _: &RequestContext) -> Result<Cancellation, ProviderError> {
        Ok(Cancellation::StillRunning)
    }
}
