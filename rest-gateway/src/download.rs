//! Finished files on their way out: in pieces, in ranges, never whole in memory.

use axum::{body::Body, response::Response};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tonic::Status;
use triptych_proto::v1::{
    self as pb, Media, download_video_response::Part as VideoPart, read_media_response::Part as MediaPart,
};

use crate::{
    app::App,
    context::Context,
    error::GatewayError,
    ranges::{self, Wanted},
};

/// What is downloaded.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A medium, by its key.
    Media(String),
    /// One form of a clip.
    Video {
        /// The clip.
        id: String,
        /// `video`, `thumbnail` or `spritesheet`; empty for the first.
        variant: pb::VideoVariant,
    },
}

/// How long a copy may be kept, and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) cache_control: HeaderValue,
    /// Without its extension.
    pub(crate) name: Option<String>,
}

/// Whether a text can stand in a file's name as it is.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Answers GET and HEAD, with validators and, to GET, single ranges.
pub(crate) async fn answer(
    app: &App,
    context: &Context,
    method: &Method,
    headers: &HeaderMap,
    source: Source,
    label: Label,
) -> Result<Response, GatewayError> {
    let head = method == Method::HEAD;
    // A plain GET learns all it needs from the download itself.
    let known = if head || ranges::conditional(headers) { describe(app, context, &source).await? } else { None };
    let wanted = known.as_ref().map_or(Wanted::Whole, |media| ranges::wanted(method, headers, media));
    let (offset, length) = match wanted {
        Wanted::Whole | Wanted::NotModified => (0, None),
        Wanted::Part { offset, length } => (offset, Some(length)),
        Wanted::Unsatisfiable => {
            return Err(GatewayError::range_not_satisfiable(known.map_or(0, |media| media.size_bytes)));
        }
    };
    let (media, body) = match known {
        Some(media) if head || wanted == Wanted::NotModified => (media, Body::empty()),
        Some(_) | None => {
            let (media, bytes) = open(app, context, source, offset, length).await?;
            (media, if head { Body::empty() } else { Body::from_stream(bytes) })
        }
    };
    respond(&media, wanted, body, label)
}

fn respond(media: &Media, wanted: Wanted, body: Body, label: Label) -> Result<Response, GatewayError> {
    let mut response = Response::new(body);
    let text = |text: String| HeaderValue::try_from(text).map_err(|_| GatewayError::internal());
    let mut set = Vec::from([
        (header::ETAG, text(ranges::quoted(&media.etag))?),
        (header::CACHE_CONTROL, label.cache_control),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        // Whatever the bytes look like to a browser, they are what we say.
        (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    ]);
    if wanted == Wanted::NotModified {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let length = match wanted {
            Wanted::Part { offset, length } => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = format!("bytes {offset}-{}/{}", offset + length - 1, media.size_bytes);
                set.push((header::CONTENT_RANGE, text(range)?));
                length
            }
            Wanted::Whole | Wanted::NotModified | Wanted::Unsatisfiable => media.size_bytes,
        };
        set.push((header::CONTENT_LENGTH, HeaderValue::from(length)));
        set.push((header::CONTENT_TYPE, text(media.media_type.clone())?));
        if let Some(name) = label.name {
            let extension = media.key.rsplit_once('.').map_or("bin", |(_, extension)| extension);
            set.push((header::CONTENT_DISPOSITION, text(format!("inline; filename=\"{name}.{extension}\""))?));
        }
    }
    response.headers_mut().extend(set);
    Ok(response)
}

/// What is known of a file without opening it. `None` for a clip that has no such file: opening it tells why.
async fn describe(app: &App, context: &Context, source: &Source) -> Result<Option<Media>, GatewayError> {
    match source.clone() {
        Source::Media(key) => {
            let answer = app.core.media.get_media(context.call(pb::GetMediaRequest { key })).await?;
            Ok(answer.into_inner().media)
        }
        Source::Video { id, variant } => {
            let answer = app.core.video.get_video(context.call(pb::GetVideoRequest { id })).await?;
            let files = answer.into_inner().video.unwrap_or_default().media;
            Ok(files.into_iter().find(|file| file.variant() == variant).and_then(|file| file.media))
        }
    }
}

/// A whole medium in memory, for answers that carry it themselves.
pub(crate) async fn whole(app: &App, context: &Context, key: &str) -> Result<Bytes, GatewayError> {
    let (media, mut pieces) = open(app, context, Source::Media(key.to_owned()), 0, None).await?;
    let size = usize::try_from(media.size_bytes).map_err(|_| GatewayError::internal())?;
    let mut bytes = BytesMut::with_capacity(size);
    while let Some(piece) = pieces.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    if bytes.len() == size { Ok(bytes.freeze()) } else { Err(GatewayError::internal()) }
}

type Pieces = BoxStream<'static, Result<Bytes, Status>>;

/// Opens a file. Dropping the pieces ends the download.
async fn open(
    app: &App,
    context: &Context,
    source: Source,
    offset: u64,
    length: Option<u64>,
) -> Result<(Media, Pieces), GatewayError> {
    match source {
        Source::Media(key) => {
            let request = context.call(pb::ReadMediaRequest { key, offset, length });
            let mut parts = app.core.media.read_media(request).await?.into_inner();
            match parts.next().await.transpose()?.and_then(|first| first.part) {
                Some(MediaPart::Media(media)) => Ok((
                    media,
                    bytes(parts, |message| match message.part {
                        Some(MediaPart::Data(data)) => Some(data),
                        Some(MediaPart::Media(_)) | None => None,
                    }),
                )),
                Some(MediaPart::Data(_)) | None => Err(GatewayError::internal()),
            }
        }
        Source::Video { id, variant } => {
            let request = context.call(pb::DownloadVideoRequest { id, variant: variant.into(), offset, length });
            let mut parts = app.core.video.download_video(request).await?.into_inner();
            match parts.next().await.transpose()?.and_then(|first| first.part) {
                Some(VideoPart::Media(media)) => Ok((
                    media,
                    bytes(parts, |message| match message.part {
                        Some(VideoPart::Data(data)) => Some(data),
                        Some(VideoPart::Media(_)) | None => None,
                    }),
                )),
                Some(VideoPart::Data(_)) | None => Err(GatewayError::internal()),
            }
        }
    }
}

/// The bytes that follow a description. An error cuts the connection of a download: the length was promised already.
fn bytes<T: 'static>(parts: crate::core::Replies<T>, data: fn(T) -> Option<Bytes>) -> Pieces {
    let pieces = parts.filter_map(move |message| std::future::ready(message.map(data).transpose()));
    pieces
        .inspect(|piece| {
            if let Err(status) = piece {
                tracing::warn!(code = ?status.code(), "a download broke off");
            }
        })
        .boxed()
}
