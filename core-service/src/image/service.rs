//! The gRPC door of the image panel.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status, metadata::MetadataMap};
use triptych_proto::v1::{self as pb, image_service_server::ImageService, stream_images_response::Event};

use super::{
    ImageEvent, ImageSpec, MadePicture,
    validate::{self, Checked, Delivery},
};
use crate::{
    call::{self, Call, Chunks},
    catalog::Catalog,
    error::{Error, ProviderError},
    media::{Inputs, MediaType, Vault},
};

/// Input pictures of one request that are fetched and decoded at a time.
const INPUTS_AT_ONCE: usize = 4;

/// Serves [`ImageService`] from a catalog. Clones share everything.
#[derive(Debug, Clone)]
pub struct ImageDoor {
    catalog: Arc<Catalog>,
    vault: Vault,
    inputs: Inputs,
}

/// A request on its way: who makes the pictures, and how they are handed over.
struct Admitted {
    events: Chunks<ImageEvent>,
    /// The public name of the model.
    model: String,
    n: u32,
    delivery: Delivery,
    deadline: Option<Instant>,
}

impl ImageDoor {
    /// A door to the image models of this catalog. Pictures handed over as links are kept in `vault`.
    pub fn new(catalog: Arc<Catalog>, vault: Vault, inputs: Inputs) -> Self {
        Self { catalog, vault, inputs }
    }

    /// Checks a request, gets hold of its pictures and passes it to whoever makes it.
    async fn admit(
        &self,
        metadata: &MetadataMap,
        image: Option<pb::ImageRequest>,
        idempotency_key: String,
        partial_images: u32,
    ) -> Result<Admitted, Error> {
        let image = image.ok_or_else(|| Error::invalid("image", "is required"))?;
        call::check_idempotency_key(&idempotency_key)?;
        let entry = self.catalog.image.find(&image.model)?;
        let Checked { spec, pictures, mask, delivery } = validate::check(image, partial_images)?;
        if !pictures.is_empty() && !entry.provider.edits() {
            let message = format!("the model `{}` cannot start from pictures", entry.id);
            return Err(ProviderError::NotSupported(message).into());
        }
        let (n, deadline) = (spec.n, call::deadline(metadata));
        let events = in_time(deadline, async {
            let request = self.with_inputs(spec, pictures, mask).await?;
            let call = Call {
                model: entry.upstream.clone(),
                request,
                deadline,
                request_id: call::request_id(metadata),
                idempotency_key,
            };
            Ok(entry.provider.generate(call).await?)
        });
        Ok(Admitted { events: events.await?, model: entry.id.clone(), n, delivery, deadline })
    }

    async fn with_inputs(
        &self,
        mut spec: ImageSpec,
        pictures: Vec<pb::MediaInput>,
        mask: Option<pb::MediaInput>,
    ) -> Result<ImageSpec, Error> {
        let inputs = &self.inputs;
        let pictures = stream::iter(pictures)
            .enumerate()
            .map(|(place, input)| async move { inputs.resolve(&format!("pictures[{place}]"), input).await });
        let pictures: Vec<_> = pictures.buffered(INPUTS_AT_ONCE).try_collect().await?;
        if let (Some(mask), Some(first)) = (mask, pictures.first()) {
            let mask = inputs.resolve("mask", mask).await?;
            if mask.size != first.size {
                let message = format!("must have the size of the first picture, {}, not {}", first.size, mask.size);
                return Err(Error::invalid("mask", message));
            }
            if mask.format == MediaType::Jpeg {
                return Err(Error::invalid("mask", "must be PNG or WebP: its transparent pixels are where to paint"));
            }
            spec.mask = Some(mask.bytes);
        }
        spec.pictures = pictures.into_iter().map(|picture| picture.bytes).collect();
        Ok(spec)
    }
}

