//! Chat settings with one upstream and with several: aliases, fallbacks, dialects, headers, timeouts.

use std::{collections::BTreeMap, time::Duration};

use core_service::{
    config::{RouteRule, Routing},
    dialect::Dialect,
};
use serde_json::json;
use triptych_proto::v1 as pb;

use crate::{
    chat::setup::{COMPLETION, UNAVAILABLE, attempted_targets, configure_targets, grpc_chat_request},
    fake_upstream::{ByteCounter, FakeUpstream, Reply, content_event},
    rest_response::{Events, error_body, event_data},
    test_server::{MODEL, chat_body, with_local_and_remote_core_and_settings, within_timeout},
};

#[tokio::test]
async fn single_upstream_is_retried_and_cooled_down() {
    with_local_and_remote_core_and_settings(
        |settings, _| settings.chat.routing = Routing { failure_threshold: 2, ..Routing::default() },
        async |server| {
            server.upstream.enqueue(Reply::new(503, UNAVAILABLE));
            server.upstream.enqueue(Reply::new(200, COMPLETION));
            assert_eq!(attempted_targets(server).await, "upstream=unavailable,upstream=ok");
            server.upstream.received().await;
            server.upstream.received().await;

            server.upstream.enqueue(Reply::new(429, UNAVAILABLE).header("retry-after", "3600"));
            let response = server.chat(chat_body(&json!({"stream": true}))).await;
            assert_eq!(response.headers()["x-triptych-attempts"], "upstream=rate_limited");
            assert_eq!(error_body(response).await.0.as_u16(), 429);
            server.upstream.received().await;
            // The cooldown of its Retry-After is not over.
            let response = server.chat(chat_body(&json!({}))).await;
            assert!(response.headers().get("x-triptych-attempts").is_none(), "{response:?}");
            assert_eq!(error_body(response).await.1["code"], "rate_limit_exceeded");
        },
    )
    .await;
}

#[tokio::test]
async fn query_of_the_base_url_is_sent_with_chat_and_image_requests() {
    with_local_and_remote_core_and_settings(
        |settings, _| {
            let base = settings.chat.base_url.as_mut().unwrap();
            // The form of Azure OpenAI.
            base.set_path("/openai/deployments/gpt");
            base.set_query(Some("api-version=2024-10-21"));
            settings.image.openai.base_url.clone_from(&settings.chat.base_url);
            settings.image.openai.models = vec!["paint".to_owned()];
        },
        async |server| {
            for members in [json!({}), json!({"stream": true})] {
                server.upstream.enqueue(Reply::new(200, COMPLETION));
                server.chat(chat_body(&members)).await;
                let path = server.upstream.received().await.path;
                assert_eq!(path, "/openai/deployments/gpt/chat/completions?api-version=2024-10-21");
            }
            server.upstream.enqueue(Reply::new(400, UNAVAILABLE));
            server.post("/v1/images/generations", &json!({"model": "paint", "prompt": "x"})).await;
            let path = server.upstream.received().await.path;
            assert_eq!(path, "/openai/deployments/gpt/images/generations?api-version=2024-10-21");
        },
    )
    .await;
}

#[tokio::test]
async fn broken_streams_open_the_circuit_breaker_and_client_deadlines_do_not() {
    with_local_and_remote_core_and_settings(
        |settings, _| settings.chat.routing = Routing { failure_threshold: 2, retries: 0, ..Routing::default() },
        async |server| {
            for _ in 0..3 {
                server.upstream.enqueue(Reply::no_response());
                let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "x"}]}).to_string();
                let request = server.request(reqwest::Method::POST, "/v1/chat/completions").body(body);
                let request = request.header("content-type", "application/json").header("x-request-timeout-ms", "50");
                let response = within_timeout("a response", request.send()).await.unwrap();
                assert_eq!(error_body(response).await.0.as_u16(), 504);
                server.upstream.received().await;
                server.upstream.disconnected().await;
            }
            server.upstream.enqueue(Reply::new(200, COMPLETION));
            assert_eq!(attempted_targets(server).await, "upstream=ok");
            server.upstream.received().await;
            for _ in 0..2 {
                server.upstream.enqueue(Reply::stream().send(&content_event("a")).abort());
                let events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await).read_all().await;
                assert!(event_data(&events[1])["error"].is_object(), "{events:?}");
                server.upstream.received().await;
            }
            // Retry-After is the rest of the breaker's cooldown, 15 seconds.
            let response = server.chat(chat_body(&json!({}))).await;
            assert!(response.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 10, "{response:?}");
            let (status, error) = error_body(response).await;
            assert_eq!((status.as_u16(), &error["code"]), (502, &json!("upstream_unavailable")));
        },
    )
    .await;
}

#[tokio::test]
async fn alias_of_a_single_upstream_is_served() {
    with_local_and_remote_core_and_settings(
        |settings, _| {
            let aliases = vec!["gpt-4o-mini".to_owned()];
            settings.chat.routes = vec![RouteRule { model: MODEL.to_owned(), aliases, ..RouteRule::default() }];
        },
        async |server| {
            server.upstream.enqueue(Reply::new(200, COMPLETION));
            let response = server.chat(chat_body(&json!({"model": "gpt-4o-mini"}))).await;
            let reply: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(reply["model"], MODEL);
            assert_eq!(server.upstream.received().await.json()["model"], MODEL);
        },
    )
    .await;
}

