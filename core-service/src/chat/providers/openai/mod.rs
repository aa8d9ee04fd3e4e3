//! Upstreams with OpenAI's chat completions API.

mod finish;
mod non_streaming;
mod stream;

use std::{
    collections::HashSet,
    pin::pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream::iter};
use http::{HeaderMap, Method};
use openai_dialect::chat::{ResponseAssembler, Streaming, write_request};
use secrecy::SecretString;
use tokio::time::Instant;
use triptych_proto::{
    chat_stream::{ChatChunk, DeltaDecoder},
    v1 as pb,
};
use url::Url;

use self::{non_streaming::trim_start_and_bom, stream::StreamedResponse};
use super::super::{ChatCall, ChatProvider};
use crate::dialect::Dialect;
use crate::{
    call::Chunks,
    error::ProviderError,
    upstream::{
        Auth, QuotaMeaning, SetupError, Timeouts, Upstream, UpstreamResponse, parse_error_response, until, within,
    },
};

const PATH: &str = "chat/completions";

/// The longest wait for the list of models.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// How many models are remembered that refuse `stream_options`: clients name the models of an upstream that serves any.
const MAX_REMEMBERED: usize = 1000;
/// The path of the list of models.
const MODELS: &str = "models";

/// An OpenAI-compatible chat upstream.
#[derive(Debug)]
pub struct OpenAiChat {
    upstream: Upstream,
    dialect: Dialect,
    /// The models of the upstream for which it has refused `stream_options`, which OpenAI's API did not have at first.
    without_stream_options: Mutex<HashSet<String>>,
}

impl OpenAiChat {
    /// Creates a client of the upstream at `base`, which usually ends in `/v1` and determines the [`Dialect`], the upstream's deviations
    /// from OpenAI's API.
    pub fn new(base: Url, key: Option<SecretString>, timeouts: Timeouts) -> Result<Self, SetupError> {
        let dialect = Dialect::from_base_url(&base);
        let upstream = Upstream::new(base, key.map_or(Auth::None, Auth::Bearer), timeouts)?;
        Ok(Self { upstream, dialect, without_stream_options: Mutex::default() }.with_dialect(dialect))
    }

    /// Adds these headers to every request.
    #[must_use]
    pub fn with_headers(self, headers: &HeaderMap) -> Self {
        Self { upstream: self.upstream.with_headers(headers), ..self }
    }

    /// Overrides the dialect that the address determines.
    #[must_use]
    pub fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self.upstream.quota =
            if dialect.quota_is_rate_limit() { QuotaMeaning::RateLimit } else { QuotaMeaning::EmptyAccount };
        self
    }

    /// Returns the names in the upstream's list of models.
    ///
    /// # Errors
    /// A failed request, and [`ProviderError::Unreadable`] for a response that is no list of models.
    pub(crate) async fn models(&self) -> Result<Vec<String>, ProviderError> {
        #[derive(serde::Deserialize)]
        struct Model {
            id: String,
        }
        #[derive(serde::Deserialize)]
        struct ModelList {
            data: Vec<Model>,
        }
        let until = until(LIST_TIMEOUT, None);
        let reply = self.upstream.send(Method::GET, MODELS, HeaderMap::new(), Bytes::new(), until).await?;
        let (status, headers) = (reply.status, reply.headers.clone());
        let body = self.upstream.body(reply, until).await?;
        if !status.is_success() {
            return Err(self.upstream.redacted(parse_error_response(status, &headers, &body, self.upstream.quota)));
        }
        let list = serde_json::from_slice::<ModelList>(trim_start_and_bom(&body));
        let list = list.map_err(|_| ProviderError::Unreadable("the response is not a list of models".to_owned()))?;
        Ok(list.data.into_iter().map(|model| model.id).collect())
    }

    /// Sends the request for a stream, until this time. If the upstream refuses `include_usage`, it is left out from then on for this model:
    /// its streams have no usage, which is estimated instead. Refused options of the client are an error.
    async fn send_stream_request(
        &self,
        call: &ChatCall,
        options: Option<&pb::StreamOptions>,
        until: Instant,
    ) -> Result<UpstreamResponse, ProviderError> {
        let send = async |options: Option<&pb::StreamOptions>| {
            let mut body = Vec::with_capacity(1024);
            write_request(&mut body, &call.model, &call.request, Streaming::Yes(options));
            self.upstream.post_json(PATH, call, body, until).await
        };
        let Some(options) = options.filter(|options| options.extra_json.is_empty()) else { return send(options).await };
        let known = || self.without_stream_options.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(&call.model) {
            return send(None).await;
        }
        match send(Some(options)).await {
            Err(error) if names_stream_options(&error) => {
                let reply = send(None).await?;
                let mut known = known();
                if known.len() < MAX_REMEMBERED && known.insert(call.model.clone()) {
                    tracing::warn!(
                        upstream = self.upstream.address(),
                        model = call.model,
                        "the upstream refuses stream_options, so the usage of streams of this model is estimated: {error}"
                    );
                }
                Ok(reply)
            }
            reply => reply,
        }
    }

    /// Returns a complete response of a model that only streams.
    async fn complete_via_stream(&self, call: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
        let options = pb::StreamOptions { include_usage: Some(true), ..pb::StreamOptions::default() };
        let mut chunks = self.stream(call, Some(options)).await?;
        let (mut deltas, mut assembler) = (DeltaDecoder::default(), ResponseAssembler::default());
        while let Some(chunk) = chunks.try_next().await? {
            assembler.push(deltas.decode(chunk));
        }
        Ok(assembler.finish())
    }
}

