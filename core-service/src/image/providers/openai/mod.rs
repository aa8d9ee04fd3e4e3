//! Any upstream that speaks OpenAI's images API: generations and edits, links or base64, previews where it has them.

mod answer;
mod body;
mod family;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use http::{HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use url::Url;

use self::{
    answer::Told,
    body::Body,
    family::{Family, Plan},
};
use super::{
    super::{
        Edits, ImageEvent, ImageProvider, ImageSpec,
        assembly::{self, ProviderContext},
        fan_out,
    },
    picture::{Answer, Item},
    reading::{self, Streamed, is_stream, offloaded},
};
use crate::{
    call::{Call, Chunks},
    catalog::Entry,
    config::{OpenaiFamily, OpenaiImages},
    context::RequestContext,
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
    upstream::{Auth, Reply, SetupError, Upstream, until},
};

/// Where a key alone leads.
const HOME: &str = "https://api.openai.com/v1";

/// An OpenAI-compatible images upstream. Clones share the connections.
#[derive(Debug, Clone)]
pub struct OpenAiImages {
    upstream: Upstream,
    /// Who may see the key when a link is followed.
    own: TrustedOrigin,
    downloads: Downloader,
    family: OpenaiFamily,
    calls_at_once: usize,
}

/// The upstream's models, the default first; none where it is not connected.
pub(crate) fn entries(
    settings: &OpenaiImages,
    means: &ProviderContext,
) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    if !settings.is_connected() {
        return Ok(Vec::new());
    }
    let OpenaiImages { base_url, api_key, models, family } = settings;
    let base = base_url.clone().or_else(|| Url::parse(HOME).ok()).ok_or(SetupError::Key)?;
    let own = match api_key.as_ref().map(bearer) {
        None => TrustedOrigin::new(base.clone()),
        Some(value) => TrustedOrigin::new(base.clone()).with_key(header::AUTHORIZATION, value?),
    };
    let auth = api_key.clone().map_or(Auth::None, Auth::Bearer);
    let upstream = Upstream::new(base, auth, means.limits)?;
    let provider = OpenAiImages {
        upstream,
        own,
        downloads: means.downloads.clone(),
        family: *family,
        calls_at_once: means.calls_at_once,
    };
    Ok(assembly::models(models, "openai", |name| Family::of(name, *family).capabilities(), provider))
}

fn bearer(key: &SecretString) -> Result<HeaderValue, SetupError> {
    HeaderValue::try_from(format!("Bearer {}", key.expose_secret())).map_err(|_| SetupError::Key)
}

#[async_trait]
impl ImageProvider for OpenAiImages {
    async fn generate(&self, call: Call<ImageSpec>) -> Result<Chunks<ImageEvent>, ProviderError> {
        let family = Family::of(&call.model, self.family);
        let plan = family.plan(&call.request)?;
        let n = call.request.n;
        if !plan.one_by_one || n == 1 {
            return Ok(self.clone().call(Arc::new(call), plan, 0, n).boxed());
        }
        let (provider, call) = (self.clone(), Arc::new(call));
        let picture = move |index| {
            // The same key twice would be the same picture twice.
            let idempotency_key = match call.context.idempotency_key.as_str() {
                "" => String::new(),
                key => format!("{key}-{index}"),
            };
            let context = RequestContext { idempotency_key, ..call.context.clone() };
            let call = Call { context, ..Call::clone(&call) };
            provider.clone().call(Arc::new(call), plan, index, 1)
        };
        Ok(fan_out(n, self.calls_at_once, picture))
    }

    fn edits(&self, model: &str) -> Edits {
        Family::of(model, self.family).edits()
    }
}

impl OpenAiImages {
    /// The events of one call for the pictures from `first` on.
    fn call(
        self,
        call: Arc<Call<ImageSpec>>,
        plan: Plan,
        first: u32,
        n: u32,
    ) -> impl futures_util::Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static {
        let sent = async move {
            let until = until(self.upstream.limits.first_byte, call.context.deadline);
            let body = body::write(&call.model, &call.request, plan, n);
            let Body { path, content_type, bytes } = body?;
            let reply = self.upstream.post(path, &call, content_type, bytes, until).await?;
            let streamed = is_stream(&reply);
            let events: Chunks<ImageEvent> = if streamed {
                self.events(reply, &call, first)
            } else {
                stream::iter(self.whole(reply, until, first, n).await?.into_iter().map(Ok)).boxed()
            };
            Ok::<_, ProviderError>(events)
        };
        sent.into_stream().try_flatten()
    }

    /// The pictures of an answer in one piece.
    async fn whole(&self, reply: Reply, until: Instant, first: u32, n: u32) -> Result<Vec<ImageEvent>, ProviderError> {
        let body = self.upstream.body(reply, until).await?;
        let Answer { items, usage } =
            offloaded(move || answer::read(&body)).await.map_err(|error| self.clean(error))?;
        if items.is_empty() {
            return Err(ProviderError::Unreadable("the upstream's answer has no pictures".to_owned()));
        }
        let items = (first..first + n).zip(items).map(|(index, item)| self.picture(index, item));
        let pictures = futures_util::future::join_all(items).await;
        Ok(usage.map(ImageEvent::Usage).into_iter().chain(pictures).collect())
    }

    async fn picture(&self, index: u32, item: Item) -> ImageEvent {
        item.event(index, &self.upstream, &self.downloads, &self.own).await
    }

    /// The previews and the picture of a streamed answer.
    fn events(self, reply: Reply, call: &Call<ImageSpec>, index: u32) -> Chunks<ImageEvent> {
        let most = call.request.partial_images;
        let streamed = Streamed::new(reply, self.upstream.limits, call.context.deadline);
        let events = stream::try_unfold(Some((self, streamed)), move |under_way| async move {
            let Some((provider, mut streamed)) = under_way else { return Ok(None) };
            let told = streamed.next(answer::read_event).await.map_err(|error| provider.clean(error))?;
            let events = match told {
                (Told::Finished { item, usage }, _) => {
                    let finished = provider.picture(index, item).await;
                    (usage.map(ImageEvent::Usage).into_iter().chain([finished]).collect(), None)
                }
                (Told::Preview { .. } | Told::Nothing, true) => return Err(reading::cut_off()),
                (Told::Preview { partial, picture }, false) if partial < most => {
                    (vec![ImageEvent::Preview { index, partial, picture }], Some((provider, streamed)))
                }
                (Told::Preview { .. } | Told::Nothing, false) => (Vec::new(), Some((provider, streamed))),
            };
            Ok::<_, ProviderError>(Some(events))
        });
        events.map_ok(|events| stream::iter(events.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn clean(&self, error: ProviderError) -> ProviderError {
        self.upstream.redacted(error)
    }
}
