//! The media service of the stub. The only stored file is `clip.mp4`, with the link token `token.mp4`; it is also the
//! file of every finished video.

use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, media_service_server::MediaService};

use super::{CoreStub, failure};
use crate::core_client::ReplyStream;

/// The content of `clip.mp4`.
const CLIP: &[u8] = b"0123456789";

/// The URL of `clip.mp4` in an object store.
pub(crate) const CLIP_URL: &str = "https://bucket.test/clip.mp4?signature=s";

pub(crate) fn clip() -> pb::Media {
    pb::Media {
        key: "clip.mp4".to_owned(),
        media_type: "video/mp4".to_owned(),
        size_bytes: CLIP.len() as u64,
        etag: "e1".to_owned(),
    }
}

/// Returns a range of `clip.mp4`.
pub(super) fn range(offset: u64, length: Option<u64>) -> Result<bytes::Bytes, Status> {
    let from = usize::try_from(offset).unwrap();
    let to = length.map_or(CLIP.len(), |length| (from + usize::try_from(length).unwrap()).min(CLIP.len()));
    CLIP.get(from..to).map(bytes::Bytes::from_static).ok_or_else(|| Status::out_of_range("beyond the last byte"))
}

impl CoreStub {
    /// Returns the URL for a caller that accepts one, if the stub has been set so.
    pub(super) fn download_url(&self, is_accepted: bool) -> Option<pb::DownloadUrl> {
        let redirects = is_accepted && self.with(|state| state.redirects_downloads);
        redirects.then(|| pb::DownloadUrl { url: CLIP_URL.to_owned(), expire_time: None })
    }
}

#[tonic::async_trait]
impl MediaService for CoreStub {
    async fn get_media(&self, request: Request<pb::GetMediaRequest>) -> Result<Response<pb::GetMediaResponse>, Status> {
        let message = self.receive(request)?;
        if message.key != "clip.mp4" && message.link_token != "token.mp4" {
            return Err(failure("MEDIA_NOT_FOUND", tonic::Code::NotFound, None));
        }
        Ok(self.reply(pb::GetMediaResponse { media: Some(clip()) }))
    }

    type ReadMediaStream = ReplyStream<pb::ReadMediaResponse>;

    async fn read_media(
        &self,
        request: Request<pb::ReadMediaRequest>,
    ) -> Result<Response<Self::ReadMediaStream>, Status> {
        use pb::read_media_response::Part;
        let message = self.receive(request)?;
        if message.key != "clip.mp4" && message.link_token != "token.mp4" {
            return Err(failure("MEDIA_NOT_FOUND", tonic::Code::NotFound, None));
        }
        let content = match self.download_url(message.accept_download_url) {
            Some(url) => Part::DownloadUrl(url),
            None => Part::Data(range(message.offset, message.length)?),
        };
        let parts = [Part::Media(clip()), content];
        Ok(self.stream_reply(parts.map(|part| Ok(pb::ReadMediaResponse { part: Some(part) })).into()))
    }
}
