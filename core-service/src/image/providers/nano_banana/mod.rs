//! Gemini's image models: one picture per call, in a ratio and a tier in place of pixels, with drafts on the way.

mod answer;
mod body;
mod failure;
mod family;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use http::{HeaderName, Method};
use tokio::time::Instant;
use url::Url;

use self::{
    answer::{Answer, Outcome},
    family::{Family, Plan},
};
use super::{
    super::{
        Edits, ImageEvent, ImageProvider, ImageSpec,
        assembly::{self, ProviderContext},
        fan_out,
    },
    asking::json_headers,
    reading::{is_stream, offloaded},
};
use crate::{
    call::{Call, Chunks},
    catalog::Entry,
    config::NanoBanana as Config,
    context::REQUEST_ID,
    error::ProviderError,
    upstream::{Auth, Event, EventReader, Reply, SetupError, Upstream, until, within},
};

/// Where a key alone leads.
const HOME: &str = "https://generativelanguage.googleapis.com/v1beta";
/// A model that answers in words, or stumbles, is asked once more, where that cannot be paid twice or may be.
const TRIES: u32 = 2;

/// Gemini's image models. Clones share the connections.
#[derive(Debug, Clone)]
pub struct NanoBanana {
    upstream: Upstream,
    calls_at_once: usize,
    /// Whether what was billed without a picture is asked for again.
    retry_unsafe: bool,
}

/// The models, the default first; none without a key.
pub(crate) fn entries(settings: &Config, means: &ProviderContext) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    let Config { base_url, api_key, models, retry_unsafe } = settings;
    let Some(key) = api_key.clone() else { return Ok(Vec::new()) };
    let base = base_url.clone().or_else(|| Url::parse(HOME).ok()).ok_or(SetupError::Key)?;
    // In a header and not in the address, which ends up in logs.
    let auth = Auth::Header(HeaderName::from_static("x-goog-api-key"), key);
    let upstream = Upstream::new(base, auth, means.limits)?;
    let provider = NanoBanana { upstream, calls_at_once: means.calls_at_once, retry_unsafe: *retry_unsafe };
    Ok(assembly::models(models, "google", |name| Family::of(name).capabilities(), provider))
}

#[async_trait]
impl ImageProvider for NanoBanana {
    async fn generate(&self, call: Call<ImageSpec>) -> Result<Chunks<ImageEvent>, ProviderError> {
        let plan = Family::of(&call.model).plan(&call.request)?;
        let (provider, n, call) = (self.clone(), call.request.n, Arc::new(call));
        let picture = move |index| provider.clone().picture(Arc::clone(&call), plan, index);
        Ok(fan_out(n, self.calls_at_once, picture))
    }

    fn edits(&self, model: &str) -> Edits {
        Family::of(model).edits()
    }
}

impl NanoBanana {
    /// The events of one picture.
    fn picture(
        self,
        call: Arc<Call<ImageSpec>>,
        plan: Plan,
        index: u32,
    ) -> impl Stream<Item = Result<ImageEvent, ProviderError>> + Send + 'static {
        let making = Generation { provider: self, call, plan, index, tries: 0, previews: 0, under_way: None };
        let events = stream::try_unfold(Some(making), |making| async move {
            let Some(making) = making else { return Ok(None) };
            let upstream = making.provider.upstream.clone();
            making.step().await.map(Some).map_err(|error| upstream.redacted(error))
        });
        events.map_ok(|events| stream::iter(events.into_iter().map(Ok))).try_flatten()
    }
}

/// A picture being made.
struct Generation {
    provider: NanoBanana,
    call: Arc<Call<ImageSpec>>,
    plan: Plan,
    index: u32,
    /// Requests sent so far.
    tries: u32,
    /// Drafts passed on so far.
    previews: u32,
    under_way: Option<UnderWay>,
}

/// An answer under way. Dropping it closes the connection, which is what stops the upstream.
struct UnderWay {
    reply: Option<Reply>,
    /// Of an answer that comes as events.
    events: Option<EventReader>,
    /// How long the next piece of a stream may take: the first one comes with the first draft.
    patience: Duration,
    until: Instant,
    answer: Answer,
}

