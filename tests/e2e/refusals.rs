//! What goes wrong upstream and what callers send wrong: the right status, the right words, and a server that goes on.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic_types::StatusExt;
use triptych_proto::v1::{self as pb, chat_message::Content, content_part::Part};

use crate::{
    harness::{MODEL, World, error_of, hello, over_both_hops, over_both_hops_with, soon},
    upstream::Reply,
};

/// That the server still serves: nothing a test did to it may outlast the test.
async fn still_up(world: &World) {
    let answer = world.request(Method::GET, "/healthz").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_upstreams_failure_becomes_the_callers_in_a_way_its_sdk_understands() {
    let told =
        |message: &str| json!({"error": {"message": message, "type": "x", "param": null, "code": null}}).to_string();
    // status and body of the upstream; status, code and `x-should-retry` of ours; what the message must and must not hold
    let rows = [
        (400, told("context is too long"), 400, "upstream_refused", None, "context is too long"),
        (401, told("bad key upstream-secret"), 500, "provider_credentials", Some("false"), "credentials"),
        (403, told("no access"), 500, "provider_credentials", Some("false"), "credentials"),
        (404, told("no such deployment"), 502, "upstream_unavailable", None, "no such deployment"),
        (429, told("slow down"), 429, "rate_limit_exceeded", None, "slow down"),
        (500, told("broken"), 502, "upstream_unavailable", None, "broken"),
        (501, told("cannot"), 501, "not_supported", Some("false"), "cannot"),
        (502, "<html><h1>Bad Gateway</h1></html>".to_owned(), 502, "upstream_unavailable", None, "502"),
        (503, String::new(), 502, "upstream_unavailable", None, "503"),
        (504, told("late"), 504, "upstream_timeout", None, "late"),
        (200, "<html>Welcome to the router</html>".to_owned(), 500, "upstream_unreadable", None, "no chat completion"),
        (200, told("hidden in a success"), 502, "upstream_unavailable", None, "hidden in a success"),
        (200, r#"{"choices":[]}"#.to_owned(), 500, "upstream_unreadable", None, "no choices"),
        (302, String::new(), 500, "upstream_unreadable", None, "302"),
    ];
    over_both_hops(async |world| {
        for stream in [false, true] {
            for (status, body, http, code, retry, words) in &rows {
                world.upstream.will(Reply::new(*status, body));
                let answer = world.chat(hello(&json!({"stream": stream}))).await;
                world.upstream.saw().await;
                let told = answer.headers().get("x-should-retry").map(|value| value.to_str().unwrap().to_owned());
                let (status_here, error) = error_of(answer).await;
                let message = error["message"].as_str().unwrap();
                assert_eq!(
                    (status_here.as_u16(), error["code"].as_str().unwrap()),
                    (*http, *code),
                    "{status}: {error}"
                );
                assert_eq!(told.as_deref(), *retry, "{status}: {error}");
                assert!(message.contains(words), "{status}: {error}");
                assert!(!message.contains('<') && !message.contains("upstream-secret"), "{status}: {error}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_wait_an_upstream_asks_for_is_passed_on() {
    over_both_hops(async |world| {
        world.upstream.will(Reply::new(429, r#"{"error":{"message":"slow down"}}"#).header("retry-after", "7"));
        let answer = world.chat(hello(&json!({}))).await;
        world.upstream.saw().await;
        assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"7".parse().unwrap()));
        assert_eq!(answer.headers()["retry-after-ms"], "7000");
        assert_eq!(error_of(answer).await.1["type"], "rate_limit_error");
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_is_away_is_a_502_that_does_not_tell_its_address() {
    over_both_hops_with(
        |settings, _| settings.chat.base_url = Some("http://127.0.0.1:1/v1".parse().unwrap()),
        async |world| {
            let (status, error) = error_of(world.chat(hello(&json!({}))).await).await;
            assert_eq!((status.as_u16(), &error["code"]), (502, &json!("upstream_unavailable")));
            assert!(!error.to_string().contains("127.0.0.1"), "{error}");
        },
    )
    .await;
}

#[tokio::test]
async fn an_unknown_model_is_a_404_that_suggests_the_near_one() {
    over_both_hops(async |world| {
        let (status, error) = error_of(world.chat(hello(&json!({"model": "scripted-2"}))).await).await;
        assert_eq!(
            (status.as_u16(), &error["code"], &error["param"]),
            (404, &json!("model_not_found"), &json!("model"))
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("`scripted-2`") && message.contains(MODEL), "{message}");

        let (status, error) = error_of(world.request(Method::GET, "/v1/models/no%2Fsuch").send().await.unwrap()).await;
        assert_eq!((status.as_u16(), &error["code"]), (404, &json!("model_not_found")));
    })
    .await;
}

#[tokio::test]
async fn wrong_bodies_are_refused_with_the_field_and_go_nowhere() {
    let deep = format!(r#"{{"model":"m","messages":[],"x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let with = |members: Value| hello(&members).into_bytes();
    let turn = |message: Value| with(json!({"messages": [message]}));
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
        ("a role of a wrong type", turn(json!({"role": 3, "content": "a"})), Some("messages[0].role")),
        ("no role", turn(json!({"content": "a"})), Some("messages[0].role")),
        ("no content", turn(json!({"role": "user"})), Some("messages[0].content")),
        ("a text that is a number", turn(json!({"role": "user", "content": [{"type": "text", "text": 3}]})), Some("messages[0].content[0].text")),
        ("a model of a wrong type", with(json!({"model": 3})), Some("model")),
        ("n of 0", with(json!({"n": 0})), Some("n")),
        ("a negative n", with(json!({"n": -1})), Some("n")),
        ("a huge n", with(json!({"n": 1000})), Some("n")),
        ("a broken n", with(json!({"n": 1.5})), Some("n")),
        ("a negative max_tokens", with(json!({"max_tokens": -1})), Some("max_tokens")),
        ("a huge max_tokens", br#"{"model":"scripted-1","messages":[{"role":"user","content":"a"}],"max_tokens":1000000000000000000000000000000}"#.to_vec(), Some("max_tokens")),
        ("a hot temperature", with(json!({"temperature": 3})), Some("temperature")),
        ("a temperature in words", with(json!({"temperature": "warm"})), Some("temperature")),
        ("a stream of a wrong type", with(json!({"stream": "yes"})), Some("stream")),
        ("a tool without a function", with(json!({"tools": [{"type": "function"}]})), Some("tools[0].function")),
        ("a choice without a function", with(json!({"tool_choice": {"type": "function"}})), Some("tool_choice")),
        ("a format without a schema", with(json!({"response_format": {"type": "json_schema"}})), Some("response_format.json_schema")),
    ];
    over_both_hops(async |world| {
        let mut wrong = vec![];
        for (what, body, param) in &rows {
            let answer = world.chat(body.clone()).await;
            let (status, error) = error_of(answer).await;
            let named = error["param"].as_str();
            if status != 400 || named != *param || error["type"] != "invalid_request_error" {
                wrong.push(format!("{what}: {status}, expected param {param:?}: {error}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        world.upstream.saw_nothing().await;
        still_up(world).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_odd_but_clear_is_taken() {
    let reply = r#"{"id":"u","created":1,"choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}"#;
    let rows: [(&str, Vec<u8>); 3] = [
        ("nulls for everything optional", hello(&json!({"n": null, "tools": null, "stream": null, "stop": null, "max_tokens": null, "temperature": null, "tool_choice": null, "response_format": null})).into_bytes()),
        ("an integer written as a float", hello(&json!({"n": 3.0})).into_bytes()),
        ("a byte order mark", [b"\xef\xbb\xbf".as_slice(), hello(&json!({})).as_bytes()].concat()),
    ];
    over_both_hops(async |world| {
        for (what, body) in &rows {
            world.upstream.will(Reply::new(200, reply));
            let answer = world.chat(body.clone()).await;
            assert_eq!(answer.status(), 200, "{what}: {}", answer.text().await.unwrap());
            world.upstream.saw().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_a_413() {
    over_both_hops_with(
        |_, gateway| gateway.runtime.body_limit_bytes = 10_000,
        async |world| {
            let (status, error) = error_of(world.chat(vec![b' '; 10_001]).await).await;
            assert_eq!((status.as_u16(), &error["code"]), (413, &json!("request_too_large")));
            still_up(world).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_request_sent_by_halves_is_a_408() {
    over_both_hops_with(
        |_, gateway| gateway.runtime.body_timeout = std::time::Duration::from_millis(100),
        async |world| {
            let mut stream = TcpStream::connect(world.rest).await.unwrap();
            let half = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{\"model\"";
            stream.write_all(half.as_bytes()).await.unwrap();
            let mut answer = String::new();
            soon("the timeout", stream.read_to_string(&mut answer)).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
            assert!(answer.contains(r#""code":"request_timeout""#) && answer.contains("x-request-id: "), "{answer}");
            still_up(world).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_wrong_method_and_an_endpoint_not_served_say_so() {
    over_both_hops(async |world| {
        let answer = world.request(Method::PUT, "/v1/chat/completions").send().await.unwrap();
        assert_eq!(answer.headers()["allow"], "POST");
        assert_eq!(error_of(answer).await.0.as_u16(), 405);
        for path in ["/v1/embeddings", "/v1/audio/speech", "/v1/completions"] {
            let (status, error) = error_of(world.request(Method::POST, path).send().await.unwrap()).await;
            assert_eq!((status.as_u16(), &error["code"]), (404, &json!("unsupported_endpoint")), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_grpc_door_names_the_wrong_field_in_its_details() {
    over_both_hops(async |world| {
        let mut client = world.chat_client().await;
        let message = |role: &str| pb::ChatMessage {
            role: role.to_owned(),
            content: Some(Content::Text("a".to_owned())),
            ..pb::ChatMessage::default()
        };
        let ask = |change: fn(&mut pb::ChatRequest)| {
            let mut chat = pb::ChatRequest { messages: vec![message("user")], ..pb::ChatRequest::default() };
            change(&mut chat);
            pb::CreateChatRequest { chat: Some(chat), ..pb::CreateChatRequest::default() }
        };
        let rows = [
            (pb::CreateChatRequest::default(), "chat"),
            (ask(|chat| chat.messages.clear()), "messages"),
            (ask(|chat| chat.messages[0].role.clear()), "messages[0].role"),
            (ask(|chat| chat.n = Some(1_000_000)), "n"),
            (ask(|chat| chat.temperature = Some(f64::NAN)), "temperature"),
            (ask(|chat| chat.extra_json = "[]".to_owned()), "extra_json"),
            (ask(|chat| chat.extra_json = r#"{"messages":[1]}"#.to_owned()), "extra_json"),
            (
                ask(|chat| {
                    let part = Some(Part::OtherJson(r#"{"type":"x_sense"}"#.to_owned()));
                    let parts = vec![pb::ContentPart { part, extra_json: r#"{"x_lost":1}"#.to_owned() }];
                    chat.messages[0].content = Some(Content::Parts(pb::ContentParts { parts }));
                }),
                "messages[0].content[0].extra_json",
            ),
        ];
        for (wrong, field) in rows {
            let status = client.create_chat(wrong).await.unwrap_err();
            let details = status.get_error_details();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{field}: {status:?}");
            assert_eq!(details.bad_request().unwrap().field_violations[0].field, field);
            assert_eq!(details.error_info().unwrap().reason, "INVALID_FIELD");
            assert_eq!(details.error_info().unwrap().domain, "triptych");
        }
        let unknown = client.create_chat(ask(|chat| "scripted-2".clone_into(&mut chat.model))).await.unwrap_err();
        assert_eq!(unknown.code(), tonic::Code::NotFound);
        assert_eq!(unknown.get_error_details().error_info().unwrap().reason, "MODEL_NOT_FOUND");
    })
    .await;
}
