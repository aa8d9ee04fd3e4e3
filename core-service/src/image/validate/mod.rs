//! Validation of image requests.

use triptych_proto::v1 as pb;

use super::{
    Edits,
    parameters::{Background, Encoding, ImageParameters, MAX_PIXELS, Quality, SIDES, Style},
};
use crate::{
    check,
    error::{Error, ProviderError},
    media::InputPicture,
    size::Size,
};

/// The maximum number of images per call, as in OpenAI's API.
const MAX_N: u32 = 10;
/// The maximum number of input images, as in OpenAI's API.
const MAX_PICTURES: usize = 16;
/// The maximum number of previews per image, as in OpenAI's API.
const MAX_PREVIEWS: u32 = 3;
/// Members with a field of their own, under their names in the REST and the gRPC API; `extra_json` must not repeat them.
const MEMBERS: &[&str] = &[
    "model",
    "prompt",
    "n",
    "size",
    "quality",
    "style",
    "background",
    "output_format",
    "output_compression",
    "seed",
    "user",
    "image",
    "mask",
    "pictures",
    "response_format",
    "stream",
    "partial_images",
    "keep_original",
];

/// A validated request whose input images are still to be resolved.
#[derive(Debug, Clone)]
pub(super) struct Validated {
    /// Without input images and mask.
    pub(super) parameters: ImageParameters,
    pub(super) pictures: Vec<pb::MediaInput>,
    pub(super) mask: Option<pb::MediaInput>,
    pub(super) delivery: Delivery,
    pub(super) keep_original: bool,
}

/// How finished images are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Link,
    Bytes,
}

/// Validates a request. The paths in errors are relative to [`pb::ImageRequest`].
pub(super) fn validate_request(image: pb::ImageRequest, partial_images: u32) -> Result<Validated, Error> {
    // Without `..`: a new field must be validated or ignored here on purpose.
    let pb::ImageRequest {
        // Resolved by the catalog.
        model: _,
        prompt,
        n,
        size,
        quality,
        style,
        background,
        output_format,
        output_compression,
        seed,
        user,
        pictures,
        mask,
        delivery,
        keep_original,
        extra_json,
    } = image;
    check::prompt(&prompt)?;
    let n = n.unwrap_or(1);
    if !(1..=MAX_N).contains(&n) {
        return Err(Error::invalid("n", format!("must be from 1 to {MAX_N}, not {n}")));
    }
    if partial_images > MAX_PREVIEWS {
        return Err(Error::invalid(
            "partial_images",
            format!("must be from 0 to {MAX_PREVIEWS}, not {partial_images}"),
        ));
    }
    if pictures.len() > MAX_PICTURES {
        let message = format!("must have at most {MAX_PICTURES} images, not {}", pictures.len());
        return Err(Error::invalid("pictures", message));
    }
    if mask.is_some() && pictures.is_empty() {
        return Err(Error::invalid("mask", "requires an input image in `pictures`"));
    }
    let delivery = match pb::ImageDelivery::try_from(delivery) {
        Ok(pb::ImageDelivery::Unspecified | pb::ImageDelivery::Link) => Delivery::Link,
        Ok(pb::ImageDelivery::Bytes) => Delivery::Bytes,
        Err(_) => return Err(Error::invalid("delivery", format!("must be LINK or BYTES, not {delivery}"))),
    };
    check::extra("extra_json", &extra_json, MEMBERS)?;
    let format = parse_format(&output_format, output_compression)?;
    let parameters = ImageParameters {
        n,
        size: parse_size(&size)?,
        quality: parse_quality(&quality)?,
        style: parse_style(&style)?,
        background: parse_background(&background, format)?,
        seed,
        prompt,
        user,
        pictures: Vec::new(),
        mask: None,
        partial_images,
        format,
        extra_json,
    };
    Ok(Validated { parameters, pictures, mask, delivery, keep_original })
}

/// Checks that a model supports the edit that a request asks for: the number of its input images, and whether it has a mask.
///
/// # Errors
/// [`ProviderError::NotSupported`]; [`Error::InvalidField`] for too many input images.
pub(super) fn check_edit_support(model: &str, edits: Edits, pictures: usize, mask: bool) -> Result<(), Error> {
    let not_supported = |what: &str| {
        Err(ProviderError::NotSupported(format!("the model `{model}` does not support {what}; use another model"))
            .into())
    };
    if pictures > 0 && edits.pictures == 0 {
        return not_supported("input images (`pictures`)");
    }
    if mask && !edits.mask {
        return not_supported("a mask (`mask`)");
    }
    if pictures > edits.pictures {
        let message = format!("must have at most {} images for the model `{model}`, not {pictures}", edits.pictures);
        return Err(Error::invalid("pictures", message));
    }
    Ok(())
}

