//! Behaviour of the mock image engine through its public API.
#![allow(clippy::expect_used, reason = "a panic in a helper fails the calling test")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::{Rgba, RgbaImage};
use offline_image::{Cancelled, Format, ImageRequest, Observer, Quality, edit, encode, paint};

fn request(prompt: &str, width: u32, height: u32) -> ImageRequest {
    ImageRequest { prompt: prompt.to_owned(), width, height, ..ImageRequest::default() }
}

/// Paints a square picture. `()` is the observer that neither wants previews nor cancels.
fn draw(prompt: &str, size: u32) -> RgbaImage {
    paint(&request(prompt, size, size), &()).expect("not cancelled")
}

/// Returns the mean of red, green and blue, 0 to 255.
fn mean(picture: &RgbaImage) -> [f64; 3] {
    let count = f64::from(picture.width() * picture.height());
    std::array::from_fn(|part| picture.pixels().map(|pixel| f64::from(pixel[part])).sum::<f64>() / count)
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn picture_has_the_requested_size() {
    let prompts = [
        "a cat by a window",
        "mountains",
        "lake at night, watercolor",
        "pixel art castle",
        "city",
        "海底 鱼",
        "oil painting of a tree",
        "水墨 山",
    ];
    let sizes = [(333, 777), (777, 333), (16, 1024), (257, 129), (64, 65), (16, 16), (1, 1)];
    for prompt in prompts {
        for (width, height) in sizes {
            // Supersampling is the risk with odd sizes; for large ones it would only take time.
            let quality = if width * height > 40_000 { Quality::Low } else { Quality::High };
            let picture =
                paint(&ImageRequest { quality, ..request(prompt, width, height) }, &()).expect("not cancelled");
            assert_eq!(picture.dimensions(), (width, height), "{prompt}");
            assert!(
                picture.pixels().all(|pixel| pixel[3] == 255),
                "{prompt} at {width}x{height} has transparent pixels"
            );
        }
    }
}

#[test]
fn largest_sizes_are_supported() {
    // A square near the gateway's limit of pixels, and the longest side that it accepts.
    for (width, height) in [(4096, 4096), (12_288, 1536)] {
        let picture =
            paint(&ImageRequest { quality: Quality::Low, ..request("a sunset over mountains", width, height) }, &());
        assert_eq!(picture.expect("not cancelled").dimensions(), (width, height));
    }
}

#[test]
fn equal_requests_yield_equal_bytes_and_seeds_vary_them() {
    let plain = request("a misty forest", 160, 120);
    let seeded = |seed| ImageRequest { seed: Some(seed), ..plain.clone() };
    let bytes = |request: &ImageRequest| paint(request, &()).expect("not cancelled").into_raw();
    assert_eq!(bytes(&plain), bytes(&plain));
    assert_eq!(bytes(&seeded(7)), bytes(&seeded(7)));
    assert_ne!(bytes(&seeded(7)), bytes(&seeded(8)));
    assert_ne!(bytes(&seeded(-1)), bytes(&seeded(1)));
    assert_ne!(bytes(&plain), bytes(&request("a misty forest!", 160, 120)));
}

#[test]
fn english_and_chinese_prompts_yield_similar_colours() {
    for (english, chinese, opposite) in [
        ("sunset over the sea", "海上日落", "海上 夜晚"),
        ("forest at night", "夜晚的森林", "forest at noon"),
        ("a desert at noon", "正午的沙漠", "desert at midnight"),
    ] {
        // The text changes the random details, so compare means over several seeds.
        let average = |prompt: &str| {
            let sum = (0..6).map(|seed| {
                mean(
                    &paint(&ImageRequest { seed: Some(seed), quality: Quality::Low, ..request(prompt, 96, 96) }, &())
                        .expect("not cancelled"),
                )
            });
            sum.fold([0.0; 3], |sum, next| std::array::from_fn(|i| sum[i] + next[i] / 6.0))
        };
        let (a, b, c) = (average(english), average(chinese), average(opposite));
        assert!(distance(a, b) < 30.0, "{english} {a:?} and {chinese} {b:?}");
        assert!(
            distance(a, b) * 1.8 < distance(a, c),
            "{opposite} {c:?} is as close to {english} {a:?} as {chinese} {b:?}"
        );
    }
}

#[test]
fn colour_in_the_prompt_dominates_the_picture() {
    for (name, strongest) in [("red", 0), ("green", 1), ("blue", 2), ("红色", 0), ("绿色", 1), ("蓝色", 2)] {
        let mean = mean(&draw(&format!("{name} abstract"), 96));
        assert!((0..3).all(|part| mean[part] <= mean[strongest]), "{name}: {mean:?}");
    }
}

#[test]
fn quality_changes_detail_but_not_the_mean_colour() {
    let at = |quality| {
        paint(&ImageRequest { quality, ..request("Mountain landscape", 128, 128) }, &()).expect("not cancelled")
    };
    assert_ne!(at(Quality::High), at(Quality::Standard));
    assert_ne!(at(Quality::Low), at(Quality::Standard));
    assert!(
        distance(mean(&at(Quality::High)), mean(&at(Quality::Standard))) < 12.0,
        "the same picture with finer detail"
    );
}

#[test]
fn transparent_background_leaves_corners_transparent() {
    for prompt in ["a cute cat", "mountain landscape", "a robot", "a fish"] {
        let picture =
            paint(&ImageRequest { transparent: true, ..request(prompt, 200, 200) }, &()).expect("not cancelled");
        assert_eq!(picture.get_pixel(0, 0)[3], 0, "{prompt}");
        let seen = picture.pixels().filter(|pixel| pixel[3] > 200).count();
        assert!(seen > 4000, "{prompt}: {seen} visible pixels");
    }
}

#[test]
fn edit_changes_no_pixel_where_the_mask_is_opaque() {
    let base = draw("a field of flowers", 150);
    // Transparent in the middle, half transparent along one row.
    let mask = RgbaImage::from_fn(150, 150, |x, y| match (x, y) {
        (40..110, 50) => Rgba([0, 0, 0, 128]),
        (40..110, 51..120) => Rgba([0, 0, 0, 0]),
        _ => Rgba([0, 0, 0, 255]),
    });
    let edited =
        edit(&request("a night sky", 150, 150), std::slice::from_ref(&base), Some(&mask), &()).expect("not cancelled");
    let mut changed_pixels = 0;
    for (x, y, pixel) in edited.enumerate_pixels() {
        let changed = pixel != base.get_pixel(x, y);
        assert!(mask.get_pixel(x, y)[3] < 255 || !changed, "{x},{y} is outside the transparent area");
        changed_pixels += usize::from(changed);
    }
    assert!(changed_pixels > 70 * 60, "only {changed_pixels} pixels changed");
}

#[test]
fn edit_without_mask_restyles_the_picture() {
    let base = draw("mountains at noon", 160);
    let night = edit(&request("at night", 160, 160), std::slice::from_ref(&base), None, &()).expect("not cancelled");
    let ink = edit(&request("水墨", 160, 160), std::slice::from_ref(&base), None, &()).expect("not cancelled");
    assert!(distance(mean(&base), mean(&night)) > 40.0);
    assert_ne!(night, ink);
}

#[test]
fn edit_composes_several_pictures_side_by_side() {
    let plain = |colour| RgbaImage::from_pixel(50, 80, Rgba(colour));
    let pictures = [plain([250, 20, 20, 255]), plain([20, 250, 20, 255]), plain([20, 20, 250, 255])];
    let joined = edit(&request("together", 333, 100), &pictures, None, &()).expect("not cancelled");
    assert_eq!(joined.dimensions(), (333, 100));
    let column = |x: u32| *joined.get_pixel(x, 30);
    let columns = [column(30), column(166), column(300)];
    assert!(columns[0] != columns[1] && columns[1] != columns[2] && columns[0] != columns[2], "{columns:?}");
}

#[derive(Debug, Default)]
/// Cancels after a number of calls.
struct CancelAfter {
    calls: AtomicUsize,
    limit: usize,
}

impl Observer for CancelAfter {
    fn cancelled(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) >= self.limit
    }
}

