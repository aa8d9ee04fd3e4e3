//! Video provider for Midjourney, which has no public API: through midjourney-proxy or a compatible server, which controls
//! Midjourney's Discord bot. A task animates a first frame.

mod request;
mod response;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use secrecy::{ExposeSecret, SecretString};

use super::common::{
    context::ProviderContext,
    exchange::{Content, exchange, path_segment},
    outcome::redacted,
};
use crate::{
    call::{Call, Chunks},
    config::MidjourneyVideos as Config,
    context::RequestContext,
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
    models::Entry,
    offload::on_blocking_thread,
    upstream::{Auth, SetupError, Upstream},
    video::{
        Cancellation, ClipFile, LostSubmission, Progress, RenderRequest, Search, UpstreamTask, VideoModel,
        VideoProvider, key_rotation::KeyRotation,
    },
};

/// The id of the provider in the catalog, which jobs store.
const PROVIDER_ID: &str = "midjourney";
/// The header with the secret of the proxy.
const API_SECRET: HeaderName = HeaderName::from_static("mj-api-secret");

/// The video model of a Midjourney proxy.
#[derive(Debug)]
pub struct MidjourneyVideos {
    upstream: Upstream,
    downloads: Downloader,
    /// The proxy's origin and secret: only download links with this origin may lead to private addresses, and only requests for
    /// them have the secret.
    origin: TrustedOrigin,
    poll_interval: Duration,
    max_file_bytes: u64,
}

/// Returns the entries of the configured models, the default first; none without an address.
pub(crate) fn entries(settings: &Config, context: &ProviderContext) -> Result<Vec<Entry<VideoModel>>, SetupError> {
    let Config { base_url, api_secret, previous_api_secrets, models, poll_interval } = settings;
    let Some(base) = base_url else { return Ok(Vec::new()) };
    // The secret is sent in `mj-api-secret` only: some proxies would take an `Authorization` header for the secret.
    let provider = |auth, origin| {
        Ok(MidjourneyVideos {
            upstream: Upstream::new(base.clone(), auth, context.timeouts)?,
            downloads: context.downloads.clone(),
            origin,
            poll_interval: *poll_interval,
            max_file_bytes: context.max_file_bytes,
        })
    };
    let build = |secret: &SecretString| {
        let header = HeaderValue::try_from(secret.expose_secret()).map_err(|_| SetupError::Key)?;
        let origin = TrustedOrigin::new(base.clone()).with_api_key(API_SECRET, header);
        provider(Auth::Header(API_SECRET, secret.clone()), origin)
    };
    let provider = if let Some(secret) = api_secret {
        KeyRotation::new(secret, previous_api_secrets, build)?
    } else {
        let without_secret = provider(Auth::None, TrustedOrigin::new(base.clone()))?;
        KeyRotation::without_key(without_secret, previous_api_secrets, build)?
    };
    Ok(context.entries(models, PROVIDER_ID, provider))
}

#[async_trait]
impl VideoProvider for MidjourneyVideos {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    /// Proxies have no idempotency key: a repeated submission is another task.
    fn submits_idempotently(&self) -> bool {
        false
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let Call { model: _, request, context } = call;
        // The job runner sends the id of the job as the idempotency key.
        let job_id = context.idempotency_key.clone();
        let body = on_blocking_thread(move || request::encode(&request, &job_id)).await?;
        let response =
            exchange(&self.upstream, Method::POST, "submit/video", Some(Content::json(body)), &context).await?;
        response::parse_submission(&response).map(UpstreamTask).map_err(|error| self.upstream.redacted(error))
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let response = exchange(&self.upstream, Method::GET, &path(task, "fetch"), None, context).await?;
        let polled = response::parse_poll(&response, self.poll_interval);
        redacted(&self.upstream, polled)
    }

    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        self.downloads.clip(&file.location, &self.origin.for_call(context), self.max_file_bytes).await
    }

    /// Stops a task, if the proxy supports that.
    async fn cancel(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Cancellation, ProviderError> {
        let empty = Some(Content::json("{}"));
        let response = exchange(&self.upstream, Method::POST, &path(task, "cancel"), empty, context).await?;
        response::parse_cancellation(&response).map_err(|error| self.upstream.redacted(error))
    }

    /// Looks for the task of a submission whose response was lost, by the id of the job (`state`) in the list of the newest tasks. A
    /// list without the id proves nothing, because older tasks are not in it.
    async fn find(&self, lost: &LostSubmission, context: &RequestContext) -> Result<Search, ProviderError> {
        let response = exchange(&self.upstream, Method::GET, "task/list", None, context).await?;
        let found = response::parse_list(&response, &lost.job_id).map_err(|error| self.upstream.redacted(error))?;
        Ok(found.map_or(Search::Inconclusive, |id| Search::Found(UpstreamTask(id))))
    }
}

/// Returns the path of a call about a task: `fetch` or `cancel`.
fn path(task: &UpstreamTask, call: &str) -> String {
    format!("task/{}/{call}", path_segment(&task.0))
}
