//! Conversion of the size, format and transparency of images.

use image::{Rgba, RgbaImage};

use super::*;

const UNCHANGED: Target = Target { size: None, encoding: Encoding::Png, opaque: false, keep_original: false };

fn sized(width: u32, height: u32) -> Target {
    Target { size: Some(Size::new(width, height)), ..UNCHANGED }
}

/// Returns an image with a red left half, a blue right half and a green top row, all with the same alpha.
fn picture(width: u32, height: u32, alpha: u8) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| match (y, x < width / 2) {
        (0, _) => Rgba([0, 255, 0, alpha]),
        (_, true) => Rgba([255, 0, 0, alpha]),
        (_, false) => Rgba([0, 0, 255, alpha]),
    })
}

/// Encodes an image.
fn file(picture: &RgbaImage, format: ImageFormat) -> Bytes {
    let mut out = Cursor::new(Vec::new());
    let picture = DynamicImage::from(picture.clone());
    let picture = if format == ImageFormat::Jpeg { picture.into_rgb8().into() } else { picture };
    picture.write_to(&mut out, format).unwrap();
    out.into_inner().into()
}

async fn resize(data: &Bytes, target: Target) -> Result<Resized, ProviderError> {
    ImageResizer::new(PictureBudget::default()).resize(data.clone(), target).await
}

fn decoded(picture: &EncodedImage) -> RgbaImage {
    let decoded = image::load_from_memory(&picture.data).unwrap().into_rgba8();
    assert_eq!((decoded.width(), decoded.height()), (picture.size.width, picture.size.height));
    decoded
}

fn is_close(pixel: Rgba<u8>, expected: [u8; 4]) -> bool {
    pixel.0.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 12)
}

#[tokio::test]
async fn every_format_converts_to_every_format_in_the_exact_size() {
    let encodings = [Encoding::Png, Encoding::Jpeg { quality: 90 }, Encoding::Webp { quality: 100 }];
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif] {
        let data = file(&picture(96, 64, 255), format);
        for encoding in encodings {
            for (width, height) in [(16, 16), (96, 64), (95, 64), (300, 10), (10, 300), (192, 128)] {
                let resized = resize(&data, Target { encoding, ..sized(width, height) }).await.unwrap().image;
                assert_eq!(resized.media_type, media_type_of(encoding), "{format:?}");
                assert_eq!(image::guess_format(&resized.data).unwrap().to_mime_type(), resized.media_type.as_str());
                assert_eq!(decoded(&resized).dimensions(), (width, height), "{format:?} to {encoding:?}");
            }
        }
    }
}

#[tokio::test]
async fn matching_image_is_passed_through_unchanged() {
    for (format, encoding) in [
        (ImageFormat::Png, Encoding::Png),
        (ImageFormat::Jpeg, Encoding::Jpeg { quality: 3 }),
        (ImageFormat::WebP, Encoding::Webp { quality: 3 }),
    ] {
        let data = file(&picture(40, 30, 255), format);
        for size in [None, Some(Size::new(40, 30))] {
            let target = Target { size, encoding, opaque: false, keep_original: true };
            let Resized { image, original } = resize(&data, target).await.unwrap();
            assert_eq!((&image.data, image.size), (&data, Size::new(40, 30)));
            assert_eq!(original.unwrap(), image);
        }
    }
}

#[tokio::test]
async fn exif_orientation_is_applied_before_the_size_is_read() {
    for format in [MediaType::Png, MediaType::Jpeg, MediaType::Webp] {
        let encoding = match format {
            MediaType::Jpeg => Encoding::Jpeg { quality: 95 },
            MediaType::Webp => Encoding::Webp { quality: 100 },
            MediaType::Png | MediaType::Mp4 | MediaType::Mp3 | MediaType::Wav => Encoding::Png,
        };
        // Orientation 6: a reader turns the stored pixels, 40x20, by 90° clockwise. Upright, red is at the top.
        let data = crate::media::picture::tests::with_orientation(format, 6);
        for (size, target) in
            [((20, 40), None), ((20, 40), Some(Size::new(20, 40))), ((10, 20), Some(Size::new(10, 20)))]
        {
            let target = Target { size: target, encoding, opaque: false, keep_original: true };
            let Resized { image, original } = resize(&data, target).await.unwrap();
            for (image, size) in [(image, size), (original.unwrap(), (20, 40))] {
                let pixels = decoded(&image);
                assert_eq!(pixels.dimensions(), size, "{format}");
                assert!(pixels.get_pixel(size.0 / 2, 1)[0] > 200, "{format} {size:?}");
                // A reader must not rotate it again.
                assert_eq!(Header::read(&image.data).unwrap().size, image.size);
            }
        }
        // An upright image in the requested format is passed through.
        let upright = crate::media::picture::tests::with_orientation(format, 1);
        let target = Target { size: Some(Size::new(40, 20)), encoding, opaque: false, keep_original: false };
        assert_eq!(resize(&upright, target).await.unwrap().image.data, upright);
    }
}

