//! API keys: required over REST and gRPC once any is configured.

use core_service::{config, on_disconnect::OnDisconnect};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use triptych_proto::v1 as pb;

use crate::{
    chat::setup::{grpc_chat_request, long_stream},
    fake_upstream::Reply,
    log_capture::LogCapture,
    rest_response::{Events, error_body},
    test_server::{TestServer, chat_body, with_local_and_remote_core_on_this_thread, within_timeout},
};

const SECRET_A: &str = "the-secret-of-team-a";
const SECRET_B: &str = "the-secret-of-team-b";

/// The frame of an empty gRPC message: no compression, length 0.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// Runs a test with two API keys: `team-a`, whose calls continue after a disconnect, and `team-b`, whose calls are cancelled. The servers
/// run on the thread of the test, so that it can capture their log.
async fn with_keys(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_on_this_thread(
        |settings, _| {
            let key = |name: &str, secret: &str| config::Key {
                name: name.to_owned(),
                secret: Some(secret.into()),
                ..config::Key::default()
            };
            settings.keys = vec![
                config::Key { on_disconnect: Some(OnDisconnect::Continue), ..key("team-a", SECRET_A) },
                key("team-b", SECRET_B),
            ];
        },
        test,
    )
    .await;
}

/// Adds an API key to a gRPC request.
fn with_key<T>(secret: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
    request
}

/// Sends a REST request.
async fn send(request: RequestBuilder) -> reqwest::Response {
    within_timeout("a response", request.send()).await.unwrap()
}

/// Calls a gRPC method with an empty message and no key. Returns the status if it is in the response's headers, as that of a
/// refused call is.
async fn empty_call(client: &reqwest::Client, server: &TestServer, path: &str) -> Option<Status> {
    let request = client.post(format!("http://{}{path}", server.grpc)).header("content-type", "application/grpc");
    let response = request.header("te", "trailers").body(EMPTY_MESSAGE).send().await.unwrap();
    Status::from_header_map(response.headers())
}

#[tokio::test]
async fn every_endpoint_requires_a_key_except_operations_and_media() {
    with_keys(async |server| {
        let is_protected = |path: &str| path.starts_with("/v1/") || path.starts_with("/admin/");
        let protected = rest_gateway::ROUTES.iter().filter(|route| is_protected(route.path));
        for route in protected {
            // Placeholders become values; no such video, delivery or model exists.
            let path = route
                .path
                .replace("{*id}", "m")
                .replace("{id}", "v")
                .replace("{name}", "n")
                .replace("{delivery_id}", "d")
                .replace("{engine}", "m");
            let request = || {
                let request = server.request(route.method.parse().unwrap(), &path);
                // The one endpoint that accepts no JSON.
                if path == "/v1/images/edits" {
                    let request = request.header("content-type", "multipart/form-data; boundary=X");
                    let part = |name| {
                        format!("--X\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\nhttp://a.test\r\n")
                    };
                    return request.body(format!("{}{}--X--\r\n", part("prompt"), part("image")));
                }
                let body = match (route.method, path.ends_with("chat/completions")) {
                    ("POST", true) => chat_body(&json!({})),
                    ("POST", false) => json!({"prompt": "a", "team": "t"}).to_string(),
                    _ => String::new(),
                };
                request.header("content-type", "application/json").body(body)
            };
            for (request, case) in [(request(), "no key"), (request().bearer_auth("wrong"), "a wrong key")] {
                let response = send(request).await;
                let challenge = response.headers().get("www-authenticate").cloned();
                let (status, error) = error_body(response).await;
                let actual = json!([error["type"], error["code"], error["param"]]);
                assert_eq!(status, 401, "{path} with {case}: {error}");
                assert_eq!(challenge.unwrap(), "Bearer");
                assert_eq!(actual, json!(["invalid_request_error", "invalid_api_key", null]));
                assert!(!error.to_string().contains("wrong"), "{error}");
            }
        }
        for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
            assert_eq!(send(server.request(Method::GET, path)).await.status(), 200, "{path}");
        }
        assert_eq!(send(server.request(Method::GET, "/media/none.png")).await.status(), 404);
    })
    .await;
}

#[tokio::test]
async fn every_grpc_method_requires_a_key_except_media() {
    with_keys(async |server| {
        let contract = <prost_types::FileDescriptorSet as prost::Message>::decode(triptych_proto::DESCRIPTORS).unwrap();
        let services =
            contract.file.iter().flat_map(|file| file.service.iter().map(|service| (file.package(), service)));
        let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
        let mut methods = 0;
        for (package, service) in services.filter(|(package, _)| *package == "triptych.v1") {
            for method in &service.method {
                let path = format!("/{package}.{}/{}", service.name(), method.name());
                let response = within_timeout("a response", empty_call(&client, server, &path)).await;
                let requires_key = response.as_ref().is_some_and(|status| status.code() == Code::Unauthenticated);
                assert_eq!(requires_key, service.name() != "MediaService", "{path}: {response:?}");
                methods += 1;
            }
        }
        // A package name that matches nothing would leave the loop without a case.
        assert!(methods > 15, "{methods} methods");
    })
    .await;
}

