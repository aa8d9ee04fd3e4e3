//! Gemini's image models (called Nano Banana): one image per call, with an aspect ratio and a size tier such as 2K instead of
//! pixels, and previews while the model thinks.

mod family;
mod generation;
mod request;
mod response;

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderName;
use url::Url;

use self::{
    family::{Family, NativeParams},
    generation::Generation,
};
use super::common::context::{self, ProviderContext};
use crate::{
    call::{Call, Chunks},
    config::NanoBanana as Config,
    error::ProviderError,
    image::{Edits, ImageEvent, ImageProvider, fan_out::fan_out, parameters::ImageParameters},
    models::Entry,
    upstream::{Auth, SetupError, Upstream},
};

const DEFAULT_BASE_URL: &str = "https://generativelanguage.googleapis.com/v1beta";
const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Gemini's image models. Clones share the connections.
#[derive(Debug, Clone)]
pub struct NanoBanana {
    upstream: Upstream,
    calls_at_once: usize,
    /// Whether a response without an image is retried although it was billed.
    retry_billed: bool,
}

/// Returns the entries of the configured models, the default first; none without an API key.
pub(crate) fn entries(
    settings: &Config,
    context: &ProviderContext,
) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    let Config { base_url, api_key, models, retry_billed } = settings;
    let Some(key) = api_key.clone() else { return Ok(Vec::new()) };
    let base = base_url.clone().or_else(|| Url::parse(DEFAULT_BASE_URL).ok()).ok_or(SetupError::Key)?;
    // In a header rather than in the query, as URLs are logged.
    let upstream = Upstream::new(base, Auth::Header(API_KEY, key), context.timeouts)?;
    let provider = NanoBanana { upstream, calls_at_once: context.calls_at_once, retry_billed: *retry_billed };
    Ok(context::entries(models, "google", |name| Family::of(name).capabilities(), provider))
}

#[async_trait]
impl ImageProvider for NanoBanana {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    async fn generate(&self, call: Call<ImageParameters>) -> Result<Chunks<ImageEvent>, ProviderError> {
        let native = NativeParams::new(Family::of(&call.model), &call.request)?;
        let (provider, n, call) = (self.clone(), call.request.n, Arc::new(call));
        let single = move |index| {
            let upstream = provider.upstream.clone();
            Generation::new(upstream, provider.retry_billed, Arc::clone(&call), native, index).events()
        };
        Ok(fan_out(n, self.calls_at_once, single))
    }

    fn edits(&self, model: &str) -> Edits {
        Family::of(model).edits()
    }

    fn resolution(&self, model: &str, parameters: &ImageParameters) -> Option<&'static str> {
        Family::of(model).resolution(parameters)
    }
}
