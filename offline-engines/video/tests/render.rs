//! Renders clips and checks them with an MP4 parser and an H.264 decoder.

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails the calling test")]

#[path = "mp4.rs"]
mod mp4;

use std::sync::Mutex;

use image::{Rgb, RgbImage};
use mp4::Mp4;
use offline_video::{
    FrameRate, Observer, RenderError, Rendered, SHEET_COLUMNS, SHEET_ROWS, Shot, THUMBNAIL_WIDTH, TILE_SIDE, render,
};
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;

/// Ignores the progress.
struct NoObserver;

impl Observer for NoObserver {
    fn frames(&self, _: u32, _: u32) {}
    fn cancelled(&self) -> bool {
        false
    }
}

/// Returns a picture of four quarters in different colours with a white disc in the middle.
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
    Shot {
        pictures: std::slice::from_ref(picture),
        ends_on_last_picture: false,
        prompt,
        width: 320,
        height: 180,
        seconds: 1,
        fps: FrameRate::Fps30,
        seed: 7,
        audio: false,
    }
}

fn rendered(shot: &Shot<'_>) -> Rendered {
    render(shot, &NoObserver).unwrap()
}

/// Decodes all frames to RGB.
fn decode(mp4: &Mp4) -> Vec<RgbImage> {
    let mut decoder = Decoder::new().unwrap();
    assert!(decoder.decode(&mp4.parameters).unwrap().is_none());
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
    for unit in &mp4.units {
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

/// Returns the mean difference of two pictures per colour component, 0 to 255.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    let sum: u64 = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    f64::from(u32::try_from(sum).unwrap()) / f64::from(u32::try_from(a.len()).unwrap())
}

/// Returns whether the colours differ by less than the error of the lossy encoding.
fn close(found: Rgb<u8>, expected: [u8; 3]) -> bool {
    found.0.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) < 14)
}

#[test]
fn mp4_has_a_leading_index_and_the_requested_properties() {
    let picture = picture(400, 300);
    let clip = rendered(&Shot { seconds: 2, ..shot(&picture, "zoom in") });
    let mp4 = Mp4::parse(&clip.mp4);
    assert_eq!(mp4.layout, ["ftyp", "moov", "mdat"]);
    assert_eq!(mp4.size, (320, 180));
    assert_eq!(mp4.profile, 100, "H.264 High");
    assert_eq!(mp4.milliseconds, 2000);
    assert_eq!(mp4.durations, [(60, 3000)], "60 frames of 1/30 s");
    assert_eq!((clip.frames, mp4.units.len()), (60, 60));
    assert_eq!(mp4.keyframes, [1, 31]);
}

#[test]
fn audio_adds_a_silent_aac_track_of_the_same_duration() {
    let picture = picture(400, 300);
    let clip = rendered(&Shot { seconds: 2, audio: true, ..shot(&picture, "zoom in") });
    let mp4 = Mp4::parse(&clip.mp4);
    assert_eq!(mp4.layout, ["ftyp", "moov", "mdat"]);
    assert_eq!((mp4.milliseconds, mp4.durations.as_slice(), mp4.units.len()), (2000, [(60, 3000)].as_slice(), 60));
    let audio = mp4.audio.as_ref().unwrap();
    assert_eq!((audio.sample_rate, audio.channels), (48_000, 2));
    // 1024 samples each, in units of 1/90000 s.
    assert_eq!(audio.durations, [(93, 1920)]);
    // The silent frame without its ADTS header.
    assert!(audio.frames.iter().all(|frame| *frame == [0x21, 0, 0, 0, 0, 0x1c]));
    let silent = Mp4::parse(&rendered(&Shot { seconds: 2, ..shot(&picture, "zoom in") }).mp4);
    assert!(silent.audio.is_none() && silent.units == mp4.units);
}

