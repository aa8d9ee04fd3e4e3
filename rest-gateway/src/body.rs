//! Reads request bodies: bounded in length, time and memory, and decompressed if the client compressed them. `json` and
//! `form` parse them.

use std::{future::poll_fn, io::Read, pin::Pin, task::Poll};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, header};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use tokio::time::{Duration, Instant, timeout_at};

use crate::{error::GatewayError, offload, request_memory::RequestMemory};

/// The time limit of a body grows by one second for every so many bytes received, so that slow clients pass and stalled
/// ones do not.
const BYTES_PER_EXTRA_SECOND: u64 = 64 << 10;

/// Length of the chunks in which a body is decompressed, in bytes.
const INFLATED_CHUNK: usize = 64 << 10;

/// Bounds of a request body.
#[derive(Debug, Clone)]
pub(crate) struct BodyLimits {
    /// Maximum length, before and after decompression, in bytes.
    pub(crate) bytes: usize,
    /// Maximum time for receiving the body. A longer body gets more, by [`BYTES_PER_EXTRA_SECOND`].
    pub(crate) timeout: Duration,
    /// Reserves the bytes of this body from the memory that the bodies of all requests share.
    pub(crate) memory: RequestMemory,
}

/// Reads a whole body, decompressed.
///
/// # Errors
/// 400 (broken body), 408 (timeout), 413 (too long), 429 (memory of all bodies), 415 (unknown `Content-Encoding`).
pub(crate) async fn read(headers: &HeaderMap, body: Body, limits: BodyLimits) -> Result<Bytes, GatewayError> {
    let head = Head::from_headers(headers, limits.bytes)?;
    let mut bytes = Collector::with_capacity(head.content_length.unwrap_or_default());
    let mut body = LimitedBody::new(body, limits.clone());
    while let Some(data) = body.next().await? {
        bytes.push(data);
    }
    decompress(head.gzip, bytes.into_bytes(), limits).await
}

/// Returns a body as a stream, decompressed. Fails like [`read`]. A compressed body is read whole first: its length is
/// known only after decompression.
pub(crate) async fn stream(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
) -> Result<impl Stream<Item = Result<Bytes, GatewayError>> + Send + 'static, GatewayError> {
    if Head::from_headers(headers, limits.bytes)?.gzip {
        let bytes = read(headers, body, limits).await?;
        return Ok(stream::once(async { Ok(bytes) }).left_stream());
    }
    let chunks = stream::unfold(LimitedBody::new(body, limits), async |mut body| {
        body.next().await.transpose().map(|chunk| (chunk, body))
    });
    Ok(chunks.right_stream())
}

/// The encoding and the length of a body, as the request headers declare them.
struct Head {
    gzip: bool,
    content_length: Option<usize>,
}

impl Head {
    fn from_headers(headers: &HeaderMap, limit: usize) -> Result<Self, GatewayError> {
        let encoding = headers.get(header::CONTENT_ENCODING).map_or(Ok(""), |value| value.to_str());
        // A value that is not text is an unknown encoding.
        let gzip = match encoding.unwrap_or("?").trim().to_ascii_lowercase().as_str() {
            "" | "identity" => false,
            "gzip" | "x-gzip" => true,
            _ => {
                return Err(GatewayError::unsupported_media_type("header Content-Encoding: expected gzip or identity"));
            }
        };
        let content_length =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        // Refused before the body is read: a client that sent `Expect: 100-continue` is spared the upload.
        if content_length.is_some_and(|length| length > limit) {
            return Err(GatewayError::too_large(limit));
        }
        Ok(Self { gzip, content_length })
    }
}

/// A body whose length and duration are limited while it is read.
struct LimitedBody {
    body: Body,
    limits: BodyLimits,
    start: Instant,
    received: usize,
}

impl LimitedBody {
    fn new(body: Body, limits: BodyLimits) -> Self {
        Self { body, limits, start: Instant::now(), received: 0 }
    }

    /// Returns the next chunk, `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, GatewayError> {
        if self.body.is_end_stream() {
            return Ok(None);
        }
        let first = if self.received == 0 { first_frame(&mut self.body).await } else { Poll::Pending };
        let frame = match first {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let extra = Duration::from_secs(self.received as u64 / BYTES_PER_EXTRA_SECOND);
                let frame = timeout_at(self.start + self.limits.timeout + extra, self.body.frame()).await;
                frame.map_err(|_elapsed| GatewayError::body_timeout())?
            }
        };
        let data = match frame {
            None => return Ok(None),
            // The connection is broken, so that the response is unlikely to arrive.
            Some(Err(_)) => return Err(GatewayError::invalid_request("the request body is incomplete")),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        self.limits.memory.grow(data.len())?;
        self.received += data.len();
        if self.received > self.limits.bytes {
            return Err(GatewayError::too_large(self.limits.bytes));
        }
        Ok(Some(data))
    }
}

