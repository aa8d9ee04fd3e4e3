//! Counts the tokens of chat calls, for the limit `tokens_per_minute` of the caller and for the [ledger](crate::ledger) of costs. The
//! limit is charged an estimate when a call is admitted, and the tokens beyond it after the response (see [`crate::limits`]).

use std::sync::Arc;

use futures_util::StreamExt;
use openai_dialect::remove_member;
use triptych_proto::{
    chat_stream::ChatChunk,
    v1::{self as pb, chat_message::Content, content_part::Part},
};

use super::{ChatCall, ChatProvider};
use crate::{
    call::Chunks, config::Price, error::ProviderError, ledger::CallMeter, limits::Admission, prices::Quantities,
};

/// Bytes of text for one token: OpenAI's rule of thumb for English; about right for Chinese, with three bytes for each character.
const BYTES_PER_TOKEN: usize = 4;

/// The most tokens of a response for which neither the call nor the price sets a maximum: as many are reserved in a budget.
const DEFAULT_MAX_OUTPUT: u64 = 4096;

/// The tokens of a call, as far as they are known before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Estimate {
    /// About how many tokens the texts of the prompt have. Images, sounds and files are not counted.
    prompt: u64,
    /// The maximum that the call sets for each choice.
    maximum: Option<u64>,
    choices: u64,
}

impl Estimate {
    pub(super) fn new(chat: &pb::ChatRequest) -> Self {
        let texts = chat.messages.iter().map(|message| {
            let calls = message.tool_calls.iter().filter_map(|call| call.function.as_ref());
            text_bytes(message.content.as_ref()) + calls.map(|function| function.arguments.len()).sum::<usize>()
        });
        let tools = chat.tools.iter().map(prost::Message::encoded_len);
        Self {
            prompt: texts.chain(tools).sum::<usize>().div_ceil(BYTES_PER_TOKEN) as u64,
            maximum: chat.max_completion_tokens.or(chat.max_tokens),
            choices: chat.n.unwrap_or(1).into(),
        }
    }

    /// Returns how many tokens count against a rate limit in advance: those of the prompt, and the maximum that the call sets. A
    /// response without a maximum is counted when its usage is known.
    pub(super) fn for_limits(&self) -> u32 {
        let total = self.prompt.saturating_add(self.maximum.unwrap_or_default().saturating_mul(self.choices));
        // A limiter counts nothing for a call without tokens.
        u32::try_from(total).unwrap_or(u32::MAX).max(1)
    }

    /// Returns what the call can use at most, by this price.
    pub(super) fn maximum(&self, price: &Price) -> Quantities {
        let maximum = self.maximum.or(price.max_output_tokens).unwrap_or(DEFAULT_MAX_OUTPUT);
        Quantities { output_tokens: maximum.saturating_mul(self.choices), ..self.prompt_only() }
    }

    /// Returns what a call without any response has used.
    pub(super) fn prompt_only(&self) -> Quantities {
        Quantities { input_tokens: self.prompt, ..Quantities::default() }
    }
}

/// Returns the length of the texts in the content of a message, in bytes.
fn text_bytes(content: Option<&Content>) -> usize {
    match content {
        Some(Content::Text(text)) => text.len(),
        Some(Content::Parts(parts)) => {
            let texts = parts.parts.iter().filter_map(|part| match &part.part {
                Some(Part::Text(text) | Part::Refusal(text) | Part::OtherJson(text)) => Some(text.len()),
                Some(Part::ImageUrl(_) | Part::InputAudio(_) | Part::File(_)) | None => None,
            });
            texts.sum()
        }
        None => 0,
    }
}

/// The rate limits and the ledger entry that count the tokens of one call.
#[derive(Debug, Clone)]
pub(super) struct Metering {
    pub(super) admission: Admission,
    pub(super) meter: CallMeter,
    pub(super) estimate: Estimate,
    /// Whether the client of a stream has requested its usage, with which it gets the cost.
    pub(super) shows_usage: bool,
}

impl Metering {
    fn record(&self, usage: &pb::Usage) {
        self.admission.record_tokens(usage.total_tokens);
        self.meter.record(quantities(usage));
    }

    /// Adds the cost of the call to its usage, in place of one that the upstream reports, if the model has a price.
    fn add_cost(&self, usage: &mut pb::Usage, used: Quantities) {
        if let Some(cost) = self.meter.cost(used) {
            usage.cost_micros = Some(cost.micros());
            remove_member(&mut usage.extra_json, "cost");
        }
    }
}

fn quantities(usage: &pb::Usage) -> Quantities {
    let pb::Usage { prompt_tokens, completion_tokens, prompt_tokens_details, completion_tokens_details, .. } = usage;
    Quantities {
        input_tokens: *prompt_tokens,
        cached_tokens: prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens).unwrap_or_default(),
        output_tokens: *completion_tokens,
        reasoning_tokens: completion_tokens_details
            .as_ref()
            .and_then(|details| details.reasoning_tokens)
            .unwrap_or_default(),
        ..Quantities::default()
    }
}

