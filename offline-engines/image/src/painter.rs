//! The order of work: scene, subjects, weather, style, finish, caption; previews first.

use image::RgbaImage;
use image::imageops::{self, FilterType};

use crate::brief::{Brief, Cancelled, Quality, Watch};
use crate::canvas::Canvas;
use crate::caption;
use crate::colour::smooth;
use crate::finish;
use crate::lexicon::Style;
use crate::noise;
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
pub(crate) fn bare(brief: &Brief, watch: &dyn Watch) -> Result<RgbaImage, Cancelled> {
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
    if watch.cancelled() {
        return Err(Cancelled);
    }
    Ok(halve(&large))
}

fn at_size(brief: &Brief, setting: &Setting, (width, height): (u32, u32), watch: &dyn Watch) -> Result<RgbaImage, Cancelled> {
    let mut canvas = Canvas::new(width, height, brief.quality, watch);
    if brief.transparent && !setting.reading.subjects.is_empty() && subject::any_solid(&setting.reading) {
        subject::sticker(&mut canvas, setting);
        return canvas.finish();
    }
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
        let picture = imageops::resize(&rough, width, height, FilterType::Triangle);
        if watch.cancelled() {
            return Err(Cancelled);
        }
        watch.preview((index + 1) as f32 / (wanted + 1) as f32, &picture);
    }
    Ok(())
}

/// Averages 2 x 2 pixels, weighted by their alpha.
fn halve(large: &RgbaImage) -> RgbaImage {
    RgbaImage::from_fn(large.width() / 2, large.height() / 2, |x, y| {
        let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| large.get_pixel(2 * x + dx, 2 * y + dy).0.map(u32::from));
        let alpha: u32 = four.iter().map(|pixel| pixel[3]).sum();
        let part = |index: usize| {
            let sum: u32 = four.iter().map(|pixel| pixel[index] * pixel[3]).sum();
            (sum + alpha / 2).checked_div(alpha).unwrap_or(0) as u8
        };
        image::Rgba([part(0), part(1), part(2), ((alpha + 2) / 4) as u8])
    })
}
