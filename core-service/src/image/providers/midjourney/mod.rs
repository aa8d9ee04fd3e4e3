//! Midjourney through midjourney-proxy and compatible servers, which operate Midjourney's Discord bot: asynchronous tasks that
//! generate grids of four images, with aspect ratios instead of pixel sizes.

mod grid;
mod prompt;
mod proxy;
mod quadrant;
mod response;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use tokio_util::task::TaskTracker;

use self::{
    grid::{Grid, IMAGES_PER_GRID},
    proxy::Proxy,
};
use super::common::{
    context::{self, ProviderContext},
    fetch::ImageFetcher,
    request::{JSON, headers},
    tasks::TaskClient,
};
use crate::{
    call::{Call, Chunks},
    config::{MidjourneyImages, MidjourneySingles},
    error::ProviderError,
    image::{Edits, ImageEvent, ImageProvider, parameters::ImageParameters},
    media::TrustedOrigin,
    models::Entry,
    upstream::{Auth, SetupError, Upstream, until},
};

const API_SECRET: HeaderName = HeaderName::from_static("mj-api-secret");

/// A Midjourney proxy. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Midjourney {
    upstream: Upstream,
    fetcher: ImageFetcher,
    /// Prompt parameters set by the operator, for example `--v 7`.
    prompt_parameters: String,
    /// How the single images of a grid are obtained.
    singles: MidjourneySingles,
    poll_interval: Duration,
    grids_at_once: usize,
    background: TaskTracker,
}

/// Returns the entries of the configured models, the default first; none without an address.
pub(crate) fn entries(
    settings: &MidjourneyImages,
    context: &ProviderContext,
) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    let MidjourneyImages { base_url, api_secret, models, parameters: prompt_parameters, singles, poll_interval } =
        settings;
    let Some(base) = base_url.clone() else { return Ok(Vec::new()) };
    let origin = TrustedOrigin::new(base.clone());
    let origin = match api_secret {
        None => origin,
        Some(secret) => {
            origin.with_api_key(API_SECRET, HeaderValue::try_from(secret.expose_secret()).map_err(|_| SetupError::Key)?)
        }
    };
    // Without an `Authorization` header: some proxies would take it for the secret.
    let auth = api_secret.clone().map_or(Auth::None, |secret| Auth::Header(API_SECRET, secret));
    let upstream = Upstream::new(base, auth, context.timeouts)?;
    let provider = Midjourney {
        fetcher: ImageFetcher::new(upstream.clone(), context.downloads.clone(), origin),
        upstream,
        prompt_parameters: prompt_parameters.clone(),
        singles: *singles,
        poll_interval: *poll_interval,
        grids_at_once: context.calls_at_once,
        background: context.background.clone(),
    };
    Ok(context::entries(models, "midjourney", |_| &["edit", "preview"], provider))
}

#[async_trait]
impl ImageProvider for Midjourney {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    async fn generate(&self, call: Call<ImageParameters>) -> Result<Chunks<ImageEvent>, ProviderError> {
        let Call { request, context, model: _ } = call;
        let until = until(self.upstream.timeouts.first_byte, context.deadline);
        let proxy = Proxy(TaskClient {
            upstream: self.upstream.clone(),
            path: "task",
            poll_suffix: "/fetch",
            headers: headers(&context, JSON),
            interval: self.poll_interval,
            until,
            background: self.background.clone(),
        });
        let parameters = Arc::new(request);
        let grid = |group: u32| {
            let images = group * IMAGES_PER_GRID..parameters.n.min((group + 1) * IMAGES_PER_GRID);
            Ok(Grid {
                proxy: proxy.clone(),
                parameters: Arc::clone(&parameters),
                images,
                prompt: prompt::prompt(&parameters, group, &self.prompt_parameters)?,
                singles: self.singles,
                fetcher: self.fetcher.for_call(&context),
            })
        };
        let grids: Vec<_> =
            (0..parameters.n.div_ceil(IMAGES_PER_GRID)).map(grid).collect::<Result<_, ProviderError>>()?;
        let events = stream::iter(grids).map(|grid| grid.events().boxed());
        Ok(events.flatten_unordered(self.grids_at_once.max(1)).map(Ok).into_stream().boxed())
    }

    /// Input images are hints: the bot generates a new image that resembles them.
    fn edits(&self, _model: &str) -> Edits {
        Edits { pictures: 5, mask: false }
    }
}
