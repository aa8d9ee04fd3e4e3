//! Telling whether bytes are a picture, and how large, before and by decoding them.

use std::io::Cursor;

use bytes::Bytes;
use image::{ImageFormat, ImageReader, Limits};

use super::key::MediaType;
use crate::size::Size;

/// Room for decoders beside the pixels themselves.
const DECODER_OVERHEAD: u64 = 64 << 20;

/// Bytes of the widest pixel that is taken: four channels of 16 bits.
const WIDEST_PIXEL: u64 = 8;

/// A whole picture that came with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPicture {
    /// The encoded picture, as it came.
    pub bytes: Bytes,
    /// How it is encoded: PNG, JPEG or WebP.
    pub format: MediaType,
    /// Its size in pixels, as stored: a rotation noted in its metadata is not applied.
    pub size: Size,
}

/// Reads the head of a picture: its type from its first bytes, whatever anyone called it, and its size.
///
/// # Errors
/// In words that follow the field's name.
pub fn head(bytes: &[u8], max_pixels: u64) -> Result<(MediaType, Size), String> {
    let (format, _) = sniff(bytes).ok_or("is not a PNG, JPEG or WebP picture")?;
    let (width, height) = reader(bytes, max_pixels)?.into_dimensions().map_err(|error| broken(&error))?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err("is a picture without pixels".to_owned());
    }
    if pixels > max_pixels {
        return Err(format!("has {width}x{height} pixels; at most {max_pixels} in all are taken"));
    }
    Ok((format, Size::new(width, height)))
}

/// Decodes all of a picture whose head was read, to see that all of it is there. Takes up to seconds: not for async threads.
///
/// # Errors
/// In words that follow the field's name.
pub fn check_whole(bytes: &[u8], max_pixels: u64) -> Result<(), String> {
    // The decoder paints the missing rest of a JPEG grey and says nothing.
    if matches!(sniff(bytes), Some((MediaType::Jpeg, _))) && !jpeg_ends(bytes) {
        return Err("is a picture that breaks off before its end".to_owned());
    }
    reader(bytes, max_pixels)?.decode().map(drop).map_err(|error| broken(&error))
}

fn reader(bytes: &[u8], max_pixels: u64) -> Result<ImageReader<Cursor<&[u8]>>, String> {
    let (_, format) = sniff(bytes).ok_or("is not a PNG, JPEG or WebP picture")?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(max_pixels.saturating_mul(WIDEST_PIXEL).saturating_add(DECODER_OVERHEAD));
    reader.limits(limits);
    Ok(reader)
}

fn sniff(bytes: &[u8]) -> Option<(MediaType, ImageFormat)> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some((MediaType::Png, ImageFormat::Png)),
        [0xff, 0xd8, 0xff, ..] => Some((MediaType::Jpeg, ImageFormat::Jpeg)),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some((MediaType::Webp, ImageFormat::WebP)),
        _ => None,
    }
}

/// Whether the end marker comes after the first scan. Not before: a thumbnail in the metadata has an end of its own.
fn jpeg_ends(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        match *rest {
            [0xff, 0xff, ..] => rest = &rest[1..],
            [0xff, 0xda, ..] => return rest.windows(2).any(|pair| pair == [0xff, 0xd9]),
            [0xff, _, high, low, ..] => match rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..) {
                Some(next) => rest = next,
                None => return false,
            },
            _ => return false,
        }
    }
}

fn broken(error: &image::ImageError) -> String {
    if matches!(error, image::ImageError::Limits(_)) {
        return "is a picture that needs too much memory".to_owned();
    }
    format!("is a picture that cannot be read to its end: {error}")
}

#[cfg(test)]
pub(crate) mod tests {
    use image::{ExtendedColorType, ImageEncoder, codecs};

    use super::*;

    const MAX: u64 = 50_000_000;

    /// A picture with enough detail that a missing piece of it is a missing piece of the file.
    pub(crate) fn encoded(format: MediaType, width: u32, height: u32) -> Bytes {
        let pixels: Vec<u8> = (0..width * height * 3).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let mut out = Vec::new();
        let rgb = ExtendedColorType::Rgb8;
        match format {
            MediaType::Png => codecs::png::PngEncoder::new(&mut out).write_image(&pixels, width, height, rgb),
            MediaType::Jpeg => codecs::jpeg::JpegEncoder::new(&mut out).write_image(&pixels, width, height, rgb),
            MediaType::Webp => {
                codecs::webp::WebPEncoder::new_lossless(&mut out).write_image(&pixels, width, height, rgb)
            }
            MediaType::Mp4 => panic!("not a picture"),
        }
        .unwrap();
        out.into()
    }

    /// A PNG that claims a size and holds nothing.
    pub(crate) fn png_bomb(width: u32, height: u32) -> Bytes {
        let mut png = encoded(MediaType::Png, 1, 1).to_vec();
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        let checksum = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&checksum.to_be_bytes());
        png.into()
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |sum, &byte| {
            (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
        })
    }

    #[test]
    fn each_format_is_told_from_its_bytes_with_its_exact_size() {
        for format in [MediaType::Png, MediaType::Jpeg, MediaType::Webp] {
            for (width, height) in [(1, 1), (33, 7), (640, 481)] {
                let bytes = encoded(format, width, height);
                assert_eq!(head(&bytes, MAX), Ok((format, Size::new(width, height))));
                assert_eq!(check_whole(&bytes, MAX), Ok(()));
            }
        }
    }

    #[test]
    fn a_picture_cut_off_anywhere_is_not_whole() {
        for format in [MediaType::Png, MediaType::Jpeg, MediaType::Webp] {
            let bytes = encoded(format, 64, 64);
            for share in [1, 10, 50, 90, 99] {
                let cut = &bytes[..(bytes.len() * share / 100).min(bytes.len() - 20)];
                let refused = head(cut, MAX).is_err() || check_whole(cut, MAX).is_err();
                assert!(refused, "{format} cut at {share} %");
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_by_its_head() {
        let error = head(&png_bomb(60_000, 60_000), MAX).unwrap_err();
        assert!(error.contains("60000x60000"), "{error}");
        assert!(head(&png_bomb(u32::MAX, u32::MAX), MAX).is_err());
        assert!(head(&png_bomb(0, 5), MAX).is_err());
        assert_eq!(head(&png_bomb(5_000, 10_000), MAX), Ok((MediaType::Png, Size::new(5_000, 10_000))));
    }

    #[test]
    fn other_bytes_are_no_picture() {
        for bytes in
            [&b""[..], b"hello", b"GIF89a", b"\x89PNG", b"RIFF\0\0\0\0WAVE", b"<svg/>", b"%PDF", b"\0\0\0\x18ftypmp42"]
        {
            assert_eq!(head(bytes, MAX), Err("is not a PNG, JPEG or WebP picture".to_owned()));
        }
        for bytes in [&b"\xff\xd8\xff"[..], b"\xff\xd8\xff\xff\xff\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"] {
            assert!(head(bytes, MAX).is_err());
            assert!(check_whole(bytes, MAX).is_err());
        }
    }
}
