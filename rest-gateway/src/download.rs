//! Files as responses: streamed from the media store of the core, whole or in part; only their headers; or a redirection to the object
//! store, if the core has its files in a bucket and lets clients download from there.

use axum::{body::Body, response::Response};
use bytes::{Bytes, BytesMut};
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tonic::{Status, metadata::MetadataMap};
use triptych_proto::v1::{
    self as pb, Media, download_video_response::Part as VideoPart, read_media_response::Part as MediaPart,
};

use crate::{
    app::App,
    context::RequestContext,
    core_client::ReplyStream,
    error::GatewayError,
    headers::{SEC_FETCH_SITE, X_CONTENT_TYPE_OPTIONS},
    metadata::with_metadata,
    ranges::{self, Selection},
};

/// The file to serve.
#[derive(Debug, Clone)]
pub(crate) enum FileSource {
    /// A stored file, by its media key.
    Media(String),
    /// A stored input of a video, by the token in the link from which a provider fetches it.
    Link(String),
    /// A file of a video.
    Video {
        /// The id of the video.
        id: String,
        /// Which file.
        variant: pb::VideoVariant,
    },
}

/// How the response presents the file.
#[derive(Debug, Clone)]
pub(crate) struct FileOptions {
    /// The `Cache-Control` header.
    pub(crate) cache_control: HeaderValue,
    /// File name without extension, for `Content-Disposition`.
    pub(crate) file_stem: Option<String>,
}

