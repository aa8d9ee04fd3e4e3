//! Checks input pictures: reads the format and the size from the header, decodes the picture completely to detect truncation, and
//! turns it upright.

use std::io::Cursor;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use image::{
    DynamicImage, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader, ImageResult, Limits,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
    metadata::Orientation,
};

use super::{key::MediaType, pixels};
use crate::size::Size;

/// Memory that a decoder may take in addition to the pixels, in bytes.
const DECODER_OVERHEAD: u64 = 64 << 20;

/// The bytes of the largest pixel format: four channels of 16 bits.
const MAX_BYTES_PER_PIXEL: u64 = 8;

/// The quality of a JPEG that was turned and is encoded again; the loss is not visible.
const TURNED_JPEG_QUALITY: u8 = 95;

/// Where an ICC profile names the colour space it applies to (ICC.1:2022, 7.2).
const ICC_COLOUR_SPACE: std::ops::Range<usize> = 16..20;

const NOT_A_PICTURE: &str = "is not a PNG, JPEG or WebP picture";

/// A complete, upright picture from a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPicture {
    /// The encoded picture: as received, or turned upright and without its metadata.
    pub bytes: Bytes,
    /// Its format: PNG, JPEG or WebP.
    pub format: MediaType,
    /// Its size in pixels.
    pub size: Size,
    /// Whether it has transparency, as a mask must: an alpha channel, or a transparent colour of a PNG (`tRNS`).
    pub has_alpha: bool,
}

impl InputPicture {
    /// Returns the picture as a `data:` URL.
    pub(crate) fn data_url(&self) -> String {
        let mut url = format!("data:{};base64,", self.format.as_str());
        STANDARD.encode_string(&self.bytes, &mut url);
        url
    }
}

/// Detects the format of a picture by its first bytes, and reads its size from its header: that of the upright picture. Does
/// not decode it. `max_pixels` is the maximum of width times height.
///
/// # Errors
/// The reason, to follow the name of the field: "is not a PNG, JPEG or WebP picture".
pub fn probe(bytes: &[u8], max_pixels: u64) -> Result<(MediaType, Size), String> {
    let (format, _) = detect(bytes).ok_or(NOT_A_PICTURE)?;
    let header = pixels::read_header(reader(bytes, max_pixels)?).map_err(|error| decode_error(&error))?;
    let Size { width, height } = header.size;
    let pixels = header.size.pixels();
    if pixels == 0 {
        return Err("has no pixels".to_owned());
    }
    if pixels > max_pixels {
        return Err(format!("has {width}x{height} = {pixels} pixels; at most {max_pixels} are accepted"));
    }
    Ok((format, Size::new(width, height)))
}

/// Decodes a picture completely, and turns it upright if its EXIF metadata has an orientation: cameras store pictures as
/// the sensor is held, and not every provider reads the metadata. Can take seconds, so call it on a blocking thread.
///
/// # Errors
/// The reason, to follow the name of the field.
pub fn decode_upright(bytes: Bytes, max_pixels: u64) -> Result<InputPicture, String> {
    let (format, _) = detect(&bytes).ok_or(NOT_A_PICTURE)?;
    // The decoder fills the missing part of a truncated JPEG with grey and reports no error.
    if format == MediaType::Jpeg && !has_jpeg_end(&bytes) {
        return Err("cannot be decoded: it is truncated".to_owned());
    }
    let mut decoder = reader(&bytes, max_pixels)?.into_decoder().map_err(|error| decode_error(&error))?;
    let orientation = pixels::orientation(&mut decoder);
    // Without its profile, a picture in another colour space would change its colours.
    let profile = decoder.icc_profile().ok().flatten();
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| decode_error(&error))?;
    // The inks of a CMYK picture are decoded to RGB, to which their profile does not apply.
    let space: &[u8] = if picture.color().has_color() { b"RGB " } else { b"GRAY" };
    let profile = profile.filter(|profile| profile.get(ICC_COLOUR_SPACE) == Some(space));
    let has_alpha = picture.color().has_alpha();
    let bytes = if orientation == Orientation::NoTransforms {
        bytes
    } else {
        picture.apply_orientation(orientation);
        encode(&picture, format, profile).map_err(|error| decode_error(&error))?
    };
    Ok(InputPicture { bytes, format, size: Size::new(picture.width(), picture.height()), has_alpha })
}

/// Encodes a turned picture in its own format, with its colour profile.
fn encode(picture: &DynamicImage, format: MediaType, profile: Option<Vec<u8>>) -> ImageResult<Bytes> {
    fn write<E: ImageEncoder>(picture: &DynamicImage, mut encoder: E, profile: Option<Vec<u8>>) -> ImageResult<()> {
        if let Some(profile) = profile {
            encoder.set_icc_profile(profile).map_err(ImageError::Unsupported)?;
        }
        picture.write_with_encoder(encoder)
    }
    let mut out = Vec::new();
    match format {
        MediaType::Jpeg => write(picture, JpegEncoder::new_with_quality(&mut out, TURNED_JPEG_QUALITY), profile)?,
        MediaType::Webp => write(picture, WebPEncoder::new_lossless(&mut out), profile)?,
        MediaType::Png | MediaType::Mp4 | MediaType::Mp3 | MediaType::Wav => {
            write(picture, PngEncoder::new(&mut out), profile)?;
        }
    }
    Ok(out.into())
}

