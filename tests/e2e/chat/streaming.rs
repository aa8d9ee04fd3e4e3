//! Streamed chat completions: order, content, failures and cancellation.

use serde_json::{Value, json};

use crate::{
    fake_upstream::{Latch, Reply, content_event, finish_event},
    rest_response::{Events, event_data},
    test_server::{MODEL, chat_body, with_local_and_remote_core, within_timeout},
};

#[tokio::test]
async fn chunk_is_forwarded_before_the_next_and_complete_if_split_within_a_character() {
    with_local_and_remote_core(async |server| {
        let (gate, split) = (Latch::new(), content_event("é世"));
        // One byte before the end of the last character of the text, which has three.
        let (start, end) = split.as_bytes().split_at(split.find('世').unwrap() + 2);
        let reply = Reply::stream().send(&content_event("a")).wait_for(&gate);
        let reply = reply.send_bytes(start).wait_for(&gate).send_bytes(end).wait_for(&gate);
        server.upstream.enqueue(reply.send(&finish_event("stop")).send("data: [DONE]\n\n"));

        let mut events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await);
        let content = |event: Option<String>| event_data(&event.unwrap())["choices"][0]["delta"]["content"].clone();
        assert_eq!(content(events.next().await), "a");
        gate.open();
        gate.open();
        assert_eq!(content(events.next().await), "é世");
        gate.open();
        let last = event_data(&events.next().await.unwrap());
        assert_eq!(last["choices"][0]["finish_reason"], "stop");
        assert_eq!(events.read_all().await, ["data: [DONE]"]);
        assert_eq!(server.upstream.received().await.json()["stream"], true);
    })
    .await;
}

#[tokio::test]
async fn chunks_keep_unknown_members_and_share_id_time_and_model() {
    let first = r#"{"id":"up-9","object":"chat.completion.chunk","created":3,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"","x_d":1E400},"finish_reason":null}],"x_c":{"b":1,"a":2}}"#;
    let second = r#"{"id":"other","object":"chat.completion.chunk","created":4,"model":"n","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]}"#;
    let last = r#"{"id":"up-9","object":"chat.completion.chunk","created":3,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    with_local_and_remote_core(async |server| {
        let reply =
            [first, second].iter().fold(Reply::stream(), |reply, data| reply.send(&format!("data: {data}\n\n")));
        server
            .upstream
            .enqueue(reply.send(&finish_event("tool_calls")).send(&format!("data: {last}\n\ndata: [DONE]\n\n")));
        let body = chat_body(&json!({"stream": true, "stream_options": {"include_usage": true}}));
        let events = Events::new(server.chat(body).await).read_all().await;
        assert_eq!(server.upstream.received().await.json()["stream_options"], json!({"include_usage": true}));
        assert_eq!(events.len(), 5, "{events:#?}");
        assert!(events[0].contains(r#""x_d":1E400"#) && events[0].contains(r#""x_c":{"b":1,"a":2}"#), "{}", events[0]);
        for event in &events[..4] {
            let chunk: Value = serde_json::from_str(&event.replace("1E400", "1")["data: ".len()..]).unwrap();
            assert_eq!((&chunk["id"], &chunk["created"], &chunk["model"]), (&json!("up-9"), &json!(3), &json!(MODEL)));
            assert!(chunk.get("error").is_none(), "{chunk}");
        }
        assert_eq!(event_data(&events[1])["choices"][0]["delta"]["tool_calls"][0]["id"], "t");
        assert_eq!(
            (&event_data(&events[3])["choices"], &event_data(&events[3])["usage"]["total_tokens"]),
            (&json!([]), &json!(3))
        );
        assert_eq!(events[4], "data: [DONE]");
    })
    .await;
}

#[tokio::test]
async fn failure_within_a_stream_is_its_last_event_without_done() {
    let error = r#"{"message":"the GPU is on fire","type":"server_error","code":500}"#;
    let broken = [
        Reply::stream().send(&content_event("a")).send(&format!("data: {{\"error\":{error}}}\n\n")).stall(),
        Reply::stream().send(&content_event("a")).send(&format!("error: {error}\n\n")).stall(),
        Reply::stream().send(&content_event("a")).send("data: {\"choices\": [\n\n").stall(),
        Reply::stream().send(&content_event("a")).send(&finish_event("abort")).stall(),
        // No finish reason: a clean end, an end with [DONE], and an aborted connection.
        Reply::stream().send(&content_event("a")),
        Reply::stream().send(&content_event("a")).send("data: [DONE]\n\n"),
        Reply::stream().send(&content_event("a")).abort(),
    ];
    with_local_and_remote_core(async |server| {
        for reply in &broken {
            server.upstream.enqueue(reply.clone());
            let events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await).read_all().await;
            server.upstream.received().await;
            assert_eq!(events.len(), 2, "{reply:?}: {events:#?}");
            assert_eq!(event_data(&events[0])["choices"][0]["delta"]["content"], "a");
            let error = &event_data(&events[1])["error"];
            assert!(error["message"].is_string() && error["type"] == "server_error", "{reply:?}: {events:#?}");
        }
    })
    .await;
}

#[tokio::test]
async fn connection_loss_after_the_finish_reason_is_no_failure() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::stream().send(&content_event("a")).send(&finish_event("stop")).abort());
        let events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await).read_all().await;
        server.upstream.received().await;
        assert_eq!(events.last().map(String::as_str), Some("data: [DONE]"), "{events:#?}");
    })
    .await;
}

#[tokio::test]
async fn client_disconnect_within_a_stream_closes_the_upstream_connection() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::stream().send(&content_event("a")).stall());
        let mut events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await);
        assert!(events.next().await.unwrap().contains("\"a\""));
        server.upstream.received().await;
        drop(events);
        server.upstream.disconnected().await;
    })
    .await;
}

#[tokio::test]
async fn deadline_within_a_stream_ends_it_with_an_error_event() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::stream().send(&content_event("a")).stall());
        let request = server.request(reqwest::Method::POST, "/v1/chat/completions");
        // Long enough for the first chunk on a busy machine.
        let request = request.header("x-request-timeout-ms", "3000").body(chat_body(&json!({"stream": true})));
        let events = Events::new(within_timeout("a response", request.send()).await.unwrap()).read_all().await;
        server.upstream.received().await;
        assert_eq!(event_data(events.last().unwrap())["error"]["code"], "upstream_timeout", "{events:#?}");
        server.upstream.disconnected().await;
    })
    .await;
}
