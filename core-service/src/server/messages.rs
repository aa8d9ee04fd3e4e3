//! Decompresses the messages of a gRPC request body.

use std::io::{ErrorKind, Read};

use crate::error::Error;
use flate2::read::MultiGzDecoder;

/// The length of a message prefix: a flag, and the length of the message as a big-endian `u32`.
const PREFIX: usize = 5;
/// The flag of a compressed message.
const COMPRESSED: u8 = 1;
/// The increment in which the buffer of a decompressed message grows, in bytes.
const STEP: usize = 64 << 10;

/// A decoder for the messages of one request body with `grpc-encoding: gzip`.
#[derive(Debug)]
pub(super) struct MessageDecoder {
    /// The maximum length of a message in bytes, both compressed and decompressed.
    max: usize,
    /// The received bytes of the next, incomplete message, including its prefix.
    partial: Vec<u8>,
}

impl MessageDecoder {
    pub(super) fn new(max: usize) -> Self {
        Self { max, partial: Vec::new() }
    }

    /// Takes the next bytes of the body and returns the messages that they complete, uncompressed, with prefixes. `grow`
    /// reserves memory before it is allocated for decompressed bytes.
    ///
    /// # Errors
    /// [`Error::InvalidField`] for a message that is too long or not gzip; the errors of `grow`.
    pub(super) fn push(
        &mut self,
        data: &[u8],
        grow: &mut dyn FnMut(usize) -> Result<(), Error>,
    ) -> Result<Vec<u8>, Error> {
        self.partial.extend_from_slice(data);
        let (mut taken, mut complete) = (0, Vec::new());
        while let Some(([flag, length @ ..], rest)) = self.partial[taken..].split_first_chunk::<PREFIX>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            if length > self.max {
                return Err(self.too_long());
            }
            let Some(message) = rest.get(..length) else { break };
            if *flag == COMPRESSED {
                self.decompress(message, &mut complete, grow)?;
            } else {
                append(&mut complete, *flag, message);
            }
            taken += PREFIX + length;
        }
        self.partial.drain(..taken);
        Ok(complete)
    }

    /// Checks that the end of the body is the end of a message.
    ///
    /// # Errors
    /// [`Error::InvalidField`] if the last message is incomplete.
    pub(super) fn finish(&self) -> Result<(), Error> {
        if self.partial.is_empty() {
            return Ok(());
        }
        Err(Error::invalid("message", "is incomplete: the request body has ended"))
    }

    /// Appends the decompressed message with its prefix to `out`.
    fn decompress(
        &self,
        message: &[u8],
        out: &mut Vec<u8>,
        grow: &mut dyn FnMut(usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let start = out.len();
        append(out, 0, &[]);
        let first = out.len();
        let mut filled = first;
        // A read ends at every member of the gzip format, so that many reads may fill one step.
        let mut decoder = MultiGzDecoder::new(message);
        loop {
            if filled == out.len() {
                grow(STEP)?;
                out.resize(filled + STEP, 0);
            }
            let read = match decoder.read(&mut out[filled..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(|error| Error::invalid("message", format!("is not valid gzip: {error}")))?,
            };
            filled += read;
            if filled - first > self.max {
                return Err(self.too_long());
            }
            if read == 0 {
                break;
            }
        }
        out.truncate(filled);
        let length = u32::try_from(filled - first).unwrap_or(u32::MAX);
        out[start + 1..first].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn too_long(&self) -> Error {
        let max = self.max;
        Error::invalid("message", format!("is longer than {max} bytes (grpc.max_message_bytes)"))
    }
}

fn append(out: &mut Vec<u8>, flag: u8, message: &[u8]) {
    out.push(flag);
    out.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(message);
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn framed(messages: &[(u8, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (flag, message) in messages {
            append(&mut body, *flag, message);
        }
        body
    }

    #[test]
    fn messages_are_decompressed_wherever_the_body_is_cut() {
        let text = b"hello ".repeat(40_000);
        let body = framed(&[(1, &gzip(&text)), (0, b"plain"), (1, &gzip(b""))]);
        for size in [1, 4, 5, 7, 100, body.len()] {
            let (mut messages, mut all, mut reserved) = (MessageDecoder::new(1 << 20), Vec::new(), 0);
            for data in body.chunks(size) {
                all.extend(
                    messages
                        .push(data, &mut |bytes| {
                            reserved += bytes;
                            Ok(())
                        })
                        .unwrap(),
                );
            }
            assert!(all == framed(&[(0, &text), (0, b"plain"), (0, b"")]), "in packets of {size}");
            assert!(reserved >= text.len());
            messages.finish().unwrap();
        }
        let mut cut = MessageDecoder::new(1 << 20);
        cut.push(&body[..body.len() - 1], &mut |_| Ok(())).unwrap();
        assert!(cut.finish().unwrap_err().to_string().contains("incomplete"));
    }

    #[test]
    fn message_of_many_gzip_members_reserves_its_length_once() {
        let body = framed(&[(1, &gzip(b"a").repeat(10_000))]);
        let mut reserved = 0;
        let message = MessageDecoder::new(1 << 20).push(&body, &mut |bytes| {
            reserved += bytes;
            Ok(())
        });
        assert_eq!((message.unwrap().len(), reserved), (PREFIX + 10_000, STEP));
    }

    #[test]
    fn long_compressed_message_stops_at_the_limit_and_at_the_budget() {
        let body = framed(&[(1, &gzip(&vec![0; 8 << 20]))]);
        let mut reserved = 0;
        let refused = MessageDecoder::new(1 << 20).push(&body, &mut |bytes| {
            reserved += bytes;
            Ok(())
        });
        assert!(refused.unwrap_err().to_string().contains("1048576"));
        assert!(reserved <= (1 << 20) + 2 * STEP, "{reserved}");
        let no_memory = MessageDecoder::new(64 << 20).push(&body, &mut |_| Err(Error::LimitReached("no memory")));
        assert_eq!(no_memory, Err(Error::LimitReached("no memory")));
        // The prefix of a compressed message of 65,536 bytes is refused before the bytes arrive.
        let announced = MessageDecoder::new(1000).push(&[1, 0, 1, 0, 0], &mut |_| Ok(()));
        assert!(announced.unwrap_err().to_string().contains("1000 bytes"));
        let invalid = MessageDecoder::new(1000).push(&framed(&[(1, b"not gzip")]), &mut |_| Ok(()));
        assert!(invalid.unwrap_err().to_string().contains("gzip"));
    }
}
