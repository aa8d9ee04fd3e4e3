//! Video provider for fal (<https://fal.ai>), which hosts models of many vendors behind a queue.
//!
//! A submission to a model's endpoint creates a *request*. The job stores the path of the request as its task. A poll reads the
//! status of the request, which is `COMPLETED` for success and failure alike; then the poll reads the result as well.

mod request;
mod response;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use secrecy::SecretString;

use super::common::{
    context::{ProviderContext, url_or_default},
    exchange::{Content, exchange, path_segment},
    outcome::redacted,
};
use crate::{
    call::{Call, Chunks},
    config::Fal,
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

const DEFAULT_BASE_URL: &str = "https://queue.fal.run";
/// The id of the provider in the catalog, which jobs store.
const PROVIDER_ID: &str = "fal";

/// The video models of fal's queue.
#[derive(Debug)]
pub struct FalVideos {
    upstream: Upstream,
    downloads: Downloader,
    /// The API's origin: only download links with it may lead to private addresses. Without the API key: results are
    /// public files of another host.
    origin: TrustedOrigin,
    /// The parameters that each model accepts, and how its API spells them.
    facts: FactsTable,
    poll_interval: Duration,
    max_file_bytes: u64,
}

/// Returns the entries of the configured models, the default first; none without an API key.
pub(crate) fn entries(settings: &Fal, context: &ProviderContext) -> Result<Vec<Entry<VideoModel>>, SetupError> {
    let Fal { base_url, api_key, previous_api_keys, models, poll_interval } = settings;
    let Some(api_key) = api_key else { return Ok(Vec::new()) };
    let base = url_or_default(base_url.as_ref(), DEFAULT_BASE_URL)?;
    let build = |key: &SecretString| {
        Ok(FalVideos {
            upstream: Upstream::new(base.clone(), Auth::Scheme("Key", key.clone()), context.timeouts)?,
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
impl VideoProvider for FalVideos {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    /// The queue has no idempotency key.
    fn submits_idempotently(&self) -> bool {
        false
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let Call { model, request, context } = call;
        let facts = self.facts.find(PROVIDER_ID, &model);
        let endpoint = facts.upstream_name(&model, request.parameters.input_kind()).to_owned();
        let body = on_blocking_thread(move || Ok(request::encode(&facts.members, &request))).await?;
        let content = Some(Content::json(body));
        let response = exchange(&self.upstream, Method::POST, &path(&endpoint), content, &context).await?;
        let id = response::parse_submission(&response).map_err(|error| self.upstream.redacted(error))?;
        Ok(UpstreamTask(format!("{}/requests/{id}", application(&endpoint))))
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let task = path(&task.0);
        let response = exchange(&self.upstream, Method::GET, &format!("{task}/status"), None, context).await?;
        let status = redacted(&self.upstream, response::parse_poll(&response, self.poll_interval))?;
        // `Ready` means that the request has ended: only its result tells success from failure.
        let Progress::Ready(_) = status else { return Ok(status) };
        let response = exchange(&self.upstream, Method::GET, &task, None, context).await?;
        redacted(&self.upstream, response::parse_result(&response))
    }

    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        self.downloads.clip(&file.location, &self.origin.for_call(context), self.max_file_bytes).await
    }

    /// Removes a request from the queue, or asks a running one to stop.
    async fn cancel(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Cancellation, ProviderError> {
        let path = format!("{}/cancel", path(&task.0));
        let response = exchange(&self.upstream, Method::PUT, &path, None, context).await?;
        match response.status {
            status if status.is_success() => Ok(Cancellation::Stopped),
            // 400: the request has finished already. 404 and 410: it no longer exists.
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Cancellation::Stopped),
            _ => Err(self.upstream.redacted(response::failure(&response))),
        }
    }
}

/// Returns the path of an endpoint or of a request, with each of its segments encoded.
fn path(name: &str) -> String {
    let segments: Vec<_> = name.trim_matches('/').split('/').map(path_segment).collect();
    segments.join("/")
}

/// Returns the application of an endpoint, `OWNER/ALIAS`: fal serves the requests of all its endpoints below it.
fn application(endpoint: &str) -> String {
    let segments: Vec<_> = endpoint.trim_matches('/').split('/').take(2).collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_below_owner_and_alias_of_their_endpoint() {
        assert_eq!(application("fal-ai/veo3.1/fast/image-to-video"), "fal-ai/veo3.1");
        assert_eq!(application("/owner/app"), "owner/app");
        assert_eq!(path("fal-ai/veo3.1/requests/a?b"), "fal-ai/veo3.1/requests/a%3Fb");
    }
}