#[async_trait]
impl ChatProvider for OpenAiChat {
    fn address(&self) -> Option<&str> {
        Some(self.upstream.address())
    }

    async fn complete(&self, mut call: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
        if self.dialect.only_streams(&call.model) {
            return self.complete_via_stream(call).await;
        }
        self.dialect.adapt_non_streaming(&call.model, &mut call.request);
        let mut body = Vec::with_capacity(1024);
        write_request(&mut body, &call.model, &call.request, Streaming::No);
        let until = until(self.upstream.timeouts.first_byte, call.context.deadline);
        let mut reply = self.upstream.post_json(PATH, &call, body, until).await?;
        let headers = std::mem::take(&mut reply.headers);
        let body = self.upstream.body(reply, until).await?;
        let body = trim_start_and_bom(&body);
        // Upstreams that only stream answer with events, some of them labelled as JSON.
        let has_events = || non_streaming::is_event_stream(&headers) || non_streaming::starts_with_event(body);
        let read = if !non_streaming::is_document(body) && has_events() {
            stream::assemble(body)
        } else {
            non_streaming::read(body)
        };
        read.map_err(|error| self.upstream.redacted(error))
    }

    async fn stream(
        &self,
        mut call: ChatCall,
        options: Option<pb::StreamOptions>,
    ) -> Result<Chunks<ChatChunk>, ProviderError> {
        self.dialect.adapt_streaming(&mut call.request);
        let until = until(self.upstream.timeouts.first_byte, call.context.deadline);
        let mut reply = self.send_stream_request(&call, options.as_ref(), until).await?;
        let started = pin!(async {
            let start = non_streaming::read_start(&mut reply).await;
            if !non_streaming::is_document(&start) {
                let upstream = self.upstream.clone();
                return Ok(StreamedResponse::start(upstream, reply, &start, call.context.deadline).await?.boxed());
            }
            // Some upstreams refuse with status 200 and a JSON body; servers that cannot stream send a complete response.
            let body = [start, self.upstream.body(reply, until).await?.into()].concat();
            let chunks = non_streaming::read_as_chunks(&body).map_err(|error| self.upstream.redacted(error))?;
            Ok(iter(chunks.map(Ok)).boxed())
        });
        within(until, started).await?
    }
}

/// Returns whether the upstream has refused a request because of its `stream_options`.
fn names_stream_options(error: &ProviderError) -> bool {
    let names = |text: &str| text.contains("stream_options") || text.contains("include_usage");
    let failure = error.failure();
    matches!(failure, ProviderError::Refused { message, field } if names(message) || field.as_deref().is_some_and(names))
        || matches!(failure, ProviderError::NotSupported(message) if names(message))
}
