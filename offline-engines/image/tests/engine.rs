//! The laws of the image engine, seen from outside.
#![allow(clippy::expect_used, reason = "helpers of tests fail like tests")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::{Rgba, RgbaImage};
use offline_image::{Brief, Cancelled, Format, Quality, Watch, edit, encode, paint};

fn brief(prompt: &str, width: u32, height: u32) -> Brief {
    Brief { prompt: prompt.to_owned(), width, height, ..Brief::default() }
}

fn painted(prompt: &str, size: u32) -> RgbaImage {
    paint(&brief(prompt, size, size), &()).expect("nobody cancels")
}

fn mean(picture: &RgbaImage) -> [f64; 3] {
    let count = f64::from(picture.width() * picture.height());
    std::array::from_fn(|part| picture.pixels().map(|pixel| f64::from(pixel[part])).sum::<f64>() / count)
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn every_size_is_exact() {
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
            // The doubled canvas of high quality is what odd sizes may upset; the large ones would only cost time.
            let quality = if width * height > 40_000 { Quality::Low } else { Quality::High };
            let picture = paint(&Brief { quality, ..brief(prompt, width, height) }, &()).expect("nobody cancels");
            assert_eq!(picture.dimensions(), (width, height), "{prompt}");
            assert!(picture.pixels().all(|pixel| pixel[3] == 255), "{prompt} at {width}x{height} has holes");
        }
    }
}

#[test]
fn the_largest_size_is_painted() {
    for (width, height) in [(4096, 4096), (12_288, 1536)] {
        let picture = paint(&Brief { quality: Quality::Low, ..brief("a sunset over mountains", width, height) }, &());
        assert_eq!(picture.expect("nobody cancels").dimensions(), (width, height));
    }
}

#[test]
fn equal_briefs_give_equal_bytes_and_seeds_differ() {
    let plain = brief("a misty forest", 160, 120);
    let seeded = |seed| Brief { seed: Some(seed), ..plain.clone() };
    let of = |brief: &Brief| paint(brief, &()).expect("nobody cancels").into_raw();
    assert_eq!(of(&plain), of(&plain));
    assert_eq!(of(&seeded(7)), of(&seeded(7)));
    assert_ne!(of(&seeded(7)), of(&seeded(8)));
    assert_ne!(of(&seeded(-1)), of(&seeded(1)));
    assert_ne!(of(&plain), of(&brief("a misty forest!", 160, 120)));
}

#[test]
fn chinese_and_english_words_steer_alike() {
    for (english, chinese, opposite) in [
        ("sunset over the sea", "海上日落", "海上 夜晚"),
        ("forest at night", "夜晚的森林", "forest at noon"),
        ("a desert at noon", "正午的沙漠", "desert at midnight"),
    ] {
        // Seeds differ with the words, so the words' weight is seen in the mean over several.
        let average = |prompt: &str| {
            let sum = (0..6).map(|seed| {
                mean(
                    &paint(&Brief { seed: Some(seed), quality: Quality::Low, ..brief(prompt, 96, 96) }, &())
                        .expect("nobody cancels"),
                )
            });
            sum.fold([0.0; 3], |sum, next| std::array::from_fn(|i| sum[i] + next[i] / 6.0))
        };
        let (a, b, c) = (average(english), average(chinese), average(opposite));
        assert!(distance(a, b) < 30.0, "{english} {a:?} and {chinese} {b:?}");
        assert!(
            distance(a, b) * 1.8 < distance(a, c),
            "{opposite} {c:?} is as near to {english} {a:?} as {chinese} {b:?}"
        );
    }
}

#[test]
fn a_colour_named_is_the_colour_seen() {
    for (name, strongest) in [("red", 0), ("green", 1), ("blue", 2), ("红色", 0), ("绿色", 1), ("蓝色", 2)] {
        let mean = mean(&painted(&format!("{name} abstract"), 96));
        assert!((0..3).all(|part| mean[part] <= mean[strongest]), "{name}: {mean:?}");
    }
}

#[test]
fn high_quality_differs_from_standard_and_low() {
    let at = |quality| paint(&Brief { quality, ..brief("Mountain landscape", 128, 128) }, &()).expect("nobody cancels");
    assert_ne!(at(Quality::High), at(Quality::Standard));
    assert_ne!(at(Quality::Low), at(Quality::Standard));
    assert!(distance(mean(&at(Quality::High)), mean(&at(Quality::Standard))) < 12.0, "same picture, only finer");
}

#[test]
fn a_transparent_ground_leaves_the_corners_free() {
    for prompt in ["a cute cat", "mountain landscape", "a robot", "a fish"] {
        let picture = paint(&Brief { transparent: true, ..brief(prompt, 200, 200) }, &()).expect("nobody cancels");
        assert_eq!(picture.get_pixel(0, 0)[3], 0, "{prompt}");
        let seen = picture.pixels().filter(|pixel| pixel[3] > 200).count();
        assert!(seen > 4000, "{prompt}: {seen} visible pixels");
    }
}

