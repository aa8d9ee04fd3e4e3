//! The order of work: scene, subjects, weather, style, finish, caption; previews first.

use image::RgbaImage;

use crate::brief::{Brief, Cancelled, Quality, Watch};
use crate::canvas::Canvas;
use crate::caption;
use crate::colour::{Rgb, smooth};
use crate::finish;
use crate::lexicon::Style;
use crate::noise;
use crate::paint::between;
use crate::scene::{self, Setting};
use crate::style;
use crate::subject;

/// High quality paints at twice the size up to this many pixels; beyond it the buffers would grow too large.
const SUPERSAMPLED_PIXELS: u64 = 4_194_304;

/// Paints exactly `width` x `height` pixels.
pub fn paint(brief: &Brief, watch: &dyn Watch) -> Result<RgbaImage, Cancelled> {
    let (width, height) = (brief.width.max(1), brief.height.max(1));
    previews(brief, watch)?;
    let mut picture = bare(brief, watch)?;
    if !brief.transparent {
        let mut canvas = Canvas::over(picture, brief.quality, watch);
        caption::write(&mut canvas, &brief.prompt);
        picture = canvas.finish()?;
    }
    debug_assert_eq!(picture.dimensions(), (width, height), "the size asked for");
    Ok(picture)
}

/// The picture without its caption.
pub fn bare(brief: &Brief, watch: &dyn Watch) -> Result<RgbaImage, Cancelled> {
    let (width, height) = (brief.width.max(1), brief.height.max(1));
    let setting = Setting::of(&brief.prompt, brief.seed_word());
    if setting.reading.style(Style::Pixel) {
        let small = at_size(brief, &setting, style::pixel::grid(width, height), watch)?;
        return Ok(style::pixel::enlarge(&small, width, height));
    }
    let double = brief.quality == Quality::High && u64::from(width) * u64::from(height) <= SUPERSAMPLED_PIXELS;
    if !double {
        return at_size(brief, &setting, (width, height), watch);
    }
    let large = at_size(brief, &setting, (width * 2, height * 2), watch)?;
    halve(&large, watch)
}

fn at_size(
    brief: &Brief,
    setting: &Setting,
    (width, height): (u32, u32),
    watch: &dyn Watch,
) -> Result<RgbaImage, Cancelled> {
    if brief.transparent && subject::any_solid(&setting.reading) {
        let mut canvas = Canvas::over(RgbaImage::new(width, height), brief.quality, watch);
        subject::sticker(&mut canvas, setting);
        return canvas.finish();
    }
    // Scenes cover the canvas, but rounding may miss a row of a tiny one.
    let [r, g, b] = setting.palette.haze.0.map(|part| (part * 255.0) as u8);
    let ground = RgbaImage::from_pixel(width, height, image::Rgba([r, g, b, 255]));
    let mut canvas = Canvas::over(ground, brief.quality, watch);
    let stage = scene::paint(&mut canvas, setting);
    if canvas.is_stopped() {
        return Err(Cancelled);
    }
    subject::paint_all(&mut canvas, setting, stage);
    scene::weather_fall(&mut canvas, setting);
    let mut canvas = style::apply(canvas, setting, watch)?;
    finish::polish(&mut canvas, setting);
    if brief.transparent {
        medallion(&mut canvas, setting);
    }
    canvas.finish()
}

/// A scene on a transparent ground fades out along an uneven edge.
fn medallion(canvas: &mut Canvas<'_>, setting: &Setting) {
    let (width, height, unit) = (canvas.w(), canvas.h(), canvas.unit());
    let seed = setting.dice.fork("medallion").seed();
    canvas.fade(|x, y| {
        let (dx, dy) = ((x / width - 0.5) * 2.0, (y / height - 0.5) * 2.0);
        let rough = noise::cloudy(seed, x / unit * 5.0, y / unit * 5.0, 4) - 0.5;
        smooth(0.96, 0.9, (dx.powi(4) + dy.powi(4)).powf(0.25) + rough * 0.16)
    });
}

/// Coarse to fine: the same picture painted small and enlarged.
fn previews(brief: &Brief, watch: &dyn Watch) -> Result<(), Cancelled> {
    let wanted = u32::from(watch.wants_previews().min(3));
    let (width, height) = (brief.width.max(1), brief.height.max(1));
    for index in 0..wanted {
        let shrink = 1 << (wanted - index);
        let small = Brief {
            width: (width / shrink).max(1),
            height: (height / shrink).max(1),
            quality: Quality::Low,
            ..brief.clone()
        };
        let rough = bare(&small, watch)?;
        let picture = enlarge(&rough, (width, height), watch)?;
        watch.preview((index + 1) as f32 / (wanted + 1) as f32, &picture);
    }
    Ok(())
}

/// Averages 2 x 2 pixels, weighted by their alpha.
fn halve(large: &RgbaImage, watch: &dyn Watch) -> Result<RgbaImage, Cancelled> {
    let mut small = RgbaImage::new(large.width() / 2, large.height() / 2);
    let (width, row_bytes) = (small.width() as usize, large.width() as usize * 4);
    let rows = large.as_raw().chunks_exact(row_bytes * 2).zip(small.chunks_exact_mut((width * 4).max(1)));
    for (y, (pair, target)) in rows.enumerate() {
        if y % 64 == 0 && watch.cancelled() {
            return Err(Cancelled);
        }
        let (upper, lower) = pair.split_at(row_bytes);
        for ((a, b), pixel) in upper.chunks_exact(8).zip(lower.chunks_exact(8)).zip(target.chunks_exact_mut(4)) {
            let four = [&a[..4], &a[4..], &b[..4], &b[4..]];
            let alpha: u32 = four.iter().map(|pixel| u32::from(pixel[3])).sum();
            for part in 0..3 {
                let sum: u32 = four.iter().map(|pixel| u32::from(pixel[part]) * u32::from(pixel[3])).sum();
                pixel[part] = (sum + alpha / 2).checked_div(alpha).unwrap_or(0) as u8;
            }
            pixel[3] = ((alpha + 2) / 4) as u8;
        }
    }
    Ok(small)
}

/// Bilinear, and cancelled like any painting.
fn enlarge(small: &RgbaImage, (width, height): (u32, u32), watch: &dyn Watch) -> Result<RgbaImage, Cancelled> {
    let mut canvas = Canvas::over(RgbaImage::new(width, height), Quality::Low, watch);
    let (right, low) = (small.width() - 1, small.height() - 1);
    let (sx, sy) = (small.width() as f32 / width as f32, small.height() as f32 / height as f32);
    let sample = |x: u32, y: u32| {
        let [r, g, b, alpha] = small.get_pixel(x.min(right), y.min(low)).0.map(|part| f32::from(part) / 255.0);
        (Rgb([r, g, b]), alpha)
    };
    canvas.shade(0..height as usize, |x, y| {
        let (u, v) = ((x * sx - 0.5).max(0.0), (y * sy - 0.5).max(0.0));
        let (left, top, tx, ty) = (u as u32, v as u32, u.fract(), v.fract());
        let upper = between(sample(left, top), sample(left + 1, top), tx);
        let lower = between(sample(left, top + 1), sample(left + 1, top + 1), tx);
        between(upper, lower, ty)
    });
    canvas.finish()
}