impl Generation {
    /// What comes next, and the making itself while there is more to come.
    async fn step(mut self) -> Result<(Vec<ImageEvent>, Option<Self>), ProviderError> {
        let Some(mut under_way) = self.under_way.take() else {
            self.under_way = Some(self.ask().await?);
            return Ok((Vec::new(), Some(self)));
        };
        let Self { index, plan, .. } = self;
        if let Some(piece) = under_way.piece(&self.provider.upstream, self.call.context.deadline).await? {
            let mut answer = std::mem::take(&mut under_way.answer);
            let (answer, drafts) = offloaded(move || answer.take(&piece).map(|drafts| (answer, drafts))).await?;
            under_way.answer = answer;
            self.under_way = Some(under_way);
            let places = self.previews..plan.previews;
            let previews = places.zip(drafts).map(|(partial, picture)| ImageEvent::Preview { index, partial, picture });
            let previews: Vec<_> = previews.collect();
            self.previews += u32::try_from(previews.len()).unwrap_or(u32::MAX);
            return Ok((previews, Some(self)));
        }
        let usage = under_way.answer.usage();
        // Without usage nothing was billed.
        let again = self.tries < TRIES && (usage.is_none() || self.provider.retry_unsafe);
        let usage = usage.map(ImageEvent::Usage);
        let end = match under_way.answer.outcome() {
            Outcome::Picture { picture, words } => ImageEvent::Finished { index, picture, revised_prompt: words },
            Outcome::Again(error) if again => {
                tracing::info!(%error, "an image model made no picture and is asked again");
                return Ok((usage.into_iter().collect(), Some(self)));
            }
            Outcome::Again(error) | Outcome::Never(error) => {
                ImageEvent::Failed { index, error: self.provider.upstream.redacted(error) }
            }
        };
        Ok((usage.into_iter().chain([end]).collect(), None))
    }

    async fn ask(&mut self) -> Result<UnderWay, ProviderError> {
        let Self { provider: NanoBanana { upstream, .. }, call, plan, index, tries, .. } = self;
        let until = until(upstream.limits.first_byte, call.context.deadline);
        let (plan, index, firmly) = (*plan, *index, *tries > 0);
        *tries += 1;
        let verb = if plan.previews > 0 { "streamGenerateContent?alt=sse" } else { "generateContent" };
        let path = format!("models/{}:{verb}", call.model);
        let asked = Arc::clone(call);
        let body = offloaded(move || Ok(body::write(&asked.request, plan, index, firmly))).await?;
        let headers = json_headers(Some((REQUEST_ID, &call.context.request_id)));
        let reply = upstream.send(Method::POST, &path, headers, body.into(), until).await?;
        if !reply.status.is_success() {
            let (status, headers) = (reply.status, reply.headers.clone());
            let body = upstream.body(reply, until).await.unwrap_or_default();
            return Err(failure::failure(status, &headers, &body));
        }
        let events = is_stream(&reply).then(EventReader::default);
        let patience = upstream.limits.first_byte;
        Ok(UnderWay { reply: Some(reply), events, patience, until, answer: Answer::default() })
    }
}

impl UnderWay {
    /// The next piece of the answer to read: all of it, or the data of an event. `None`: it is over.
    async fn piece(&mut self, upstream: &Upstream, deadline: Option<Instant>) -> Result<Option<Bytes>, ProviderError> {
        let Some(events) = &mut self.events else {
            let Some(reply) = self.reply.take() else { return Ok(None) };
            return upstream.body(reply, self.until).await.map(Some);
        };
        loop {
            if let Some(event) = events.next_event()? {
                if let Some(data) = data_of(&event) {
                    return Ok(Some(data));
                }
                continue;
            }
            let Some(reply) = &mut self.reply else {
                if self.answer.has_picture() || self.answer.is_finished() {
                    return Ok(None);
                }
                let message = "the upstream's stream ended before the picture was finished";
                return Err(ProviderError::Broken(message.to_owned()));
            };
            match within(until(self.patience, deadline), reply.chunk()).await {
                Ok(Ok(Some(bytes))) => {
                    events.push(&bytes);
                    self.patience = upstream.limits.idle;
                }
                Ok(Ok(None)) => {
                    self.reply = None;
                    if let Some(data) = events.finish()?.as_ref().and_then(data_of) {
                        return Ok(Some(data));
                    }
                }
                // What breaks after the picture does it no harm.
                Ok(Err(_)) | Err(_) if self.answer.has_picture() => self.reply = None,
                Ok(Err(broken)) => return Err(ProviderError::Broken(broken.to_string())),
                Err(late) => return Err(late),
            }
        }
    }
}

/// What an event says, if anything.
fn data_of(event: &Event<'_>) -> Option<Bytes> {
    let (Event::Data(data) | Event::Error(data)) = event;
    let data = data.trim_ascii();
    (!data.is_empty() && data != b"[DONE]").then(|| Bytes::copy_from_slice(data))
}
