//! What a request for pictures must look like before it goes anywhere, whichever door it came through.

use triptych_proto::v1 as pb;

use super::{Background, Edits, Encoding, ImageSpec, MOST_PIXELS, Quality, SIDES, Style};
use crate::{
    check,
    error::{Error, ProviderError},
    size::Size,
};

/// Most pictures of one call.
const MAX_N: u32 = 10;
/// Most pictures to start from.
const MAX_PICTURES: usize = 16;
/// Most previews of one picture.
const MAX_PREVIEWS: u32 = 3;
/// Members that have a field of their own, in the spellings of both APIs.
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

/// A request whose every field makes sense, its input pictures still to be got hold of.
#[derive(Debug)]
pub(super) struct Checked {
    /// What to make, without the input pictures.
    pub(super) spec: ImageSpec,
    pub(super) pictures: Vec<pb::MediaInput>,
    pub(super) mask: Option<pb::MediaInput>,
    pub(super) delivery: Delivery,
    pub(super) keep_original: bool,
}

/// How finished pictures are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Link,
    Bytes,
}

/// Checks a request; paths are relative to [`pb::ImageRequest`].
pub(super) fn check(image: pb::ImageRequest, partial_images: u32) -> Result<Checked, Error> {
    check::prompt(&image.prompt)?;
    let n = image.n.unwrap_or(1);
    if !(1..=MAX_N).contains(&n) {
        return Err(Error::invalid("n", format!("must be from 1 to {MAX_N}, not {n}")));
    }
    if partial_images > MAX_PREVIEWS {
        return Err(Error::invalid(
            "partial_images",
            format!("must be from 0 to {MAX_PREVIEWS}, not {partial_images}"),
        ));
    }
    if image.pictures.len() > MAX_PICTURES {
        let message = format!("must hold at most {MAX_PICTURES} pictures, not {}", image.pictures.len());
        return Err(Error::invalid("pictures", message));
    }
    if image.mask.is_some() && image.pictures.is_empty() {
        return Err(Error::invalid("mask", "needs a picture to lie on"));
    }
    let delivery = match pb::ImageDelivery::try_from(image.delivery) {
        Ok(pb::ImageDelivery::Unspecified | pb::ImageDelivery::Link) => Delivery::Link,
        Ok(pb::ImageDelivery::Bytes) => Delivery::Bytes,
        Err(_) => return Err(Error::invalid("delivery", "must be LINK or BYTES")),
    };
    check::extra("extra_json", &image.extra_json, MEMBERS)?;
    let format = encoding(&image.output_format, image.output_compression)?;
    let spec = ImageSpec {
        n,
        size: size(&image.size)?,
        quality: quality(&image.quality)?,
        style: style(&image.style)?,
        background: background(&image.background, format)?,
        seed: image.seed,
        prompt: image.prompt,
        user: image.user,
        pictures: Vec::new(),
        mask: None,
        partial_images,
        format,
        extra_json: image.extra_json,
    };
    let pb::ImageRequest { pictures, mask, keep_original, .. } = image;
    Ok(Checked { spec, pictures, mask, delivery, keep_original })
}

/// That the model can start from what the request has.
pub(super) fn can_edit(model: &str, edits: Edits, pictures: usize, mask: bool) -> Result<(), Error> {
    let not_supported = |what: &str| Err(ProviderError::NotSupported(format!("the model `{model}` {what}")).into());
    if pictures > 0 && edits.pictures == 0 {
        return not_supported("cannot start from pictures");
    }
    if mask && !edits.mask {
        return not_supported("takes no mask");
    }
    if pictures > edits.pictures {
        let message = format!("must hold at most {} pictures for the model `{model}`, not {pictures}", edits.pictures);
        return Err(Error::invalid("pictures", message));
    }
    Ok(())
}

