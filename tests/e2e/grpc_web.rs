//! gRPC-Web, as a browser's `fetch` uses it: HTTP/1.1, frames in the body, the status in the last frame.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Buf, Bytes, BytesMut};
use prost::Message;
use reqwest::{Method, Response};
use tonic::Status;
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use crate::{
    chat::setup::{COMPLETION, grpc_chat_request},
    fake_upstream::{Latch, Reply, content_event, finish_event},
    test_server::{
        MODEL, TestServer, with_local_and_remote_core, with_local_and_remote_core_and_settings, within_timeout,
    },
};

const BINARY: &str = "application/grpc-web+proto";
/// For clients that cannot read binary bodies: everything in base64.
const TEXT: &str = "application/grpc-web-text+proto";

/// Encodes a message as gRPC frames it: a byte of flags, the length in four bytes, the content.
fn frame(message: &impl Message) -> Vec<u8> {
    let length = u32::try_from(message.encoded_len()).unwrap();
    [&[0][..], &length.to_be_bytes(), &message.encode_to_vec()].concat()
}

/// Calls a method of the chat service, and asserts the headers of the response.
async fn fetch(server: &TestServer, call: &str, message: &impl Message) -> Response {
    fetch_as(BINARY, server, call, frame(message)).await
}

async fn fetch_as(content_type: &str, server: &TestServer, call: &str, body: Vec<u8>) -> Response {
    let client = reqwest::Client::builder().no_proxy().http1_only().build().unwrap();
    let request = client.post(format!("http://{}/triptych.v1.ChatService/{call}", server.grpc));
    let request = request.header("content-type", content_type).header("accept", content_type);
    let request = request.header("x-grpc-web", "1").header("x-request-id", "web-1");
    let response = within_timeout("a response", request.body(body).send()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &content_type.parse().unwrap())
    );
    assert_eq!(response.headers()["x-request-id"], "web-1");
    response
}

/// A response body that is read frame by frame.
struct Frames {
    response: Response,
    buffer: BytesMut,
    /// The characters of a base64 body that do not form a complete group of four yet; `None` for a binary body.
    base64: Option<BytesMut>,
}

impl Frames {
    /// Returns the next frame's content and whether it holds the trailers; `None` at the end of the body.
    async fn next(&mut self) -> Option<(bool, Bytes)> {
        loop {
            if let Some((head, _)) = self.buffer.split_first_chunk::<5>() {
                let length = usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]])).unwrap();
                if self.buffer.len() >= 5 + length {
                    // The highest flag marks the frame of the trailers.
                    let trailers = head[0] & 0x80 > 0;
                    self.buffer.advance(5);
                    return Some((trailers, self.buffer.split_to(length).freeze()));
                }
            }
            let Some(bytes) = within_timeout("a frame", self.response.chunk()).await.unwrap() else {
                assert!(self.buffer.is_empty(), "the body ended within a frame");
                assert!(self.base64.as_ref().is_none_or(BytesMut::is_empty), "the body ended within a base64 group");
                return None;
            };
            let Some(base64) = &mut self.base64 else {
                self.buffer.extend_from_slice(&bytes);
                continue;
            };
            base64.extend_from_slice(&bytes);
            // Group by group, since each frame is padded separately.
            while base64.len() >= 4 {
                self.buffer.extend_from_slice(&STANDARD.decode(base64.split_to(4)).unwrap());
            }
        }
    }
}

fn frames(response: Response) -> Frames {
    let base64 = (response.headers()["content-type"] == TEXT).then(BytesMut::new);
    Frames { response, buffer: BytesMut::new(), base64 }
}

#[tokio::test]
async fn binary_client_receives_unary_and_streamed_responses() {
    with_local_and_remote_core(async |server| assert_responses(server, BINARY, |frame| frame).await).await;
}

#[tokio::test]
async fn base64_client_receives_unary_and_streamed_responses() {
    with_local_and_remote_core(async |server| {
        assert_responses(server, TEXT, |frame| STANDARD.encode(frame).into_bytes()).await;
    })
    .await;
}

/// Asserts the responses to a unary and a streaming call. `write` encodes the frame of a request as the content type requires.
async fn assert_responses(server: &TestServer, content_type: &str, write: fn(Vec<u8>) -> Vec<u8>) {
    server.upstream.enqueue(Reply::new(200, COMPLETION));
    let mut response = frames(fetch_as(content_type, server, "CreateChat", write(frame(&grpc_chat_request()))).await);
    let (trailers, message) = response.next().await.unwrap();
    assert!(!trailers);
    assert_eq!(pb::CreateChatResponse::decode(message).unwrap().model, MODEL);
    let (trailers, text) = response.next().await.unwrap();
    assert!(trailers && std::str::from_utf8(&text).unwrap().contains("grpc-status:0"), "{text:?}");
    assert!(response.next().await.is_none());
    server.upstream.received().await;

    let gate = Latch::new();
    server.upstream.enqueue(Reply::stream().send(&content_event("a")).wait_for(&gate).send(&finish_event("stop")));
    let request = pb::StreamChatRequest { chat: grpc_chat_request().chat, ..pb::StreamChatRequest::default() };
    let mut response = frames(fetch_as(content_type, server, "StreamChat", write(frame(&request))).await);
    let first = pb::StreamChatResponse::decode(response.next().await.unwrap().1).unwrap();
    assert_eq!(first.choices[0].delta.as_ref().unwrap().content.as_deref(), Some("a"));
    gate.open();
    let last = pb::StreamChatResponse::decode(response.next().await.unwrap().1).unwrap();
    assert_eq!(last.choices[0].finish_reason.as_deref(), Some("stop"));
    assert!(response.next().await.unwrap().0 && response.next().await.is_none());
    server.upstream.received().await;
}

#[tokio::test]
async fn client_disconnect_closes_the_upstream_connection() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::stream().send(&content_event("a")).stall());
        let request = pb::StreamChatRequest { chat: grpc_chat_request().chat, ..pb::StreamChatRequest::default() };
        let mut response = frames(fetch(server, "StreamChat", &request).await);
        assert!(response.next().await.is_some());
        server.upstream.received().await;
        drop(response);
        server.upstream.disconnected().await;
    })
    .await;
}

#[tokio::test]
async fn status_in_the_headers_has_the_error_details() {
    with_local_and_remote_core(async |server| {
        let refused = fetch(server, "CreateChat", &pb::CreateChatRequest::default()).await;
        let status = Status::from_header_map(refused.headers()).unwrap();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "chat");
    })
    .await;
}

#[tokio::test]
async fn cross_origin_calls_are_allowed_for_configured_origins_only() {
    let preflight = async |server: &TestServer| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let address = format!("http://{}/triptych.v1.ChatService/CreateChat", server.grpc);
        let request = client.request(Method::OPTIONS, address).header("origin", "https://a.test");
        let request = request.header("access-control-request-method", "POST");
        let response = within_timeout("a response", request.send()).await.unwrap();
        response.headers().get("access-control-allow-origin").cloned()
    };
    with_local_and_remote_core(async |server| assert_eq!(preflight(server).await, None)).await;
    with_local_and_remote_core_and_settings(
        |settings, _| settings.grpc.cors_allow_origins = vec!["https://a.test".to_owned()],
        async |server| assert_eq!(preflight(server).await, Some("https://a.test".parse().unwrap())),
    )
    .await;
}
