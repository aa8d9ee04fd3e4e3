//! Benchmark of the built-in video engine: one second of 1920x1080.
//!
//! `cargo bench --bench video`

#![expect(clippy::unwrap_used, reason = "a failure stops the benchmark")]

use divan::Bencher;
use offline_image::{ImageRequest, Quality, paint};
use offline_video::{FrameRate, Observer, Shot, render};

fn main() {
    divan::main();
}

/// Ignores the progress.
struct NoProgress;

impl Observer for NoProgress {
    fn frames(&self, _done: u32, _total: u32) {}

    fn cancelled(&self) -> bool {
        false
    }
}

#[divan::bench(sample_count = 5)]
fn one_second_of_full_hd(bencher: Bencher<'_, '_>) {
    let request = ImageRequest {
        prompt: "A beautiful sunset over mountains".to_owned(),
        width: 1920,
        height: 1080,
        seed: Some(1),
        quality: Quality::Standard,
        transparent: false,
    };
    let picture = image::DynamicImage::ImageRgba8(paint(&request, &()).unwrap()).into_rgb8();
    let shot = Shot {
        pictures: std::slice::from_ref(&picture),
        ends_on_last_picture: false,
        prompt: "slow pan to the right",
        width: 1920,
        height: 1080,
        seconds: 1,
        fps: FrameRate::Fps30,
        seed: 1,
        audio: false,
    };
    bencher.bench_local(|| render(&shot, &NoProgress).unwrap());
}
