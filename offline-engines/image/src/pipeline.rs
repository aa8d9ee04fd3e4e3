//! The drawing pipeline: previews, scene, subjects, weather, style, post-processing, caption. The entry point of the
//! engine for new pictures; `edit` is that for existing ones.

use image::RgbaImage;

use crate::canvas::Canvas;
use crate::caption;
use crate::colour::{Rgb, smooth};
use crate::noise;
use crate::observer::{Cancelled, Observer};
use crate::paint::interpolate;
use crate::postprocess;
use crate::prompt::Style;
use crate::request::{ImageRequest, Quality};
use crate::scene;
use crate::setting::Setting;
use crate::style;
use crate::subject;

/// Maximum number of pixels for rendering at twice the size; the buffers of larger pictures would take too much memory.
const MAX_SUPERSAMPLED_PIXELS: u64 = 4_194_304;

/// Draws a picture of exactly the requested size. A picture without transparency shows the prompt as a caption.
///
/// # Errors
///
/// Returns [`Cancelled`] once the observer cancels.
pub fn paint(request: &ImageRequest, observer: &dyn Observer) -> Result<RgbaImage, Cancelled> {
    let (width, height) = (request.width.max(1), request.height.max(1));
    previews(request, observer)?;
    let mut picture = paint_without_caption(request, observer)?;
    if !request.transparent {
        let mut canvas = Canvas::new(picture, request.quality, observer);
        caption::write(&mut canvas, &request.prompt);
        picture = canvas.into_picture()?;
    }
    debug_assert_eq!(picture.dimensions(), (width, height), "the picture has the requested size");
    Ok(picture)
}

/// Draws a picture without previews and without a caption.
///
/// # Errors
///
/// Returns [`Cancelled`] once the observer cancels.
pub fn paint_without_caption(request: &ImageRequest, observer: &dyn Observer) -> Result<RgbaImage, Cancelled> {
    let (width, height) = (request.width.max(1), request.height.max(1));
    let setting = Setting::from_prompt(&request.prompt, request.combined_seed());
    if setting.prompt.has_style(Style::Pixel) {
        let small = at_size(request, &setting, style::pixel::grid(width, height), observer)?;
        return Ok(style::pixel::enlarge(&small, width, height));
    }
    let double = request.quality == Quality::High && u64::from(width) * u64::from(height) <= MAX_SUPERSAMPLED_PIXELS;
    if !double {
        return at_size(request, &setting, (width, height), observer);
    }
    let large = at_size(request, &setting, (width * 2, height * 2), observer)?;
    halve(&large, observer)
}

/// Draws the picture at a given size.
fn at_size(
    request: &ImageRequest,
    setting: &Setting,
    (width, height): (u32, u32),
    observer: &dyn Observer,
) -> Result<RgbaImage, Cancelled> {
    if request.transparent && subject::has_figure(&setting.prompt) {
        let mut canvas = Canvas::new(RgbaImage::new(width, height), request.quality, observer);
        subject::paint_solo(&mut canvas, setting);
        return canvas.into_picture();
    }
    // Scenes cover the canvas, but on very small ones rounding may leave a row uncovered.
    let [r, g, b] = setting.palette.haze.0.map(|part| (part * 255.0) as u8);
    let ground = RgbaImage::from_pixel(width, height, image::Rgba([r, g, b, 255]));
    let mut canvas = Canvas::new(ground, request.quality, observer);
    let placement = scene::paint(&mut canvas, setting);
    if canvas.is_cancelled() {
        return Err(Cancelled);
    }
    subject::paint_all(&mut canvas, setting, placement);
    scene::paint_weather(&mut canvas, setting);
    let mut canvas = style::apply(canvas, setting, observer)?;
    postprocess::apply(&mut canvas, setting);
    if request.transparent {
        fade_edges(&mut canvas, setting);
    }
    canvas.into_picture()
}

/// Fades a scene out towards an irregular edge, close to a rectangle with round corners.
fn fade_edges(canvas: &mut Canvas<'_>, setting: &Setting) {
    let (width, height, unit) = (canvas.w(), canvas.h(), canvas.unit());
    let seed = setting.rng.fork("medallion").seed();
    canvas.fade(|x, y| {
        let (dx, dy) = ((x / width - 0.5) * 2.0, (y / height - 0.5) * 2.0);
        let rough = noise::cloudy(seed, x / unit * 5.0, y / unit * 5.0, 4) - 0.5;
        smooth(0.96, 0.9, (dx.powi(4) + dy.powi(4)).powf(0.25) + rough * 0.16)
    });
}

/// Renders the previews, coarsest first: the same picture drawn small and enlarged.
fn previews(request: &ImageRequest, observer: &dyn Observer) -> Result<(), Cancelled> {
    let wanted = u32::from(observer.wants_previews().min(3));
    let (width, height) = (request.width.max(1), request.height.max(1));
    for index in 0..wanted {
        // The first of three previews is drawn at an eighth of the width and height, the last one at half.
        let shrink = 1 << (wanted - index);
        let small = ImageRequest {
            width: (width / shrink).max(1),
            height: (height / shrink).max(1),
            quality: Quality::Low,
            ..request.clone()
        };
        let rough = paint_without_caption(&small, observer)?;
        let picture = enlarge(&rough, (width, height), observer)?;
        observer.preview((index + 1) as f32 / (wanted + 1) as f32, &picture);
    }
    Ok(())
}

/// Averages blocks of 2 x 2 pixels, weighted by alpha.
fn halve(large: &RgbaImage, observer: &dyn Observer) -> Result<RgbaImage, Cancelled> {
    let mut small = RgbaImage::new(large.width() / 2, large.height() / 2);
    let (width, row_bytes) = (small.width() as usize, large.width() as usize * 4);
    let rows = large.as_raw().chunks_exact(row_bytes * 2).zip(small.chunks_exact_mut((width * 4).max(1)));
    for (y, (pair, target)) in rows.enumerate() {
        if y % 64 == 0 && observer.cancelled() {
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

/// Enlarges a picture with bilinear interpolation.
fn enlarge(small: &RgbaImage, (width, height): (u32, u32), observer: &dyn Observer) -> Result<RgbaImage, Cancelled> {
    let mut canvas = Canvas::new(RgbaImage::new(width, height), Quality::Low, observer);
    let (right, low) = (small.width() - 1, small.height() - 1);
    let (sx, sy) = (small.width() as f32 / width as f32, small.height() as f32 / height as f32);
    let sample = |x: u32, y: u32| {
        let [r, g, b, alpha] = small.get_pixel(x.min(right), y.min(low)).0.map(|part| f32::from(part) / 255.0);
        (Rgb([r, g, b]), alpha)
    };
    canvas.shade(0..height as usize, |x, y| {
        let (u, v) = ((x * sx - 0.5).max(0.0), (y * sy - 0.5).max(0.0));
        let (left, top, tx, ty) = (u as u32, v as u32, u.fract(), v.fract());
        let upper = interpolate(sample(left, top), sample(left + 1, top), tx);
        let lower = interpolate(sample(left, top + 1), sample(left + 1, top + 1), tx);
        interpolate(upper, lower, ty)
    });
    canvas.into_picture()
}
