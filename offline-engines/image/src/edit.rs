//! Changing pictures: repainting where a mask is open, restyling, composing several.

use image::imageops::{self, FilterType};
use image::{Rgba, RgbaImage};

use crate::brief::{Brief, Cancelled, Watch};
use crate::canvas::Canvas;
use crate::caption;
use crate::colour::{Rgb, gradient, smooth};
use crate::finish;
use crate::lexicon::Weather;
use crate::painter;
use crate::scene::{self, Setting};
use crate::style;
use crate::subject;

/// Paints over pictures by the words of the brief.
///
/// With a mask the first picture is repainted where the mask is transparent and stays, to the byte, where it is opaque.
/// Without one a single picture is restyled and several are composed, side by side, before that. Pictures and mask are
/// fitted to the size asked for: pictures cropped, the mask stretched like the first picture. No pictures at all is the
/// same as [`paint`](crate::paint).
pub fn edit(
    brief: &Brief,
    pictures: &[RgbaImage],
    mask: Option<&RgbaImage>,
    watch: &dyn Watch,
) -> Result<RgbaImage, Cancelled> {
    let usable: Vec<&RgbaImage> =
        pictures.iter().filter(|picture| picture.width() > 0 && picture.height() > 0).collect();
    let Some(first) = usable.first() else { return painter::paint(brief, watch) };
    let size = (brief.width.max(1), brief.height.max(1));
    if let Some(mask) = mask.filter(|mask| mask.width() > 0 && mask.height() > 0) {
        let base = fit(first, size);
        let stencil = if mask.dimensions() == first.dimensions() {
            fit(mask, size)
        } else {
            imageops::resize(mask, size.0, size.1, FilterType::Nearest)
        };
        let fresh = painter::bare(brief, watch)?;
        return Ok(repaint(base, &fresh, &stencil));
    }
    let setting = Setting::of(&brief.prompt, brief.seed_word());
    let base = if usable.len() == 1 { fit(first, size) } else { compose(&usable, size) };
    if watch.cancelled() {
        return Err(Cancelled);
    }
    restyle(brief, base, &setting, watch)
}

/// Scaled to cover the size, the overhang cut off evenly; untouched when it fits already.
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

fn repaint(mut base: RgbaImage, fresh: &RgbaImage, stencil: &RgbaImage) -> RgbaImage {
    for ((old, new), hole) in base.pixels_mut().zip(fresh.pixels()).zip(stencil.pixels()) {
        match hole[3] {
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

/// Side by side along the longer side, melting into each other over a sixth of their width.
fn compose(pictures: &[&RgbaImage], (width, height): (u32, u32)) -> RgbaImage {
    let lying = width >= height;
    let (long, count) = (if lying { width } else { height }, pictures.len() as f32);
    let share = long as f32 / count;
    let seam = share / 6.0;
    let reach = (share + seam).ceil() as u32;
    let mut base = RgbaImage::new(width, height);
    for (index, picture) in pictures.iter().enumerate() {
        let start = (share * index as f32 - seam * 0.5).max(0.0) as u32;
        let end = (start + reach).min(long);
        let panel = fit(picture, if lying { ((end - start).max(1), height) } else { (width, (end - start).max(1)) });
        for (x, y, pixel) in panel.enumerate_pixels() {
            let (tx, ty, along) = if lying { (x + start, y, x) } else { (x, y + start, y) };
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

/// Grades the picture towards the prompt's palette, then adds what the prompt names: subjects, weather, a manner.
fn restyle(brief: &Brief, base: RgbaImage, setting: &Setting, watch: &dyn Watch) -> Result<RgbaImage, Cancelled> {
    let mut canvas = Canvas::over(base, brief.quality, watch);
    let palette = setting.palette;
    let mut tones = [palette.near, palette.sky[0], palette.sky[1], palette.sky[2], palette.sky[3], palette.cloud_lit];
    // The grade must run from dark to light, or faces turn inside out.
    tones.sort_by(|a, b| a.luma().total_cmp(&b.luma()));
    let height = canvas.h();
    canvas.remap(0..canvas.height, |_, y, colour| {
        let tone = gradient(&tones, colour.luma());
        let graded = colour.tinted(tone, 0.5).to(tone, 0.24);
        let contrast = Rgb(graded.0.map(|part| part + (smooth(0.0, 1.0, part) - part) * 0.35));
        contrast.to(palette.sky[1], 0.1 * smooth(height, 0.0, y))
    });
    let wet = [Weather::Rain, Weather::Snow, Weather::Fog, Weather::Storm];
    if subject::any_solid(&setting.reading) {
        let stage = scene::Stage { foot: (canvas.w() * 0.72, canvas.h() * 0.93), size: canvas.unit() * 0.36 };
        subject::paint_all(&mut canvas, setting, stage);
    }
    if wet.iter().any(|weather| setting.reading.sky_has(*weather)) {
        scene::weather_fall(&mut canvas, setting);
    }
    let mut canvas = style::apply(canvas, setting, watch)?;
    finish::polish(&mut canvas, setting);
    caption::write(&mut canvas, &brief.prompt);
    canvas.finish()
}
