//! Midjourney by way of midjourney-proxy and what speaks its protocol: tasks that are submitted and looked at, grids of
//! four, and no pixels, only ratios.

mod answer;
mod grid;
mod prompt;
mod proxy;
mod quadrant;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use tokio_util::task::TaskTracker;

use self::{
    grid::{Grid, PLACES},
    proxy::Proxy,
};
use super::{
    super::{
        Edits, ImageEvent, ImageProvider, ImageSpec,
        assembly::{self, ProviderContext},
    },
    asking::json_headers,
    tasks::Tasks,
};
use crate::{
    call::{Call, Chunks},
    catalog::Entry,
    config::{MidjourneyImages, MidjourneySingles},
    context::{REQUEST_ID, RequestContext},
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
    upstream::{Auth, SetupError, Upstream, until},
};

const SECRET: HeaderName = HeaderName::from_static("mj-api-secret");

/// A Midjourney proxy. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Midjourney {
    upstream: Upstream,
    own: TrustedOrigin,
    downloads: Downloader,
    parameters: String,
    singles: MidjourneySingles,
    interval: Duration,
    grids_at_once: usize,
    background: TaskTracker,
}

/// The proxy's models, the default first; none without its address.
pub(crate) fn entries(
    settings: &MidjourneyImages,
    means: &ProviderContext,
) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    let MidjourneyImages { base_url, api_secret, models, parameters, singles, poll_interval } = settings;
    let Some(base) = base_url.clone() else { return Ok(Vec::new()) };
    let own = TrustedOrigin::new(base.clone());
    let own = match api_secret {
        None => own,
        Some(secret) => {
            own.with_key(SECRET, HeaderValue::try_from(secret.expose_secret()).map_err(|_| SetupError::Key)?)
        }
    };
    // No `Authorization` besides: some proxies would take it for the secret.
    let auth = api_secret.clone().map_or(Auth::None, |secret| Auth::Header(SECRET, secret));
    let provider = Midjourney {
        upstream: Upstream::new(base, auth, means.limits)?,
        own,
        downloads: means.downloads.clone(),
        parameters: parameters.clone(),
        singles: *singles,
        interval: *poll_interval,
        grids_at_once: means.calls_at_once,
        background: means.background.clone(),
    };
    Ok(assembly::models(models, "midjourney", |_| &["edit", "preview"], provider))
}

#[async_trait]
impl ImageProvider for Midjourney {
    async fn generate(&self, call: Call<ImageSpec>) -> Result<Chunks<ImageEvent>, ProviderError> {
        let Call { request, context: RequestContext { deadline, request_id, .. }, .. } = call;
        let until = until(self.upstream.limits.first_byte, deadline);
        let proxy = Proxy(Tasks {
            upstream: self.upstream.clone(),
            place: "task",
            look: "/fetch",
            headers: json_headers(Some((REQUEST_ID, &request_id))),
            interval: self.interval,
            until,
            background: self.background.clone(),
        });
        let spec = Arc::new(request);
        let grid = |group: u32| {
            let pictures = group * PLACES..spec.n.min((group + 1) * PLACES);
            Ok(Grid {
                proxy: proxy.clone(),
                spec: Arc::clone(&spec),
                pictures,
                prompt: prompt::prompt(&spec, group, &self.parameters)?,
                singles: self.singles,
                downloads: self.downloads.clone(),
                own: self.own.clone(),
            })
        };
        let grids: Vec<_> = (0..spec.n.div_ceil(PLACES)).map(grid).collect::<Result<_, ProviderError>>()?;
        let events = stream::iter(grids).map(|grid| grid.events().boxed());
        Ok(events.flatten_unordered(self.grids_at_once.max(1)).map(Ok).into_stream().boxed())
    }

    /// Pictures to start from are hints to the bot, which makes a new one in their likeness.
    fn edits(&self, _model: &str) -> Edits {
        Edits { pictures: 5, mask: false }
    }
}
