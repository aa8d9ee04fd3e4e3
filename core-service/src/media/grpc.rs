//! The gRPC media service.

use async_trait::async_trait;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, media_service_server, read_media_response::Part};

use super::{key::MediaKey, store::MediaStore};
use crate::error::Error;

/// The implementation of `MediaService` over the media store.
#[derive(Debug, Clone)]
pub struct MediaGrpc {
    media_store: MediaStore,
}

impl MediaGrpc {
    /// Returns the service over this store.
    pub fn new(media_store: MediaStore) -> Self {
        Self { media_store }
    }
}

#[async_trait]
impl media_service_server::MediaService for MediaGrpc {
    type ReadMediaStream = BoxStream<'static, Result<pb::ReadMediaResponse, Status>>;

    async fn get_media(&self, request: Request<pb::GetMediaRequest>) -> Result<Response<pb::GetMediaResponse>, Status> {
        let key = MediaKey::from_request(&request.get_ref().key)?;
        let media = self.media_store.describe(&key).await?;
        Ok(Response::new(pb::GetMediaResponse { media: Some(media) }))
    }

    async fn read_media(
        &self,
        request: Request<pb::ReadMediaRequest>,
    ) -> Result<Response<Self::ReadMediaStream>, Status> {
        let pb::ReadMediaRequest { key, offset, length } = request.into_inner();
        let key = MediaKey::from_request(&key)?;
        let (media, bytes) = self.media_store.read(&key, offset, length).await?;
        let first = stream::iter([Ok(Part::Media(media))]);
        let parts = first.chain(bytes.map(|bytes| bytes.map(Part::Data)));
        let messages = parts.map(|part: Result<Part, Error>| Ok(pb::ReadMediaResponse { part: Some(part?) }));
        Ok(Response::new(messages.boxed()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::TryStreamExt;
    use media_service_server::MediaService as _;
    use tonic::Code;

    use super::*;

    async fn service() -> (tempfile::TempDir, MediaGrpc) {
        let directory = tempfile::tempdir().unwrap();
        let media_store = MediaStore::for_test(directory.path());
        media_store.put(&MediaKey::parse("a.png").unwrap(), Bytes::from_static(b"0123456789")).await.unwrap();
        (directory, MediaGrpc::new(media_store))
    }

    fn read(key: &str, offset: u64, length: Option<u64>) -> Request<pb::ReadMediaRequest> {
        Request::new(pb::ReadMediaRequest { key: key.to_owned(), offset, length })
    }

    #[tokio::test]
    async fn read_stream_begins_with_the_description_of_the_whole_file() {
        let (_directory, service) = service().await;
        let get = Request::new(pb::GetMediaRequest { key: "a.png".to_owned() });
        let described = service.get_media(get).await.unwrap().into_inner().media.unwrap();
        let messages = service.read_media(read("a.png", 2, Some(3))).await.unwrap().into_inner();
        let parts: Vec<_> = messages.map_ok(|message| message.part.unwrap()).try_collect().await.unwrap();
        assert_eq!(described.size_bytes, 10);
        assert_eq!(parts, [Part::Media(described), Part::Data(Bytes::from_static(b"234"))]);
    }

    #[tokio::test]
    async fn key_that_looks_like_a_path_is_not_found() {
        let (directory, service) = service().await;
        std::fs::write(directory.path().join("secret.txt"), "secret").unwrap();
        for key in ["", "b.png", "secret.txt", "../a.png", "./a.png", "/a.png", "..%2fa.png", "a.png\0", "A.png"] {
            let get = Request::new(pb::GetMediaRequest { key: key.to_owned() });
            assert_eq!(service.get_media(get).await.unwrap_err().code(), Code::NotFound, "{key:?}");
            assert_eq!(service.read_media(read(key, 0, None)).await.err().unwrap().code(), Code::NotFound, "{key:?}");
        }
    }

    #[tokio::test]
    async fn range_beyond_the_end_is_out_of_range() {
        let (_directory, service) = service().await;
        let status = service.read_media(read("a.png", 10, None)).await.err().unwrap();
        assert_eq!(status.code(), Code::OutOfRange);
    }
}
