//! Pictures of a few bytes.

use tonic::{Request, Response, Status};
use triptych_proto::{
    time::from_unix_seconds,
    v1::{self as pb, image_service_server::ImageService},
};

use super::{Doors, replies};
use crate::core::Replies;

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
impl ImageService for Doors {
    async fn generate_images(
        &self,
        request: Request<pb::GenerateImagesRequest>,
    ) -> Result<Response<pb::GenerateImagesResponse>, Status> {
        let message = self.0.take(request)?;
        let image = message.image.unwrap();
        let kept = self.0.with(|state| state.kept.take());
        let pictures = (0..image.n.unwrap_or(1)).map(|_| match kept {
            Some(key) => pb::Picture { data: bytes::Bytes::new(), media_key: key.to_owned(), ..picture(&image) },
            None => picture(&image),
        });
        let pictures = pictures.collect();
        self.0.with(|state| {
            state.images = Some(image);
            state.key = message.idempotency_key;
        });
        let model = "offline-image".to_owned();
        let (usage, failures) = self.0.with(|state| std::mem::take(&mut state.partial));
        Ok(Response::new(pb::GenerateImagesResponse {
            create_time: Some(from_unix_seconds(1_700_000_000)),
            model,
            pictures,
            usage,
            failures,
        }))
    }

    type StreamImagesStream = Replies<pb::StreamImagesResponse>;

    async fn stream_images(
        &self,
        request: Request<pb::StreamImagesRequest>,
    ) -> Result<Response<Self::StreamImagesStream>, Status> {
        use pb::stream_images_response::Event;
        let message = self.0.take(request)?;
        let image = message.image.unwrap();
        let create_time = Some(from_unix_seconds(1_700_000_000));
        let mut items: Vec<_> = (0..message.partial_images)
            .map(|partial_index| {
                let picture = Some(picture(&image));
                Event::Preview(pb::ImagePreview { picture_index: 0, partial_index, picture, create_time })
            })
            .map(|event| Ok(pb::StreamImagesResponse { event: Some(event) }))
            .collect();
        items.push(self.0.with(|state| match state.preview_failure.take() {
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
                })),
            }),
        }));
        let (_, failures) = self.0.with(|state| std::mem::take(&mut state.partial));
        items.extend(
            failures.into_iter().map(|failure| Ok(pb::StreamImagesResponse { event: Some(Event::Failed(failure)) })),
        );
        self.0.with(|state| state.images = Some(image));
        Ok(replies(items))
    }
}
