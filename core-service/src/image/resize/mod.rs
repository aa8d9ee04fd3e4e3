//! Conversion of an upstream's image to the requested size and format.
//!
//! An image is scaled until it covers the size, and the excess is cropped evenly. An image that already matches is passed
//! through unchanged.

use std::io::Cursor;

use bytes::Bytes;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images};
use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, ImageError, ImageFormat, ImageReader, Limits,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType as PngFilter, PngEncoder},
        webp::WebPEncoder,
    },
};

use super::parameters::Encoding;
use crate::{
    error::ProviderError,
    media::{MediaType, PictureBudget, pixels},
    size::Size,
};

/// The maximum number of pixels that are decoded; upstreams return up to 19 million.
const MAX_PIXELS: u64 = 64 << 20;
/// The memory limit of a decoder: the widest pixels, four channels of 16 bits, and 64 MiB for its own buffers.
const MAX_MEMORY: u64 = MAX_PIXELS * 8 + (64 << 20);

/// The formats that upstreams return, and the media type under which each is stored; GIF is not stored.
const FORMATS: [(ImageFormat, Option<MediaType>); 4] = [
    (ImageFormat::Png, Some(MediaType::Png)),
    (ImageFormat::Jpeg, Some(MediaType::Jpeg)),
    (ImageFormat::WebP, Some(MediaType::Webp)),
    (ImageFormat::Gif, None),
];

/// The result that an image is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    /// The exact size. `None` keeps the size of the image.
    pub(super) size: Option<Size>,
    pub(super) encoding: Encoding,
    /// Whether transparent pixels are blended with white even if the encoding has an alpha channel.
    pub(super) opaque: bool,
    /// Whether the unconverted image is returned as well.
    pub(super) keep_original: bool,
}

/// A converted image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resized {
    pub(super) image: EncodedImage,
    /// The unconverted image, if requested. A GIF is converted to PNG, as the media store has no GIF files, and so is an
    /// image that its EXIF metadata rotates.
    pub(super) original: Option<EncodedImage>,
}

/// An encoded image with its type and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EncodedImage {
    pub(super) data: Bytes,
    pub(super) media_type: MediaType,
    pub(super) size: Size,
}

/// Converts images on blocking threads, within a budget of memory and threads.
#[derive(Debug, Clone)]
pub(super) struct ImageResizer {
    budget: PictureBudget,
}

impl ImageResizer {
    pub(super) fn new(budget: PictureBudget) -> Self {
        Self { budget }
    }

    /// Converts an image.
    ///
    /// # Errors
    /// [`ProviderError::Unreadable`] if the data is not an image or the image is too large.
    pub(super) async fn resize(&self, data: Bytes, target: Target) -> Result<Resized, ProviderError> {
        let header = Header::read(&data)?;
        if let Some(media_type) = header.media_type_if_matching(target) {
            let image = EncodedImage { data, media_type, size: header.size };
            return Ok(Resized { original: target.keep_original.then(|| image.clone()), image });
        }
        let pixels = header.size.pixels() + target.size.map_or(0, Size::pixels);
        let converted = self.budget.conversion().run(pixels, move || convert(data, header, target)).await;
        converted.unwrap_or_else(|error| {
            // A panic in a decoder fails this image only.
            tracing::error!(%error, "converting an image panicked or was aborted");
            Err(unreadable("could not be decoded"))
        })
    }
}

/// The metadata at the beginning of an encoded image.
#[derive(Debug, Clone, Copy)]
struct Header {
    format: ImageFormat,
    /// The media type under which the image is stored; `None` if it must be converted first.
    media_type: Option<MediaType>,
    /// The size of the upright image.
    size: Size,
    has_alpha: bool,
    /// Whether the image needs no rotation by its EXIF metadata, which not every reader applies.
    is_upright: bool,
}

impl Header {
    fn read(data: &[u8]) -> Result<Self, ProviderError> {
        let detected = image::guess_format(data).ok();
        let known = FORMATS.into_iter().find(|(format, _)| detected == Some(*format));
        let (format, media_type) = known.ok_or_else(|| unreadable("is not a PNG, JPEG, WebP or GIF image"))?;
        let pixels::Header { size, has_alpha, is_upright } =
            pixels::read_header(reader(data, format)).map_err(|error| invalid(&error))?;
        let Size { width, height } = size;
        let pixels = size.pixels();
        if pixels == 0 || pixels > MAX_PIXELS {
            return Err(unreadable(&format!("has {width}x{height} pixels; supported are 1 to {MAX_PIXELS} in all")));
        }
        Ok(Self { format, media_type, size, has_alpha, is_upright })
    }