#[tokio::test]
async fn excess_is_cropped_evenly_and_nothing_is_distorted() {
    // Three squares side by side: cropping to a square leaves the middle one.
    let thirds = RgbaImage::from_fn(300, 100, |x, _| match x / 100 {
        0 => Rgba([255, 0, 0, 255]),
        1 => Rgba([0, 255, 0, 255]),
        _ => Rgba([0, 0, 255, 255]),
    });
    let resized = decoded(&resize(&file(&thirds, ImageFormat::Png), sized(50, 50)).await.unwrap().image);
    for (x, y) in [(2, 2), (25, 25), (47, 47), (2, 47)] {
        assert!(is_close(*resized.get_pixel(x, y), [0, 255, 0, 255]), "{x},{y}: {:?}", resized.get_pixel(x, y));
    }
    let uncropped = decoded(&resize(&file(&thirds, ImageFormat::Png), sized(150, 50)).await.unwrap().image);
    for (x, expected) in [(10, [255, 0, 0, 255]), (75, [0, 255, 0, 255]), (140, [0, 0, 255, 255])] {
        assert!(is_close(*uncropped.get_pixel(x, 25), expected));
    }
}

#[tokio::test]
async fn transparency_is_kept_or_blended_with_white_without_alpha_channel() {
    let data = file(&picture(80, 80, 0), ImageFormat::Png);
    for encoding in [Encoding::Png, Encoding::Webp { quality: 100 }] {
        let resized = decoded(&resize(&data, Target { encoding, ..sized(40, 40) }).await.unwrap().image);
        assert!(resized.pixels().all(|pixel| pixel[3] == 0));
        let opaque = Target { encoding, opaque: true, ..sized(80, 80) };
        let resized = decoded(&resize(&data, opaque).await.unwrap().image);
        assert!(resized.pixels().all(|pixel| pixel.0 == [255; 4]), "{encoding:?}");
    }
    let jpeg = Target { encoding: Encoding::Jpeg { quality: 95 }, ..sized(40, 40) };
    let resized = decoded(&resize(&data, jpeg).await.unwrap().image);
    assert!(resized.pixels().all(|pixel| is_close(*pixel, [255; 4])));
    let half = decoded(&resize(&file(&picture(80, 80, 128), ImageFormat::Png), jpeg).await.unwrap().image);
    assert!(is_close(*half.get_pixel(10, 30), [255, 127, 127, 255]), "{:?}", half.get_pixel(10, 30));
}

#[tokio::test]
async fn original_is_returned_unchanged_and_a_gif_as_png() {
    let data = file(&picture(64, 48, 255), ImageFormat::Jpeg);
    let resized = resize(&data, Target { keep_original: true, ..sized(32, 32) }).await.unwrap();
    let original = resized.original.unwrap();
    assert_eq!((original.data, original.media_type, original.size), (data, MediaType::Jpeg, Size::new(64, 48)));
    let gif = file(&picture(64, 48, 255), ImageFormat::Gif);
    let resized = resize(&gif, Target { keep_original: true, ..sized(32, 32) }).await.unwrap();
    let original = resized.original.unwrap();
    assert_eq!((original.media_type, decoded(&original).dimensions()), (MediaType::Png, (64, 48)));
}

#[tokio::test]
async fn invalid_and_oversized_images_are_unreadable() {
    let mut cut = file(&picture(64, 48, 255), ImageFormat::Png);
    cut.truncate(cut.len() - 30);
    let bomb = crate::media::picture::tests::png_bomb(60_000, 60_000);
    for (data, expected) in [
        (Bytes::from_static(b"<html>404</html>"), "is not a PNG"),
        (Bytes::new(), "is not a PNG"),
        (Bytes::from_static(b"BM"), "is not a PNG"),
        (cut, "cannot be decoded"),
        (bomb, "60000x60000"),
    ] {
        let Err(ProviderError::Unreadable(message)) = resize(&data, sized(10, 10)).await else { panic!("{expected}") };
        assert!(message.contains(expected), "{message}");
    }
}
