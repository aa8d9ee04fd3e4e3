//! The cost in the `usage` of complete and streamed chat responses, and of those of the Responses API, which equals the cost in the
//! ledger.

use futures_util::StreamExt;

use super::*;

/// Enqueues a streamed reply whose usage is in the chunk with the finish reason. The cost is that of an upstream such as OpenRouter.
fn enqueue_stream(server: &TestServer) {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30, "cost": 0.7});
    let delta = json!([{"index": 0, "delta": {"content": "yes"}, "finish_reason": null}]);
    let finish = json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]);
    let events = [
        json!({"id": "c", "created": 7, "model": MODEL, "choices": delta}),
        json!({"id": "c", "created": 7, "model": MODEL, "choices": finish, "usage": usage}),
    ];
    let reply = events.iter().fold(Reply::stream(), |reply, event| reply.send(&format!("data: {event}\n\n")));
    server.upstream.enqueue(reply.send("data: [DONE]\n\n"));
}

/// Returns the data of the events of a streamed call with these stream options, without `[DONE]`.
async fn streamed(server: &TestServer, options: &Value) -> Vec<String> {
    enqueue_stream(server);
    let members = json!({"max_tokens": 100, "stream": true, "stream_options": options});
    let body = serde_json::from_str(&chat_body(&members)).unwrap();
    let response = post(server, ALICE, "/v1/chat/completions", &body).await;
    let mut events = within_timeout("the stream", Events::new(response).read_all()).await;
    server.upstream.received().await;
    assert_eq!(events.pop().unwrap(), "data: [DONE]");
    events
}

#[tokio::test]
async fn stream_of_a_key_without_a_price_is_listed_with_the_tokens_of_the_upstream() {
    let configure = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        settings.keys = vec![Key { name: "alice".to_owned(), secret: Some(ALICE.into()), ..Key::default() }];
        gateway.runtime.cors_allow_origins = vec![PAGE.to_owned()];
    };
    with_local_and_remote_core_and_settings(configure, async |server| {
        enqueue_stream(server);
        let body = serde_json::from_str(&chat_body(&json!({"stream": true}))).unwrap();
        let response = post(server, ALICE, "/v1/chat/completions", &body).await;
        let events = within_timeout("the stream", Events::new(response).read_all()).await;
        assert_eq!(events.last().map(String::as_str), Some("data: [DONE]"));
        assert_eq!(server.upstream.received().await.json()["stream_options"], json!({"include_usage": true}));
        let usage = usage_with_calls(server, ALICE, "/v1/usage?group_by=model", 1).await;
        let row = &usage["data"][0];
        let tokens = (&row["model"], &row["input_tokens"], &row["output_tokens"], &row["cost"]);
        assert_eq!(tokens, (&json!(MODEL), &json!(10), &json!(20), &json!("0.00")));
    })
    .await;
}

#[tokio::test]
async fn usage_of_complete_and_streamed_chats_has_the_cost_that_is_recorded() {
    with_prices(AccountLimits::default(), async |server| {
        let complete = chat(server, ALICE).await;
        assert_cost(&complete, "0.00005");
        assert!(complete.text().await.unwrap().contains(r#""total_tokens":30,"cost":0.00005}"#));

        let events = streamed(server, &json!({"include_usage": true})).await;
        assert!(events.last().unwrap().contains(r#""total_tokens":30,"cost":0.00005}"#), "{events:#?}");
        // The upstream sends its usage unrequested, with a cost that is not what the caller pays.
        let events = streamed(server, &json!({})).await;
        assert!(events.last().unwrap().contains(r#""total_tokens":30,"cost":0.7}"#), "{events:#?}");
        let options = json!({"include_usage": true, "continuous_usage_stats": true});
        let events = streamed(server, &options).await;
        assert!(events[events.len() - 2..].iter().all(|event| event.contains(r#""cost":0.00005}"#)), "{events:#?}");

        let message = pb::ChatMessage {
            role: "user".to_owned(),
            content: Some(pb::chat_message::Content::Text("Hello".to_owned())),
            ..pb::ChatMessage::default()
        };
        let chat = pb::ChatRequest {
            model: MODEL.to_owned(),
            messages: vec![message],
            max_tokens: Some(100),
            ..pb::ChatRequest::default()
        };
        let stream_options = Some(pb::StreamOptions { include_usage: Some(true), ..pb::StreamOptions::default() });
        let request = pb::StreamChatRequest { chat: Some(chat), stream_options, ..pb::StreamChatRequest::default() };
        enqueue_stream(server);
        let chunks = server.chat_client().await.stream_chat(with_key(request, ALICE)).await.unwrap().into_inner();
        let chunks: Vec<_> = within_timeout("the chunks", chunks.map(Result::unwrap).collect()).await;
        server.upstream.received().await;
        let usage = chunks.last().unwrap().usage.as_ref().unwrap();
        assert_eq!((usage.cost_micros, usage.extra_json.as_str()), (Some(50), ""));

        let usage = usage_with_calls(server, ALICE, "/v1/usage", 5).await;
        assert_eq!(column(&usage, "cost"), ["0.00025"]);
    })
    .await;
}

#[tokio::test]
async fn cost_of_a_stream_whose_client_may_disconnect_is_that_of_the_complete_response() {
    with_prices(AccountLimits::default(), async |server| {
        enqueue_stream(server);
        let options = json!({"max_tokens": 100, "stream": true, "stream_options": {"include_usage": true}});
        let request = server.request(Method::POST, "/v1/chat/completions").bearer_auth(ALICE);
        let request = request.header("content-type", "application/json").header("x-triptych-on-disconnect", "continue");
        let response = within_timeout("a response", request.body(chat_body(&options)).send()).await.unwrap();
        let events = within_timeout("the stream", Events::new(response).read_all()).await;
        server.upstream.received().await;
        assert_eq!(event_data(&events[events.len() - 2])["usage"]["cost"], json!(0.00005), "{events:#?}");
    })
    .await;
}

#[tokio::test]
async fn usage_of_complete_and_streamed_responses_has_their_cost() {
    with_prices(AccountLimits::default(), async |server| {
        for stream in [false, true] {
            if stream {
                enqueue_stream(server);
            } else {
                enqueue_complete(server);
            }
            let body = json!({"model": MODEL, "input": "Hello", "max_output_tokens": 100, "stream": stream});
            let response = post(server, ALICE, "/v1/responses", &body).await;
            let response = if stream {
                let events = within_timeout("the stream", Events::new(response).read_all()).await;
                event_data(events.last().unwrap().lines().last().unwrap())["response"].clone()
            } else {
                assert_cost(&response, "0.00005");
                json_body(response).await
            };
            server.upstream.received().await;
            assert_eq!(response["usage"]["cost"], json!(0.00005), "{response}");
        }
    })
    .await;
}
