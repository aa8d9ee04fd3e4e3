//! Shares the response of a repeatable request with other nodes: its messages in the database, its images in the media store.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use prost::Message;
use triptych_proto::v1::{self as pb, stream_images_response::Event};

use super::{super::response::SharedItem, ImageGrpc, generation::delivered_bytes};
use crate::{
    error::Error,
    idempotency::{
        Idempotency, Key,
        across_nodes::{Execution, Role, SharedCalls},
    },
    keys::Owner,
    media::{MediaKey, MediaStore, MediaType},
};

/// A response as it is stored. Field numbers never change: nodes of two versions share the rows.
#[derive(Clone, PartialEq, Message)]
struct StoredResponse {
    #[prost(message, repeated, tag = "1")]
    items: Vec<StoredItem>,
}

/// One item of a response. Previews are not stored.
#[derive(Clone, PartialEq, Message)]
struct StoredItem {
    /// The only item of a unary response.
    #[prost(message, optional, tag = "1")]
    unary: Option<pb::GenerateImagesResponse>,
    /// A message of a stream.
    #[prost(message, optional, tag = "2")]
    streamed: Option<pb::StreamImagesResponse>,
    /// For each picture, the key of its bytes in the media store; empty for a picture that is delivered as a link.
    #[prost(string, repeated, tag = "3")]
    bytes_keys: Vec<String>,
}

impl StoredItem {
    fn pictures(&mut self) -> Vec<&mut pb::Picture> {
        match (&mut self.unary, &mut self.streamed) {
            (Some(response), _) => response.pictures.iter_mut().collect(),
            (None, Some(pb::StreamImagesResponse { event: Some(Event::Finished(finished)) })) => {
                finished.picture.iter_mut().collect()
            }
            (
                None,
                Some(pb::StreamImagesResponse { event: Some(Event::Preview(_) | Event::Failed(_)) | None }) | None,
            ) => Vec::new(),
        }
    }
}

/// Returns an item without the bytes of its images, and the bytes and media types in the order of the images. `None` for a preview.
fn without_bytes(item: SharedItem) -> Option<(StoredItem, Vec<(Bytes, String)>)> {
    let mut stored = match item {
        SharedItem::Unary(response) => StoredItem { unary: Some(response), ..StoredItem::default() },
        SharedItem::Streamed(pb::StreamImagesResponse { event: Some(Event::Preview(_)) }) => return None,
        SharedItem::Streamed(message) => StoredItem { streamed: Some(message), ..StoredItem::default() },
    };
    let pictures = stored.pictures().into_iter();
    let bytes = pictures.map(|picture| (std::mem::take(&mut picture.data), picture.media_type.clone())).collect();
    Some((stored, bytes))
}

impl ImageGrpc {
    /// Returns the response to a request that another node has executed or is executing; executes `work` if there is none.
    pub(super) fn across_nodes(
        &self,
        calls: SharedCalls,
        call: Idempotency,
        work: BoxStream<'static, Result<SharedItem, Error>>,
    ) -> BoxStream<'static, Result<SharedItem, Error>> {
        let service = self.clone();
        let items = async move {
            // The id of an execution whose stored response refers to a removed image: `role` does not return that response again.
            let mut invalid = None;
            loop {
                let role = match calls.role(&call, invalid.take()).await {
                    // A call without an idempotency key may be executed twice.
                    Err(error @ Error::Storage(_)) if matches!(call.scope.key, Key::Content(_)) => {
                        tracing::warn!("a request is not shared with other nodes: {error}");
                        return Ok(work);
                    }
                    role => role?,
                };
                match role {
                    Role::Execute(execution) => {
                        let media_store = service.media_store.owned_by(&call.scope.owner);
                        let ttl = service.single_flight.ttl(&call.scope.key);
                        return Ok(executed(execution, ttl, media_store, work));
                    }
                    Role::Return { response, execution } => match service.load(&response, &call.scope.owner).await {
                        Ok(items) => return Ok(stream::iter(items).map(Ok).boxed()),
                        Err(Error::MediaNotFound(_)) => {
                            tracing::info!("an image of a stored response was removed; the request is executed again");
                            invalid = Some(execution);
                        }
                        Err(error) => return Err(error),
                    },
                }
            }
        };
        stream::once(items).try_flatten().boxed()
    }

    /// Returns the items of a stored response.
    ///
    /// # Errors
    /// [`Error::MediaNotFound`] if an image was removed; [`Error::Storage`].
    async fn load(&self, response: &[u8], owner: &Owner) -> Result<Vec<SharedItem>, Error> {
        let stored = StoredResponse::decode(response)
            .map_err(|error| Error::Internal(format!("a stored response cannot be read: {error}")))?;
        let media_store = self.media_store.owned_by(owner);
        let bytes_keys = stored.items.iter().flat_map(|item| &item.bytes_keys).filter_map(|key| MediaKey::parse(key));
        let mut total = 0;
        for key in bytes_keys {
            total += delivered_bytes(media_store.describe(&key).await?.size_bytes);
        }
        // For all images at once: if each image reserved its own memory, several responses could deadlock.
        let mut memory = self.budget.response(total).await;
        let mut items = Vec::with_capacity(stored.items.len());
        for mut item in stored.items {
            let keys = std::mem::take(&mut item.bytes_keys);
            for (picture, key) in item.pictures().into_iter().zip(keys) {
                if let Some(key) = MediaKey::parse(&key) {
                    let data = read(&media_store, &key).await?;
                    let part = usize::try_from(delivered_bytes(data.len() as u64)).unwrap_or(usize::MAX);
                    picture.data = memory.split(part).attach(data);
                }
                for key in [&picture.media_key, &picture.original_media_key] {
                    if let Some(key) = MediaKey::parse(key) {
                        // Also renews the retention of the file.
                        media_store.describe(&key).await?;
                    }
                }
            }
            items.extend(item.unary.map(SharedItem::Unary));
            items.extend(item.streamed.map(SharedItem::Streamed));
        }
        Ok(items)
    }
}

