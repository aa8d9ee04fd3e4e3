//! The hosted tool `image_generation` of the Responses API, with the built-in image engine.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{body, completion, create, events, get, id, output_text, text, types};
use crate::{
    fake_upstream::{Reply, finish_event},
    test_server::with_local_and_remote_core,
};

fn call(prompt: &str) -> Value {
    let arguments = json!({"prompt": prompt}).to_string();
    json!({"id": "call_1", "type": "function", "function": {"name": "image_generation", "arguments": arguments}})
}

fn tool(members: &Value) -> Value {
    let mut tool = json!({"type": "image_generation", "size": "320x200", "output_format": "png"});
    tool.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    json!({"tools": [tool]})
}

#[tokio::test]
async fn image_is_generated_between_two_turns_of_the_model() {
    with_local_and_remote_core(async |server| {
        let message = json!({"role": "assistant", "content": null, "tool_calls": [call("A lighthouse")]});
        server.upstream.enqueue(completion(&message, "tool_calls"));
        server.upstream.enqueue(text("Here it is."));
        let created = create(server, &body("Draw a lighthouse", &tool(&json!({})))).await;
        let first = server.upstream.received().await.json();
        assert_eq!(first["tools"][0]["function"]["name"], "image_generation", "{first}");
        let second = server.upstream.received().await.json();
        let messages = second["messages"].as_array().unwrap();
        assert_eq!(messages.last().unwrap()["role"], "tool", "{second}");
        let image = &created["output"][0];
        assert_eq!(
            (&image["type"], &image["status"]),
            (&json!("image_generation_call"), &json!("completed")),
            "{created}"
        );
        let picture = image::load_from_memory(&STANDARD.decode(image["result"].as_str().unwrap()).unwrap()).unwrap();
        assert_eq!((picture.width(), picture.height()), (320, 200));
        assert_eq!(output_text(&created), "Here it is.");
        // The tokens of both turns.
        assert_eq!(created["usage"]["total_tokens"], 10);
        assert_eq!(get(server, &format!("/v1/responses/{}", id(&created))).await, (200, created));
    })
    .await;
}

#[tokio::test]
async fn stream_has_the_events_of_the_image_and_its_previews() {
    with_local_and_remote_core(async |server| {
        let mut call = call("A boat");
        call["index"] = json!(0);
        let chunk = json!({"id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [
            {"index": 0, "delta": {"role": "assistant", "tool_calls": [call]}, "finish_reason": null}]});
        let reply = Reply::stream().send(&format!("data: {chunk}\n\n")).send(&finish_event("tool_calls"));
        server.upstream.enqueue(reply.send("data: [DONE]\n\n"));
        server.upstream.enqueue(Reply::streamed_text(&["Here."]));
        let mut request = body("Draw a boat", &tool(&json!({"partial_images": 2})));
        request["stream"] = json!(true);
        let events = events(server.post("/v1/responses", &request).await, 0).await;
        server.upstream.skip_requests(2).await;
        let types = types(&events);
        let position =
            |kind: &str| types.iter().position(|other| *other == kind).unwrap_or_else(|| panic!("{kind} {types:?}"));
        assert!(
            position("response.image_generation_call.in_progress")
                < position("response.image_generation_call.generating")
        );
        assert!(
            position("response.image_generation_call.partial_image")
                < position("response.image_generation_call.completed")
        );
        assert!(position("response.image_generation_call.completed") < position("response.output_text.delta"));
        assert_eq!(types.last(), Some(&"response.completed"));
    })
    .await;
}

#[tokio::test]
async fn failed_image_is_reported_to_the_model_and_the_response_completes() {
    with_local_and_remote_core(async |server| {
        let message = json!({"role": "assistant", "content": null, "tool_calls": [call("A lighthouse")]});
        server.upstream.enqueue(completion(&message, "tool_calls"));
        server.upstream.enqueue(text("I could not draw it."));
        let created = create(server, &body("Draw", &tool(&json!({"model": "no-such-model"})))).await;
        server.upstream.skip_requests(2).await;
        assert_eq!(
            (&created["status"], &created["output"][0]["status"]),
            (&json!("completed"), &json!("failed")),
            "{created}"
        );
        assert_eq!(output_text(&created), "I could not draw it.");
    })
    .await;
}

#[tokio::test]
async fn model_that_calls_the_tool_in_every_turn_is_stopped_after_eight_images() {
    with_local_and_remote_core(async |server| {
        let message = json!({"role": "assistant", "content": null, "tool_calls": [call("Again")]});
        for _ in 0..9 {
            server.upstream.enqueue(completion(&message, "tool_calls"));
        }
        let created = create(server, &body("Draw", &tool(&json!({"size": "64x64"})))).await;
        server.upstream.skip_requests(9).await;
        let output = created["output"].as_array().unwrap();
        let statuses: Vec<_> = output.iter().map(|item| item["status"].as_str().unwrap()).collect();
        assert_eq!((statuses.len(), statuses[7], statuses[8]), (9, "completed", "failed"), "{statuses:?}");
        assert_eq!(created["status"], "completed");
    })
    .await;
}
