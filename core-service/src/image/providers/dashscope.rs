//! DashScope's Qwen-Image and Wan stills: one call for as many pictures as the model makes at once, handed over as links.

mod answer;
mod family;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, header};
use url::Url;

use self::{family::Family, request::Plan};
use super::{
    super::{Edits, ImageEvent, ImageProvider, ImageSpec, assembly::Means, fan_out},
    reading::offloaded,
};
use crate::{
    call::{Call, Chunks},
    catalog::Entry,
    config::DashscopeImages,
    error::ProviderError,
    media::{Downloads, Own},
    upstream::{Auth, SetupError, Upstream, until},
};

/// Where a key alone leads.
const HOME: &str = "https://dashscope.aliyuncs.com";
const PATH: &str = "api/v1/services/aigc/multimodal-generation/generation";
/// Pictures of one answer that are fetched at a time.
const FETCHED_AT_ONCE: usize = 4;

/// Qwen-Image and Wan stills. Clones share the connections.
#[derive(Debug, Clone)]
pub struct QwenImages {
    upstream: Arc<Upstream>,
    /// Links begin here, and none is shown the key: they are signed already.
    own: Own,
    downloads: Downloads,
    calls_at_once: usize,
}

/// The upstream's models, the default first; none where it is not connected.
pub(crate) fn entries(settings: &DashscopeImages, means: &Means) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    let DashscopeImages { base_url, api_key, models } = settings;
    let Some(api_key) = api_key else { return Ok(Vec::new()) };
    let base = base_url.clone().or_else(|| Url::parse(HOME).ok()).ok_or(SetupError::Key)?;
    let provider = QwenImages {
        upstream: Arc::new(Upstream::new(base.clone(), Auth::Bearer(api_key.clone()), means.limits)?),
        own: Own::new(base),
        downloads: means.downloads.clone(),
        calls_at_once: means.calls_at_once,
    };
    let provider: Arc<dyn ImageProvider> = Arc::new(provider);
    let entry = |model: &String| Entry {
        id: model.clone(),
        upstream: model.clone(),
        owned_by: "dashscope".to_owned(),
        aliases: Vec::new(),
        capabilities: Family::of(model).capabilities(),
        hidden: false,
        provider: Arc::clone(&provider),
    };
    Ok(models.iter().map(entry).collect())
}

#[async_trait]
impl ImageProvider for QwenImages {
    async fn generate(&self, call: Call<ImageSpec>) -> Result<Chunks<ImageEvent>, ProviderError> {
        let family = Family::of(&call.model);
        let plan = Plan::of(family, &call.request)?;
        let n = call.request.n;
        let (provider, call) = (self.clone(), Arc::new(call));
        if n <= family.at_once() {
            return Ok(provider.call(call, plan, 0, n).boxed());
        }
        Ok(fan_out(n, self.calls_at_once, move |index| provider.clone().call(Arc::clone(&call), plan, index, 1)))
    }

    fn edits(&self, model: &str) -> Edits {
        Family::of(model).edits()
    }
}

impl QwenImages {
    /// The events of one call for the pictures from `first` on.
    fn call(
        self,
        call: Arc<Call<ImageSpec>>,
        plan: Plan,
        first: u32,
        n: u32,
    ) -> impl Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static {
        let made = async move {
            let links = self.links(call, plan, first, n).await?;
            let pictures = (first..first + n).zip(links).map(move |(index, link)| {
                let provider = self.clone();
                async move {
                    Ok(match provider.downloads.picture(&link, &provider.own).await {
                        Ok(file) => ImageEvent::Finished { index, picture: file.bytes, revised_prompt: String::new() },
                        Err(error) => ImageEvent::Failed { index, error },
                    })
                }
            });
            Ok::<_, ProviderError>(stream::iter(pictures).buffer_unordered(FETCHED_AT_ONCE))
        };
        made.into_stream().try_flatten()
    }

    /// What one call makes.
    async fn links(
        &self,
        call: Arc<Call<ImageSpec>>,
        plan: Plan,
        first: u32,
        n: u32,
    ) -> Result<Vec<String>, ProviderError> {
        let until = until(self.upstream.limits.first_byte, call.deadline);
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        // Pictures to start from are dozens of megabytes.
        let body = offloaded(move || Ok(request::write(&call.model, &call.request, plan, first, n))).await?;
        let reply = self.upstream.send(Method::POST, PATH, headers, body.into(), until).await?;
        let (status, headers) = (reply.status, reply.headers.clone());
        let body = self.upstream.body(reply, until).await;
        let read = if status.is_success() {
            answer::read(&body?)
        } else {
            // Where the words are lost, the status alone tells what happened.
            Err(answer::refusal(status, &headers, &body.unwrap_or_default()))
        };
        read.map_err(|error| self.upstream.redacted(error))
    }
}
