use image::{Rgba, RgbaImage};

use super::*;

const WISH: Wish = Wish { size: None, encoding: Encoding::Png, opaque: false, original: false };

fn sized(width: u32, height: u32) -> Wish {
    Wish { size: Some(Size::new(width, height)), ..WISH }
}

/// Left half red, right half blue, the top row green; with this alpha everywhere.
fn picture(width: u32, height: u32, alpha: u8) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| match (y, x < width / 2) {
        (0, _) => Rgba([0, 255, 0, alpha]),
        (_, true) => Rgba([255, 0, 0, alpha]),
        (_, false) => Rgba([0, 0, 255, alpha]),
    })
}

fn file(picture: &RgbaImage, format: ImageFormat) -> Bytes {
    let mut out = Cursor::new(Vec::new());
    let picture = DynamicImage::from(picture.clone());
    let picture = if format == ImageFormat::Jpeg { picture.into_rgb8().into() } else { picture };
    picture.write_to(&mut out, format).unwrap();
    out.into_inner().into()
}

async fn fit(data: &Bytes, wish: Wish) -> Result<Fitted, ProviderError> {
    Fitter::new().fit(data.clone(), wish).await
}

fn decoded(picture: &Encoded) -> RgbaImage {
    let decoded = image::load_from_memory(&picture.data).unwrap().into_rgba8();
    assert_eq!((decoded.width(), decoded.height()), (picture.size.width, picture.size.height));
    decoded
}

fn is_close(pixel: Rgba<u8>, expected: [u8; 4]) -> bool {
    pixel.0.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 12)
}

#[tokio::test]
async fn every_format_comes_out_in_every_format_at_exactly_the_size() {
    let encodings = [Encoding::Png, Encoding::Jpeg { quality: 90 }, Encoding::Webp { quality: 100 }];
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif] {
        let data = file(&picture(96, 64, 255), format);
        for encoding in encodings {
            for (width, height) in [(16, 16), (96, 64), (95, 64), (300, 10), (10, 300), (192, 128)] {
                let made = fit(&data, Wish { encoding, ..sized(width, height) }).await.unwrap().picture;
                assert_eq!(made.media_type, kind_of(encoding), "{format:?}");
                assert_eq!(image::guess_format(&made.data).unwrap().to_mime_type(), made.media_type.as_str());
                assert_eq!(decoded(&made).dimensions(), (width, height), "{format:?} to {encoding:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_right_already_goes_through_byte_for_byte() {
    for (format, encoding) in [
        (ImageFormat::Png, Encoding::Png),
        (ImageFormat::Jpeg, Encoding::Jpeg { quality: 3 }),
        (ImageFormat::WebP, Encoding::Webp { quality: 3 }),
    ] {
        let data = file(&picture(40, 30, 255), format);
        for size in [None, Some(Size::new(40, 30))] {
            let wish = Wish { size, encoding, opaque: false, original: true };
            let Fitted { picture, original } = fit(&data, wish).await.unwrap();
            assert_eq!((&picture.data, picture.size), (&data, Size::new(40, 30)));
            assert_eq!(original.unwrap(), picture);
        }
    }
}

#[tokio::test]
async fn what_sticks_out_is_cut_off_evenly_and_nothing_is_squeezed() {
    // Three squares side by side: of a wide picture the middle one is left.
    let thirds = RgbaImage::from_fn(300, 100, |x, _| match x / 100 {
        0 => Rgba([255, 0, 0, 255]),
        1 => Rgba([0, 255, 0, 255]),
        _ => Rgba([0, 0, 255, 255]),
    });
    let made = decoded(&fit(&file(&thirds, ImageFormat::Png), sized(50, 50)).await.unwrap().picture);
    for (x, y) in [(2, 2), (25, 25), (47, 47), (2, 47)] {
        assert!(is_close(*made.get_pixel(x, y), [0, 255, 0, 255]), "{x},{y}: {:?}", made.get_pixel(x, y));
    }
    let whole = decoded(&fit(&file(&thirds, ImageFormat::Png), sized(150, 50)).await.unwrap().picture);
    for (x, expected) in [(10, [255, 0, 0, 255]), (75, [0, 255, 0, 255]), (140, [0, 0, 255, 255])] {
        assert!(is_close(*whole.get_pixel(x, 25), expected));
    }
}

#[tokio::test]
async fn transparency_is_kept_where_it_can_be_and_laid_on_white_where_not() {
    let data = file(&picture(80, 80, 0), ImageFormat::Png);
    for encoding in [Encoding::Png, Encoding::Webp { quality: 100 }] {
        let made = decoded(&fit(&data, Wish { encoding, ..sized(40, 40) }).await.unwrap().picture);
        assert!(made.pixels().all(|pixel| pixel[3] == 0));
        let opaque = Wish { encoding, opaque: true, ..sized(80, 80) };
        let made = decoded(&fit(&data, opaque).await.unwrap().picture);
        assert!(made.pixels().all(|pixel| pixel.0 == [255; 4]), "{encoding:?}");
    }
    let jpeg = Wish { encoding: Encoding::Jpeg { quality: 95 }, ..sized(40, 40) };
    let made = decoded(&fit(&data, jpeg).await.unwrap().picture);
    assert!(made.pixels().all(|pixel| is_close(*pixel, [255; 4])));
    let half = decoded(&fit(&file(&picture(80, 80, 128), ImageFormat::Png), jpeg).await.unwrap().picture);
    assert!(is_close(*half.get_pixel(10, 30), [255, 127, 127, 255]), "{:?}", half.get_pixel(10, 30));
}

#[tokio::test]
async fn the_original_is_kept_as_it_came_and_a_gif_as_png() {
    let data = file(&picture(64, 48, 255), ImageFormat::Jpeg);
    let made = fit(&data, Wish { original: true, ..sized(32, 32) }).await.unwrap();
    let original = made.original.unwrap();
    assert_eq!((original.data, original.media_type, original.size), (data, MediaType::Jpeg, Size::new(64, 48)));
    let gif = file(&picture(64, 48, 255), ImageFormat::Gif);
    let made = fit(&gif, Wish { original: true, ..sized(32, 32) }).await.unwrap();
    let original = made.original.unwrap();
    assert_eq!((original.media_type, decoded(&original).dimensions()), (MediaType::Png, (64, 48)));
}

#[tokio::test]
async fn what_is_no_picture_or_too_large_a_one_is_unreadable() {
    let mut cut = file(&picture(64, 48, 255), ImageFormat::Png);
    cut.truncate(cut.len() - 30);
    let bomb = crate::media::picture::tests::png_bomb(60_000, 60_000);
    for (data, expected) in [
        (Bytes::from_static(b"<html>404</html>"), "is not a PNG"),
        (Bytes::new(), "is not a PNG"),
        (Bytes::from_static(b"BM"), "is not a PNG"),
        (cut, "cannot be read"),
        (bomb, "60000x60000"),
    ] {
        let Err(ProviderError::Unreadable(message)) = fit(&data, sized(10, 10)).await else { panic!("{expected}") };
        assert!(message.contains(expected), "{message}");
    }
}