/// Returns whether a text can be part of a quoted file name without escapes.
pub(crate) fn is_safe_file_stem(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Responds to GET and HEAD with a file, to GET with a single range of it, with 304, or with a redirection to its URL in the object store.
pub(crate) async fn serve_file(
    app: &App,
    context: &RequestContext,
    method: &Method,
    headers: &HeaderMap,
    source: FileSource,
    options: FileOptions,
) -> Result<Response, GatewayError> {
    let is_head = method == Method::HEAD;
    // For a plain GET, the download itself begins with the description.
    let (described, metadata) = if is_head || ranges::is_conditional(headers) {
        describe(app, context, &source).await?
    } else {
        Default::default()
    };
    let selection = described.as_ref().map_or(Selection::Full, |media| ranges::select(method, headers, media));
    let (offset, length) = match selection {
        Selection::Full | Selection::NotModified => (0, None),
        Selection::Range { offset, length } => (offset, Some(length)),
        Selection::Unsatisfiable => {
            return Err(GatewayError::range_not_satisfiable(described.map_or(0, |media| media.size_bytes)));
        }
    };
    let (media, body, metadata) = match described {
        Some(media) if is_head || selection == Selection::NotModified => (media, Body::empty(), metadata),
        Some(_) | None => {
            let accept_url = !is_head && accepts_redirection(headers);
            let (entries, media, opened) = open(app, context, source, offset, length, accept_url).await?;
            match opened {
                Content::Url(url) => return Ok(with_metadata(redirection(&url)?, entries)),
                Content::Bytes(bytes) => {
                    (media, if is_head { Body::empty() } else { Body::from_stream(bytes) }, entries)
                }
            }
        }
    };
    Ok(with_metadata(respond(&media, selection, body, options)?, metadata))
}

/// Headers with the validators of this server, which the object store does not know.
const CONDITIONS: [HeaderName; 5] =
    [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_RANGE, header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE];

/// Returns whether a client can be redirected to the object store, where it repeats its headers. The pages of this server cannot: their
/// security policy permits no other origin. Browsers say whether a page of this server asks, except over HTTP to another machine.
fn accepts_redirection(headers: &HeaderMap) -> bool {
    let is_browser = || headers.get(header::USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"));
    let may_be_page = headers.get(SEC_FETCH_SITE).map_or_else(is_browser, |site| site == "same-origin");
    !may_be_page && !CONDITIONS.iter().any(|name| headers.contains_key(name))
}

fn redirection(url: &str) -> Result<Response, GatewayError> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let location = HeaderValue::try_from(url).map_err(|_| GatewayError::internal())?;
    response.headers_mut().insert(header::LOCATION, location);
    // A cache must not return an expired URL, nor one that grants another client access.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}

fn respond(media: &Media, selection: Selection, body: Body, options: FileOptions) -> Result<Response, GatewayError> {
    let mut response = Response::new(body);
    let value = |text: String| HeaderValue::try_from(text).map_err(|_| GatewayError::internal());
    let mut headers = Vec::from([
        (header::ETAG, value(ranges::quoted(&media.etag))?),
        (header::CACHE_CONTROL, options.cache_control),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        // Browsers must not execute an upload that looks like HTML.
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ]);
    if selection == Selection::NotModified {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let length = match selection {
            Selection::Range { offset, length } => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = format!("bytes {offset}-{}/{}", offset + length - 1, media.size_bytes);
                headers.push((header::CONTENT_RANGE, value(range)?));
                length
            }
            Selection::Full | Selection::NotModified | Selection::Unsatisfiable => media.size_bytes,
        };
        headers.push((header::CONTENT_LENGTH, HeaderValue::from(length)));
        headers.push((header::CONTENT_TYPE, value(media.media_type.clone())?));
        if let Some(stem) = options.file_stem {
            let extension = media.key.rsplit_once('.').map_or("bin", |(_, extension)| extension);
            headers.push((header::CONTENT_DISPOSITION, value(format!("inline; filename=\"{stem}.{extension}\""))?));
        }
    }
    response.headers_mut().extend(headers);
    Ok(response)
}

/// Returns the description of a file without opening it. `None` if the video has no such file; opening it then returns
/// the error that says why.
async fn describe(
    app: &App,
    context: &RequestContext,
    source: &FileSource,
) -> Result<(Option<Media>, MetadataMap), GatewayError> {
    match source.clone() {
        FileSource::Media(key) => describe_media(app, context, pb::GetMediaRequest { key, ..Default::default() }).await,
        FileSource::Link(link_token) => {
            describe_media(app, context, pb::GetMediaRequest { link_token, ..Default::default() }).await
        }
        FileSource::Video { id, variant } => {
            let reply = app.core.video.get_video(context.call(pb::GetVideoRequest { id })).await?;
            let (metadata, reply, _) = reply.into_parts();
            let files = reply.video.unwrap_or_default().media;
            Ok((files.into_iter().find(|file| file.variant() == variant).and_then(|file| file.media), metadata))
        }
    }
}

async fn describe_media(
    app: &App,
    context: &RequestContext,
    request: pb::GetMediaRequest,
) -> Result<(Option<Media>, MetadataMap), GatewayError> {
    let (metadata, reply, _) = app.core.media.get_media(context.call(request)).await?.into_parts();
    Ok((reply.media, metadata))
}

/// Reads a whole stored file into memory, for responses that embed it.
pub(crate) async fn read_all(app: &App, context: &RequestContext, key: &str) -> Result<Bytes, GatewayError> {
    let opened = open(app, context, FileSource::Media(key.to_owned()), 0, None, false).await?;
    let (_, media, Content::Bytes(mut chunks)) = opened else { return Err(GatewayError::internal()) };
    let size = usize::try_from(media.size_bytes).map_err(|_| GatewayError::internal())?;
    let mut bytes = BytesMut::with_capacity(size);
    while let Some(chunk) = chunks.try_next().await? {
        bytes.extend_from_slice(&chunk);
    }
    if bytes.len() == size { Ok(bytes.freeze()) } else { Err(GatewayError::internal()) }
}

type ByteStream = BoxStream<'static, Result<Bytes, Status>>;

/// The content of a file.
enum Content {
    /// Its bytes.
    Bytes(ByteStream),
    /// Its URL in the object store.
    Url(String),
}

/// An opened file, with the metadata of the core's response.
type Opened = (MetadataMap, Media, Content);

/// Opens a file at `offset`, or returns its URL if that is accepted and the core has one. Dropping the bytes ends the download.
async fn open(
    app: &App,
    context: &RequestContext,
    source: FileSource,
    offset: u64,
    length: Option<u64>,
    accept_download_url: bool,
) -> Result<Opened, GatewayError> {
    match source {
        FileSource::Media(key) => {
            let request = pb::ReadMediaRequest { key, offset, length, accept_download_url, link_token: String::new() };
            open_media(app, context, request).await
        }
        FileSource::Link(link_token) => {
            open_media(app, context, pb::ReadMediaRequest { link_token, offset, length, ..Default::default() }).await
        }
        FileSource::Video { id, variant } => {
            let variant = variant.into();
            let request = pb::DownloadVideoRequest { id, variant, offset, length, accept_download_url };
            let reply = app.core.video.download_video(context.call(request)).await?;
            let part = |message: pb::DownloadVideoResponse| match message.part? {
                VideoPart::Media(media) => Some(Part::Media(media)),
                VideoPart::Data(data) => Some(Part::Data(data)),
                VideoPart::DownloadUrl(url) => Some(Part::Url(url.url)),
            };
            content(reply, part).await
        }
    }
}

async fn open_media(
    app: &App,
    context: &RequestContext,
    request: pb::ReadMediaRequest,
) -> Result<Opened, GatewayError> {
    let reply = app.core.media.read_media(context.call(request)).await?;
    let part = |message: pb::ReadMediaResponse| match message.part? {
        MediaPart::Media(media) => Some(Part::Media(media)),
        MediaPart::Data(data) => Some(Part::Data(data)),
        MediaPart::DownloadUrl(url) => Some(Part::Url(url.url)),
    };
    content(reply, part).await
}

/// A part of either download call.
enum Part {
    Media(Media),
    Data(Bytes),
    Url(String),
}

/// Reads the description, then the URL if that follows. `part` returns the content of a message; messages without one are ignored.
///
/// An error among the bytes closes the client's connection, because the response head has promised a length.
async fn content<T: 'static>(
    reply: tonic::Response<ReplyStream<T>>,
    part: fn(T) -> Option<Part>,
) -> Result<Opened, GatewayError> {
    let (metadata, parts, _) = reply.into_parts();
    let mut parts = parts.filter_map(move |message| std::future::ready(message.map(part).transpose()));
    let Some(Part::Media(media)) = parts.next().await.transpose()? else { return Err(GatewayError::internal()) };
    let first = match parts.next().await.transpose()? {
        Some(Part::Url(url)) => return Ok((metadata, media, Content::Url(url))),
        Some(Part::Data(first)) => Some(Ok(first)),
        Some(Part::Media(_)) => return Err(GatewayError::internal()),
        None => None,
    };
    let rest = parts.filter_map(|part| {
        std::future::ready(match part {
            Ok(Part::Data(data)) => Some(Ok(data)),
            Ok(Part::Media(_) | Part::Url(_)) => None,
            Err(status) => {
                tracing::warn!(code = ?status.code(), "download aborted");
                Some(Err(status))
            }
        })
    });
    Ok((metadata, media, Content::Bytes(stream::iter(first).chain(rest).boxed())))
}