    /// Returns the media type if the image matches the target without conversion.
    fn media_type_if_matching(self, target: Target) -> Option<MediaType> {
        let media_type = self.media_type.filter(|media_type| *media_type == media_type_of(target.encoding))?;
        let size_matches = target.size.is_none_or(|size| size == self.size);
        (size_matches && self.is_upright && !(target.opaque && self.has_alpha)).then_some(media_type)
    }
}

/// Decodes an image, converts it to the target and encodes it. Blocks.
fn convert(data: Bytes, header: Header, target: Target) -> Result<Resized, ProviderError> {
    let picture = pixels::decode_upright(reader(&data, header.format)).map_err(|error| invalid(&error))?;
    let original = match header.media_type {
        _ if !target.keep_original => None,
        Some(media_type) if header.is_upright => Some(EncodedImage { data, media_type, size: header.size }),
        Some(_) | None => Some(encode(&picture, header.size, Encoding::Png)?),
    };
    // The resizer and all encoders support these two layouts.
    let picture: DynamicImage =
        if picture.color().has_alpha() { picture.into_rgba8().into() } else { picture.into_rgb8().into() };
    let size = target.size.unwrap_or(header.size);
    let picture = if size == header.size { picture } else { scale_to_cover(&picture, size)? };
    let opaque = target.opaque || matches!(target.encoding, Encoding::Jpeg { .. });
    let picture = if opaque && picture.color().has_alpha() { pixels::flatten(picture).into() } else { picture };
    Ok(Resized { image: encode(&picture, size, target.encoding)?, original })
}

/// Scales an image to cover `size` and crops the excess evenly.
fn scale_to_cover(picture: &DynamicImage, size: Size) -> Result<DynamicImage, ProviderError> {
    let alpha = picture.color().has_alpha();
    let pixel = if alpha { PixelType::U8x4 } else { PixelType::U8x3 };
    let failed = |error: &dyn std::fmt::Display| {
        ProviderError::Unreadable(format!("scaling the upstream's image failed: {error}"))
    };
    let source = images::ImageRef::new(picture.width(), picture.height(), picture.as_bytes(), pixel);
    let source = source.map_err(|error| failed(&error))?;
    let mut target = images::Image::new(size.width, size.height, pixel);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .fit_into_destination(Some((0.5, 0.5)));
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| failed(&error))?;
    let pixels = target.into_vec();
    let scaled = if alpha {
        image::RgbaImage::from_raw(size.width, size.height, pixels).map(DynamicImage::from)
    } else {
        image::RgbImage::from_raw(size.width, size.height, pixels).map(DynamicImage::from)
    };
    scaled.ok_or_else(|| failed(&"unexpected number of pixels"))
}

fn encode(picture: &DynamicImage, size: Size, encoding: Encoding) -> Result<EncodedImage, ProviderError> {
    // A guess that avoids most reallocations.
    let mut data = Vec::with_capacity(picture.as_bytes().len() / 3);
    let (width, height) = (picture.width(), picture.height());
    let pixels = picture.as_bytes();
    let color = ExtendedColorType::from(picture.color());
    let result = match encoding {
        Encoding::Png => PngEncoder::new_with_quality(&mut data, CompressionType::Fast, PngFilter::Adaptive)
            .write_image(pixels, width, height, color),
        Encoding::Jpeg { quality } => {
            JpegEncoder::new_with_quality(&mut data, quality.clamp(1, 100)).write_image(pixels, width, height, color)
        }
        Encoding::Webp { .. } => WebPEncoder::new_lossless(&mut data).write_image(pixels, width, height, color),
    };
    result.map_err(|error| ProviderError::Unreadable(format!("encoding the upstream's image failed: {error}")))?;
    Ok(EncodedImage { data: data.into(), media_type: media_type_of(encoding), size })
}

fn media_type_of(encoding: Encoding) -> MediaType {
    match encoding {
        Encoding::Png => MediaType::Png,
        Encoding::Jpeg { .. } => MediaType::Jpeg,
        Encoding::Webp { .. } => MediaType::Webp,
    }
}

fn reader(data: &[u8], format: ImageFormat) -> ImageReader<Cursor<&[u8]>> {
    let mut reader = ImageReader::with_format(Cursor::new(data), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    reader
}

fn unreadable(problem: &str) -> ProviderError {
    ProviderError::Unreadable(format!("the upstream's image {problem}"))
}

fn invalid(error: &ImageError) -> ProviderError {
    unreadable(&format!("cannot be decoded: {error}"))
}

#[cfg(test)]
mod tests;