#[test]
fn the_mask_is_kept_to_the_pixel() {
    let base = painted("a field of flowers", 150);
    // Open in the middle, half open along one row.
    let mask = RgbaImage::from_fn(150, 150, |x, y| match (x, y) {
        (40..110, 50) => Rgba([0, 0, 0, 128]),
        (40..110, 51..120) => Rgba([0, 0, 0, 0]),
        _ => Rgba([0, 0, 0, 255]),
    });
    let edited =
        edit(&brief("a night sky", 150, 150), std::slice::from_ref(&base), Some(&mask), &()).expect("nobody cancels");
    let mut repainted = 0;
    for (x, y, pixel) in edited.enumerate_pixels() {
        let changed = pixel != base.get_pixel(x, y);
        assert!(mask.get_pixel(x, y)[3] < 255 || !changed, "{x},{y} lies outside the hole");
        repainted += usize::from(changed);
    }
    assert!(repainted > 70 * 60, "{repainted} pixels were repainted");
}

#[test]
fn without_a_mask_the_words_restyle_the_picture() {
    let base = painted("mountains at noon", 160);
    let night = edit(&brief("at night", 160, 160), std::slice::from_ref(&base), None, &()).expect("nobody cancels");
    let ink = edit(&brief("水墨", 160, 160), std::slice::from_ref(&base), None, &()).expect("nobody cancels");
    assert!(distance(mean(&base), mean(&night)) > 40.0);
    assert_ne!(night, ink);
}

#[test]
fn several_pictures_are_composed_side_by_side() {
    let plain = |colour| RgbaImage::from_pixel(50, 80, Rgba(colour));
    let pictures = [plain([250, 20, 20, 255]), plain([20, 250, 20, 255]), plain([20, 20, 250, 255])];
    let joined = edit(&brief("together", 333, 100), &pictures, None, &()).expect("nobody cancels");
    assert_eq!(joined.dimensions(), (333, 100));
    let column = |x: u32| *joined.get_pixel(x, 30);
    let columns = [column(30), column(166), column(300)];
    assert!(columns[0] != columns[1] && columns[1] != columns[2] && columns[0] != columns[2], "{columns:?}");
}

#[derive(Debug, Default)]
struct Impatient {
    asked: AtomicUsize,
    patience: usize,
}

impl Watch for Impatient {
    fn cancelled(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) >= self.patience
    }
}

#[test]
fn a_cancelled_picture_stops_at_once() {
    for patience in [0, 1, 40] {
        let watch = Impatient { patience, ..Impatient::default() };
        // Painted whole, this would take seconds and ask thousands of times.
        let large = Brief { quality: Quality::High, ..brief("a sunset over mountains", 4096, 4096) };
        assert_eq!(paint(&large, &watch), Err(Cancelled));
        assert!(watch.asked.load(Ordering::Relaxed) < patience + 60, "it went on asking");
    }
    let base = [painted("sea", 64)];
    assert_eq!(edit(&brief("night", 64, 64), &base, None, &Impatient::default()), Err(Cancelled));
}

#[derive(Debug, Default)]
struct Album(Mutex<Vec<(f32, RgbaImage)>>);

impl Watch for Album {
    fn wants_previews(&self) -> u8 {
        3
    }

    fn preview(&self, share_done: f32, picture: &RgbaImage) {
        self.0.lock().expect("no test thread panics").push((share_done, picture.clone()));
    }
}

#[test]
fn previews_come_at_full_size_and_close_in_on_the_picture() {
    let album = Album::default();
    let picture = paint(&brief("a castle at sunset", 320, 200), &album).expect("nobody cancels");
    let previews = album.0.into_inner().expect("no test thread panics");
    assert_eq!(previews.len(), 3);
    assert!(previews.windows(2).all(|pair| pair[0].0 < pair[1].0) && previews.iter().all(|(share, _)| *share < 1.0));
    let off = |other: &RgbaImage| -> u64 {
        other.as_raw().iter().zip(picture.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
    };
    assert!(previews.iter().all(|(_, preview)| preview.dimensions() == (320, 200)));
    assert!(off(&previews[2].1) < off(&previews[0].1), "the last preview is the closest");
}

#[test]
fn files_hold_the_picture() {
    let picture = painted("a lighthouse", 96);
    for format in [Format::Png, Format::WebP] {
        let file = encode(&picture, format).expect("a sound picture");
        assert_eq!(image::load_from_memory(&file).expect("a sound file").to_rgba8(), picture, "{format:?}");
    }
    let sticker = paint(&Brief { transparent: true, ..brief("a cat", 96, 96) }, &()).expect("nobody cancels");
    let file = encode(&sticker, Format::Png).expect("a sound picture");
    assert_eq!(image::load_from_memory(&file).expect("a sound file").to_rgba8(), sticker);
    let (rich, poor) = (
        encode(&picture, Format::Jpeg { quality: 95 }).expect("sound"),
        encode(&picture, Format::Jpeg { quality: 20 }).expect("sound"),
    );
    assert!(rich.len() > poor.len());
    let read = image::load_from_memory(&rich).expect("a sound file").to_rgba8();
    assert!(distance(mean(&read), mean(&picture)) < 3.0);
}

#[test]
fn any_text_makes_a_picture() {
    for prompt in ["", "   ", "\u{e000}\u{0}🦀", "ñandú über ångström", &"word ".repeat(5000), "السلام"] {
        assert_eq!(painted(prompt, 140).dimensions(), (140, 140));
    }
}
