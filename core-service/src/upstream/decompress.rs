//! Decompresses response bodies. Requests accept `identity` only, but some servers compress anyway.

use std::io::{ErrorKind, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

use super::body::ConnectionLost;

/// How much of the input is decompressed at once, in bytes. It may become about 1000 times as long.
const STEP: usize = 4 << 10;

/// The first byte of the gzip format.
const GZIP_MAGIC: u8 = 0x1f;

/// The decoder of one body.
pub(super) enum Decompressor {
    /// `gzip`, before its first byte.
    GzipStart,
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// A body that is labelled as gzip but is not compressed.
    Identity,
    /// `deflate`, whose first byte tells the zlib format from the raw format that some servers send.
    Deflate,
    Zlib(ZlibDecoder<Vec<u8>>),
    Raw(DeflateDecoder<Vec<u8>>),
}

impl Decompressor {
    /// Returns the decoder for a response with these headers; `None` if it is not compressed, or in an unknown way.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let coding = headers.get(header::CONTENT_ENCODING)?.to_str().ok()?.trim();
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            Some(Self::GzipStart)
        } else {
            coding.eq_ignore_ascii_case("deflate").then_some(Self::Deflate)
        }
    }

    /// Decompresses a part of the body and lends the result to `read`. Returns whether there was any.
    pub(super) fn push(&mut self, data: &[u8], mut read: impl FnMut(&[u8])) -> Result<bool, ConnectionLost> {
        let mut any = false;
        for step in data.chunks(STEP) {
            if matches!(self, Self::GzipStart) {
                *self = if step.first() == Some(&GZIP_MAGIC) {
                    Self::Gzip(MultiGzDecoder::new(Vec::new()))
                } else {
                    Self::Identity
                };
            }
            if matches!(self, Self::Identity) {
                read(step);
                any = true;
                continue;
            }
            if matches!(self, Self::Deflate) {
                // The compression method 8 of the zlib format.
                *self = if step.first().is_some_and(|byte| byte & 0x0f == 8) {
                    Self::Zlib(ZlibDecoder::new(Vec::new()))
                } else {
                    Self::Raw(DeflateDecoder::new(Vec::new()))
                };
            }
            let written = match self {
                Self::Gzip(decoder) => decoder.write_all(step).and_then(|()| decoder.flush()),
                Self::Zlib(decoder) => decoder.write_all(step).and_then(|()| decoder.flush()),
                Self::Raw(decoder) => decoder.write_all(step).and_then(|()| decoder.flush()),
                Self::GzipStart | Self::Identity | Self::Deflate => Ok(()),
            };
            // Bytes after the end of the compressed data are ignored.
            let written =
                written.or_else(|error| if error.kind() == ErrorKind::WriteZero { Ok(()) } else { Err(error) });
            written.map_err(|error| {
                tracing::debug!(%error, "the upstream's compressed response is damaged");
                ConnectionLost
            })?;
            any |= self.lend(&mut read);
        }
        Ok(any)
    }

    /// Ends the body and lends the rest of it to `read`. Returns whether there was any.
    ///
    /// # Errors
    /// The compressed data are incomplete.
    pub(super) fn finish(&mut self, mut read: impl FnMut(&[u8])) -> Result<bool, ConnectionLost> {
        let finished = match self {
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zlib(decoder) => decoder.try_finish(),
            Self::Raw(decoder) => decoder.try_finish(),
            Self::GzipStart | Self::Identity | Self::Deflate => Ok(()),
        };
        let any = self.lend(&mut read);
        finished.map(|()| any).map_err(|_| ConnectionLost)
    }

    /// Lends the output of the decoder, and frees it. Returns whether there was any.
    fn lend(&mut self, read: &mut impl FnMut(&[u8])) -> bool {
        let out = match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zlib(decoder) => decoder.get_mut(),
            Self::Raw(decoder) => decoder.get_mut(),
            Self::GzipStart | Self::Identity | Self::Deflate => return false,
        };
        if out.is_empty() {
            return false;
        }
        read(out);
        out.clear();
        // Releases the buffer of a highly compressed part.
        out.shrink_to(64 << 10);
        true
    }
}

#[cfg(test)]
mod tests {
    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };

    use super::*;

    fn decompress(coding: &'static str, data: &[u8], packet: usize) -> Result<Vec<u8>, ConnectionLost> {
        let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, http::HeaderValue::from_static(coding))]);
        let (mut decoder, mut out) = (Decompressor::from_headers(&headers).unwrap(), Vec::new());
        for packet in data.chunks(packet) {
            decoder.push(packet, |data| out.extend_from_slice(data))?;
        }
        decoder.finish(|data| out.extend_from_slice(data))?;
        Ok(out)
    }

    #[test]
    fn every_form_is_decompressed_wherever_packets_are_cut() {
        let text = b"data: {}\n\n".repeat(50);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        for encoder in [&mut gzip as &mut dyn Write, &mut zlib, &mut raw] {
            encoder.write_all(&text).unwrap();
        }
        for (coding, data) in
            [("GZIP", gzip.finish().unwrap()), ("deflate", zlib.finish().unwrap()), ("deflate", raw.finish().unwrap())]
        {
            for packet in [1, 7, 4096] {
                assert_eq!(decompress(coding, &data, packet).unwrap(), text, "{coding} in packets of {packet}");
            }
            assert!(decompress(coding, &data[..data.len() / 2], 7).is_err(), "{coding} cut");
        }
        assert_eq!(decompress("gzip", b"not compressed", 7).unwrap(), b"not compressed");
    }

    #[test]
    fn several_gzip_members_and_trailing_bytes_are_accepted() {
        let gzip = |text: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"ab").unwrap();
        let zlib = [zlib.finish().unwrap(), b"\n".to_vec()].concat();
        for (coding, data) in [("gzip", [gzip(b"a"), gzip(b"b")].concat()), ("deflate", zlib)] {
            for packet in [1, 7, 4096] {
                assert_eq!(decompress(coding, &data, packet).unwrap(), b"ab", "{coding} in packets of {packet}");
            }
        }
    }
}
