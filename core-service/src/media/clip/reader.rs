//! A stored file as a blocking reader, for parsers.

use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use tokio::runtime::Handle;

use crate::media::{MediaKey, MediaStore};

/// The bytes that are requested from the store at once.
const BLOCK_BYTES: u64 = 256 << 10;

/// A stored file, read in blocks. For blocking threads only: it waits for the store.
#[derive(Debug)]
pub(super) struct StoredFile {
    media_store: MediaStore,
    key: MediaKey,
    runtime: Handle,
    size: u64,
    position: u64,
    /// The block that was read last, and its position.
    block: (u64, Bytes),
}

impl StoredFile {
    pub(super) async fn open(
        media_store: MediaStore,
        key: MediaKey,
        runtime: Handle,
    ) -> std::result::Result<Self, String> {
        let media = media_store.describe(&key).await.map_err(|error| error.to_string())?;
        let (size, position, block) = (media.size_bytes, 0, (0, Bytes::new()));
        Ok(Self { media_store, key, runtime, size, position, block })
    }

    /// Returns the length of the file in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the bytes of the block from the current position on. Reads the next block if there are none.
    fn fill(&mut self) -> Result<Bytes> {
        let (start, block) = &self.block;
        let within = self.position.checked_sub(*start).and_then(|offset| usize::try_from(offset).ok());
        if let Some(offset) = within.filter(|offset| *offset < block.len()) {
            return Ok(block.slice(offset..));
        }
        if self.position >= self.size {
            return Ok(Bytes::new());
        }
        let block = self.runtime.block_on(async {
            let (_, bytes) = self.media_store.read(&self.key, self.position, Some(BLOCK_BYTES)).await?;
            bytes
                .try_fold(BytesMut::new(), async |mut all, bytes| {
                    all.extend_from_slice(&bytes);
                    Ok(all)
                })
                .await
        });
        let block = block.map_err(|error: crate::error::Error| Error::other(error.to_string()))?.freeze();
        self.block = (self.position, block.clone());
        Ok(block)
    }
}

impl Read for StoredFile {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let available = self.fill()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for StoredFile {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "a position before the start"))?;
        Ok(self.position)
    }
}
