//! From the picture an upstream made to the picture that was asked for: exactly its size, exactly its format.
//!
//! A picture is scaled until it covers the size, and what sticks out is cut off evenly. One that is right already goes
//! through byte for byte. Decoding, scaling and encoding never run on async threads, one picture per core at a time.

use std::{io::Cursor, sync::Arc, thread::available_parallelism};

use bytes::Bytes;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images};
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader, Limits,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType as PngFilter, PngEncoder},
        webp::WebPEncoder,
    },
};
use tokio::sync::Semaphore;

use super::Encoding;
use crate::{error::ProviderError, media::MediaType, size::Size};

/// Most pixels of a picture that is decoded; upstreams make up to 19 million.
const MAX_PIXELS: u64 = 64 << 20;
/// Memory for the widest pixel, four channels of 16 bits, and for the decoder's own needs.
const MAX_MEMORY: u64 = MAX_PIXELS * 8 + (64 << 20);

/// What upstreams make, and as what it is kept.
const FORMATS: [(ImageFormat, Option<MediaType>); 4] = [
    (ImageFormat::Png, Some(MediaType::Png)),
    (ImageFormat::Jpeg, Some(MediaType::Jpeg)),
    (ImageFormat::WebP, Some(MediaType::Webp)),
    (ImageFormat::Gif, None),
];

/// What a picture shall become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    /// Exact size. `None`: as it comes.
    pub(super) size: Option<Size>,
    pub(super) encoding: Encoding,
    /// Whether transparency is laid on white even where the encoding could hold it.
    pub(super) opaque: bool,
    /// Whether the picture as it came is wanted besides.
    pub(super) original: bool,
}

/// A picture as it was wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fitted {
    pub(super) picture: Encoded,
    /// The picture as it came, if that was wished for. A GIF comes as PNG: media are kept in no other formats.
    pub(super) original: Option<Encoded>,
}

/// An encoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Encoded {
    pub(super) data: Bytes,
    pub(super) media_type: MediaType,
    pub(super) size: Size,
}

/// Brings pictures to size. Clones share the places.
#[derive(Debug, Clone)]
pub(super) struct Fitter {
    places: Arc<Semaphore>,
}

impl Fitter {
    pub(super) fn new() -> Self {
        let cores = available_parallelism().map_or(1, Into::into);
        Self { places: Arc::new(Semaphore::new(cores)) }
    }

    /// The picture as it is wished for.
    ///
    /// # Errors
    /// [`ProviderError::Unreadable`] for what is no picture, or too large a one.
    pub(super) async fn fit(&self, data: Bytes, wish: Wish) -> Result<Fitted, ProviderError> {
        let head = Head::read(&data)?;
        if let Some(media_type) = head.is_as(wish) {
            let picture = Encoded { data, media_type, size: head.size };
            return Ok(Fitted { original: wish.original.then(|| picture.clone()), picture });
        }
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| ProviderError::Broken("the service is shutting down".to_owned()))?;
        let work = tokio::task::spawn_blocking(move || {
            // Held to the end of the work, even if nobody waits for it any more.
            let _place = place;
            work(data, head, wish)
        });
        work.await.unwrap_or_else(|error| {
            // A decoder's defect, and this picture's problem alone.
            tracing::error!("bringing a picture to size: {error}");
            Err(unreadable("cannot be decoded"))
        })
    }
}

/// What the first bytes of a picture say.
#[derive(Debug, Clone, Copy)]
struct Head {
    format: ImageFormat,
    /// The type it is kept as, if it can be.
    kept: Option<MediaType>,
    size: Size,
    alpha: bool,
}

impl Head {
    fn read(data: &[u8]) -> Result<Self, ProviderError> {
        let guessed = image::guess_format(data).ok();
        let known = FORMATS.into_iter().find(|(format, _)| guessed == Some(*format));
        let (format, kept) = known.ok_or_else(|| unreadable("is not a PNG, JPEG, WebP or GIF picture"))?;
        let decoder = reader(data, format).into_decoder().map_err(|error| broken(&error))?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > MAX_PIXELS {
            return Err(unreadable(&format!("has {width}x{height} pixels")));
        }
        Ok(Self { format, kept, size: Size::new(width, height), alpha: decoder.color_type().has_alpha() })
    }

