//! Manners of painting, applied to the finished scene.

pub(crate) mod ink;
pub(crate) mod oil;
pub(crate) mod pixel;
pub(crate) mod watercolour;

use crate::brief::{Cancelled, Watch};
use crate::canvas::Canvas;
use crate::lexicon::Style;
use crate::scene::Setting;

pub(crate) fn apply<'w>(canvas: Canvas<'w>, setting: &Setting, watch: &'w dyn Watch) -> Result<Canvas<'w>, Cancelled> {
    let reading = &setting.reading;
    let mut canvas = canvas;
    let mut dice = setting.dice.fork("style");
    if reading.style(Style::Oil) {
        canvas = oil::strokes(canvas, &mut dice, watch)?;
    }
    if reading.style(Style::Watercolour) {
        watercolour::wash(&mut canvas, &mut dice);
    }
    if reading.style(Style::Ink) {
        ink::brush(&mut canvas, setting, &mut dice);
    }
    if reading.style(Style::Pixel) {
        pixel::reduce(&mut canvas);
    }
    Ok(canvas)
}
