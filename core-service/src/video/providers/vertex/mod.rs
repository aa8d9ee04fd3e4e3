//! Video provider for Vertex AI of Google Cloud. Veo renders in a long-running operation, Gemini Omni in an interaction in the
//! background; the name of the model decides. A task is the name of either. `gemini` has the same models on the Gemini API;
//! unlike there, requests are authorized by a service account, and results can be written to a bucket of the operator.

mod api;
mod names;
mod token;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Method;
use serde_json::{Value, json};
use url::Url;

use self::{
    api::{Api, storage_link},
    token::Tokens,
};
use super::{
    common::{
        context::{ProviderContext, url_or_default},
        exchange::Response,
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
    config::Vertex as Config,
    context::RequestContext,
    error::ProviderError,
    models::Entry,
    offload::on_blocking_thread,
    upstream::{Auth, SetupError, Upstream},
    video::{
        Cancellation, ClipFile, Progress, RenderRequest, UpstreamTask, VideoModel, VideoProvider, inputs::InputRole,
        parameters::VideoParameters, time::Clock,
    },
};

/// The id of the provider in the catalog, which jobs store.
const PROVIDER_ID: &str = "vertex";
/// The default URL of Cloud Storage.
const STORAGE_BASE_URL: &str = "https://storage.googleapis.com";

/// The video models of Vertex AI.
#[derive(Debug)]
pub struct VertexVideos {
    api: Api,
    /// The API for Veo, at the location of the settings, for example `us-central1`.
    veo: Upstream,
    /// The API for Gemini Omni, at the only location of interactions, `global`.
    omni: Upstream,
    /// The URL of `omni`.
    omni_base: Url,
    /// The URL of Cloud Storage.
    storage_base: Url,
    /// The id of the Google Cloud project.
    project: String,
    /// The location of Veo.
    location: String,
    /// The `gs://` URI below which Vertex AI writes results; empty: it returns them in the response.
    storage_uri: String,
    poll_interval: Duration,
}

/// Returns the entries of the configured models, the default first; none without a service account.
pub(crate) fn entries(settings: &Config, context: &ProviderContext) -> Result<Vec<Entry<VideoModel>>, SetupError> {
    let Some(account) = settings.service_account()? else { return Ok(Vec::new()) };
    let Config { base_url, location, storage_uri, storage_base_url, models, poll_interval, .. } = settings;
    let upstream = |base: &Url| Upstream::new(base.clone(), Auth::None, context.timeouts);
    let omni_base = url_or_default(base_url.as_ref(), &names::base_url_of_interactions())?;
    let project = settings.project_of(&account)?;
    let tokens = Tokens::new(account, context.timeouts, Clock::system())?;
    let provider = VertexVideos {
        api: Api::new(tokens, context.downloads.clone(), context.max_file_bytes),
        veo: upstream(&url_or_default(base_url.as_ref(), &names::base_url(location))?)?,
        omni: upstream(&omni_base)?,
        omni_base,
        storage_base: url_or_default(storage_base_url.as_ref(), STORAGE_BASE_URL)?,
        project,
        location: location.clone(),
        storage_uri: storage_uri.clone(),
        poll_interval: *poll_interval,
    };
    Ok(context.entries(models, PROVIDER_ID, provider))
}

#[async_trait]
impl VideoProvider for VertexVideos {
    fn address(&self) -> Option<&str> {
        Some(self.veo.address())
    }

    /// The API has no idempotency key.
    fn submits_idempotently(&self) -> bool {
        false
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let Call { model, request, context } = call;
        let (upstream, submitted) = if veo::is_veo(&model) {
            let path = format!("{}{}", names::publisher(&self.project, &self.location), veo::path(&model));
            let own = self.own_parameters(&request.parameters);
            let body = on_blocking_thread(move || encode_veo(&request, &own)).await?;
            let response = self.post(&self.veo, &path, body, &context).await?;
            (&self.veo, veo::parse_submission(&response))
        } else {
            let path = names::interaction(&self.project, interactions::PATH);
            let delivery = self.delivery();
            let body = on_blocking_thread(move || Ok(interactions::encode(&model, &request, &delivery))).await?;
            let response = self.post(&self.omni, &path, body, &context).await?;
            (&self.omni, interactions::parse_submission(&response))
        };
        submitted.map(UpstreamTask).map_err(|error| upstream.redacted(error))
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let response = self.state(&task.0, context).await?;
        // On a blocking thread: the body may contain the whole video, as base64.
        let (task, interval) = (task.0.clone(), self.poll_interval);
        let polled = on_blocking_thread(move || {
            if interactions::is_interaction(&task) {
                interactions::parse_poll(&response, &task, interval)
            } else {
                veo::parse_poll(&response, &task, interval)
            }
        });
        // For interactions as well: neither `veo` nor `omni` has a key to remove, and both truncate messages alike.
        redacted(&self.veo, polled.await)
    }

    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        match Location::parse(&file.location)? {
            Location::Uri(uri) => {
                let (base, link) = match storage_link(&uri) {
                    Some(link) => (&self.storage_base, link),
                    None => (&self.omni_base, location::download_link(&self.omni_base, &uri)),
                };
                self.api.download(&link, base, context).await
            }
            Location::Inline(task) => {
                let response = self.state(&task, context).await?;
                if !response.status.is_success() {
                    return Err(self.veo.redacted(refusal::failure(&response)));
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
        let path = format!("{}/cancel", names::interaction(&self.project, &task.0));
        let response = self.post(&self.omni, &path, "{}".to_owned(), context).await?;
        interactions::parse_cancellation(&response, &task.0, &self.omni)
    }
}

impl VertexVideos {
    async fn post(
        &self,
        upstream: &Upstream,
        path: &str,
        body: String,
        context: &RequestContext,
    ) -> Result<Response, ProviderError> {
        self.api.exchange(upstream, Method::POST, path, Some(body.into()), context).await
    }

    /// Requests the state of a task.
    async fn state(&self, task: &str, context: &RequestContext) -> Result<Response, ProviderError> {
        if interactions::is_interaction(task) {
            let path = names::interaction(&self.project, task);
            return self.api.exchange(&self.omni, Method::GET, &path, None, context).await;
        }
        let body = json!({"operationName": task}).to_string();
        self.post(&self.veo, &names::fetch_operation(task)?, body, context).await
    }

    /// Returns the parameters of Veo that only Vertex AI has.
    fn own_parameters(&self, parameters: &VideoParameters) -> Vec<(&'static str, Value)> {
        // A request can be for several videos, and `generateAudio` is required.
        let mut own =
            vec![("sampleCount", json!(1)), ("generateAudio", json!(parameters.generate_audio.unwrap_or(true)))];
        if !self.storage_uri.is_empty() {
            own.push(("storageUri", json!(self.storage_uri)));
        }
        own
    }

    fn delivery(&self) -> Delivery {
        match self.storage_uri.as_str() {
            "" => Delivery::Inline,
            uri => Delivery::Bucket(uri.to_owned()),
        }
    }
}

/// Encodes a request to Veo: an extension if there is a video to extend.
fn encode_veo(request: &RenderRequest, own: &[(&str, Value)]) -> Result<String, ProviderError> {
    match request.input(InputRole::Source) {
        Some(source) => Ok(veo::encode_extension(&request.parameters, veo::file(source)?, own)),
        None => veo::encode(request, own),
    }
}
