//! Failures of the upstream and invalid requests: status, error code and message. The server stays up after each.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic_types::StatusExt;
use triptych_proto::v1::{self as pb, chat_message::Content, content_part::Part};

use crate::{
    fake_upstream::Reply,
    rest_response::error_body,
    test_server::{
        MODEL, TestServer, chat_body, with_local_and_remote_core, with_local_and_remote_core_and_settings,
        within_timeout,
    },
};

/// Asserts that the server still responds.
async fn assert_healthy(server: &TestServer) {
    let response = server.request(Method::GET, "/healthz").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn upstream_failure_maps_to_status_code_and_retry_header() {
    let error_json =
        |message: &str| json!({"error": {"message": message, "type": "x", "param": null, "code": null}}).to_string();
    // Status and body from the upstream; status, code and `x-should-retry` to the client; a part of the message.
    let rows = [
        (400, error_json("context is too long"), 400, "upstream_refused", None, "context is too long"),
        (401, error_json("bad key upstream-secret"), 500, "provider_credentials", Some("false"), "credentials"),
        (403, error_json("no access"), 500, "provider_credentials", Some("false"), "credentials"),
        (404, error_json("no such deployment"), 502, "upstream_unavailable", None, "no such deployment"),
        (429, error_json("slow down"), 429, "rate_limit_exceeded", None, "slow down"),
        (500, error_json("broken"), 502, "upstream_unavailable", None, "broken"),
        (501, error_json("cannot"), 501, "not_supported", Some("false"), "cannot"),
        (502, "<html><h1>Bad Gateway</h1></html>".to_owned(), 502, "upstream_unavailable", None, "502"),
        (503, String::new(), 502, "upstream_unavailable", None, "503"),
        (504, error_json("late"), 504, "upstream_timeout", None, "late"),
        (
            200,
            "<html>Welcome to the router</html>".to_owned(),
            500,
            "upstream_unreadable",
            None,
            "is not a chat completion",
        ),
        (200, error_json("hidden in a success"), 502, "upstream_unavailable", None, "hidden in a success"),
        (200, r#"{"choices":[]}"#.to_owned(), 500, "upstream_unreadable", None, "no choices"),
        (302, String::new(), 500, "upstream_unreadable", None, "302"),
    ];
    with_local_and_remote_core(async |server| {
        for stream in [false, true] {
            for (status, body, http, code, retry, words) in &rows {
                server.upstream.enqueue(Reply::new(*status, body));
                let response = server.chat(chat_body(&json!({"stream": stream}))).await;
                server.upstream.received().await;
                let should_retry =
                    response.headers().get("x-should-retry").map(|value| value.to_str().unwrap().to_owned());
                let (client_status, error) = error_body(response).await;
                let message = error["message"].as_str().unwrap();
                assert_eq!(
                    (client_status.as_u16(), error["code"].as_str().unwrap()),
                    (*http, *code),
                    "{status}: {error}"
                );
                assert_eq!(should_retry.as_deref(), *retry, "{status}: {error}");
                assert!(message.contains(words), "{status}: {error}");
                assert!(!message.contains('<') && !message.contains("upstream-secret"), "{status}: {error}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn retry_after_of_the_upstream_is_forwarded() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::new(429, r#"{"error":{"message":"slow down"}}"#).header("retry-after", "7"));
        let response = server.chat(chat_body(&json!({}))).await;
        server.upstream.received().await;
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"7".parse().unwrap()));
        assert_eq!(response.headers()["retry-after-ms"], "7000");
        assert_eq!(error_body(response).await.1["type"], "rate_limit_error");
    })
    .await;
}

#[tokio::test]
async fn unreachable_upstream_returns_502_without_its_address() {
    with_local_and_remote_core_and_settings(
        |settings, _| settings.chat.base_url = Some("http://127.0.0.1:1/v1".parse().unwrap()),
        async |server| {
            let (status, error) = error_body(server.chat(chat_body(&json!({}))).await).await;
            assert_eq!((status.as_u16(), &error["code"]), (502, &json!("upstream_unavailable")));
            assert!(!error.to_string().contains("127.0.0.1"), "{error}");
        },
    )
    .await;
}

#[tokio::test]
async fn unknown_model_returns_404_with_the_served_models_and_the_setting_that_adds_one() {
    with_local_and_remote_core(async |server| {
        let (status, error) = error_body(server.chat(chat_body(&json!({"model": "scripted-2"}))).await).await;
        assert_eq!(
            (status.as_u16(), &error["code"], &error["param"]),
            (404, &json!("model_not_found"), &json!("model"))
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("`scripted-2`") && message.contains(&format!("did you mean `{MODEL}`?")), "{message}");
        assert!(message.contains(&format!("2 models are served: `{MODEL}`, ")), "{message}");
        assert!(message.ends_with("adds one in chat.models (TRIPTYCH_CHAT_MODELS)"), "{message}");

        let body = json!({"model": "flux", "prompt": "x"});
        let (_, error) = error_body(server.post("/v1/images/generations", &body).await).await;
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("1 model is served: `offline-image`") && message.contains("IMAGE_MODELS"),
            "{message}"
        );

        let (status, error) =
            error_body(server.request(Method::GET, "/v1/models/no%2Fsuch").send().await.unwrap()).await;
        assert_eq!((status.as_u16(), &error["code"]), (404, &json!("model_not_found")));
    })
    .await;
}

#[tokio::test]
async fn invalid_body_returns_400_with_its_field_and_is_not_forwarded() {
    let deep = format!(r#"{{"model":"m","messages":[],"x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    // Only the built-in engine validates these members.
    let with = |members: Value| {
        let mut body: Value = serde_json::from_str(&chat_body(&members)).unwrap();
        if members.get("model").is_none() {
            body["model"] = json!("offline-chat");
        }
        body.to_string().into_bytes()
    };
    let with_message = |message: Value| with(json!({"messages": [message]}));
    // The case, the body, and the `param` of the error.
    let rows: Vec<(&str, Vec<u8>, Option<&str>)> = vec![
        ("an empty body", vec![], None),
        ("a JSON error", b"{\"model\":".to_vec(), None),
        ("an array", b"[]".to_vec(), None),
        ("a null", b"null".to_vec(), None),
        ("invalid UTF-8", b"{\"model\":\"\xff\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}".to_vec(), None),
        ("a lone surrogate", br#"{"model":"scripted-1","messages":[{"role":"user","content":"\ud800"}]}"#.to_vec(), None),
        ("nesting", deep.into_bytes(), None),
        ("no messages", br#"{"model":"scripted-1"}"#.to_vec(), Some("messages")),
        ("empty messages", with(json!({"messages": []})), Some("messages")),
        ("messages of a wrong type", with(json!({"messages": "hi"})), Some("messages")),
        ("a message of a wrong type", with(json!({"messages": [3]})), Some("messages[0]")),
        ("a role of a wrong type", with_message(json!({"role": 3, "content": "a"})), Some("messages[0].role")),
        ("no role", with_message(json!({"content": "a"})), Some("messages[0].role")),
        ("no content", with_message(json!({"role": "user"})), Some("messages[0].content")),
        ("a text that is a number", with_message(json!({"role": "user", "content": [{"type": "text", "text": 3}]})), Some("messages[0].content[0].text")),
        ("a model of a wrong type", with(json!({"model": 3})), Some("model")),
        ("n of 0", with(json!({"n": 0})), Some("n")),
        ("a negative n", with(json!({"n": -1})), Some("n")),
        ("a huge n", with(json!({"n": 1000})), Some("n")),
        ("a fractional n", with(json!({"n": 1.5})), Some("n")),
        ("a negative max_tokens", with(json!({"max_tokens": -1})), Some("max_tokens")),
        ("a huge max_tokens", br#"{"model":"offline-chat","messages":[{"role":"user","content":"a"}],"max_tokens":1000000000000000000000000000000}"#.to_vec(), Some("max_tokens")),
        ("a temperature above 2", with(json!({"temperature": 3})), Some("temperature")),
        ("a temperature of a wrong type", with(json!({"temperature": "warm"})), Some("temperature")),
        ("an unknown role", with_message(json!({"role": "usr", "content": "a"})), Some("messages[0].role")),
        ("log probabilities", with(json!({"logprobs": true})), Some("logprobs")),
        ("an unknown tool choice", with(json!({"tool_choice": "any"})), Some("tool_choice")),
        ("a tool without a type", with(json!({"tools": [{"function": {"name": "f"}}]})), Some("tools[0].type")),
        ("an unknown format", with(json!({"response_format": {"type": "xml"}})), Some("response_format.type")),
        ("an image that is a string", with_message(json!({"role": "user", "content": [{"type": "image_url", "image_url": "https://x"}]})), Some("messages[0].content[0].image_url")),
        ("a stream of a wrong type", with(json!({"stream": "yes"})), Some("stream")),
        ("a tool without a function", with(json!({"tools": [{"type": "function"}]})), Some("tools[0].function")),
        ("a choice without a function", with(json!({"tool_choice": {"type": "function"}})), Some("tool_choice")),
        ("a format without a schema", with(json!({"response_format": {"type": "json_schema"}})), Some("response_format.json_schema")),
    ];
    with_local_and_remote_core(async |server| {
        let mut failures = vec![];
        for (case, body, param) in &rows {
            let response = server.chat(body.clone()).await;
            let (status, error) = error_body(response).await;
            let actual = error["param"].as_str();
            if status != 400 || actual != *param || error["type"] != "invalid_request_error" {
                failures.push(format!("{case}: {status}, expected param {param:?}: {error}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
        server.upstream.assert_no_request().await;
        assert_healthy(server).await;
    })
    .await;
}

#[tokio::test]
async fn unusual_but_unambiguous_body_is_accepted() {
    let reply = r#"{"id":"u","created":1,"choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}"#;
    let rows: [(&str, Vec<u8>); 3] = [
        ("nulls for everything optional", chat_body(&json!({"n": null, "tools": null, "stream": null, "stop": null, "max_tokens": null, "temperature": null, "tool_choice": null, "response_format": null})).into_bytes()),
        ("an integer written as a float", chat_body(&json!({"n": 3.0})).into_bytes()),
        ("a byte order mark", [b"\xef\xbb\xbf".as_slice(), chat_body(&json!({})).as_bytes()].concat()),
    ];
    with_local_and_remote_core(async |server| {
        for (case, body) in &rows {
            server.upstream.enqueue(Reply::new(200, reply));
            let response = server.chat(body.clone()).await;
            assert_eq!(response.status(), 200, "{case}: {}", response.text().await.unwrap());
            server.upstream.received().await;
        }
    })
    .await;
}

#[tokio::test]
async fn body_above_the_limit_returns_413() {
    with_local_and_remote_core_and_settings(
        |_, gateway| gateway.runtime.body_limit_bytes = 10_000,
        async |server| {
            let (status, error) = error_body(server.chat(vec![b' '; 10_001]).await).await;
            assert_eq!((status.as_u16(), &error["code"]), (413, &json!("request_too_large")));
            assert_healthy(server).await;
        },
    )
    .await;
}

#[tokio::test]
async fn incomplete_body_returns_408_after_the_body_timeout() {
    with_local_and_remote_core_and_settings(
        |_, gateway| gateway.runtime.body_timeout = std::time::Duration::from_millis(100),
        async |server| {
            let mut stream = TcpStream::connect(server.rest).await.unwrap();
            let half = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{\"model\"";
            stream.write_all(half.as_bytes()).await.unwrap();
            let mut response = String::new();
            within_timeout("the timeout", stream.read_to_string(&mut response)).await.unwrap();
            assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
            assert!(response.contains(r#""code":"request_timeout""#) && response.contains("x-request-id: "), "{response}");
            assert_healthy(server).await;
        },
    )
    .await;
}

#[tokio::test]
async fn wrong_method_returns_405_and_unsupported_endpoint_404() {
    with_local_and_remote_core(async |server| {
        let response = server.request(Method::PUT, "/v1/chat/completions").send().await.unwrap();
        assert_eq!(response.headers()["allow"], "POST");
        assert_eq!(error_body(response).await.0.as_u16(), 405);
        for path in ["/v1/embeddings", "/v1/audio/speech", "/v1/completions"] {
            let (status, error) = error_body(server.request(Method::POST, path).send().await.unwrap()).await;
            assert_eq!((status.as_u16(), &error["code"]), (404, &json!("unsupported_endpoint")), "{path}");
        }
    })
    .await;
}

/// Raw members that would end the object around them and add a second `model`, if they were written without validation.
const INJECTED: &str = r#"{"x":1}],"model":"other","y":[{"z":1}"#;

#[tokio::test]
async fn grpc_error_details_name_the_invalid_field() {
    with_local_and_remote_core(async |server| {
        let mut client = server.chat_client().await;
        let message = |role: &str| pb::ChatMessage {
            role: role.to_owned(),
            content: Some(Content::Text("a".to_owned())),
            ..pb::ChatMessage::default()
        };
        let request_with = |change: fn(&mut pb::ChatRequest)| {
            let mut chat = pb::ChatRequest { messages: vec![message("user")], ..pb::ChatRequest::default() };
            change(&mut chat);
            pb::CreateChatRequest { chat: Some(chat), ..pb::CreateChatRequest::default() }
        };
        let rows = [
            (pb::CreateChatRequest::default(), "chat"),
            (request_with(|chat| chat.messages.clear()), "messages"),
            (request_with(|chat| chat.messages[0].role.clear()), "messages[0].role"),
            (
                request_with(|chat| {
                    "offline-chat".clone_into(&mut chat.model);
                    chat.n = Some(1_000_000);
                }),
                "n",
            ),
            (request_with(|chat| chat.temperature = Some(f64::NAN)), "temperature"),
            (request_with(|chat| chat.extra_json = "[]".to_owned()), "extra_json"),
            (request_with(|chat| chat.extra_json = r#"{"messages":[1]}"#.to_owned()), "extra_json"),
            (
                request_with(|chat| {
                    let part = Some(Part::OtherJson(r#"{"type":"x_sense"}"#.to_owned()));
                    let parts = vec![pb::ContentPart { part, extra_json: r#"{"x_lost":1}"#.to_owned() }];
                    chat.messages[0].content = Some(Content::Parts(pb::ContentParts { parts }));
                }),
                "messages[0].content[0].extra_json",
            ),
            (
                request_with(|chat| {
                    chat.messages[0].tool_calls =
                        vec![pb::ToolCall { extra_json: INJECTED.to_owned(), ..pb::ToolCall::default() }];
                }),
                "messages[0].tool_calls[0].extra_json",
            ),
            (
                request_with(|chat| {
                    let function = pb::FunctionCall { extra_json: INJECTED.to_owned(), ..pb::FunctionCall::default() };
                    chat.messages[0].tool_calls =
                        vec![pb::ToolCall { function: Some(function), ..pb::ToolCall::default() }];
                }),
                "messages[0].tool_calls[0].function.extra_json",
            ),
            (
                request_with(|chat| {
                    let image = pb::ImagePart { extra_json: INJECTED.to_owned(), ..pb::ImagePart::default() };
                    let part = pb::ContentPart { part: Some(Part::ImageUrl(image)), ..pb::ContentPart::default() };
                    chat.messages[0].content = Some(Content::Parts(pb::ContentParts { parts: vec![part] }));
                }),
                "messages[0].content[0].image_url.extra_json",
            ),
            (
                request_with(|chat| {
                    let schema = pb::JsonSchemaFormat { extra_json: INJECTED.to_owned(), ..Default::default() };
                    chat.response_format =
                        Some(pb::ResponseFormat { json_schema: Some(schema), ..pb::ResponseFormat::default() });
                }),
                "response_format.json_schema.extra_json",
            ),
        ];
        for (invalid, field) in rows {
            let status = client.create_chat(invalid).await.unwrap_err();
            let details = status.get_error_details();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{field}: {status:?}");
            assert_eq!(details.bad_request().unwrap().field_violations[0].field, field);
            assert_eq!(details.error_info().unwrap().reason, "INVALID_FIELD");
            assert_eq!(details.error_info().unwrap().domain, "triptych");
        }
        let unknown =
            client.create_chat(request_with(|chat| "scripted-2".clone_into(&mut chat.model))).await.unwrap_err();
        assert_eq!(unknown.code(), tonic::Code::NotFound);
        assert_eq!(unknown.get_error_details().error_info().unwrap().reason, "MODEL_NOT_FOUND");
    })
    .await;
}
