//! The image service of the stub. Every picture has 64x32 pixels and a few bytes, or the media key `p.png`.

use tonic::{Request, Response, Status};
use triptych_proto::{
    time::from_unix_seconds,
    v1::{self as pb, image_service_server::ImageService},
};

use super::CoreStub;
use crate::core_client::ReplyStream;

fn picture(image: &pb::ImageRequest) -> pb::Picture {
    let bytes = image.delivery() == pb::ImageDelivery::Bytes;
    pb::Picture {
        data: if bytes { bytes::Bytes::from_static(b"\x89PNG") } else { bytes::Bytes::new() },
        media_key: if bytes { String::new() } else { "p.png".to_owned() },
        media_type: "image/png".to_owned(),
        width: 64,
        height: 32,
        revised_prompt: String::new(),
        original_media_key: if image.keep_original { "original.png".to_owned() } else { String::new() },
    }
}

#[tonic::async_trait]
impl ImageService for CoreStub {
    async fn generate_images(
        &self,
        request: Request<pb::GenerateImagesRequest>,
    ) -> Result<Response<pb::GenerateImagesResponse>, Status> {
        let message = self.receive(request)?;
        let image = message.image.unwrap();
        let media_key = self.with(|state| state.media_key.take());
        let (usage, failures) = self.with(|state| std::mem::take(&mut state.partial_success));
        let is_generated = |index: &u32| failures.iter().all(|failure| failure.picture_index != *index);
        let pictures = (0..image.n.unwrap_or(1)).filter(is_generated).map(|_| match media_key {
            Some(key) => pb::Picture { data: bytes::Bytes::new(), media_key: key.to_owned(), ..picture(&image) },
            None => picture(&image),
        });
        let pictures = pictures.collect();
        self.with(|state| {
            state.image_request = Some(image);
            state.idempotency_key = message.idempotency_key;
        });
        let model = "offline-image".to_owned();
        Ok(self.reply(pb::GenerateImagesResponse {
            create_time: Some(from_unix_seconds(1_700_000_000)),
            model,
            pictures,
            usage,
            failures,
        }))
    }

    type StreamImagesStream = ReplyStream<pb::StreamImagesResponse>;

    async fn stream_images(
        &self,
        request: Request<pb::StreamImagesRequest>,
    ) -> Result<Response<Self::StreamImagesStream>, Status> {
        use pb::stream_images_response::Event;
        let message = self.receive(request)?;
        let image = message.image.unwrap();
        let create_time = Some(from_unix_seconds(1_700_000_000));
        let mut items: Vec<_> = (0..message.partial_images)
            .map(|partial_index| {
                let picture = Some(picture(&image));
                Event::Preview(pb::ImagePreview { picture_index: 0, partial_index, picture, create_time })
            })
            .map(|event| Ok(pb::StreamImagesResponse { event: Some(event) }))
            .collect();
        items.push(self.with(|state| match state.stream_failure.take() {
            Some(status) => Err(status),
            None => Ok(pb::StreamImagesResponse {
                event: Some(Event::Finished(pb::ImageFinished {
                    picture_index: 0,
                    picture: Some(picture(&image)),
                    create_time,
                    usage: Some(pb::ImageUsage {
                        input_tokens: 3,
                        output_tokens: 4,
                        total_tokens: 7,
                        input_image_tokens: 1,
                    }),
                    cost_micros: Some(40_000),
                })),
            }),
        }));
        let (_, failures) = self.with(|state| std::mem::take(&mut state.partial_success));
        items.extend(
            failures.into_iter().map(|failure| Ok(pb::StreamImagesResponse { event: Some(Event::Failed(failure)) })),
        );
        self.with(|state| {
            state.image_request = Some(image);
            state.idempotency_key = message.idempotency_key;
        });
        Ok(self.stream_reply(items))
    }
}
