//! Requests that are asked for again, once what they led to is gone.

use super::*;

/// The link that a request under this key is answered with, whole or as a stream.
async fn link(stage: &Stage, streamed: bool) -> MediaKey {
    let image = Some(pb::ImageRequest { delivery: pb::ImageDelivery::Unspecified.into(), ..small() });
    let idempotency_key = "k".to_owned();
    let picture = if streamed {
        let request = pb::StreamImagesRequest { image, idempotency_key, partial_images: 0 };
        let events = stage.door.stream_images(Request::new(request)).await.unwrap().into_inner();
        let events: Vec<_> = events.try_collect().await.unwrap();
        let [pb::StreamImagesResponse { event: Some(Event::Finished(finished)) }] = &events[..] else {
            panic!("{events:?}")
        };
        finished.picture.clone().unwrap()
    } else {
        let request = pb::GenerateImagesRequest { image, idempotency_key };
        stage.door.generate_images(Request::new(request)).await.unwrap().into_inner().pictures.remove(0)
    };
    MediaKey::parse(&picture.media_key).unwrap()
}

#[tokio::test]
async fn a_joined_answer_whose_picture_is_gone_is_made_anew() {
    for streamed in [false, true] {
        let stage = offline();
        let first = link(&stage, streamed).await;
        stage.media_store.remove(&first).await.unwrap();
        let second = link(&stage, streamed).await;
        assert!(stage.media_store.describe(&second).await.is_ok(), "a link that leads nowhere");
    }
}