/// Returns a reader that decodes the picture within the memory for `max_pixels`.
fn reader(bytes: &[u8], max_pixels: u64) -> Result<ImageReader<Cursor<&[u8]>>, String> {
    let (_, format) = detect(bytes).ok_or(NOT_A_PICTURE)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(max_pixels.saturating_mul(MAX_BYTES_PER_PIXEL).saturating_add(DECODER_OVERHEAD));
    reader.limits(limits);
    Ok(reader)
}

/// Detects the format by the signature at the start of the file.
fn detect(bytes: &[u8]) -> Option<(MediaType, ImageFormat)> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some((MediaType::Png, ImageFormat::Png)),
        [0xff, 0xd8, 0xff, ..] => Some((MediaType::Jpeg, ImageFormat::Jpeg)),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some((MediaType::Webp, ImageFormat::WebP)),
        _ => None,
    }
}

/// Returns whether an end-of-image marker (`0xffd9`) follows the first scan (`0xffda`). One before it belongs to a thumbnail in
/// the metadata. The segments between the start-of-image marker and the scan are skipped by their lengths.
fn has_jpeg_end(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        match *rest {
            // Markers can be padded with fill bytes.
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

fn decode_error(error: &ImageError) -> String {
    if matches!(error, ImageError::Limits(_)) {
        return "needs too much memory to be decoded".to_owned();
    }
    format!("cannot be decoded: {error}")
}

#[cfg(test)]
pub(crate) mod tests {
    use image::{ExtendedColorType, codecs};

    use super::*;

    const MAX: u64 = 50_000_000;

    /// Encodes a picture whose colours vary from pixel to pixel, so that truncating the file always loses pixels.
    pub(crate) fn encoded(format: MediaType, width: u32, height: u32) -> Bytes {
        // The multiplier, 2^32 divided by the golden ratio, spreads successive numbers over all values.
        let pixels: Vec<u8> = (0..width * height * 3).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let mut out = Vec::new();
        let rgb = ExtendedColorType::Rgb8;
        match format {
            MediaType::Png => codecs::png::PngEncoder::new(&mut out).write_image(&pixels, width, height, rgb),
            MediaType::Jpeg => codecs::jpeg::JpegEncoder::new(&mut out).write_image(&pixels, width, height, rgb),
            MediaType::Webp => {
                codecs::webp::WebPEncoder::new_lossless(&mut out).write_image(&pixels, width, height, rgb)
            }
            MediaType::Mp4 | MediaType::Mp3 | MediaType::Wav => panic!("not a picture"),
        }
        .unwrap();
        out.into()
    }

    /// A PNG whose header claims this size, with the data of a single pixel.
    pub(crate) fn png_bomb(width: u32, height: u32) -> Bytes {
        // The signature has 8 bytes, length and type of the chunk `IHDR` have 4 each. Its 13 bytes of data begin with width and
        // height. The checksum covers type and data.
        let mut png = encoded(MediaType::Png, 1, 1).to_vec();
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        let checksum = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&checksum.to_be_bytes());
        png.into()
    }

    /// The checksum of a PNG's chunk.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |sum, &byte| {
            (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
        })
    }

    #[test]
    fn format_and_size_are_detected_from_the_bytes() {
        for format in [MediaType::Png, MediaType::Jpeg, MediaType::Webp] {
            for (width, height) in [(1, 1), (33, 7), (640, 481)] {
                let bytes = encoded(format, width, height);
                assert_eq!(probe(&bytes, MAX), Ok((format, Size::new(width, height))));
                let size = Size::new(width, height);
                assert_eq!(
                    decode_upright(bytes.clone(), MAX),
                    Ok(InputPicture { bytes, format, size, has_alpha: false })
                );
            }
        }
    }

    #[test]
    fn picture_truncated_anywhere_is_refused() {
        for format in [MediaType::Png, MediaType::Jpeg, MediaType::Webp] {
            let bytes = encoded(format, 64, 64);
            for share in [1, 10, 50, 90, 99] {
                // At least 20 bytes are missing: of a PNG, the checksums of the pixels and of their chunk, and the chunk `IEND`.
                let truncated = bytes.slice(..(bytes.len() * share / 100).min(bytes.len() - 20));
                let refused = probe(&truncated, MAX).is_err() || decode_upright(truncated, MAX).is_err();
                assert!(refused, "{format} truncated to {share} %");
            }
        }
    }

    /// EXIF metadata (TIFF, little-endian) with one entry: the tag 0x0112, the orientation.
    fn exif(orientation: u8) -> Vec<u8> {
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        exif
    }

    /// A picture whose left half is red and right half blue, with this EXIF orientation.
    pub(crate) fn with_orientation(format: MediaType, orientation: u8) -> Bytes {
        let pixels: Vec<u8> = (0..40 * 20).flat_map(|i| if i % 40 < 20 { [250, 0, 0] } else { [0, 0, 250] }).collect();
        let rgb = ExtendedColorType::Rgb8;
        let mut out = Vec::new();
        match format {
            MediaType::Png => {
                let mut encoder = PngEncoder::new(&mut out);
                encoder.set_exif_metadata(exif(orientation)).unwrap();
                encoder.write_image(&pixels, 40, 20, rgb)
            }
            MediaType::Jpeg => {
                let mut encoder = JpegEncoder::new_with_quality(&mut out, 100);
                encoder.set_exif_metadata(exif(orientation)).unwrap();
                encoder.write_image(&pixels, 40, 20, rgb)
            }
            MediaType::Webp => {
                let mut encoder = WebPEncoder::new_lossless(&mut out);
                encoder.set_exif_metadata(exif(orientation)).unwrap();
                encoder.write_image(&pixels, 40, 20, rgb)
            }
            MediaType::Mp4 | MediaType::Mp3 | MediaType::Wav => panic!("not a picture"),
        }
        .unwrap();
        out.into()
    }

    #[test]
    fn picture_is_turned_upright_by_its_exif_orientation() {
        for format in [MediaType::Png, MediaType::Jpeg, MediaType::Webp] {
            let upright = with_orientation(format, 1);
            assert_eq!(decode_upright(upright.clone(), MAX).unwrap().bytes, upright, "{format}");
            // Where red must be: at the right for 3 (upside down), at the top for 6, at the bottom for 8.
            for (orientation, size, red) in [(3, (40, 20), (35, 10)), (6, (20, 40), (10, 5)), (8, (20, 40), (10, 35))] {
                let size = Size::new(size.0, size.1);
                let picture = decode_upright(with_orientation(format, orientation), MAX).unwrap();
                let (turned, reported) = (picture.bytes, picture.size);
                assert_eq!(probe(&turned, MAX), Ok((format, size)), "{format} {orientation}");
                assert_eq!(reported, size);
                let pixel = image::load_from_memory(&turned).unwrap().to_rgb8()[red];
                assert!(pixel[0] > 200 && pixel[2] < 50, "{format} {orientation}: {pixel:?}");
                assert_eq!(decode_upright(turned.clone(), MAX).unwrap().bytes, turned, "it is not turned again");
            }
        }
    }

    /// A chunk of a PNG.
    fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
        let body = [&kind[..], data].concat();
        [&u32::try_from(data.len()).unwrap().to_be_bytes(), &body[..], &crc32(&body).to_be_bytes()].concat()
    }

    #[test]
    fn transparency_is_detected_in_every_format() {
        for (format, has_alpha) in [(MediaType::Png, true), (MediaType::Webp, true), (MediaType::Jpeg, false)] {
            let picture = if has_alpha { DynamicImage::new_rgba8(4, 4) } else { DynamicImage::new_rgb8(4, 4) };
            let bytes = encode(&picture, format, None).unwrap();
            assert_eq!(decode_upright(bytes, MAX).unwrap().has_alpha, has_alpha, "{format}");
        }
        // A PNG without an alpha channel can declare one colour as transparent.
        let opaque = encoded(MediaType::Png, 8, 8);
        assert!(!decode_upright(opaque.clone(), MAX).unwrap().has_alpha);
        let head = b"\x89PNG\r\n\x1a\n".len() + chunk(*b"IHDR", &[0; 13]).len();
        let transparent = [&opaque[..head], &chunk(*b"tRNS", &[0; 6]), &opaque[head..]].concat();
        assert!(decode_upright(transparent.into(), MAX).unwrap().has_alpha);
    }

    #[test]
    fn decompression_bomb_is_refused_by_its_header() {
        let error = probe(&png_bomb(60_000, 60_000), MAX).unwrap_err();
        assert!(error.contains("60000x60000"), "{error}");
        assert!(probe(&png_bomb(u32::MAX, u32::MAX), MAX).is_err());
        assert!(probe(&png_bomb(0, 5), MAX).is_err());
        assert_eq!(probe(&png_bomb(5_000, 10_000), MAX), Ok((MediaType::Png, Size::new(5_000, 10_000))));
    }

    #[test]
    fn other_files_are_not_pictures() {
        for bytes in
            [&b""[..], b"hello", b"GIF89a", b"\x89PNG", b"RIFF\0\0\0\0WAVE", b"<svg/>", b"%PDF", b"\0\0\0\x18ftypmp42"]
        {
            assert_eq!(probe(bytes, MAX), Err(NOT_A_PICTURE.to_owned()));
        }
        for bytes in [&b"\xff\xd8\xff"[..], b"\xff\xd8\xff\xff\xff\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"] {
            assert!(probe(bytes, MAX).is_err());
            assert!(decode_upright(Bytes::from_static(bytes), MAX).is_err());
        }
    }
}
