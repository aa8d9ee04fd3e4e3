//! The cost in the events of image streams, which equals the cost in the ledger.

use futures_util::TryStreamExt;
use triptych_proto::v1::stream_images_response::Event;

use super::*;

/// Streams two images of 0.02 dollars each over REST, and returns the costs of the finished ones.
async fn streamed_costs(server: &TestServer, idempotency_key: &str) -> Vec<Value> {
    let body = json!({"model": "offline-image", "prompt": "a boat", "size": "256x256", "quality": "low", "n": 2,
        "stream": true, "partial_images": 1});
    let request = server.request(Method::POST, "/v1/images/generations").bearer_auth(ALICE);
    let request = request.header("content-type", "application/json").header("idempotency-key", idempotency_key);
    let response = within_timeout("a response", request.body(body.to_string()).send()).await.unwrap();
    let events = within_timeout("the stream", Events::new(response).read_all()).await;
    let data = events.iter().map(|event| event_data(event.lines().find(|line| line.starts_with("data: ")).unwrap()));
    let (completed, others): (Vec<_>, Vec<_>) = data.partition(|data| data["type"] == "image_generation.completed");
    assert!(others.iter().all(|data| data.get("usage").is_none()), "{others:?}");
    assert_eq!(completed.len(), 2, "{events:?}");
    completed.iter().map(|data| data["usage"]["cost"].clone()).collect()
}

#[tokio::test]
async fn each_finished_image_of_a_stream_has_its_cost_and_a_repeated_request_has_none() {
    with_prices(AccountLimits::default(), async |server| {
        assert_eq!(streamed_costs(server, "first").await, [json!(0.02), json!(0.02)]);
        assert_eq!(streamed_costs(server, "first").await, [Value::Null, Value::Null], "repeated");
        let usage = usage_with_calls(server, ALICE, "/v1/usage?group_by=model", 1).await;
        assert_eq!((column(&usage, "images")[0], column(&usage, "cost")[0]), (&json!(2), &json!("0.04")));

        let image = pb::ImageRequest {
            model: "offline-image".to_owned(),
            prompt: "a boat".to_owned(),
            size: "256x256".to_owned(),
            quality: "low".to_owned(),
            n: Some(2),
            ..pb::ImageRequest::default()
        };
        let request = pb::StreamImagesRequest { image: Some(image), ..pb::StreamImagesRequest::default() };
        let stream = server.image_client().await.stream_images(with_key(request, ALICE)).await.unwrap().into_inner();
        let messages: Vec<_> = within_timeout("the images", stream.try_collect()).await.unwrap();
        let costs = messages.into_iter().filter_map(|message| match message.event {
            Some(Event::Finished(finished)) => Some(finished.cost_micros),
            Some(Event::Preview(_) | Event::Failed(_)) | None => None,
        });
        assert_eq!(costs.collect::<Vec<_>>(), [Some(20_000), Some(20_000)]);
    })
    .await;
}