#[test]
fn clip_starts_with_the_first_picture_and_ends_on_the_whole_last_one() {
    let first = RgbImage::from_pixel(320, 180, Rgb([200, 40, 40]));
    let last = picture(640, 360);
    let expected = picture(320, 180);
    for (prompt, pictures) in [
        ("fast pan left, handheld, orbit", vec![first.clone(), last.clone()]),
        ("", vec![first.clone(), RgbImage::from_pixel(90, 500, Rgb([10, 90, 10])), last.clone()]),
        ("zoom in", vec![last]),
    ] {
        let shot = Shot { pictures: &pictures, ends_on_last_picture: true, seconds: 3, ..shot(&first, prompt) };
        let decoded = decode(&Mp4::parse(&rendered(&shot).mp4));
        // The last of the 90 frames of three seconds.
        assert!(difference(&decoded[89], &expected) < 3.0, "{prompt:?}: {}", difference(&decoded[89], &expected));
        let start = difference(&decoded[0], &first);
        assert!(pictures.len() == 1 || start < 3.0, "{prompt:?}: {start}");
        let steps = decoded.windows(2).map(|pair| difference(&pair[0], &pair[1]));
        let largest = steps.fold(0.0, f64::max);
        // The pictures differ by about 100.
        assert!(largest < 20.0, "{prompt:?}: a step of {largest}");
    }
}

#[test]
fn every_picture_is_shown_in_its_turn() {
    let colours = [[200, 40, 40], [40, 180, 60], [40, 60, 200], [220, 200, 30]];
    let pictures = colours.map(|colour| RgbImage::from_pixel(200, 200, Rgb(colour)));
    let clip = rendered(&Shot { pictures: &pictures, seconds: 2, ..shot(&pictures[0], "zoom in") });
    let decoded = decode(&Mp4::parse(&clip.mp4));
    let sheet = image::load_from_memory(&clip.spritesheet).unwrap().into_rgb8();
    for (number, colour) in colours.into_iter().enumerate() {
        // The middle of the 15 frames of each picture; the sheet has one row of 240x135 tiles for each.
        let frame = &decoded[number * 15 + 7];
        assert!(frame.pixels().all(|&pixel| close(pixel, colour)), "{number}: {:?}", frame.get_pixel(0, 0));
        let row = u32::try_from(number).unwrap();
        assert!(close(*sheet.get_pixel(360, row * 135 + 60), colour), "row {row}");
    }
}

#[test]
fn frame_rate_of_24_yields_24_frames_per_second() {
    let picture = picture(200, 200);
    let clip = rendered(&Shot { fps: FrameRate::Fps24, seconds: 3, ..shot(&picture, "pan left") });
    let mp4 = Mp4::parse(&clip.mp4);
    assert_eq!(mp4.durations, [(72, 3750)], "72 frames of 1/24 s");
    assert_eq!(mp4.milliseconds, 3000);
    // Two encoders share the frames: the second one starts at frame 37 with a keyframe. Keyframes are at most one second apart.
    assert_eq!(mp4.keyframes, [1, 25, 37, 61]);
}

#[test]
fn all_frames_decode_with_the_requested_size() {
    let picture = picture(320, 180);
    let mp4 = Mp4::parse(&rendered(&shot(&picture, "orbit, handheld")).mp4);
    let decoded = decode(&mp4);
    assert_eq!(decoded.len(), 30);
    assert!(decoded.iter().all(|picture| picture.dimensions() == (320, 180)));
}