#[async_trait]
impl ImageService for ImageDoor {
    async fn generate_images(
        &self,
        request: Request<pb::GenerateImagesRequest>,
    ) -> Result<Response<pb::GenerateImagesResponse>, Status> {
        let (metadata, _, pb::GenerateImagesRequest { image, idempotency_key }) = request.into_parts();
        let Admitted { mut events, model, n, delivery, deadline } =
            self.admit(&metadata, image, idempotency_key, 0).await?;
        let mut pictures = BTreeMap::new();
        let finished = in_time(deadline, async {
            while let Some(event) = events.try_next().await? {
                match event {
                    ImageEvent::Preview { .. } => {}
                    ImageEvent::Finished { index, picture, revised_prompt } => {
                        check_index(index, n)?;
                        pictures.insert(index, hand_over(&self.vault, delivery, picture, revised_prompt).await?);
                    }
                }
            }
            // Fewer than asked for are handed over all the same: they are made, and perhaps paid.
            if pictures.is_empty() { Err(nothing_made()) } else { Ok(()) }
        });
        finished.await?;
        let pictures = pictures.into_values().collect();
        Ok(Response::new(pb::GenerateImagesResponse { created: call::unix_now(), model, pictures, usage: None }))
    }

    type StreamImagesStream = BoxStream<'static, Result<pb::StreamImagesResponse, Status>>;

    async fn stream_images(
        &self,
        request: Request<pb::StreamImagesRequest>,
    ) -> Result<Response<Self::StreamImagesStream>, Status> {
        let (metadata, _, pb::StreamImagesRequest { image, idempotency_key, partial_images }) = request.into_parts();
        let admitted = self.admit(&metadata, image, idempotency_key, partial_images).await?;
        let vault = self.vault.clone();
        // An error ends the unfolding, and with it the provider's work.
        let events = stream::try_unfold((admitted, false), move |(mut admitted, mut any)| {
            let vault = vault.clone();
            async move {
                let event = in_time(admitted.deadline, next(&mut admitted, &vault)).await?;
                any |= matches!(event, Some(Event::Finished(_)));
                match event {
                    Some(event) => Ok(Some((pb::StreamImagesResponse { event: Some(event) }, (admitted, any)))),
                    None if any => Ok(None),
                    None => Err(Status::from(nothing_made())),
                }
            }
        });
        Ok(Response::new(events.boxed()))
    }
}

/// The provider's next event in the contract's words.
async fn next(admitted: &mut Admitted, vault: &Vault) -> Result<Option<Event>, Error> {
    let Some(event) = admitted.events.try_next().await? else { return Ok(None) };
    let created = call::unix_now();
    let event = match event {
        ImageEvent::Preview { index, partial, picture } => {
            check_index(index, admitted.n)?;
            let picture = hand_over(vault, Delivery::Bytes, picture, String::new()).await?;
            Event::Preview(pb::ImagePreview {
                picture_index: index,
                partial_index: partial,
                picture: Some(picture),
                created,
            })
        }
        ImageEvent::Finished { index, picture, revised_prompt } => {
            check_index(index, admitted.n)?;
            let picture = hand_over(vault, admitted.delivery, picture, revised_prompt).await?;
            Event::Finished(pb::ImageFinished { picture_index: index, picture: Some(picture), created, usage: None })
        }
    };
    Ok(Some(event))
}

async fn hand_over(
    vault: &Vault,
    delivery: Delivery,
    picture: MadePicture,
    revised_prompt: String,
) -> Result<pb::Picture, Error> {
    let MadePicture { data, media_type, size } = picture;
    let (data, media_key) = match delivery {
        Delivery::Bytes => (data, String::new()),
        Delivery::Link => {
            let kind = MediaType::from_mime(media_type)
                .ok_or_else(|| ProviderError::Unreadable(format!("a picture came as `{media_type}`")))?;
            (bytes::Bytes::new(), vault.put_content(data, kind).await?.key)
        }
    };
    let media_type = media_type.to_owned();
    Ok(pb::Picture { data, media_key, media_type, width: size.width, height: size.height, revised_prompt })
}

/// Ends the work at the caller's deadline; dropping it ends the provider's.
async fn in_time<T>(deadline: Option<Instant>, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let Some(deadline) = deadline else { return work.await };
    timeout_at(deadline, work).await.unwrap_or_else(|_| {
        Err(ProviderError::Timeout("the deadline passed before the pictures were finished".to_owned()).into())
    })
}

fn check_index(index: u32, n: u32) -> Result<(), Error> {
    if index < n {
        return Ok(());
    }
    Err(ProviderError::Unreadable(format!("picture {index} came where {n} were asked for")).into())
}

fn nothing_made() -> Error {
    ProviderError::Unreadable("the provider answered without a picture".to_owned()).into()
}

#[cfg(test)]
mod tests;
