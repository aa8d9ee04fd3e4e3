//! Video provider for the Gemini API of Google AI Studio. Veo renders in a long-running operation, Gemini Omni in an
//! interaction in the background; the name of the model decides. The id of a task is the path of the operation or of the
//! interaction. `vertex` has the same models on Vertex AI.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderName, HeaderValue, Method};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use super::{
    common::{
        context::{ProviderContext, url_or_default},
        exchange::{Content, exchange, path_segments},
        outcome::redacted,
    },
    google::{
        interactions::{self, Delivery},
        location::{self, Location},
        refusal, veo, video_object,
    },
};
use crate::{
    call::{Call, Chunks},
    config::GeminiVideos as Config,
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

const DEFAULT_BASE_URL: &str = "https://generativelanguage.googleapis.com/v1beta";
/// The id of the provider in the catalog, which jobs store.
const PROVIDER_ID: &str = "gemini";
/// The header with the API key.
const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// The video models of the Gemini API.
#[derive(Debug)]
pub struct GeminiVideos {
    upstream: Upstream,
    downloads: Downloader,
    /// The API's origin and the API key: only download links with this origin may lead to private addresses, and only requests for
    /// them have the key, which its files require. Its path ends with a slash, so that relative links are below it.
    origin: TrustedOrigin,
    /// The URL of `origin`.
    base: Url,
    poll_interval: Duration,
    max_file_bytes: u64,
}

/// Returns the entries of the configured models, the default first; none without an API key.
pub(crate) fn entries(settings: &Config, context: &ProviderContext) -> Result<Vec<Entry<VideoModel>>, SetupError> {
    let Config { base_url, api_key, previous_api_keys, models, poll_interval } = settings;
    let Some(api_key) = api_key else { return Ok(Vec::new()) };
    let url = url_or_default(base_url.as_ref(), DEFAULT_BASE_URL)?;
    let mut base = url.clone();
    base.set_query(None);
    base.set_path(&format!("{}/", url.path().trim_end_matches('/')));
    let build = |key: &SecretString| {
        let header = HeaderValue::try_from(key.expose_secret()).map_err(|_| SetupError::Key)?;
        Ok(GeminiVideos {
            // In a header rather than in the query, as URLs are logged.
            upstream: Upstream::new(url.clone(), Auth::Header(API_KEY, key.clone()), context.timeouts)?,
            downloads: context.downloads.clone(),
            origin: TrustedOrigin::new(base.clone()).with_api_key(API_KEY, header),
            base: base.clone(),
            poll_interval: *poll_interval,
            max_file_bytes: context.max_file_bytes,
        })
    };
    let provider = KeyRotation::new(api_key, previous_api_keys, build)?;
    Ok(context.entries(models, PROVIDER_ID, provider))
}

#[async_trait]
impl VideoProvider for GeminiVideos {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    /// The API has no idempotency key.
    fn submits_idempotently(&self) -> bool {
        false
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let Call { model, request, context } = call;
        let is_veo = veo::is_veo(&model);
        let path = if is_veo { veo::path(&model) } else { interactions::PATH.to_owned() };
        let body = match (is_veo, &request.parameters.source) {
            // Veo extends its own video, which the request names. `&[]`: Veo has no parameters that exist only on the Gemini API.
            (true, Some(task)) => {
                let uri = self.uri_of(task, &context).await?;
                veo::encode_extension(&request.parameters, json!({"uri": uri}), &[])
            }
            (true, None) => on_blocking_thread(move || veo::encode(&request, &[])).await?,
            (false, _) => {
                on_blocking_thread(move || Ok(interactions::encode(&model, &request, &Delivery::File))).await?
            }
        };
        let response = exchange(&self.upstream, Method::POST, &path, Some(Content::json(body)), &context).await?;
        let submitted =
            if is_veo { veo::parse_submission(&response) } else { interactions::parse_submission(&response) };
        submitted.map(UpstreamTask).map_err(|error| self.upstream.redacted(error))
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let response = exchange(&self.upstream, Method::GET, &path_segments(&task.0), None, context).await?;
        // On a blocking thread: the body may contain the whole video, as base64.
        let (task, interval) = (task.0.clone(), self.poll_interval);
        let polled = on_blocking_thread(move || {
            if interactions::is_interaction(&task) {
                interactions::parse_poll(&response, &task, interval)
            } else {
                veo::parse_poll(&response, &task, interval)
            }
        });
        redacted(&self.upstream, polled.await)
    }

    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        match Location::parse(&file.location)? {
            Location::Uri(uri) => {
                let link = location::download_link(&self.base, &uri);
                self.downloads.clip(&link, &self.origin.for_call(context), self.max_file_bytes).await
            }
            Location::Inline(task) => {
                let response = exchange(&self.upstream, Method::GET, &path_segments(&task), None, context).await?;
                if !response.status.is_success() {
                    return Err(self.upstream.redacted(refusal::failure(&response)));
                }
                let bytes = on_blocking_thread(move || video_object::inline_file(&response.body)).await?;
                Ok(stream::once(std::future::ready(Ok(bytes))).boxed())
            }
        }
    }

    /// Stops an interaction. An operation of Veo cannot be stopped, and is billed.
    async fn cancel(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Cancellation, ProviderError> {
        if !interactions::is_interaction(&task.0) {
            return Ok(Cancellation::StillRunning);
        }
        let path = format!("{}/cancel", path_segments(&task.0));
        let response = exchange(&self.upstream, Method::POST, &path, Some(Content::json("{}")), context).await?;
        interactions::parse_cancellation(&response, &task.0, &self.upstream)
    }
}

impl GeminiVideos {
    /// Returns the URI of the video of a finished task, which a submission that extends this video names.
    async fn uri_of(&self, task: &UpstreamTask, context: &RequestContext) -> Result<String, ProviderError> {
        let refused = |message: &str| ProviderError::Refused { message: message.to_owned(), field: None };
        let polled =
            self.poll(task, context).await.map_err(|error| {
                let message = error.to_string();
                // The submission was not sent yet: an error of this poll must not look like an unknown outcome of the submission.
                error.map_failure(|failure| {
                    if failure.may_have_executed() { ProviderError::unavailable(message) } else { failure }
                })
            });
        let Progress::Ready(clip) = polled? else { return Err(refused("the provider no longer has the source video")) };
        match clip.files.first().map(|file| Location::parse(&file.location)).transpose()? {
            Some(Location::Uri(uri)) => Ok(uri),
            Some(Location::Inline(_)) | None => Err(refused("the provider has no URI of the source video")),
        }
    }
}