#[test]
fn cancelled_picture_stops_promptly() {
    for limit in [0, 1, 40] {
        let observer = CancelAfter { limit, ..CancelAfter::default() };
        // Without cancellation this takes seconds and calls the observer thousands of times.
        let large = ImageRequest { quality: Quality::High, ..request("a sunset over mountains", 4096, 4096) };
        assert_eq!(paint(&large, &observer), Err(Cancelled));
        assert!(observer.calls.load(Ordering::Relaxed) < limit + 60, "drawing continued after cancellation");
    }
    let base = [draw("sea", 64)];
    assert_eq!(edit(&request("night", 64, 64), &base, None, &CancelAfter::default()), Err(Cancelled));
}

#[derive(Debug, Default)]
/// Collects previews.
struct PreviewRecorder(Mutex<Vec<(f32, RgbaImage)>>);

impl Observer for PreviewRecorder {
    fn wants_previews(&self) -> u8 {
        3
    }

    fn preview(&self, share_done: f32, picture: &RgbaImage) {
        self.0.lock().expect("the mutex is not poisoned").push((share_done, picture.clone()));
    }
}

#[test]
fn previews_have_full_size_and_approach_the_picture() {
    let recorder = PreviewRecorder::default();
    let picture = paint(&request("a castle at sunset", 320, 200), &recorder).expect("not cancelled");
    let previews = recorder.0.into_inner().expect("the mutex is not poisoned");
    assert_eq!(previews.len(), 3);
    assert!(previews.windows(2).all(|pair| pair[0].0 < pair[1].0) && previews.iter().all(|(share, _)| *share < 1.0));
    let distance_to = |other: &RgbaImage| -> u64 {
        other.as_raw().iter().zip(picture.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
    };
    assert!(previews.iter().all(|(_, preview)| preview.dimensions() == (320, 200)));
    assert!(distance_to(&previews[2].1) < distance_to(&previews[0].1), "the last preview is closer than the first");
}

#[test]
fn encoded_files_decode_to_the_picture() {
    let picture = draw("a lighthouse", 96);
    for format in [Format::Png, Format::WebP] {
        let file = encode(&picture, format).expect("encodable");
        assert_eq!(image::load_from_memory(&file).expect("decodable").to_rgba8(), picture, "{format:?}");
    }
    let transparent =
        paint(&ImageRequest { transparent: true, ..request("a cat", 96, 96) }, &()).expect("not cancelled");
    let file = encode(&transparent, Format::Png).expect("encodable");
    assert_eq!(image::load_from_memory(&file).expect("decodable").to_rgba8(), transparent);
    let (high, low) = (
        encode(&picture, Format::Jpeg { quality: 95 }).expect("encodable"),
        encode(&picture, Format::Jpeg { quality: 20 }).expect("encodable"),
    );
    assert!(high.len() > low.len());
    let decoded = image::load_from_memory(&high).expect("decodable").to_rgba8();
    assert!(distance(mean(&decoded), mean(&picture)) < 3.0);
}

#[test]
fn any_text_yields_a_picture() {
    for prompt in ["", "   ", "\u{e000}\u{0}🦀", "ñandú über ångström", &"word ".repeat(5000), "السلام"] {
        assert_eq!(draw(prompt, 140).dimensions(), (140, 140));
    }
}

#[test]
fn mars_is_red_and_the_moon_is_grey() {
    for (prompt, is_red) in [("a rover on mars", true), ("火星", true), ("the surface of the moon, lunar", false)] {
        let [red, green, blue] = mean(&draw(prompt, 96));
        assert_eq!(red > 1.3 * green && green > blue, is_red, "{prompt}: {red} {green} {blue}");
    }
}

#[test]
fn metadata_of_every_format_names_the_engine() {
    let picture = draw("a cat", 32);
    for format in [Format::Png, Format::Jpeg { quality: 80 }, Format::WebP] {
        let file = encode(&picture, format).expect("encoded");
        let mark = b"Triptych offline-image (mock engine)";
        assert!(file.windows(mark.len()).any(|bytes| bytes == mark), "{format:?}");
        let decoded = image::load_from_memory(&file).expect("decoded");
        assert_eq!((decoded.width(), decoded.height()), (32, 32), "{format:?}");
    }
}
