//! The gRPC media service: serves the stored files by their keys, and the inputs of video jobs by temporary links for providers.

use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, media_service_server, read_media_response::Part};

use super::{key::MediaKey, provider_links::ProviderLinks, store::MediaStore};
use crate::error::Error;

/// The implementation of `MediaService` over the media store.
#[derive(Debug, Clone)]
pub struct MediaGrpc {
    media_store: MediaStore,
    links: Option<ProviderLinks>,
}

impl MediaGrpc {
    /// Returns the service over this store.
    pub fn new(media_store: MediaStore) -> Self {
        Self { media_store, links: None }
    }

    /// Also serves the files behind these links.
    #[must_use]
    pub fn with_links(self, links: ProviderLinks) -> Self {
        Self { links: Some(links), ..self }
    }

    /// Returns the key that a request names, either as the key itself or by the token of a provider link.
    ///
    /// # Errors
    /// [`Error::MediaNotFound`], also for an altered or expired token, and for the input of a job that is named by its key.
    fn key(&self, key: &str, link_token: &str) -> Result<MediaKey, Error> {
        if link_token.is_empty() {
            let key = MediaKey::from_request(key)?;
            return if key.is_input() { Err(Error::MediaNotFound(key.as_str().to_owned())) } else { Ok(key) };
        }
        let verified = self.links.as_ref().and_then(|links| links.verify(link_token, SystemTime::now()));
        verified.filter(|_| key.is_empty()).ok_or_else(|| Error::MediaNotFound("link".to_owned()))
    }
}

#[async_trait]
impl media_service_server::MediaService for MediaGrpc {
    type ReadMediaStream = BoxStream<'static, Result<pb::ReadMediaResponse, Status>>;

    async fn get_media(&self, request: Request<pb::GetMediaRequest>) -> Result<Response<pb::GetMediaResponse>, Status> {
        let pb::GetMediaRequest { key, link_token } = request.into_inner();
        let key = self.key(&key, &link_token)?;
        let media = self.media_store.describe(&key).await?;
        Ok(Response::new(pb::GetMediaResponse { media: Some(media) }))
    }

    async fn read_media(
        &self,
        request: Request<pb::ReadMediaRequest>,
    ) -> Result<Response<Self::ReadMediaStream>, Status> {
        let pb::ReadMediaRequest { key, offset, length, link_token, accept_download_url } = request.into_inner();
        let key = self.key(&key, &link_token)?;
        // The provider behind a link may not follow a redirection.
        if accept_download_url
            && link_token.is_empty()
            && let Some((media, url)) = self.media_store.download_url(&key).await?
        {
            let parts = [Part::Media(media), Part::DownloadUrl(url)];
            return Ok(Response::new(
                stream::iter(parts.map(|part| Ok(pb::ReadMediaResponse { part: Some(part) }))).boxed(),
            ));
        }
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
    use crate::media::address_policy::AddressPolicy;

    async fn service() -> (tempfile::TempDir, MediaGrpc) {
        let directory = tempfile::tempdir().unwrap();
        let media_store = MediaStore::for_test(directory.path());
        media_store.put(&MediaKey::parse("a.png").unwrap(), Bytes::from_static(b"0123456789")).await.unwrap();
        (directory, MediaGrpc::new(media_store))
    }

    fn read(key: &str, offset: u64, length: Option<u64>) -> Request<pb::ReadMediaRequest> {
        Request::new(pb::ReadMediaRequest { key: key.to_owned(), offset, length, ..pb::ReadMediaRequest::default() })
    }

    #[tokio::test]
    async fn read_stream_begins_with_the_description_of_the_whole_file() {
        let (_directory, service) = service().await;
        let get = Request::new(pb::GetMediaRequest { key: "a.png".to_owned(), ..Default::default() });
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
            let get = Request::new(pb::GetMediaRequest { key: key.to_owned(), ..Default::default() });
            assert_eq!(service.get_media(get).await.unwrap_err().code(), Code::NotFound, "{key:?}");
            assert_eq!(service.read_media(read(key, 0, None)).await.err().unwrap().code(), Code::NotFound, "{key:?}");
        }
    }

    #[tokio::test]
    async fn input_of_a_job_is_served_only_by_its_link() {
        let (_directory, service) = service().await;
        let key = MediaKey::parse("video_1-input-0.mp4").unwrap();
        service.media_store.put(&key, Bytes::from_static(b"clip")).await.unwrap();
        let ttl = std::time::Duration::from_mins(1);
        let links = ProviderLinks::new(b"key", Some("https://a.test"), AddressPolicy::PUBLIC, ttl);
        let link = links.link(&key, SystemTime::now()).unwrap();
        let token = link.rsplit('/').next().unwrap().to_owned();
        let get = |key: &str, link_token: &str| {
            Request::new(pb::GetMediaRequest { key: key.to_owned(), link_token: link_token.to_owned() })
        };
        assert_eq!(service.get_media(get("", &token)).await.unwrap_err().code(), Code::NotFound, "without links");
        let service = service.with_links(links.clone());
        let media = service.get_media(get("", &token)).await.unwrap().into_inner().media.unwrap();
        assert_eq!((media.size_bytes, media.media_type.as_str()), (4, "video/mp4"));
        let expired = links.link(&key, SystemTime::now() - ttl).unwrap();
        let expired = expired.rsplit('/').next().unwrap();
        let altered = token.replacen(&token[..1], if token.starts_with('A') { "B" } else { "A" }, 1);
        for (key, token) in [(key.as_str(), ""), ("a.png", &*token), ("", expired), ("", &altered)] {
            let status = service.get_media(get(key, token)).await.unwrap_err();
            assert_eq!(status.code(), Code::NotFound, "{key} {token}");
        }
    }

    #[tokio::test]
    async fn url_follows_the_description_only_if_the_caller_accepts_it_and_files_are_in_a_bucket() {
        let (_directory, service) = service().await;
        let parts = async |service: &MediaGrpc, accept_download_url: bool| {
            let message = pb::ReadMediaRequest { accept_download_url, ..read("a.png", 0, None).into_inner() };
            let messages = service.read_media(Request::new(message)).await.unwrap().into_inner();
            messages.map_ok(|message| message.part.unwrap()).try_collect::<Vec<_>>().await.unwrap()
        };
        let bytes = Part::Data(Bytes::from_static(b"0123456789"));
        assert_eq!(parts(&service, true).await[1..], *std::slice::from_ref(&bytes), "files in a directory");
        let before = SystemTime::now();
        let service = MediaGrpc::new(service.media_store.with_signed_urls("pictures"));
        assert_eq!(parts(&service, false).await[1..], [bytes]);
        let parts = parts(&service, true).await;
        let [Part::Media(media), Part::DownloadUrl(url)] = &*parts else { panic!("{parts:?}") };
        assert_eq!((media.size_bytes, &*url.url), (10, "https://bucket.test/pictures/a.png?GET=300"));
        let validity = SystemTime::try_from(url.expire_time.unwrap()).unwrap().duration_since(before).unwrap();
        assert!((300..310).contains(&validity.as_secs()), "{validity:?}");
        let absent = pb::ReadMediaRequest { accept_download_url: true, ..read("b.png", 0, None).into_inner() };
        assert_eq!(service.read_media(Request::new(absent)).await.err().unwrap().code(), Code::NotFound);
    }

    #[tokio::test]
    async fn range_beyond_the_end_is_out_of_range() {
        let (_directory, service) = service().await;
        let status = service.read_media(read("a.png", 10, None)).await.err().unwrap();
        assert_eq!(status.code(), Code::OutOfRange);
    }
}
