//! The chat service of the stub. Every reply is `Hi there.`, streamed in two chunks.

use futures_util::stream;
use tonic::{Request, Response, Status};
use triptych_proto::{
    chat_stream::ChatStream,
    time::from_unix_seconds,
    v1::{self as pb, chat_service_server::ChatService},
};

use super::CoreStub;

fn chunk(content: &str, finish_reason: Option<&str>) -> pb::StreamChatResponse {
    let delta = pb::ChatDelta { content: Some(content.to_owned()), ..pb::ChatDelta::default() };
    pb::StreamChatResponse {
        id: "chatcmpl-1".to_owned(),
        model: "m".to_owned(),
        choices: vec![pb::ChatChunkChoice {
            delta: Some(delta),
            finish_reason: finish_reason.map(str::to_owned),
            ..pb::ChatChunkChoice::default()
        }],
        create_time: Some(from_unix_seconds(1_700_000_000)),
        ..pb::StreamChatResponse::default()
    }
}

#[tonic::async_trait]
impl ChatService for CoreStub {
    async fn create_chat(
        &self,
        request: Request<pb::CreateChatRequest>,
    ) -> Result<Response<pb::CreateChatResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.idempotency_key = message.idempotency_key);
        let content = Some(pb::chat_message::Content::Text("Hi there.".to_owned()));
        let reply = pb::ChatMessage { role: "assistant".to_owned(), content, ..pb::ChatMessage::default() };
        Ok(self.reply(pb::CreateChatResponse {
            id: "chatcmpl-1".to_owned(),
            model: message.chat.unwrap_or_default().model,
            choices: vec![pb::ChatChoice {
                message: Some(reply),
                finish_reason: "stop".to_owned(),
                ..pb::ChatChoice::default()
            }],
            create_time: Some(from_unix_seconds(1_700_000_000)),
            ..pb::CreateChatResponse::default()
        }))
    }

    type StreamChatStream = ChatStream;

    async fn stream_chat(
        &self,
        request: Request<pb::StreamChatRequest>,
    ) -> Result<Response<Self::StreamChatStream>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.idempotency_key = message.idempotency_key);
        let last = match self.with(|state| state.stream_failure.take()) {
            Some(failure) => Err(failure),
            None => Ok(chunk("there.", Some("stop")).into()),
        };
        Ok(self.reply(ChatStream::new(stream::iter([Ok(chunk("Hi ", None).into()), last]))))
    }
}
