//! Streams the bytes of a stored file. A lease in memory and a pin in the database keep the file from being removed meanwhile.

use std::{
    io::{self, SeekFrom},
    ops::Range,
};

use bytes::Bytes;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use object_store::{GetResult, GetResultPayload};
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    time::Instant,
};
use tokio_util::io::ReaderStream;

use super::{index::PIN_INTERVAL, leases::Lease, object::object_error, pins::Pins};
use crate::{error::Error, media::key::MediaKey};

/// The most bytes that one item of a read stream has. `media.proto` promises this bound.
pub const MAX_CHUNK_BYTES: usize = 256 * 1024;

/// The bytes of a file, in order.
pub type MediaBytes = BoxStream<'static, Result<Bytes, Error>>;

/// Streams this range of an object, in items of at most [`MAX_CHUNK_BYTES`].
pub(super) async fn stream_range(key: &MediaKey, object: GetResult, range: Range<u64>) -> Result<MediaBytes, Error> {
    let name = key.clone();
    match object.payload {
        // object_store's own stream of a file would start a blocking task for every 8 KiB.
        GetResultPayload::File(file, _) => {
            let mut file = tokio::fs::File::from_std(file);
            file.seek(SeekFrom::Start(range.start)).await.map_err(|error| file_error(key, &error))?;
            let bytes = ReaderStream::with_capacity(file.take(range.end - range.start), MAX_CHUNK_BYTES);
            Ok(bytes.map_err(move |error| file_error(&name, &error)).boxed())
        }
        GetResultPayload::Stream(bytes) => {
            let bytes = bytes.map_err(move |error| object_error(&name, &error));
            Ok(bytes.flat_map(|bytes| stream::iter(split(bytes))).boxed())
        }
    }
}

/// Holds the lease for as long as the stream exists, and renews the pin while it is read.
pub(super) fn keep_pinned(bytes: MediaBytes, key: MediaKey, lease: Lease, pins: Pins) -> MediaBytes {
    let pinned = Instant::now();
    let state = (bytes, key, lease, pins, pinned);
    stream::unfold(state, async |(mut bytes, key, lease, pins, mut pinned)| {
        if pinned.elapsed() >= PIN_INTERVAL {
            if let Err(error) = pins.pin(&key).await {
                tracing::warn!(media.key = %key, "the pin of a file that is being read was not renewed: {error}");
            }
            pinned = Instant::now();
        }
        Some((bytes.next().await?, (bytes, key, lease, pins, pinned)))
    })
    .boxed()
}

fn split(bytes: Result<Bytes, Error>) -> Vec<Result<Bytes, Error>> {
    match bytes {
        Ok(mut bytes) => {
            let mut chunks = Vec::with_capacity(bytes.len().div_ceil(MAX_CHUNK_BYTES));
            while !bytes.is_empty() {
                chunks.push(Ok(bytes.split_to(bytes.len().min(MAX_CHUNK_BYTES))));
            }
            chunks
        }
        Err(error) => vec![Err(error)],
    }
}

fn file_error(key: &MediaKey, error: &io::Error) -> Error {
    Error::Storage(format!("media {key}: {error}"))
}
