//! Request bodies: bounded in length and in time, decompressed where the client compressed them.

use std::io::Read;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::time::{Duration, Instant, timeout_at};

use crate::{error::GatewayError, offload, settings::Settings};

/// For each piece of this many bytes that arrived, a body gets one second more: slow lines pass, stalled ones do not.
const BYTES_PER_SECOND: u64 = 64 << 10;

/// The whole body as the client meant it.
pub(crate) async fn read(headers: &HeaderMap, body: Body, settings: &Settings) -> Result<Bytes, GatewayError> {
    let limit = settings.body_limit_bytes;
    let coding = headers.get(header::CONTENT_ENCODING).map_or(Ok(""), |value| value.to_str());
    let gzip = match coding.unwrap_or("?").trim().to_ascii_lowercase().as_str() {
        "" | "identity" => false,
        "gzip" | "x-gzip" => true,
        _ => return Err(GatewayError::unsupported_media_type("the Content-Encoding must be gzip or absent")),
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    // Refused before it is read: a client that asked for permission to send is spared the upload.
    if announced.is_some_and(|length| length > limit) {
        return Err(GatewayError::too_large(limit));
    }
    let bytes = receive(body, announced.unwrap_or_default(), settings).await?;
    if gzip { offload::run(bytes.len(), move || inflate(&bytes, limit)).await? } else { Ok(bytes) }
}

async fn receive(mut body: Body, announced: usize, settings: &Settings) -> Result<Bytes, GatewayError> {
    let start = Instant::now();
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    loop {
        let received = first.len().max(joined.len());
        let grace = Duration::from_secs(received as u64 / BYTES_PER_SECOND);
        let frame = timeout_at(start + settings.body_timeout + grace, body.frame());
        let data = match frame.await {
            Err(_elapsed) => return Err(GatewayError::timed_out()),
            Ok(None) => break,
            // The connection broke: nobody will read this.
            Ok(Some(Err(_))) => return Err(GatewayError::invalid_request("the request body ended too early")),
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        };
        if received + data.len() > settings.body_limit_bytes {
            return Err(GatewayError::too_large(settings.body_limit_bytes));
        }
        // Most bodies are one piece, which is then handed on without a copy.
        if received == 0 {
            first = data;
        } else {
            if joined.is_empty() {
                joined.reserve(announced.max(received + data.len()));
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&data);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

/// Bounded while it inflates: a small body can stand for gigabytes.
fn inflate(bytes: &[u8], limit: usize) -> Result<Bytes, GatewayError> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(bytes).take(limit as u64 + 1);
    decoder
        .read_to_end(&mut plain)
        .map_err(|error| GatewayError::invalid_request(format!("the gzip body: {error}")))?;
    if plain.len() > limit { Err(GatewayError::too_large(limit)) } else { Ok(Bytes::from(plain)) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use futures_util::stream;
    use http::HeaderValue;

    use super::*;

    fn small() -> Settings {
        Settings { body_limit_bytes: 1000, ..Settings::default() }
    }

    fn zipped(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn gzip() -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))])
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_joined() {
        let pieces = ["{\"a\":", "1", "}"].map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
        let body = Body::from_stream(stream::iter(pieces));
        assert_eq!(read(&HeaderMap::new(), body, &small()).await.unwrap(), "{\"a\":1}");
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_announced_or_not() {
        let announced = HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from(1001))]);
        let error = read(&announced, Body::empty(), &small()).await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.code()), (413, "request_too_large"));
        let error = read(&HeaderMap::new(), Body::from(vec![b' '; 1001]), &small()).await.unwrap_err();
        assert_eq!(error.status().as_u16(), 413);
    }

    #[tokio::test]
    async fn a_gzip_body_is_inflated_and_a_bomb_is_not() {
        let body = read(&gzip(), Body::from(zipped(b"{}")), &small()).await.unwrap();
        assert_eq!(body, "{}");
        let bomb = Body::from(zipped(&vec![0; 1 << 20]));
        assert_eq!(read(&gzip(), bomb, &small()).await.unwrap_err().status().as_u16(), 413);
        let error = read(&gzip(), Body::from("not gzip"), &small()).await.unwrap_err();
        assert_eq!(error.status().as_u16(), 400);
    }

    #[tokio::test]
    async fn an_unknown_coding_is_refused() {
        let brotli = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("br"))]);
        let error = read(&brotli, Body::from("{}"), &small()).await.unwrap_err();
        assert_eq!(error.status().as_u16(), 415);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_times_out() {
        use futures_util::StreamExt;
        let half = stream::iter([Ok::<_, std::io::Error>(Bytes::from("{\"a\""))]).chain(stream::pending());
        let error = read(&HeaderMap::new(), Body::from_stream(half), &small()).await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.code()), (408, "request_timeout"));
    }
}
