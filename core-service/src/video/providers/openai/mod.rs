//! Video provider for the OpenAI videos API (Sora), and for servers that copy it. A task is the id of a video object, which is
//! polled.

mod location;
mod request;
mod response;
mod search;
mod source;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};

use self::location::Location;
use super::common::{
    context::{ProviderContext, url_or_default},
    exchange::{exchange, path_segment},
    outcome::redacted,
};
use crate::{
    call::{Call, Chunks},
    config::OpenaiVideos,
    context::RequestContext,
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
    models::Entry,
    upstream::{Auth, SetupError, Upstream},
    video::{
        Cancellation, ClipFile, LostSubmission, Operation, Progress, RenderRequest, Search, UpstreamTask, VideoModel,
        VideoProvider, key_rotation::KeyRotation,
    },
};

const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";
/// The id of the provider in the catalog, which jobs store.
const PROVIDER_ID: &str = "openai";

/// An OpenAI-compatible videos upstream.
#[derive(Debug)]
pub struct OpenAiVideos {
    upstream: Upstream,
    downloads: Downloader,
    /// The upstream's origin and key: only download links with this origin may lead to private addresses, and only requests for
    /// them have the key. Its path ends with a slash, so that relative links are below it.
    origin: TrustedOrigin,
    /// The query of the base URL with its question mark; empty without one.
    query: String,
    poll_interval: Duration,
    max_file_bytes: u64,
}

/// Returns the entries of the configured models, the default first; none unless a base URL or a key is set.
pub(crate) fn entries(
    settings: &OpenaiVideos,
    context: &ProviderContext,
) -> Result<Vec<Entry<VideoModel>>, SetupError> {
    if !settings.is_configured() {
        return Ok(Vec::new());
    }
    let OpenaiVideos { base_url, api_key, previous_api_keys, models, poll_interval } = settings;
    let base = url_or_default(base_url.as_ref(), DEFAULT_BASE_URL)?;
    let query = base.query().map_or_else(String::new, |query| format!("?{query}"));
    let mut origin = base.clone();
    origin.set_query(None);
    origin.set_path(&format!("{}/", base.path().trim_end_matches('/')));
    let provider = |auth, origin| {
        Ok(OpenAiVideos {
            upstream: Upstream::new(base.clone(), auth, context.timeouts)?,
            downloads: context.downloads.clone(),
            origin,
            query: query.clone(),
            poll_interval: *poll_interval,
            max_file_bytes: context.max_file_bytes,
        })
    };
    let build = |key: &SecretString| {
        let origin = TrustedOrigin::new(origin.clone()).with_api_key(header::AUTHORIZATION, bearer(key)?);
        provider(Auth::Bearer(key.clone()), origin)
    };
    let provider = if let Some(api_key) = api_key {
        KeyRotation::new(api_key, previous_api_keys, build)?
    } else {
        let without_key = provider(Auth::None, TrustedOrigin::new(origin.clone()))?;
        KeyRotation::without_key(without_key, previous_api_keys, build)?
    };
    Ok(context.entries(models, PROVIDER_ID, provider))
}

/// Returns the value of the header `authorization`.
fn bearer(key: &SecretString) -> Result<HeaderValue, SetupError> {
    HeaderValue::try_from(format!("Bearer {}", key.expose_secret())).map_err(|_| SetupError::Key)
}

#[async_trait]
impl VideoProvider for OpenAiVideos {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    /// No server is known to read an idempotency key.
    fn submits_idempotently(&self) -> bool {
        false
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let Call { model, request, context } = call;
        let path = source::path(&request.parameters);
        let content = match request.parameters.operation {
            Operation::Generate => request::encode(&model, &request)?,
            Operation::Edit | Operation::Extend | Operation::Remix => source::encode(&request)?,
        };
        let response = exchange(&self.upstream, Method::POST, &path, Some(content), &context).await?;
        response::parse_submission(&response).map(UpstreamTask).map_err(|error| self.upstream.redacted(error))
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let response = exchange(&self.upstream, Method::GET, &path(&task.0), None, context).await?;
        let polled = response::parse_poll(&response, &task.0, self.poll_interval);
        redacted(&self.upstream, polled)
    }

    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        let Location { id, url } = Location::parse(&file.location)?;
        // Without the query parameter `variant`: one server that copies the API parses it as a number, and finds nothing for `video`.
        let relative = format!("{}/content{}", path(&id), self.query);
        let result = self.downloads.clip(&relative, &self.origin.for_call(context), self.max_file_bytes).await;
        match (result, url) {
            (Err(error), Some(url)) if !error.is_transient() => {
                tracing::debug!(%error, "the upstream returned no content; following the link in its video object");
                self.downloads.clip(&url, &self.origin.for_call(context), self.max_file_bytes).await
            }
            (result, _) => result,
        }
    }

    async fn cancel(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Cancellation, ProviderError> {
        let response = exchange(&self.upstream, Method::DELETE, &path(&task.0), None, context).await?;
        match response.status {
            status if status.is_success() => Ok(Cancellation::Stopped),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Cancellation::Stopped),
            status @ (StatusCode::METHOD_NOT_ALLOWED | StatusCode::CONFLICT) => {
                tracing::info!(task = task.0, status = status.as_u16(), "the upstream does not stop a render");
                Ok(Cancellation::StillRunning)
            }
            _ => Err(self.upstream.redacted(response.failure())),
        }
    }

    /// Looks for the video of a submission whose response was lost: the only new one of the list with the same prompt and model, because
    /// the API has no member for the id of the job.
    async fn find(&self, lost: &LostSubmission, context: &RequestContext) -> Result<Search, ProviderError> {
        let separator = if self.query.is_empty() { '?' } else { '&' };
        let path = format!("videos{}{separator}order=desc&limit=100", self.query);
        let response = exchange(&self.upstream, Method::GET, &path, None, context).await?;
        search::parse_list(&response, lost).map_err(|error| self.upstream.redacted(error))
    }
}

/// Returns the path of a video object.
fn path(id: &str) -> String {
    format!("videos/{}", path_segment(id))
}
