//! Renders one clip: `clip OUT.mp4 [PROMPT] [WIDTHxHEIGHT] [SECONDS] [PICTURE]...`. Without a picture it uses a test
//! card. Of several pictures, the clip ends with the last one. Writes the thumbnail and the spritesheet to the same directory.

use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use std::{env, fs};

use image::{Rgb, RgbImage};
use offline_video::{ENCODER_HAS_ASSEMBLY, FrameRate, Observer, Shot, render};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let out = PathBuf::from(arguments.next().unwrap_or_else(|| "clip.mp4".into()));
    let prompt = arguments.next().unwrap_or_default();
    let size = arguments.next().unwrap_or_else(|| "1920x1080".into());
    let (width, height) = size.split_once('x').ok_or("size: expected WIDTHxHEIGHT, for example 1280x720")?;
    let seconds = arguments.next().map_or(Ok(5), |seconds| seconds.parse())?;
    let pictures = arguments.map(|path| image::open(path).map(image::DynamicImage::into_rgb8));
    let mut pictures: Vec<_> = pictures.collect::<Result<_, _>>()?;
    if pictures.is_empty() {
        pictures.push(test_card());
    }

    let shot = Shot {
        pictures: &pictures,
        ends_on_last_picture: pictures.len() > 1,
        prompt: &prompt,
        width: width.parse()?,
        height: height.parse()?,
        seconds,
        fps: FrameRate::default(),
        seed: 1,
        audio: true,
    };
    let started = Instant::now();
    let clip = render(&shot, &ProgressPrinter(AtomicU32::new(0)))?;
    println!("{clip:?} in {:.2?}, encoder with assembly: {ENCODER_HAS_ASSEMBLY}", started.elapsed());
    fs::write(out.with_extension("thumbnail.jpg"), &clip.thumbnail)?;
    fs::write(out.with_extension("spritesheet.jpg"), &clip.spritesheet)?;
    fs::write(out, &clip.mp4)?;
    Ok(())
}

/// Prints the progress in steps of 10 %.
struct ProgressPrinter(AtomicU32);

impl Observer for ProgressPrinter {
    fn frames(&self, done: u32, total: u32) {
        let tenth = done * 10 / total;
        if self.0.swap(tenth, Ordering::Relaxed) < tenth {
            println!("{tenth}0 %");
        }
    }

    fn cancelled(&self) -> bool {
        false
    }
}

/// Fine rings, hard edges, a ramp and saturated colours, which reveal defects in scaling, chroma and rate control.
fn test_card() -> RgbImage {
    RgbImage::from_fn(1024, 1024, |x, y| {
        let (dx, dy) = (f64::from(x) - 512.0, f64::from(y) - 512.0);
        let distance = dx.hypot(dy);
        let cell = (x / 64 + y / 64) % 2 == 0;
        match (distance < 300.0, cell) {
            (true, _) => Rgb([level(127.5 + 127.5 * (distance * distance / 900.0).cos()); 3]),
            (false, true) => Rgb([level(f64::from(x) / 4.0), level(f64::from(y) / 4.0), 160]),
            (false, false) if y < 512 => Rgb([220, 40, 30]),
            (false, false) => Rgb([20, 70, level(255.0 - f64::from(x) / 8.0)]),
        }
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
fn level(value: f64) -> u8 {
    value.clamp(0.0, 255.0) as u8
}
