//! Drawing styles, applied as filters to the finished scene.
//!
//! In all styles `u` and `v` are a pixel's position in units of the shorter side: coordinates of noise, whose factors are its
//! cells per unit. `seed ^ 1`, `seed ^ 2` and so on are the seeds of independent noise. Strengths are chosen by eye.

pub(crate) mod ink;
pub(crate) mod oil;
pub(crate) mod pixel;
pub(crate) mod watercolour;

use crate::canvas::Canvas;
use crate::observer::{Cancelled, Observer};
use crate::prompt::Style;
use crate::setting::Setting;

/// Applies the styles that the prompt names.
pub(crate) fn apply<'w>(
    canvas: Canvas<'w>,
    setting: &Setting,
    observer: &'w dyn Observer,
) -> Result<Canvas<'w>, Cancelled> {
    let prompt = &setting.prompt;
    let mut canvas = canvas;
    let mut rng = setting.rng.fork("style");
    if prompt.has_style(Style::Oil) {
        canvas = oil::apply(canvas, &mut rng, observer)?;
    }
    if prompt.has_style(Style::Watercolour) {
        watercolour::apply(&mut canvas, &mut rng);
    }
    if prompt.has_style(Style::Ink) {
        ink::apply(&mut canvas, setting, &mut rng);
    }
    if prompt.has_style(Style::Pixel) {
        pixel::apply(&mut canvas);
    }
    Ok(canvas)
}