/// Returns the first frame of a body, or `Pending` if it has not arrived yet.
///
/// hyper passes on a body that has arrived with its head when the request is polled for the second time. A timer for the
/// time in between would cost more than reading the body.
async fn first_frame(body: &mut Body) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
    let mut is_second = false;
    poll_fn(|cx| {
        let frame = Pin::new(&mut *body).poll_frame(cx);
        if frame.is_pending() && !is_second {
            is_second = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(frame)
    })
    .await
}

/// Joins chunks. Most bodies are a single chunk, which is returned without a copy.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    first: Bytes,
    joined: BytesMut,
    capacity: usize,
}

impl Collector {
    /// Creates a collector for about `capacity` bytes, which are allocated with the second chunk.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        if self.first.is_empty() && self.joined.is_empty() {
            self.first = chunk;
            return;
        }
        if self.joined.is_empty() {
            self.joined.reserve(self.capacity.max(self.first.len() + chunk.len()));
            self.joined.extend_from_slice(&self.first);
        }
        self.joined.extend_from_slice(&chunk);
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

async fn decompress(gzip: bool, bytes: Bytes, limits: BodyLimits) -> Result<Bytes, GatewayError> {
    if !gzip {
        return Ok(bytes);
    }
    offload::run(bytes.len(), move || inflate(&bytes, &limits)).await?
}

/// Decompresses within the limits: a short body can expand to gigabytes.
fn inflate(bytes: &[u8], limits: &BodyLimits) -> Result<Bytes, GatewayError> {
    let (mut plain, mut chunk) = (Vec::new(), vec![0; INFLATED_CHUNK]);
    let mut decoder = MultiGzDecoder::new(bytes);
    loop {
        let read = decoder
            .read(&mut chunk)
            .map_err(|error| GatewayError::invalid_request(format!("the request body is not valid gzip: {error}")))?;
        if read == 0 {
            return Ok(Bytes::from(plain));
        }
        if plain.len() + read > limits.bytes {
            return Err(GatewayError::too_large(limits.bytes));
        }
        limits.memory.grow(read)?;
        plain.extend_from_slice(&chunk[..read]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http::HeaderValue;
    use http_server::MemoryBudget;

    use super::*;

    fn limits() -> BodyLimits {
        limits_of(&MemoryBudget::new(1 << 20))
    }

    fn limits_of(budget: &MemoryBudget) -> BodyLimits {
        BodyLimits { bytes: 1000, timeout: Duration::from_secs(30), memory: RequestMemory::new(budget) }
    }

    fn compress(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn gzip() -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))])
    }

    #[tokio::test]
    async fn body_in_several_chunks_is_joined() {
        let chunks = ["{\"a\":", "1", "}"].map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
        let body = Body::from_stream(stream::iter(chunks));
        assert_eq!(read(&HeaderMap::new(), body, limits()).await.unwrap(), "{\"a\":1}");
    }

    #[tokio::test]
    async fn body_over_the_limit_is_refused_with_and_without_content_length() {
        let declared = HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from(1001))]);
        let error = read(&declared, Body::empty(), limits()).await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.code()), (413, "request_too_large"));
        let error = read(&HeaderMap::new(), Body::from(vec![b' '; 1001]), limits()).await.unwrap_err();
        assert_eq!(error.status().as_u16(), 413);
    }

    #[tokio::test]
    async fn gzip_body_is_decompressed_up_to_the_limit() {
        let body = read(&gzip(), Body::from(compress(b"{}")), limits()).await.unwrap();
        assert_eq!(body, "{}");
        let bomb = Body::from(compress(&vec![0; 1 << 20]));
        assert_eq!(read(&gzip(), bomb, limits()).await.unwrap_err().status().as_u16(), 413);
        let error = read(&gzip(), Body::from("not gzip"), limits()).await.unwrap_err();
        assert_eq!(error.status().as_u16(), 400);
    }

    #[tokio::test]
    async fn unknown_content_encoding_returns_415() {
        let brotli = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("br"))]);
        let error = read(&brotli, Body::from("{}"), limits()).await.unwrap_err();
        assert_eq!(error.status().as_u16(), 415);
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_body_returns_408() {
        let half = stream::iter([Ok::<_, std::io::Error>(Bytes::from("{\"a\""))]).chain(stream::pending());
        let error = read(&HeaderMap::new(), Body::from_stream(half), limits()).await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.code()), (408, "request_timeout"));
    }

    #[tokio::test]
    async fn bodies_beyond_the_shared_memory_return_429_until_others_are_released() {
        let budget = MemoryBudget::new(2 << 10);
        let full = || Body::from(vec![b' '; 1000]);
        let (first, second, third) = (limits_of(&budget), limits_of(&budget), limits_of(&budget));
        assert!(read(&HeaderMap::new(), full(), first.clone()).await.is_ok());
        // A small gzip body that expands.
        assert!(read(&gzip(), Body::from(compress(&[b' '; 900])), second.clone()).await.is_ok());
        let error = read(&HeaderMap::new(), full(), third).await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.code()), (429, "overloaded"));
        assert!(error.message().contains("rest.body_memory_bytes"), "{error}");
        // `read` got clones, which share the reservation: it lasts until the original is dropped.
        drop(first);
        assert!(read(&HeaderMap::new(), full(), limits_of(&budget)).await.is_ok());
    }
}
