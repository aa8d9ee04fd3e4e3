//! Benchmarks of the built-in image engine: one megapixel generated, and encoded in each format.
//!
//! `cargo bench --bench image`

#![expect(clippy::unwrap_used, reason = "a failure stops the benchmark")]

use divan::Bencher;
use offline_image::{Format, ImageRequest, Quality, encode, paint};

fn main() {
    divan::main();
}

/// Neither shows previews nor cancels.
const OBSERVER: () = ();

fn request(quality: Quality) -> ImageRequest {
    ImageRequest {
        prompt: "A beautiful sunset over mountains".to_owned(),
        width: 1024,
        height: 1024,
        seed: Some(1),
        quality,
        transparent: false,
    }
}

#[divan::bench(args = [Quality::Low, Quality::Standard, Quality::High], sample_count = 10)]
fn paint_one_megapixel(bencher: Bencher<'_, '_>, quality: Quality) {
    bencher.bench(|| paint(&request(quality), &OBSERVER).unwrap());
}

#[divan::bench(args = [Format::Png, Format::Jpeg { quality: 90 }, Format::WebP], sample_count = 10)]
fn encode_one_megapixel(bencher: Bencher<'_, '_>, format: Format) {
    let picture = paint(&request(Quality::Standard), &OBSERVER).unwrap();
    bencher.bench(|| encode(&picture, format).unwrap());
}
