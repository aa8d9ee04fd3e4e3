//! Edits pictures: inpainting with a mask, restyling, and composing several pictures.

use image::imageops::{self, FilterType};
use image::{Rgba, RgbaImage};

use crate::canvas::Canvas;
use crate::caption;
use crate::colour::{Rgb, gradient, smooth};
use crate::observer::{Cancelled, Observer};
use crate::pipeline;
use crate::postprocess;
use crate::prompt::Weather;
use crate::request::ImageRequest;
use crate::scene;
use crate::setting::{Placement, Setting};
use crate::style;
use crate::subject;

/// Edits pictures according to the prompt.
///
/// With a mask, the first picture is redrawn where the mask is transparent, and unchanged, byte for byte, where it is opaque.
/// Without a mask, a single picture is restyled; several pictures are composed side by side first. Pictures are scaled and
/// cropped to the requested size. A mask of the first picture's size is cropped likewise; any other mask is stretched.
/// Without pictures, the result is that of [`paint`](crate::paint).
///
/// # Errors
///
/// Returns [`Cancelled`] once the observer cancels.
pub fn edit(
    request: &ImageRequest,
    pictures: &[RgbaImage],
    mask: Option<&RgbaImage>,
    observer: &dyn Observer,
) -> Result<RgbaImage, Cancelled> {
    let usable: Vec<&RgbaImage> =
        pictures.iter().filter(|picture| picture.width() > 0 && picture.height() > 0).collect();
    let Some(first) = usable.first() else { return pipeline::paint(request, observer) };
    let size = (request.width.max(1), request.height.max(1));
    if let Some(mask) = mask.filter(|mask| mask.width() > 0 && mask.height() > 0) {
        let base = fit(first, size);
        let fitted_mask = if mask.dimensions() == first.dimensions() {
            fit(mask, size)
        } else {
            imageops::resize(mask, size.0, size.1, FilterType::Nearest)
        };
        let fresh = pipeline::paint_without_caption(request, observer)?;
        return Ok(repaint(base, &fresh, &fitted_mask));
    }
    let setting = Setting::from_prompt(&request.prompt, request.combined_seed());
    let base = if usable.len() == 1 { fit(first, size) } else { compose(&usable, size) };
    if observer.cancelled() {
        return Err(Cancelled);
    }
    restyle(request, base, &setting, observer)
}

/// Scales a picture to cover the size and crops it evenly. A picture of that size is copied.
fn fit(picture: &RgbaImage, (width, height): (u32, u32)) -> RgbaImage {
    if picture.dimensions() == (width, height) {
        return picture.clone();
    }
    let (pw, ph) = picture.dimensions();
    let scale = (f64::from(width) / f64::from(pw)).max(f64::from(height) / f64::from(ph));
    let (cut_w, cut_h) = (
        ((f64::from(width) / scale).round() as u32).clamp(1, pw),
        ((f64::from(height) / scale).round() as u32).clamp(1, ph),
    );
    let part = imageops::crop_imm(picture, (pw - cut_w) / 2, (ph - cut_h) / 2, cut_w, cut_h);
    imageops::resize(&*part, width, height, FilterType::CatmullRom)
}

/// Replaces the pixels of `base` by those of `fresh` in proportion to the mask's transparency.
fn repaint(mut base: RgbaImage, fresh: &RgbaImage, mask: &RgbaImage) -> RgbaImage {
    for ((old, new), mask) in base.pixels_mut().zip(fresh.pixels()).zip(mask.pixels()) {
        match mask[3] {
            255 => {}
            0 => *old = *new,
            partly => {
                let keep = u32::from(partly);
                *old = Rgba(std::array::from_fn(|i| {
                    ((u32::from(old[i]) * keep + u32::from(new[i]) * (255 - keep) + 127) / 255) as u8
                }));
            }
        }
    }
    base
}

/// Places pictures next to each other along the longer side. Neighbours overlap by a sixth of their width and blend there.
fn compose(pictures: &[&RgbaImage], (width, height): (u32, u32)) -> RgbaImage {
    let horizontal = width >= height;
    let (long, count) = (if horizontal { width } else { height }, pictures.len() as f32);
    let share = long as f32 / count;
    let seam = share / 6.0;
    let reach = (share + seam).ceil() as u32;
    let mut base = RgbaImage::new(width, height);
    for (index, picture) in pictures.iter().enumerate() {
        let start = (share * index as f32 - seam * 0.5).max(0.0) as u32;
        let end = (start + reach).min(long);
        let panel =
            fit(picture, if horizontal { ((end - start).max(1), height) } else { (width, (end - start).max(1)) });
        for (x, y, pixel) in panel.enumerate_pixels() {
            let (tx, ty, along) = if horizontal { (x + start, y, x) } else { (x, y + start, y) };
            let over = if index == 0 { 1.0 } else { smooth(0.0, seam, along as f32) };
            if tx < width && ty < height {
                let old = *base.get_pixel(tx, ty);
                let mixed = std::array::from_fn(|i| {
                    (f32::from(old[i]) + (f32::from(pixel[i]) - f32::from(old[i])) * over).round() as u8
                });
                base.put_pixel(tx, ty, Rgba(mixed));
            }
        }
    }
    base
}

/// Grades the colours towards the prompt's palette, then adds subjects, weather and style. The strengths are chosen by eye.
fn restyle(
    request: &ImageRequest,
    base: RgbaImage,
    setting: &Setting,
    observer: &dyn Observer,
) -> Result<RgbaImage, Cancelled> {
    let mut canvas = Canvas::new(base, request.quality, observer);
    let palette = setting.palette;
    let mut tones = [palette.near, palette.sky[0], palette.sky[1], palette.sky[2], palette.sky[3], palette.cloud_lit];
    // Sorted from dark to light, because a grade that is not monotonic inverts light and shadow.
    tones.sort_by(|a, b| a.luma().total_cmp(&b.luma()));
    let height = canvas.h();
    canvas.remap(0..canvas.height, |_, y, colour| {
        let tone = gradient(&tones, colour.luma());
        let graded = colour.tinted(tone, 0.5).to(tone, 0.24);
        let contrast = Rgb(graded.0.map(|part| part + (smooth(0.0, 1.0, part) - part) * 0.35));
        contrast.to(palette.sky[1], 0.1 * smooth(height, 0.0, y))
    });
    let wet = [Weather::Rain, Weather::Snow, Weather::Fog, Weather::Storm];
    if subject::has_figure(&setting.prompt) {
        // To the right of the middle and smaller than in a new picture, so that the subjects do not cover the old content.
        let placement = Placement::new(&canvas, (0.72, 0.93), 0.36);
        subject::paint_all(&mut canvas, setting, placement);
    }
    if wet.iter().any(|weather| setting.prompt.has_weather(*weather)) {
        scene::paint_weather(&mut canvas, setting);
    }
    let mut canvas = style::apply(canvas, setting, observer)?;
    postprocess::apply(&mut canvas, setting);
    caption::write(&mut canvas, &request.prompt);
    canvas.into_picture()
}