    /// Its type, if nothing has to be done to it.
    fn is_as(self, wish: Wish) -> Option<MediaType> {
        let media_type = self.kept.filter(|kind| *kind == kind_of(wish.encoding))?;
        let sized = wish.size.is_none_or(|size| size == self.size);
        (sized && !(wish.opaque && self.alpha)).then_some(media_type)
    }
}

fn work(data: Bytes, head: Head, wish: Wish) -> Result<Fitted, ProviderError> {
    let picture = reader(&data, head.format).decode().map_err(|error| broken(&error))?;
    let original = match head.kept {
        _ if !wish.original => None,
        Some(media_type) => Some(Encoded { data, media_type, size: head.size }),
        None => Some(encoded(&picture, head.size, Encoding::Png)?),
    };
    // Two layouts are enough: resampling and encoding know both.
    let picture: DynamicImage =
        if picture.color().has_alpha() { picture.into_rgba8().into() } else { picture.into_rgb8().into() };
    let size = wish.size.unwrap_or(head.size);
    let picture = if size == head.size { picture } else { scaled(&picture, size)? };
    let flat = wish.opaque || matches!(wish.encoding, Encoding::Jpeg { .. });
    let picture = if flat && picture.color().has_alpha() { on_white(&picture).into() } else { picture };
    Ok(Fitted { picture: encoded(&picture, size, wish.encoding)?, original })
}

/// Scaled to cover `size`, the rest cut off evenly.
fn scaled(picture: &DynamicImage, size: Size) -> Result<DynamicImage, ProviderError> {
    let alpha = picture.color().has_alpha();
    let pixel = if alpha { PixelType::U8x4 } else { PixelType::U8x3 };
    let failed = |error: &dyn std::fmt::Display| ProviderError::Unreadable(format!("scaling a picture: {error}"));
    let source = images::ImageRef::new(picture.width(), picture.height(), picture.as_bytes(), pixel);
    let source = source.map_err(|error| failed(&error))?;
    let mut target = images::Image::new(size.width, size.height, pixel);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .fit_into_destination(Some((0.5, 0.5)));
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| failed(&error))?;
    let pixels = target.into_vec();
    let made = if alpha {
        image::RgbaImage::from_raw(size.width, size.height, pixels).map(DynamicImage::from)
    } else {
        image::RgbImage::from_raw(size.width, size.height, pixels).map(DynamicImage::from)
    };
    made.ok_or_else(|| failed(&"the pixels do not fill it"))
}

fn on_white(picture: &DynamicImage) -> image::RgbImage {
    let picture = picture.to_rgba8();
    let mut flat = image::RgbImage::new(picture.width(), picture.height());
    for (target, source) in flat.pixels_mut().zip(picture.pixels()) {
        let [colours @ .., alpha] = source.0.map(u16::from);
        // At most 255: a mean of two bytes.
        target.0 = colours.map(|part| u8::try_from((part * alpha + 255 * (255 - alpha) + 127) / 255).unwrap_or(255));
    }
    flat
}

fn encoded(picture: &DynamicImage, size: Size, encoding: Encoding) -> Result<Encoded, ProviderError> {
    let mut data = Vec::with_capacity(picture.as_bytes().len() / 3);
    let (width, height) = (picture.width(), picture.height());
    let pixels = picture.as_bytes();
    let colour = ExtendedColorType::from(picture.color());
    let done = match encoding {
        Encoding::Png => PngEncoder::new_with_quality(&mut data, CompressionType::Fast, PngFilter::Adaptive)
            .write_image(pixels, width, height, colour),
        Encoding::Jpeg { quality } => {
            JpegEncoder::new_with_quality(&mut data, quality.clamp(1, 100)).write_image(pixels, width, height, colour)
        }
        Encoding::Webp { .. } => WebPEncoder::new_lossless(&mut data).write_image(pixels, width, height, colour),
    };
    done.map_err(|error| ProviderError::Unreadable(format!("a picture cannot be written again: {error}")))?;
    Ok(Encoded { data: data.into(), media_type: kind_of(encoding), size })
}

fn kind_of(encoding: Encoding) -> MediaType {
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

fn unreadable(what: &str) -> ProviderError {
    ProviderError::Unreadable(format!("what the upstream made {what}"))
}

fn broken(error: &ImageError) -> ProviderError {
    unreadable(&format!("is a picture that cannot be read: {error}"))
}

#[cfg(test)]
mod tests;