#[tokio::test]
async fn known_key_is_accepted_over_rest_and_grpc_and_not_forwarded() {
    with_keys(async |server| {
        server.upstream.enqueue(Reply::streamed_text(&["x"]));
        let request = server.request(Method::POST, "/v1/chat/completions").bearer_auth(SECRET_A);
        let response = send(request.body(chat_body(&json!({"stream": true})))).await;
        assert_eq!(response.status(), 200);
        assert!(response.text().await.unwrap().ends_with("data: [DONE]\n\n"));
        let received = server.upstream.received().await;
        assert!(received.head.contains("authorization: bearer upstream-secret"), "{}", received.head);
        assert!(!received.head.contains(SECRET_A) && !received.text().contains(SECRET_A), "{received:?}");

        let mut models = server.model_client().await;
        assert!(models.list_models(with_key(SECRET_A, pb::ListModelsRequest::default())).await.is_ok());
        let refused = models.list_models(with_key("wrong", pb::ListModelsRequest::default())).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert_eq!(refused.get_details_error_info().unwrap().reason, "INVALID_API_KEY");
        let listed = send(server.request(Method::GET, "/v1/models").bearer_auth(SECRET_B)).await;
        assert_eq!(listed.status(), 200);
    })
    .await;
}

#[tokio::test]
async fn disconnect_policy_of_a_key_applies_unless_the_call_has_a_header() {
    with_keys(async |server| {
        for (secret, policy, continues) in
            [(SECRET_A, None, true), (SECRET_A, Some("cancel"), false), (SECRET_B, None, false)]
        {
            server.upstream.enqueue(long_stream());
            let mut request = server.request(Method::POST, "/v1/chat/completions").bearer_auth(secret);
            if let Some(policy) = policy {
                request = request.header("x-triptych-on-disconnect", policy);
            }
            let mut events = Events::new(send(request.body(chat_body(&json!({"stream": true})))).await);
            assert!(events.next().await.is_some());
            server.upstream.received().await;
            drop(events);
            if continues {
                server.upstream.response_read().await;
            } else {
                server.upstream.disconnected().await;
            }
        }
        server.upstream.enqueue(long_stream());
        let mut client = server.chat_client().await;
        let stream = pb::StreamChatRequest { chat: grpc_chat_request().chat, ..pb::StreamChatRequest::default() };
        let mut chunks = client.stream_chat(with_key(SECRET_A, stream)).await.unwrap().into_inner();
        assert!(within_timeout("a chunk", chunks.message()).await.unwrap().is_some());
        server.upstream.received().await;
        drop(chunks);
        server.upstream.response_read().await;
    })
    .await;
}

#[tokio::test]
async fn failed_call_is_logged_with_the_name_of_its_key_and_without_the_secret() {
    with_keys(async |server| {
        let log = LogCapture::start();
        let request = server.request(Method::GET, "/v1/models/none").bearer_auth(SECRET_A);
        assert_eq!(send(request).await.status(), 404);
        let request = with_key(SECRET_B, pb::GetModelRequest { id: "none".to_owned() });
        assert_eq!(server.model_client().await.get_model(request).await.unwrap_err().code(), Code::NotFound);
        let text = log.take();
        for name in [r#"caller="team-a""#, r#"caller="team-b""#] {
            assert!(text.contains(name), "{name} is not in\n{text}");
        }
        assert!(!text.contains("the-secret"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn idempotency_keys_are_scoped_to_the_api_key() {
    with_keys(async |server| {
        let create = async |secret, prompt: &str| {
            let request = server.request(Method::POST, "/v1/videos").bearer_auth(secret).header("idempotency-key", "k");
            let body = json!({"prompt": prompt, "seconds": 1, "size": "64x64", "model": "offline-video"});
            let response = send(request.header("content-type", "application/json").body(body.to_string())).await;
            let status = response.status().as_u16();
            let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            (status, body["id"].clone())
        };
        let (status, first) = create(SECRET_A, "a boat").await;
        assert_eq!(status, 200);
        assert_eq!(create(SECRET_A, "a boat").await, (200, first.clone()));
        assert_eq!(create(SECRET_A, "a tree").await.0, 409);
        let (status, second) = create(SECRET_B, "a tree").await;
        assert!(status == 200 && second != first, "{second}");
    })
    .await;
}

#[tokio::test]
async fn request_without_a_valid_key_returns_401_before_its_body_arrives() {
    with_keys(async |server| {
        for (path, content_type) in [
            ("/v1/chat/completions", "application/json"),
            ("/v1/images/edits", "multipart/form-data; boundary=X"),
            ("/v1/videos", "application/json"),
        ] {
            for (length, encoding) in
                [("content-length: 50000000", ""), ("transfer-encoding: chunked", "content-encoding: gzip\r\n")]
            {
                let mut stream = TcpStream::connect(server.rest).await.unwrap();
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer wrong\r\ncontent-type: {content_type}\r\n\
                     {encoding}{length}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                let mut received = [0; 12];
                within_timeout("the response", stream.read_exact(&mut received)).await.unwrap();
                assert_eq!(&received, b"HTTP/1.1 401", "{path}");
            }
        }
    })
    .await;
}
