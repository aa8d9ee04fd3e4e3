//! Whole clips, read back with our own box reader and the codec's decoder.

#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the answer")]

#[path = "mp4.rs"]
mod mp4;

use std::sync::Mutex;

use image::{Rgb, RgbImage};
use mp4::Film;
use offline_video::{
    FrameRate, RenderError, Rendered, SHEET_COLUMNS, SHEET_ROWS, Shot, THUMBNAIL_WIDTH, TILE_SIDE, Watch, render,
};
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;

struct Unwatched;

impl Watch for Unwatched {
    fn frames(&self, _: u32, _: u32) {}
    fn cancelled(&self) -> bool {
        false
    }
}

/// Four quarters of different colour with a white disc in the middle.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (dx, dy) = (f64::from(x) - f64::from(width) / 2.0, f64::from(y) - f64::from(height) / 2.0);
        match (dx.hypot(dy) < f64::from(height) / 5.0, dx < 0.0, dy < 0.0) {
            (true, _, _) => Rgb([250, 250, 250]),
            (_, true, true) => Rgb([200, 40, 40]),
            (_, true, false) => Rgb([40, 180, 60]),
            (_, false, true) => Rgb([40, 60, 200]),
            (_, false, false) => Rgb([220, 200, 30]),
        }
    })
}

fn shot<'a>(picture: &'a RgbImage, prompt: &'a str) -> Shot<'a> {
    Shot { picture, prompt, width: 320, height: 180, seconds: 1, fps: FrameRate::Fps30, seed: 7 }
}

fn rendered(shot: &Shot<'_>) -> Rendered {
    render(shot, &Unwatched).unwrap()
}

/// Every picture of the clip, as RGB.
fn decode(film: &Film) -> Vec<RgbImage> {
    let mut decoder = Decoder::new().unwrap();
    assert!(decoder.decode(&film.parameters).unwrap().is_none());
    let mut pictures = Vec::new();
    let mut keep = |yuv: &openh264::decoder::DecodedYUV<'_>| {
        let (width, height) = yuv.dimensions();
        let planes = |x: usize, y: usize| {
            let (luma, chroma) = (y * yuv.strides().0 + x, y / 2 * yuv.strides().1 + x / 2);
            [f64::from(yuv.y()[luma]), f64::from(yuv.u()[chroma]), f64::from(yuv.v()[chroma])]
        };
        pictures.push(RgbImage::from_fn(u32::try_from(width).unwrap(), u32::try_from(height).unwrap(), |x, y| {
            bt709_to_rgb(planes(x as usize, y as usize))
        }));
    };
    for unit in &film.units {
        if let Some(yuv) = decoder.decode(unit).unwrap() {
            keep(&yuv);
        }
    }
    for yuv in decoder.flush_remaining().unwrap() {
        keep(&yuv);
    }
    pictures
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
fn bt709_to_rgb([y, cb, cr]: [f64; 3]) -> Rgb<u8> {
    let (y, cb, cr) = ((y - 16.0) / 219.0, (cb - 128.0) / 224.0, (cr - 128.0) / 224.0);
    let rgb = [y + 1.5748 * cr, y - 0.1873 * cb - 0.4681 * cr, y + 1.8556 * cb];
    Rgb(rgb.map(|level| (level * 255.0).clamp(0.0, 255.0) as u8))
}

fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    let sum: u64 = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    f64::from(u32::try_from(sum).unwrap()) / f64::from(u32::try_from(a.len()).unwrap())
}

fn close(found: Rgb<u8>, expected: [u8; 3]) -> bool {
    found.0.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) < 14)
}

