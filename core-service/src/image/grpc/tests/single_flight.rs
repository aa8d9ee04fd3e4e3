//! Requests that are repeated with the same idempotency key, and share one response.

use super::*;

/// Sends a request, unary or streamed, always with the same key; returns the key of the stored image.
async fn stored_key(test: &TestService, streamed: bool) -> MediaKey {
    let image = Some(pb::ImageRequest { delivery: pb::ImageDelivery::Unspecified.into(), ..small() });
    let idempotency_key = "k".to_owned();
    let picture = if streamed {
        let request = pb::StreamImagesRequest { image, idempotency_key, partial_images: 0 };
        let events = test.service.stream_images(Request::new(request)).await.unwrap().into_inner();
        let events: Vec<_> = events.try_collect().await.unwrap();
        let [pb::StreamImagesResponse { event: Some(Event::Finished(finished)) }] = &events[..] else {
            panic!("{events:?}")
        };
        finished.picture.clone().unwrap()
    } else {
        let request = pb::GenerateImagesRequest { image, idempotency_key };
        test.service.generate_images(Request::new(request)).await.unwrap().into_inner().pictures.remove(0)
    };
    MediaKey::parse(&picture.media_key).unwrap()
}

#[tokio::test]
async fn request_is_executed_again_if_the_stored_image_was_removed() {
    for streamed in [false, true] {
        let test = offline();
        let first = stored_key(&test, streamed).await;
        test.media_store.remove(&first).await.unwrap();
        let second = stored_key(&test, streamed).await;
        assert!(test.media_store.describe(&second).await.is_ok(), "the link is dead");
    }
}