#[test]
fn still_shot_shows_the_picture() {
    let picture = picture(320, 180);
    let decoded = decode(&Mp4::parse(&rendered(&shot(&picture, "static shot")).mp4));
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
fn pan_moves_smoothly_across_the_boundary_between_the_encoders() {
    let picture = picture(480, 270);
    let decoded = decode(&Mp4::parse(&rendered(&Shot { seconds: 2, ..shot(&picture, "fast pan right") }).mp4));
    assert!(difference(&decoded[0], &decoded[59]) > 8.0);
    let steps: Vec<f64> = decoded.windows(2).map(|pair| difference(&pair[0], &pair[1])).collect();
    let largest = steps.iter().copied().fold(0.0, f64::max);
    // The second encoder starts at frame 30.
    let around_the_boundary = steps[28].max(steps[30]);
    assert!(steps[29] < 1.5 * around_the_boundary, "{} beside {around_the_boundary}", steps[29]);
    assert!(largest < 5.0, "{largest}");
}

#[test]
fn picture_of_any_aspect_ratio_fills_the_frame() {
    let bright = |width, height| RgbImage::from_pixel(width, height, Rgb([200, 180, 160]));
    for (width, height) in [(64, 900), (900, 64), (20, 20), (2000, 1500)] {
        let picture = bright(width, height);
        for (frame_width, frame_height) in [(320, 180), (180, 320), (64, 64)] {
            let shot = Shot { width: frame_width, height: frame_height, ..shot(&picture, "zoom out, pan left") };
            let decoded = decode(&Mp4::parse(&rendered(&shot).mp4));
            for frame in [&decoded[0], &decoded[14], &decoded[29]] {
                assert_eq!(frame.dimensions(), (frame_width, frame_height));
                assert!(frame.pixels().all(|&pixel| close(pixel, [200, 180, 160])), "{width}x{height}");
            }
        }
    }
}

#[test]
fn file_size_is_below_the_target_and_for_noise_below_four_times_the_target() {
    let mut state = 1u32;
    let noise = RgbImage::from_fn(640, 360, |_, _| {
        Rgb([(); 3].map(|()| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        }))
    });
    let clip = rendered(&Shot { width: 640, height: 360, seconds: 2, ..shot(&noise, "fast pan left") });
    // In bytes: an eighth of a bit per pixel, 30 frames per second, 2 seconds.
    let target = 640 * 360 / 8 * 30 * 2 / 8;
    assert!(clip.mp4.len() < 4 * target, "{} for {target}", clip.mp4.len());
    // An ordinary picture stays below the target itself.
    let simple = rendered(&Shot { width: 640, height: 360, seconds: 2, ..shot(&picture(640, 360), "fast pan left") });
    assert!(simple.mp4.len() < target, "{} for {target}", simple.mp4.len());
}

#[test]
fn equal_shots_yield_equal_bytes_and_seeds_vary_them() {
    let picture = picture(300, 300);
    let clip = rendered(&shot(&picture, "a lighthouse"));
    assert!(clip == rendered(&shot(&picture, "a lighthouse")));
    assert!(clip.mp4 != rendered(&Shot { seed: 8, ..shot(&picture, "a lighthouse") }).mp4);
}

#[test]
fn thumbnail_and_spritesheet_are_jpegs_of_the_documented_size() {
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

/// Records the progress and cancels after a number of frames.
struct CancelAfter {
    reports: Mutex<Vec<(u32, u32)>>,
    limit: u32,
}

impl CancelAfter {
    fn new(limit: u32) -> Self {
        Self { reports: Mutex::new(Vec::new()), limit }
    }
}

impl Observer for CancelAfter {
    fn frames(&self, done: u32, total: u32) {
        self.reports.lock().unwrap().push((done, total));
    }
    fn cancelled(&self) -> bool {
        self.reports.lock().unwrap().last().is_some_and(|(done, _)| *done >= self.limit)
    }
}

#[test]
fn progress_reports_every_frame_once_and_in_order() {
    let picture = picture(320, 180);
    let observer = CancelAfter::new(u32::MAX);
    render(&shot(&picture, ""), &observer).unwrap();
    let expected: Vec<(u32, u32)> = (1..=30).map(|done| (done, 30)).collect();
    assert_eq!(*observer.reports.lock().unwrap(), expected);
}

#[test]
fn cancelled_render_stops_within_one_frame() {
    let picture = picture(320, 180);
    let observer = CancelAfter::new(5);
    let outcome = render(&Shot { seconds: 60, ..shot(&picture, "") }, &observer);
    assert!(matches!(outcome, Err(RenderError::Cancelled)));
    // The other thread may finish the frame that it is encoding.
    assert!(observer.reports.lock().unwrap().len() <= 6);
}

#[test]
fn invalid_shot_is_an_error_before_any_frame_is_encoded() {
    let picture = picture(320, 180);
    let observer = CancelAfter::new(0);
    let outcome = render(&Shot { width: 321, ..shot(&picture, "") }, &observer);
    assert!(matches!(outcome, Err(RenderError::BadSize { width: 321, height: 180 })));
    assert!(observer.reports.lock().unwrap().is_empty());
}