/// Completes a call and records its tokens. The call counts as in flight until then, because it owns its admission, even if its
/// client disconnects before.
pub(super) async fn complete(
    provider: Arc<dyn ChatProvider>,
    call: ChatCall,
    metering: Metering,
) -> Result<pb::CreateChatResponse, ProviderError> {
    // If the call is dropped, the provider may have read the prompt.
    metering.meter.record(metering.estimate.prompt_only());
    match provider.complete(call).await {
        Ok(mut response) => {
            match &mut response.usage {
                Some(usage) => {
                    metering.record(usage);
                    metering.add_cost(usage, quantities(usage));
                }
                None => metering.meter.record(estimated_usage(&metering.estimate, response_bytes(&response))),
            }
            Ok(response)
        }
        Err(error) => {
            // A failed call costs nothing.
            metering.meter.record(Quantities::default());
            metering.meter.fail();
            Err(error)
        }
    }
}

/// Returns what a call has used, estimated by the length of its response in bytes, for upstreams that report no usage.
fn estimated_usage(estimate: &Estimate, bytes: usize) -> Quantities {
    Quantities { output_tokens: bytes.div_ceil(BYTES_PER_TOKEN) as u64, ..estimate.prompt_only() }
}

fn response_bytes(response: &pb::CreateChatResponse) -> usize {
    let messages = response.choices.iter().filter_map(|choice| choice.message.as_ref());
    let bytes = messages.map(|message| {
        let calls = message.tool_calls.iter().filter_map(|call| call.function.as_ref());
        let texts =
            [&message.reasoning_content, &message.refusal].into_iter().flatten().map(String::len).sum::<usize>();
        text_bytes(message.content.as_ref()) + texts + calls.map(|function| function.arguments.len()).sum::<usize>()
    });
    bytes.sum()
}

/// Starts a streamed call, which counts as in flight until the stream is dropped, and counts its tokens then.
pub(super) async fn stream(
    provider: Arc<dyn ChatProvider>,
    call: ChatCall,
    options: Option<pb::StreamOptions>,
    metering: Metering,
) -> Result<Chunks<ChatChunk>, ProviderError> {
    metering.meter.record(metering.estimate.prompt_only());
    match provider.stream(call, options).await {
        Ok(chunks) if !metering.admission.is_limited() && !metering.meter.is_active() => Ok(chunks),
        Ok(chunks) => {
            let mut stream = MeteredStream { metering, usage: None, bytes: 0, failed: false };
            Ok(chunks.map(move |chunk| stream.meter(chunk)).boxed())
        }
        Err(error) => {
            metering.meter.record(Quantities::default());
            metering.meter.fail();
            Err(error)
        }
    }
}

struct MeteredStream {
    metering: Metering,
    usage: Option<pb::Usage>,
    /// The length of the text so far, for streams that end without usage.
    bytes: usize,
    failed: bool,
}

impl MeteredStream {
    /// Counts what is in a chunk, and adds the cost so far to its usage.
    fn meter(&mut self, mut chunk: Result<ChatChunk, ProviderError>) -> Result<ChatChunk, ProviderError> {
        match &mut chunk {
            Ok(ChatChunk::Full(chunk)) => {
                if let Some(usage) = &mut chunk.usage {
                    self.count(usage);
                }
                let deltas = chunk.choices.iter().filter_map(|choice| choice.delta.as_ref());
                self.bytes += deltas.map(delta_bytes).sum::<usize>();
            }
            Ok(ChatChunk::Text(text)) => self.bytes += text.len(),
            Err(_) => {
                self.failed = true;
                self.metering.meter.fail();
            }
        }
        chunk
    }

    fn count(&mut self, usage: &mut pb::Usage) {
        // Some upstreams send the usage so far in every chunk.
        let counted = match &mut self.usage {
            Some(earlier) if earlier.total_tokens > usage.total_tokens => earlier,
            counted => counted.insert(usage.clone()),
        };
        if self.metering.shows_usage {
            // The cost of the counted usage, because it is the one that is charged.
            self.metering.add_cost(usage, quantities(counted));
        }
    }
}

fn delta_bytes(delta: &pb::ChatDelta) -> usize {
    let texts = [&delta.content, &delta.refusal, &delta.reasoning_content];
    let calls = delta.tool_calls.iter().filter_map(|call| call.function.as_ref()?.arguments.as_ref());
    texts.into_iter().flatten().chain(calls).map(String::len).sum()
}

impl Drop for MeteredStream {
    fn drop(&mut self) {
        match &self.usage {
            Some(usage) => self.metering.record(usage),
            // Costs nothing, like a call that fails before its response begins.
            None if self.failed && self.bytes == 0 => self.metering.meter.record(Quantities::default()),
            None => self.metering.meter.record(estimated_usage(&self.metering.estimate, self.bytes)),
        }
    }
}

#[cfg(test)]
mod tests;
