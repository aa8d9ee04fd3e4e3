//! Video provider for MiniMax. Each video is a task, in version 1 or 2 of the API; the module `api` says which models have which.

mod api;
mod errors;
mod request;
mod response;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use secrecy::SecretString;

use self::api::{Api, file_path};
use super::common::{
    context::{ProviderContext, url_or_default},
    exchange::{Content, exchange, path_segment},
    outcome::redacted,
};
use crate::{
    call::{Call, Chunks},
    config::Minimax,
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

const DEFAULT_BASE_URL: &str = "https://api.minimax.io";
/// The id of the provider in the catalog, which jobs store.
const PROVIDER_ID: &str = "minimax";

/// The video models of MiniMax.
#[derive(Debug)]
pub struct MinimaxVideos {
    upstream: Upstream,
    downloads: Downloader,
    /// The API's origin: only download links with it may lead to private addresses. Without the API key: links are
    /// signed.
    origin: TrustedOrigin,
    /// Says which version of the API serves each model.
    facts: FactsTable,
    poll_interval: Duration,
    max_file_bytes: u64,
}

/// Returns the entries of the configured models, the default first; none without an API key.
pub(crate) fn entries(settings: &Minimax, context: &ProviderContext) -> Result<Vec<Entry<VideoModel>>, SetupError> {
    let Minimax { base_url, api_key, previous_api_keys, models, poll_interval } = settings;
    let Some(api_key) = api_key else { return Ok(Vec::new()) };
    let base = url_or_default(base_url.as_ref(), DEFAULT_BASE_URL)?;
    let build = |key: &SecretString| {
        Ok(MinimaxVideos {
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
impl VideoProvider for MinimaxVideos {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    /// MiniMax has no idempotency key. `find` is not implemented, because the list of tasks has no member for the id of the job.
    fn submits_idempotently(&self) -> bool {
        false
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let Call { model, request, context } = call;
        let api = Api::of(&self.facts.find(PROVIDER_ID, &model));
        let body = on_blocking_thread(move || request::encode(&model, api, &request)).await?;
        let content = Some(Content::json(body));
        let response = exchange(&self.upstream, Method::POST, &api.path(), content, &context).await?;
        response::parse_submission(&response).map(|id| api.task(&id)).map_err(|error| self.upstream.redacted(error))
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let (api, id) = Api::of_task(task)?;
        let response = exchange(&self.upstream, Method::GET, &api.poll_path(id), None, context).await?;
        redacted(&self.upstream, response::parse_poll(api, &response, self.poll_interval))
    }

    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        // The result of version 1 is the id of a file, whose link is requested first.
        let link = match response::file_id(&file.location) {
            None => file.location.clone(),
            Some(id) => {
                let response = exchange(&self.upstream, Method::GET, &file_path(id), None, context).await?;
                response::parse_link(&response).map_err(|error| self.upstream.redacted(error))?
            }
        };
        self.downloads.clip(&link, &self.origin.for_call(context), self.max_file_bytes).await
    }

    /// Stops a queued task of version 2; no other task can be stopped.
    async fn cancel(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Cancellation, ProviderError> {
        let (api, id) = Api::of_task(task)?;
        if api == Api::V1 {
            return Ok(Cancellation::StillRunning);
        }
        let path = format!("{}/{}", api.path(), path_segment(id));
        let response = exchange(&self.upstream, Method::DELETE, &path, None, context).await?;
        response::parse_cancellation(&response).map_err(|error| self.upstream.redacted(error))
    }
}