#[test]
fn the_file_starts_at_once_and_says_what_was_asked_for() {
    let picture = picture(400, 300);
    let clip = rendered(&Shot { seconds: 2, ..shot(&picture, "zoom in") });
    let film = Film::parse(&clip.mp4);
    assert_eq!(film.layout, ["ftyp", "moov", "mdat"]);
    assert_eq!(film.size, (320, 180));
    assert_eq!(film.profile, 100);
    assert_eq!(film.milliseconds, 2000);
    assert_eq!(film.durations, [(60, 3000)]);
    assert_eq!((clip.frames, film.units.len()), (60, 60));
    assert_eq!(film.keyframes, [1, 31]);
}

#[test]
fn a_film_at_24_has_24_pictures_a_second() {
    let picture = picture(200, 200);
    let clip = rendered(&Shot { fps: FrameRate::Fps24, seconds: 3, ..shot(&picture, "pan left") });
    let film = Film::parse(&clip.mp4);
    assert_eq!(film.durations, [(72, 3750)]);
    assert_eq!(film.milliseconds, 3000);
    // The second encoder starts in the middle, and no keyframe is more than a second away.
    assert_eq!(film.keyframes, [1, 25, 37, 61]);
}

#[test]
fn every_picture_decodes_in_the_size_of_the_clip() {
    let picture = picture(320, 180);
    let film = Film::parse(&rendered(&shot(&picture, "orbit, handheld")).mp4);
    let decoded = decode(&film);
    assert_eq!(decoded.len(), 30);
    assert!(decoded.iter().all(|picture| picture.dimensions() == (320, 180)));
}

#[test]
fn a_still_shot_shows_the_picture_it_was_given() {
    let picture = picture(320, 180);
    let decoded = decode(&Film::parse(&rendered(&shot(&picture, "static shot")).mp4));
    for (number, frame) in decoded.iter().enumerate() {
        assert!(close(*frame.get_pixel(160, 90), [250, 250, 250]), "frame {number}");
        assert!(close(*frame.get_pixel(40, 30), [200, 40, 40]), "frame {number}");
        assert!(close(*frame.get_pixel(40, 150), [40, 180, 60]), "frame {number}");
        assert!(close(*frame.get_pixel(280, 30), [40, 60, 200]), "frame {number}");
        assert!(close(*frame.get_pixel(280, 150), [220, 200, 30]), "frame {number}");
    }
    assert!(difference(&decoded[0], &picture) < 4.0);
}

#[test]
fn a_pan_ends_elsewhere_and_never_jumps_not_even_between_the_encoders() {
    let picture = picture(480, 270);
    let decoded = decode(&Film::parse(&rendered(&Shot { seconds: 2, ..shot(&picture, "fast pan right") }).mp4));
    assert!(difference(&decoded[0], &decoded[59]) > 8.0);
    let steps: Vec<f64> = decoded.windows(2).map(|pair| difference(&pair[0], &pair[1])).collect();
    let largest = steps.iter().copied().fold(0.0, f64::max);
    let around_the_border = steps[28].max(steps[30]);
    assert!(steps[29] < 1.5 * around_the_border, "{} beside {around_the_border}", steps[29]);
    assert!(largest < 5.0, "{largest}");
}

#[test]
fn the_picture_fills_the_frame_whatever_its_shape() {
    let bright = |width, height| RgbImage::from_pixel(width, height, Rgb([200, 180, 160]));
    for (width, height) in [(64, 900), (900, 64), (20, 20), (2000, 1500)] {
        let picture = bright(width, height);
        for (frame_width, frame_height) in [(320, 180), (180, 320), (64, 64)] {
            let shot = Shot { width: frame_width, height: frame_height, ..shot(&picture, "zoom out, pan left") };
            let decoded = decode(&Film::parse(&rendered(&shot).mp4));
            for frame in [&decoded[0], &decoded[14], &decoded[29]] {
                assert_eq!(frame.dimensions(), (frame_width, frame_height));
                assert!(frame.pixels().all(|&pixel| close(pixel, [200, 180, 160])), "{width}x{height}");
            }
        }
    }
}