/// Reads a stored image.
async fn read(media_store: &MediaStore, key: &MediaKey) -> Result<Bytes, Error> {
    let (media, mut chunks) = media_store.read(key, 0, None).await?;
    let mut bytes = BytesMut::with_capacity(usize::try_from(media.size_bytes).unwrap_or(0));
    while let Some(chunk) = chunks.try_next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// An execution whose response is stored as it arrives.
struct Executed {
    execution: Execution,
    media_store: MediaStore,
    stored: StoredResponse,
    /// An item that was returned and is not in `stored` yet.
    last: Option<SharedItem>,
}

impl Executed {
    /// Stores the images of the last item.
    async fn store_last(&mut self) -> Result<(), Error> {
        if let Some(item) = self.last.take() {
            self.stored.items.extend(store_images(&self.media_store, item).await?);
        }
        Ok(())
    }
}

/// Returns the items of `work`. Stores the images of each item after returning it, so that no client waits for the media store, and
/// the response or its error at the end.
fn executed(
    execution: Execution,
    ttl: Duration,
    media_store: MediaStore,
    work: BoxStream<'static, Result<SharedItem, Error>>,
) -> BoxStream<'static, Result<SharedItem, Error>> {
    let executed = Executed { execution, media_store, stored: StoredResponse::default(), last: None };
    stream::unfold((work, Some(executed)), move |(mut work, mut executed)| async move {
        if let Some(current) = &mut executed
            && let Err(error) = current.store_last().await
        {
            tracing::warn!("a response is not shared with other nodes: {error}");
            executed = None;
        }
        match work.next().await {
            Some(Ok(item)) => {
                if let Some(executed) = &mut executed {
                    executed.last = Some(item.clone());
                }
                Some((Ok(item), (work, executed)))
            }
            Some(Err(error)) => {
                // Other nodes get the failure of the provider only. After any other error the execution is dropped, which releases the
                // claim, so that another node can execute the request.
                if let (Some(Executed { execution, .. }), Error::Provider(error)) = (executed, &error) {
                    execution.fail(error).await;
                }
                Some((Err(error), (work, None)))
            }
            None => {
                if let Some(Executed { execution, stored, .. }) = executed {
                    execution.succeed(stored.encode_to_vec(), ttl).await;
                }
                None
            }
        }
    })
    .boxed()
}

/// Stores the bytes of the images of an item; `None` for a preview.
async fn store_images(media_store: &MediaStore, item: SharedItem) -> Result<Option<StoredItem>, Error> {
    let Some((mut stored, images)) = without_bytes(item) else { return Ok(None) };
    for (bytes, media_type) in images {
        let key = match MediaType::from_mime(&media_type).filter(|_| !bytes.is_empty()) {
            Some(media_type) => media_store.put_content(bytes, media_type).await?.key,
            None => String::new(),
        };
        stored.bytes_keys.push(key);
    }
    Ok(Some(stored))
}