/// Checks a resolved mask against the first input image.
pub(super) fn check_mask(mask: &InputPicture, first: &InputPicture) -> Result<(), Error> {
    if mask.size != first.size {
        let message = format!("must have the size of the first input image, {}, not {}", first.size, mask.size);
        return Err(Error::invalid("mask", message));
    }
    if !mask.has_alpha {
        let message = "must be PNG or WebP with an alpha channel; its transparent pixels mark the area to paint";
        return Err(Error::invalid("mask", message));
    }
    Ok(())
}

fn parse_size(text: &str) -> Result<Option<Size>, Error> {
    if matches!(text, "" | "auto") {
        return Ok(None);
    }
    let invalid = |message: String| Error::invalid("size", message);
    let (min, max) = (SIDES.start(), SIDES.end());
    let size: Size = text.parse().map_err(|_| {
        let value = quoted(text);
        invalid(format!(
            "must be `auto` or WIDTHxHEIGHT in pixels, sides from {min} to {max}, for example 1024x1024, not {value}"
        ))
    })?;
    let Size { width, height } = size;
    if let Some(side) = [width, height].into_iter().find(|side| !SIDES.contains(side)) {
        return Err(invalid(format!("must have sides from {min} to {max} pixels, not {side}")));
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        let message = format!("must have at most {MAX_PIXELS} pixels in all, for example 4096x4096, not {pixels}");
        return Err(invalid(message));
    }
    Ok(Some(size))
}

fn parse_quality(text: &str) -> Result<Quality, Error> {
    let rule = "must be `standard`, `hd`, `low`, `medium`, `high`, `xhigh`, `max` or `auto`";
    Quality::parse(text).ok_or_else(|| Error::invalid("quality", format!("{rule}, not {}", quoted(text))))
}

fn parse_style(text: &str) -> Result<Option<Style>, Error> {
    match text {
        "" => Ok(None),
        "vivid" => Ok(Some(Style::Vivid)),
        "natural" => Ok(Some(Style::Natural)),
        _ => Err(Error::invalid("style", format!("must be `vivid` or `natural`, not {}", quoted(text)))),
    }
}

fn parse_background(text: &str, format: Encoding) -> Result<Background, Error> {
    match (text, format) {
        ("" | "auto", _) => Ok(Background::Auto),
        ("opaque", _) => Ok(Background::Opaque),
        ("transparent", Encoding::Png | Encoding::Webp { .. }) => Ok(Background::Transparent),
        ("transparent", Encoding::Jpeg { .. }) => {
            Err(Error::invalid("background", "`transparent` requires the output format `png` or `webp`, not `jpeg`"))
        }
        _ => Err(Error::invalid(
            "background",
            format!("must be `opaque`, `transparent` or `auto`, not {}", quoted(text)),
        )),
    }
}

fn parse_format(text: &str, compression: Option<u32>) -> Result<Encoding, Error> {
    let quality = compression.unwrap_or(100);
    let invalid = || Error::invalid("output_compression", format!("must be from 0 to 100, not {quality}"));
    let quality = u8::try_from(quality).ok().filter(|quality| *quality <= 100).ok_or_else(invalid)?;
    match text {
        "" | "png" if quality < 100 => {
            let message = format!("must be 100 for the output format `png`, not {quality}; use `jpeg` or `webp`");
            Err(Error::invalid("output_compression", message))
        }
        "" | "png" => Ok(Encoding::Png),
        "jpeg" => Ok(Encoding::Jpeg { quality }),
        "webp" => Ok(Encoding::Webp { quality }),
        _ => Err(Error::invalid("output_format", format!("must be `png`, `jpeg` or `webp`, not {}", quoted(text)))),
    }
}

/// Returns the beginning of a rejected value in quotes. Bounded, since error messages travel in a header.
fn quoted(text: &str) -> String {
    const MAX_CHARS: usize = 40;
    let end = text.char_indices().nth(MAX_CHARS).map_or(text.len(), |(end, _)| end);
    let ellipsis = if end < text.len() { "..." } else { "" };
    format!("{:?}{ellipsis}", &text[..end])
}

#[cfg(test)]
mod tests;
