//! The response service of the stub. Every response is `resp_1`, and its stream has two events.

use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, response_service_server::ResponseService};

use super::CoreStub;
use crate::core_client::ReplyStream;

const RESPONSE: &str = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","background":false,"completed_at":2,"error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"model":"m","output":[],"parallel_tool_calls":true,"previous_response_id":null,"prompt_cache_key":null,"reasoning":{"effort":null,"summary":null},"safety_identifier":null,"service_tier":null,"store":true,"temperature":null,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":null,"truncation":"disabled","metadata":{}}"#;

fn event(sequence_number: u64, kind: &str) -> pb::ResponseEvent {
    let data_json = format!(r#"{{"type":"{kind}","sequence_number":{sequence_number}}}"#);
    pb::ResponseEvent { sequence_number, r#type: kind.to_owned(), data_json }
}

impl CoreStub {
    /// Returns the items of a stream: two events, or one and the failure that was set.
    fn events<T>(&self, message: impl Fn(Option<pb::ResponseEvent>) -> T) -> Vec<Result<T, Status>> {
        let last = match self.with(|state| state.stream_failure.take()) {
            Some(failure) => Err(failure),
            None => Ok(message(Some(event(1, "response.completed")))),
        };
        vec![Ok(message(Some(event(0, "response.created")))), last]
    }
}

#[tonic::async_trait]
impl ResponseService for CoreStub {
    async fn create_response(
        &self,
        request: Request<pb::CreateResponseRequest>,
    ) -> Result<Response<pb::CreateResponseResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| {
            state.idempotency_key = message.idempotency_key;
            state.response_request = message.request_json;
        });
        Ok(self.reply(pb::CreateResponseResponse { response_json: RESPONSE.to_owned() }))
    }

    type StreamResponseStream = ReplyStream<pb::StreamResponseResponse>;

    async fn stream_response(
        &self,
        request: Request<pb::StreamResponseRequest>,
    ) -> Result<Response<Self::StreamResponseStream>, Status> {
        let message = self.receive(request)?;
        self.with(|state| {
            state.idempotency_key = message.idempotency_key;
            state.response_request = message.request_json;
        });
        Ok(self.stream_reply(self.events(|event| pb::StreamResponseResponse { event })))
    }

    async fn get_response(
        &self,
        request: Request<pb::GetResponseRequest>,
    ) -> Result<Response<pb::GetResponseResponse>, Status> {
        self.receive(request)?;
        Ok(self.reply(pb::GetResponseResponse { response_json: RESPONSE.to_owned() }))
    }

    type ResumeResponseStream = ReplyStream<pb::ResumeResponseResponse>;

    async fn resume_response(
        &self,
        request: Request<pb::ResumeResponseRequest>,
    ) -> Result<Response<Self::ResumeResponseStream>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.response_request = format!("{message:?}"));
        Ok(self.stream_reply(self.events(|event| pb::ResumeResponseResponse { event })))
    }

    async fn cancel_response(
        &self,
        request: Request<pb::CancelResponseRequest>,
    ) -> Result<Response<pb::CancelResponseResponse>, Status> {
        self.receive(request)?;
        Ok(self.reply(pb::CancelResponseResponse { response_json: RESPONSE.to_owned() }))
    }

    async fn delete_response(
        &self,
        request: Request<pb::DeleteResponseRequest>,
    ) -> Result<Response<pb::DeleteResponseResponse>, Status> {
        let id = self.receive(request)?.id;
        Ok(self.reply(pb::DeleteResponseResponse { id }))
    }

    async fn list_input_items(
        &self,
        request: Request<pb::ListInputItemsRequest>,
    ) -> Result<Response<pb::ListInputItemsResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.response_request = format!("{message:?}"));
        let items_json = vec![r#"{"id":"msg_1","type":"message","n":1.00}"#.to_owned()];
        Ok(self.reply(pb::ListInputItemsResponse { items_json, next_page_token: "msg_1".to_owned() }))
    }
}