#[tokio::test]
async fn aliases_and_fallbacks_are_served_over_rest_and_grpc() {
    let other = FakeUpstream::start().await;
    with_local_and_remote_core_and_settings(
        |settings, _| {
            configure_targets(settings, Some(&other));
            // `b` serves another model, which is the fallback of the first one.
            (settings.chat.upstreams[1].models, settings.chat.upstreams[1].rename) =
                (vec!["deep".to_owned()], BTreeMap::new());
            settings.chat.upstreams[1].priority = 0;
            let (aliases, fallbacks) = (vec!["quick".to_owned()], vec!["deep".to_owned()]);
            settings.chat.routes =
                vec![RouteRule { model: MODEL.to_owned(), aliases, fallbacks, ..RouteRule::default() }];
        },
        async |server| {
            server.upstream.enqueue(Reply::new(503, UNAVAILABLE));
            other.enqueue(Reply::new(200, COMPLETION));
            let response = server.chat(chat_body(&json!({"model": "quick"}))).await;
            assert_eq!(response.headers()["x-triptych-attempts"], "a=unavailable,b=ok");
            let reply: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(reply["model"], MODEL);
            assert_eq!(server.upstream.received().await.json()["model"], MODEL);
            assert_eq!(other.received().await.json()["model"], "deep");

            server.upstream.enqueue(Reply::new(503, UNAVAILABLE));
            other.enqueue(Reply::streamed_text(&["x"]));
            let mut chat = grpc_chat_request().chat.unwrap();
            chat.model = "quick".to_owned();
            let request = pb::StreamChatRequest { chat: Some(chat), ..pb::StreamChatRequest::default() };
            let response = server.chat_client().await.stream_chat(request).await.unwrap();
            assert_eq!(response.metadata().get("x-triptych-attempts").unwrap(), "a=unavailable,b=ok");
            let mut chunks = response.into_inner();
            while let Some(chunk) = within_timeout("a chunk", chunks.message()).await.unwrap() {
                assert_eq!(chunk.model, MODEL);
            }
            server.upstream.received().await;
            assert_eq!(other.received().await.json()["model"], "deep");

            // The fallback model itself has one upstream only.
            other.enqueue(Reply::new(200, COMPLETION));
            let response = server.chat(chat_body(&json!({"model": "deep"}))).await;
            assert_eq!(response.headers()["x-triptych-attempts"], "b=ok");
            other.received().await;
        },
    )
    .await;
}

#[tokio::test]
async fn each_upstream_gets_its_own_dialect_and_headers() {
    let other = FakeUpstream::start().await;
    with_local_and_remote_core_and_settings(
        |settings, _| {
            configure_targets(settings, Some(&other));
            settings.chat.upstreams[0].dialect = Some(Dialect::Openai);
            // The dialect of all upstreams applies to `b`, which has none of its own.
            settings.chat.dialect = Some(Dialect::Deepseek);
            settings.chat.upstreams[1].headers = [("x-title", "t"), ("user-agent", "own")]
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .into_iter()
                .collect();
        },
        async |server| {
            server.upstream.enqueue(Reply::new(503, UNAVAILABLE));
            other.enqueue(Reply::new(200, COMPLETION));
            assert_eq!(server.chat(chat_body(&json!({"max_completion_tokens": 5}))).await.status(), 200);
            let (a, b) = (server.upstream.received().await, other.received().await);
            assert_eq!(
                (a.header("x-title"), b.header("x-title"), b.header("user-agent")),
                (None, Some("t"), Some("own"))
            );
            let (a, b) = (a.json(), b.json());
            assert_eq!((&a["max_completion_tokens"], a.get("max_tokens")), (&json!(5), None));
            assert_eq!((&b["max_tokens"], b.get("max_completion_tokens")), (&json!(5), None));
        },
    )
    .await;
}

#[tokio::test]
async fn total_timeout_ends_a_call_without_other_timeouts() {
    with_local_and_remote_core_and_settings(
        |settings, _| settings.chat.total_timeout = Duration::from_millis(50),
        async |server| {
            server.upstream.enqueue(Reply::no_response());
            let (status, error) = error_body(server.chat(chat_body(&json!({}))).await).await;
            assert_eq!((status.as_u16(), &error["code"]), (504, &json!("upstream_timeout")));
            server.upstream.received().await;
            server.upstream.disconnected().await;
        },
    )
    .await;
    with_local_and_remote_core_and_settings(
        |settings, _| {
            // The timeout of one upstream overrides that of all. Long enough for the first chunk on a busy machine.
            configure_targets(settings, None);
            settings.chat.upstreams[0].total_timeout = Some(Duration::from_secs(2));
            settings.chat.total_timeout = Duration::from_millis(1);
        },
        async |server| {
            server.upstream.enqueue(Reply::stream().send(&content_event("a")).stall());
            let events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await).read_all().await;
            assert_eq!(event_data(&events[0])["choices"][0]["delta"]["content"], "a");
            assert_eq!(event_data(events.last().unwrap())["error"]["code"], "upstream_timeout", "{events:#?}");
            server.upstream.received().await;
            server.upstream.disconnected().await;

            // A stream that never pauses ends as well.
            server.upstream.enqueue(Reply::stream().flood(&content_event("a"), usize::MAX, &ByteCounter::default()));
            let events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await).read_all().await;
            assert_eq!(event_data(events.last().unwrap())["error"]["code"], "upstream_timeout");
            server.upstream.received().await;
            server.upstream.disconnected().await;
        },
    )
    .await;
}