#[test]
fn a_picture_of_noise_stays_near_the_target_size() {
    let mut state = 1u32;
    let noise = RgbImage::from_fn(640, 360, |_, _| {
        Rgb([(); 3].map(|()| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        }))
    });
    let clip = rendered(&Shot { width: 640, height: 360, seconds: 2, ..shot(&noise, "fast pan left") });
    let target = 640 * 360 / 8 * 30 * 2 / 8;
    assert!(clip.mp4.len() < 4 * target, "{} for {target}", clip.mp4.len());
    let calm = rendered(&Shot { width: 640, height: 360, seconds: 2, ..shot(&picture(640, 360), "fast pan left") });
    assert!(calm.mp4.len() < target, "{} for {target}", calm.mp4.len());
}

#[test]
fn the_same_shot_gives_the_same_bytes_and_another_seed_other_ones() {
    let picture = picture(300, 300);
    let clip = rendered(&shot(&picture, "a lighthouse"));
    assert!(clip == rendered(&shot(&picture, "a lighthouse")));
    assert!(clip.mp4 != rendered(&Shot { seed: 8, ..shot(&picture, "a lighthouse") }).mp4);
}

#[test]
fn thumbnail_and_spritesheet_are_small_jpegs_of_the_clip() {
    let picture = picture(1280, 720);
    let clip = rendered(&Shot { width: 1280, height: 720, ..shot(&picture, "static") });
    let thumbnail = image::load_from_memory(&clip.thumbnail).unwrap().into_rgb8();
    assert_eq!(thumbnail.dimensions(), (THUMBNAIL_WIDTH, 288));
    assert!(close(*thumbnail.get_pixel(60, 40), [200, 40, 40]));
    let sheet = image::load_from_memory(&clip.spritesheet).unwrap().into_rgb8();
    assert_eq!(sheet.dimensions(), (SHEET_COLUMNS * TILE_SIDE, SHEET_ROWS * 135));
    for (column, row) in [(0, 0), (3, 0), (0, 3), (3, 3)] {
        assert!(close(*sheet.get_pixel(column * TILE_SIDE + 30, row * 135 + 20), [200, 40, 40]));
    }
}

/// Gives up after some frames.
struct Impatient {
    heard: Mutex<Vec<(u32, u32)>>,
    patience: u32,
}

impl Impatient {
    fn new(patience: u32) -> Self {
        Self { heard: Mutex::new(Vec::new()), patience }
    }
}

impl Watch for Impatient {
    fn frames(&self, done: u32, total: u32) {
        self.heard.lock().unwrap().push((done, total));
    }
    fn cancelled(&self) -> bool {
        self.heard.lock().unwrap().last().is_some_and(|(done, _)| *done >= self.patience)
    }
}

#[test]
fn progress_counts_every_frame_once_and_in_order() {
    let picture = picture(320, 180);
    let watch = Impatient::new(u32::MAX);
    render(&shot(&picture, ""), &watch).unwrap();
    let expected: Vec<(u32, u32)> = (1..=30).map(|done| (done, 30)).collect();
    assert_eq!(*watch.heard.lock().unwrap(), expected);
}

#[test]
fn a_cancelled_render_stops_within_a_frame() {
    let picture = picture(320, 180);
    let watch = Impatient::new(5);
    let outcome = render(&Shot { seconds: 60, ..shot(&picture, "") }, &watch);
    assert!(matches!(outcome, Err(RenderError::Cancelled)));
    // The other thread may be in the middle of one.
    assert!(watch.heard.lock().unwrap().len() <= 6);
}

#[test]
fn what_cannot_be_rendered_is_refused_before_any_work() {
    let picture = picture(320, 180);
    let watch = Impatient::new(0);
    let outcome = render(&Shot { width: 321, ..shot(&picture, "") }, &watch);
    assert!(matches!(outcome, Err(RenderError::BadSize { width: 321, height: 180 })));
    assert!(watch.heard.lock().unwrap().is_empty());
}