fn size(text: &str) -> Result<Option<Size>, Error> {
    if matches!(text, "" | "auto") {
        return Ok(None);
    }
    let wrong = |why: String| Error::invalid("size", why);
    let size: Size = text.parse().map_err(|_| {
        let (least, most) = (SIDES.start(), SIDES.end());
        wrong(format!("must be `auto` or WIDTHxHEIGHT in pixels, sides from {least} to {most}, for instance 1024x1024"))
    })?;
    let Size { width, height } = size;
    if let Some(side) = [width, height].into_iter().find(|side| !SIDES.contains(side)) {
        return Err(wrong(format!("must have sides from {} to {} pixels, not {side}", SIDES.start(), SIDES.end())));
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MOST_PIXELS {
        return Err(wrong(format!(
            "must have at most {MOST_PIXELS} pixels in all, 4096x4096 for instance, not {pixels}"
        )));
    }
    Ok(Some(size))
}

fn quality(word: &str) -> Result<Quality, Error> {
    let message = "must be `standard`, `hd`, `low`, `medium`, `high`, `xhigh`, `max` or `auto`";
    Quality::parse(word).ok_or_else(|| Error::invalid("quality", message))
}

fn style(word: &str) -> Result<Option<Style>, Error> {
    match word {
        "" => Ok(None),
        "vivid" => Ok(Some(Style::Vivid)),
        "natural" => Ok(Some(Style::Natural)),
        _ => Err(Error::invalid("style", "must be `vivid` or `natural`")),
    }
}

fn background(word: &str, format: Encoding) -> Result<Background, Error> {
    match (word, format) {
        ("" | "auto", _) => Ok(Background::Auto),
        ("opaque", _) => Ok(Background::Opaque),
        ("transparent", Encoding::Png | Encoding::Webp { .. }) => Ok(Background::Transparent),
        ("transparent", Encoding::Jpeg { .. }) => {
            Err(Error::invalid("background", "`transparent` needs the output format `png` or `webp`"))
        }
        _ => Err(Error::invalid("background", "must be `opaque`, `transparent` or `auto`")),
    }
}

fn encoding(word: &str, compression: Option<u32>) -> Result<Encoding, Error> {
    let quality = compression.unwrap_or(100);
    let quality = u8::try_from(quality).ok().filter(|quality| *quality <= 100);
    let quality = quality.ok_or_else(|| Error::invalid("output_compression", "must be from 0 to 100"))?;
    match word {
        "" | "png" if quality < 100 => {
            Err(Error::invalid("output_compression", "below 100 needs the output format `jpeg` or `webp`"))
        }
        "" | "png" => Ok(Encoding::Png),
        "jpeg" => Ok(Encoding::Jpeg { quality }),
        "webp" => Ok(Encoding::Webp { quality }),
        _ => Err(Error::invalid("output_format", "must be `png`, `jpeg` or `webp`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> pb::ImageRequest {
        pb::ImageRequest { prompt: "a cat".to_owned(), ..pb::ImageRequest::default() }
    }

    fn refused(image: pb::ImageRequest) -> (String, String) {
        match check(image, 0) {
            Err(Error::InvalidField { field, message }) => (field, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_prompt_alone_is_a_request() {
        let checked = check(request(), 0).unwrap();
        assert_eq!(checked.delivery, Delivery::Link);
        assert_eq!((checked.spec.n, checked.spec.size, checked.spec.format), (1, None, Encoding::Png));
        assert_eq!((checked.spec.quality, checked.spec.background), (Quality::Auto, Background::Auto));
    }

    #[test]
    fn each_refusal_names_its_field() {
        let text = |text: &str| text.to_owned();
        let picture = pb::MediaInput::default;
        let cases = [
            ("prompt", pb::ImageRequest::default()),
            ("prompt", pb::ImageRequest { prompt: text(" \n\u{3000}"), ..request() }),
            ("prompt", pb::ImageRequest { prompt: "汉".repeat(32_001), ..request() }),
            ("n", pb::ImageRequest { n: Some(0), ..request() }),
            ("n", pb::ImageRequest { n: Some(11), ..request() }),
            ("size", pb::ImageRequest { size: text("15x16"), ..request() }),
            ("size", pb::ImageRequest { size: text("16x12289"), ..request() }),
            ("size", pb::ImageRequest { size: text("1024"), ..request() }),
            ("size", pb::ImageRequest { size: text("1024 x 1024"), ..request() }),
            ("size", pb::ImageRequest { size: text("99999999999x16"), ..request() }),
            ("quality", pb::ImageRequest { quality: text("HD"), ..request() }),
            ("style", pb::ImageRequest { style: text("baroque"), ..request() }),
            ("background", pb::ImageRequest { background: text("pink"), ..request() }),
            (
                "background",
                pb::ImageRequest { background: text("transparent"), output_format: text("jpeg"), ..request() },
            ),
            ("output_format", pb::ImageRequest { output_format: text("gif"), ..request() }),
            ("output_compression", pb::ImageRequest { output_compression: Some(50), ..request() }),
            (
                "output_compression",
                pb::ImageRequest { output_compression: Some(101), output_format: text("jpeg"), ..request() },
            ),
            ("pictures", pb::ImageRequest { pictures: vec![picture(); 17], ..request() }),
            ("mask", pb::ImageRequest { mask: Some(picture()), ..request() }),
            ("delivery", pb::ImageRequest { delivery: 7, ..request() }),
            ("extra_json", pb::ImageRequest { extra_json: text("[]"), ..request() }),
            ("extra_json", pb::ImageRequest { extra_json: text("{\"a\":"), ..request() }),
            ("extra_json", pb::ImageRequest { extra_json: text("{\"size\":\"1x1\"}"), ..request() }),
        ];
        for (field, image) in cases {
            let debug = format!("{image:.80?}");
            assert_eq!(refused(image).0, field, "{debug}");
        }
        let Err(Error::InvalidField { field, .. }) = check(request(), 4) else { panic!("4 previews were taken") };
        assert_eq!(field, "partial_images");
    }

    #[test]
    fn the_message_on_a_size_says_what_would_be_right() {
        for (asked, parts) in [
            ("large", ["16", "12288", "auto", "1024x1024"]),
            ("15x1024", ["16", "12288", "sides", "not 15"]),
            ("16x12289", ["16", "12288", "sides", "not 12289"]),
            ("4097x4608", ["4096x4096", "18874368", "in all", "not 18878976"]),
            ("4294967295x4294967295", ["16", "12288", "sides", "not 4294967295"]),
        ] {
            let (field, message) = refused(pb::ImageRequest { size: asked.to_owned(), ..request() });
            assert_eq!(field, "size");
            assert!(parts.iter().all(|part| message.contains(part)), "{asked}: {message}");
        }
    }

    #[test]
    fn the_largest_pictures_that_providers_make_by_themselves_may_be_asked_for() {
        for asked in ["4096x4096", "5404x3040", "5504x3072", "3392x5056", "6336x2688", "12288x1536", "1536x12288"] {
            let image = pb::ImageRequest { size: asked.to_owned(), ..request() };
            assert_eq!(check(image, 0).unwrap().spec.size, asked.parse().ok(), "{asked}");
        }
    }

    #[test]
    fn everything_the_contract_names_is_taken() {
        let full = pb::ImageRequest {
            prompt: "汉".repeat(32_000),
            n: Some(10),
            size: "4096x16".to_owned(),
            quality: "xhigh".to_owned(),
            style: "natural".to_owned(),
            background: "transparent".to_owned(),
            output_format: "webp".to_owned(),
            output_compression: Some(0),
            extra_json: "{\"moderation\":\"low\",\"scale\":1E400,\"size\":null}".to_owned(),
            delivery: pb::ImageDelivery::Bytes.into(),
            keep_original: true,
            pictures: vec![pb::MediaInput::default(); 16],
            mask: Some(pb::MediaInput::default()),
            ..request()
        };
        let Checked { spec, pictures, mask, delivery, keep_original } = check(full, 3).unwrap();
        assert_eq!(
            (spec.size, spec.quality, spec.background),
            (Some(Size::new(4096, 16)), Quality::Xhigh, Background::Transparent)
        );
        assert_eq!((pictures.len(), mask.is_some(), delivery, keep_original), (16, true, Delivery::Bytes, true));
        assert_eq!((spec.style, spec.format), (Some(Style::Natural), Encoding::Webp { quality: 0 }));
        let jpeg = pb::ImageRequest { output_format: "jpeg".to_owned(), output_compression: Some(0), ..request() };
        assert_eq!(check(jpeg, 0).unwrap().spec.format, Encoding::Jpeg { quality: 0 });
    }
}
