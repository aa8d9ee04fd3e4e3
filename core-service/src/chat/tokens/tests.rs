//! Tests of the count of tokens, and of the cost of calls that do not end as expected.

use super::*;
use crate::{
    call::Call,
    config::AccountLimits,
    context::RequestContext,
    database::Database,
    error::Error,
    ledger::{CallStart, Ledger, LedgerStore, Payer},
    limits::{Limiter, admit},
    live::Live,
    node::Node,
    node_count::NodeCount,
    prices::{Attributes, ModelNames, PriceTable},
    usd::Usd,
};

#[test]
fn estimate_has_the_texts_and_the_maximum() {
    let message = |content| pb::ChatMessage { content: Some(content), ..pb::ChatMessage::default() };
    let part = |part| pb::ContentPart { part: Some(part), ..pb::ContentPart::default() };
    let image = Part::ImageUrl(pb::ImagePart { url: "x".repeat(1000), ..pb::ImagePart::default() });
    let parts = Content::Parts(pb::ContentParts { parts: vec![part(Part::Text("x".repeat(10))), part(image)] });
    let estimate = |chat: &pb::ChatRequest| Estimate::new(chat).for_limits();
    let mut chat = pb::ChatRequest {
        messages: vec![message(Content::Text("x".repeat(7))), message(parts)],
        ..pb::ChatRequest::default()
    };
    // 17 bytes of text, divided by 4 and rounded up; the URL of the image is not counted.
    assert_eq!(estimate(&chat), 5);
    // In addition, the maximum of each of the two choices.
    (chat.max_tokens, chat.n) = (Some(100), Some(2));
    assert_eq!(estimate(&chat), 205);
    chat.max_completion_tokens = Some(u64::MAX);
    assert_eq!(estimate(&chat), u32::MAX);
    assert_eq!(estimate(&pb::ChatRequest::default()), 1, "the least that a limiter counts");
}

/// Responds with this many tokens.
#[derive(Debug)]
struct Responds(u64);

#[async_trait::async_trait]
impl ChatProvider for Responds {
    async fn complete(&self, _: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
        let usage = Some(pb::Usage { total_tokens: self.0, ..pb::Usage::default() });
        Ok(pb::CreateChatResponse { usage, ..pb::CreateChatResponse::default() })
    }

    async fn stream(&self, _: ChatCall, _: Option<pb::StreamOptions>) -> Result<Chunks<ChatChunk>, ProviderError> {
        Ok(futures_util::stream::empty().boxed())
    }
}

#[tokio::test]
async fn tokens_are_counted_by_the_call_itself_and_not_by_its_client() {
    let settings = AccountLimits { tokens_per_minute: 1000, concurrent_calls: 1, ..AccountLimits::default() };
    let limiters = [Limiter::new("key `a`".to_owned(), &settings, NodeCount::default()).unwrap()];
    // Counts an estimate of 1 token in advance.
    let admission = admit(&limiters, "m", || 1).unwrap();
    let call = Call { model: "m".to_owned(), request: Arc::default(), context: RequestContext::default() };
    // As a task whose result is not awaited, such as that of a call whose client has disconnected.
    let estimate = Estimate::new(&pb::ChatRequest::default());
    let metering = Metering { admission, meter: CallMeter::default(), estimate, shows_usage: true };
    tokio::spawn(complete(Arc::new(Responds(900)), call, metering)).await.unwrap().unwrap();
    // 900 of 1000 tokens are used, and the only concurrent call has ended.
    let refused = admit(&limiters, "m", || 500).unwrap_err();
    assert!(matches!(refused, Error::LimitExceeded(exceeded) if exceeded.limit == "tokens_per_minute"));
}

#[test]
fn complete_response_counts_the_same_texts_as_its_stream() {
    let function = pb::FunctionCall { name: "f".to_owned(), arguments: "1".to_owned(), ..pb::FunctionCall::default() };
    let call = pb::ToolCall { function: Some(function), ..pb::ToolCall::default() };
    let message = pb::ChatMessage {
        content: Some(Content::Text("22".to_owned())),
        refusal: Some("4444".to_owned()),
        reasoning_content: Some("88888888".to_owned()),
        tool_calls: vec![call],
        ..pb::ChatMessage::default()
    };
    let choice = pb::ChatChoice { message: Some(message), ..pb::ChatChoice::default() };
    let response = pb::CreateChatResponse { choices: vec![choice], ..pb::CreateChatResponse::default() };
    // 1 + 2 + 4 + 8 bytes: each of the texts that `delta_bytes` counts in a stream, once.
    assert_eq!(response_bytes(&response), 15);
}

/// Streams these chunks.
#[derive(Debug)]
struct Streams(Vec<Result<ChatChunk, ProviderError>>);

#[async_trait::async_trait]
impl ChatProvider for Streams {
    async fn complete(&self, _: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
        Err(ProviderError::Broken("only streams".to_owned()))
    }

    async fn stream(&self, _: ChatCall, _: Option<pb::StreamOptions>) -> Result<Chunks<ChatChunk>, ProviderError> {
        Ok(futures_util::stream::iter(self.0.clone()).boxed())
    }
}

#[tokio::test]
async fn stream_that_fails_costs_what_it_has_sent_and_nothing_before_its_first_text() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(&directory.path().join("jobs.sqlite")).await.unwrap();
    // A token of the prompt costs a dollar, and one of the response ten.
    let price = Price {
        model: "m".to_owned(),
        per_million_input_tokens: Usd::parse("1000000"),
        per_million_output_tokens: Usd::parse("10000000"),
        ..Price::default()
    };
    let prices = Live::new(PriceTable::new(&[price]));
    let (node, _) = Node::join(database.clone(), NodeCount::default()).await.unwrap();
    let (ledger, _handle) = Ledger::start(LedgerStore::new(database), prices, node).await.unwrap();
    // The prompt has 2 tokens, the text `four` one: a token is estimated as 4 bytes.
    let content = Some(Content::Text("x".repeat(8)));
    let message = pb::ChatMessage { content, ..pb::ChatMessage::default() };
    let chat = pb::ChatRequest { messages: vec![message], ..pb::ChatRequest::default() };
    let estimate = Estimate::new(&chat);
    let broken = || Err(ProviderError::Broken("cut off".to_owned()));
    for (chunks, cost) in [(vec![broken()], "0"), (vec![Ok(ChatChunk::Text("four".to_owned())), broken()], "12")] {
        let model = ModelNames { public: "m", upstream: "m", provider: "p" };
        let payer = Payer::ANONYMOUS;
        let attributes = Attributes::default();
        let start = CallStart { payer: &payer, modality: pb::Modality::Chat, model, attributes };
        let meter = ledger.begin(start, |price| estimate.maximum(price)).await.unwrap();
        let metering = Metering { admission: Admission::default(), meter: meter.clone(), estimate, shows_usage: true };
        let call = Call { model: "m".to_owned(), request: Arc::default(), context: RequestContext::default() };
        let stream = stream(Arc::new(Streams(chunks)), call, None, metering).await.unwrap();
        assert_eq!(stream.collect::<Vec<_>>().await.last(), Some(&broken()));
        assert_eq!(meter.settle(), Usd::parse(cost));
    }
}
