//! Telling whether bytes are a picture, and how large, before and by decoding them.

use std::io::Cursor;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use image::{
    DynamicImage, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader, ImageResult, Limits,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
    metadata::Orientation,
};

use super::key::MediaType;
use crate::size::Size;

/// Room for decoders beside the pixels themselves.
const DECODER_OVERHEAD: u64 = 64 << 20;

/// Bytes of the widest pixel that is taken: four channels of 16 bits.
const WIDEST_PIXEL: u64 = 8;

/// Of a JPEG that had to be turned: what it loses by being encoded once more is not seen.
const TURNED_QUALITY: u8 = 95;

/// A whole picture that came with a request, the way it is meant to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPicture {
    /// The encoded picture: as it came, or turned as its metadata says, which is then gone.
    pub bytes: Bytes,
    /// How it is encoded: PNG, JPEG or WebP.
    pub format: MediaType,
    /// Its size in pixels.
    pub size: Size,
    /// Whether its pixels can be transparent, as those of a mask must be. A PNG may say so in one colour of all.
    pub has_alpha: bool,
}

impl InputPicture {
    /// The picture as a `data:` address.
    pub(crate) fn data_url(&self) -> String {
        let mut url = format!("data:{};base64,", self.format.as_str());
        STANDARD.encode_string(&self.bytes, &mut url);
        url
    }
}

/// Reads the head of a picture: its type from its first bytes, whatever anyone called it, and its size as stored.
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

/// Decodes all of a picture whose head was read, to see that all of it is there, and turns it upright if its metadata
/// says how: cameras store what the sensor saw, and no provider is sure to read the note beside it. Takes up to seconds:
/// not for async threads.
///
/// # Errors
/// In words that follow the field's name.
pub fn upright(bytes: Bytes, max_pixels: u64) -> Result<InputPicture, String> {
    let (format, _) = sniff(&bytes).ok_or("is not a PNG, JPEG or WebP picture")?;
    // The decoder paints the missing rest of a JPEG grey and says nothing.
    if format == MediaType::Jpeg && !jpeg_ends(&bytes) {
        return Err("is a picture that breaks off before its end".to_owned());
    }
    let mut decoder = reader(&bytes, max_pixels)?.into_decoder().map_err(|error| broken(&error))?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    // Without its profile a picture of another colour space would change its colours.
    let profile = decoder.icc_profile().ok().flatten();
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| broken(&error))?;
    let has_alpha = picture.color().has_alpha();
    let bytes = if orientation == Orientation::NoTransforms {
        bytes
    } else {
        picture.apply_orientation(orientation);
        encode(&picture, format, profile).map_err(|error| broken(&error))?
    };
    Ok(InputPicture { bytes, format, size: Size::new(picture.width(), picture.height()), has_alpha })
}

fn encode(picture: &DynamicImage, format: MediaType, profile: Option<Vec<u8>>) -> ImageResult<Bytes> {
    fn write<E: ImageEncoder>(picture: &DynamicImage, mut encoder: E, profile: Option<Vec<u8>>) -> ImageResult<()> {
        if let Some(profile) = profile {
            encoder.set_icc_profile(profile).map_err(ImageError::Unsupported)?;
        }
        picture.write_with_encoder(encoder)
    }
    let mut out = Vec::new();
    match format {
        MediaType::Jpeg => write(picture, JpegEncoder::new_with_quality(&mut out, TURNED_QUALITY), profile)?,
        MediaType::Webp => write(picture, WebPEncoder::new_lossless(&mut out), profile)?,
        MediaType::Png | MediaType::Mp4 => write(picture, PngEncoder::new(&mut out), profile)?,
    }
    Ok(out.into())
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

fn broken(error: &ImageError) -> String {
    if matches!(error, ImageError::Limits(_)) {
        return "is a picture that needs too much memory".to_owned();
    }
    format!("is a picture that cannot be read to its end: {error}")
}

#[cfg(test)]
pub(crate) mod tests {
    use image::{ExtendedColorType, codecs};

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
                let size = Size::new(width, height);
                assert_eq!(upright(bytes.clone(), MAX), Ok(InputPicture { bytes, format, size, has_alpha: false }));
            }
        }
    }

    #[test]
    fn a_picture_cut_off_anywhere_is_not_whole() {
        for format in [MediaType::Png, MediaType::Jpeg, MediaType::Webp] {
            let bytes = encoded(format, 64, 64);
            for share in [1, 10, 50, 90, 99] {
                let cut = bytes.slice(..(bytes.len() * share / 100).min(bytes.len() - 20));
                let refused = head(&cut, MAX).is_err() || upright(cut, MAX).is_err();
                assert!(refused, "{format} cut at {share} %");
            }
        }
    }

    /// The note of a camera that was held this way, as TIFF.
    fn exif(orientation: u8) -> Vec<u8> {
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        exif
    }

    /// A picture, left half red and right half blue, with such a note.
    pub(crate) fn noted(format: MediaType, orientation: u8) -> Bytes {
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
            MediaType::Mp4 => panic!("not a picture"),
        }
        .unwrap();
        out.into()
    }

    #[test]
    fn a_picture_is_turned_the_way_it_was_taken() {
        for format in [MediaType::Png, MediaType::Jpeg, MediaType::Webp] {
            let standing = noted(format, 1);
            assert_eq!(upright(standing.clone(), MAX).unwrap().bytes, standing, "{format}");
            // Where red must be: noted 3, upside down, it is at the right; 6, at the top; 8, at the bottom.
            for (orientation, size, red) in [(3, (40, 20), (35, 10)), (6, (20, 40), (10, 5)), (8, (20, 40), (10, 35))] {
                let InputPicture { bytes: turned, size: told, .. } = upright(noted(format, orientation), MAX).unwrap();
                assert_eq!(head(&turned, MAX), Ok((format, Size::new(size.0, size.1))), "{format} {orientation}");
                assert_eq!(told, Size::new(size.0, size.1));
                let pixel = image::load_from_memory(&turned).unwrap().to_rgb8()[red];
                assert!(pixel[0] > 200 && pixel[2] < 50, "{format} {orientation}: {pixel:?}");
                assert_eq!(upright(turned.clone(), MAX).unwrap().bytes, turned, "turned once and for all");
            }
        }
    }

    /// A chunk of a PNG.
    fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
        let body = [&kind[..], data].concat();
        [&u32::try_from(data.len()).unwrap().to_be_bytes(), &body[..], &crc32(&body).to_be_bytes()].concat()
    }

    #[test]
    fn a_picture_that_can_be_transparent_is_told_from_one_that_cannot() {
        for (format, has_alpha) in [(MediaType::Png, true), (MediaType::Webp, true), (MediaType::Jpeg, false)] {
            let picture = if has_alpha { DynamicImage::new_rgba8(4, 4) } else { DynamicImage::new_rgb8(4, 4) };
            let bytes = encode(&picture, format, None).unwrap();
            assert_eq!(upright(bytes, MAX).unwrap().has_alpha, has_alpha, "{format}");
        }
        // A colour that stands for nothing counts as well, in pictures of plain colours.
        let plain = encoded(MediaType::Png, 8, 8);
        assert!(!upright(plain.clone(), MAX).unwrap().has_alpha);
        let head = b"\x89PNG\r\n\x1a\n".len() + chunk(*b"IHDR", &[0; 13]).len();
        let see_through = [&plain[..head], &chunk(*b"tRNS", &[0; 6]), &plain[head..]].concat();
        assert!(upright(see_through.into(), MAX).unwrap().has_alpha);
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
            assert!(upright(Bytes::from_static(bytes), MAX).is_err());
        }
    }
}
