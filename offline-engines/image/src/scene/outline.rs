//! Upper edges of layers of a scene, such as hills, and the areas below them.

use crate::canvas::Canvas;
use crate::colour::{Rgb, hex};

/// The upper edge of an area that extends to the bottom of the canvas: a y coordinate per pixel column.
#[derive(Debug)]
pub(super) struct Outline(pub(super) Vec<f32>);

impl Outline {
    /// Creates an outline from a function of the horizontal distance to the centre, in units of the canvas.
    pub(super) fn from_fn(canvas: &Canvas<'_>, height: impl Fn(f32) -> f32) -> Self {
        let (unit, middle) = (canvas.unit(), canvas.w() * 0.5);
        Self((0..canvas.width).map(|x| height((x as f32 + 0.5 - middle) / unit)).collect())
    }

    /// Returns the y coordinate at a column.
    pub(super) fn at(&self, x: f32) -> f32 {
        self.0[(x.max(0.0) as usize).min(self.0.len() - 1)]
    }

    /// Returns the y coordinate of the highest point.
    pub(super) fn top(&self) -> f32 {
        self.0.iter().copied().fold(f32::INFINITY, f32::min)
    }

    /// Fills the area with a colour that is a function of x, y and the distance below the outline.
    pub(super) fn fill(&self, canvas: &mut Canvas<'_>, colour: impl Fn(f32, f32, f32) -> Rgb + Sync) {
        self.fill_above(canvas, None, colour);
    }

    /// Like [`fill`](Self::fill), but skips the part that a nearer outline will cover.
    pub(super) fn fill_above(
        &self,
        canvas: &mut Canvas<'_>,
        nearer: Option<&Self>,
        colour: impl Fn(f32, f32, f32) -> Rgb + Sync,
    ) {
        let rows = (self.top() - 2.0).max(0.0) as usize..canvas.height;
        canvas.shade(rows, |x, y| {
            let top = self.at(x);
            // The margin lets the antialiased edge of the nearer outline blend with this area.
            let covered =
                nearer.is_some_and(|nearer| y > nearer.at(x) + (nearer.at(x + 1.0) - nearer.at(x - 1.0)).abs() + 4.0);
            if y < top - 2.0 || covered {
                return (hex(0), 0.0);
            }
            // The steeper the outline, the wider the vertical ramp that antialiases it.
            let steep = (self.at(x + 1.0) - self.at(x - 1.0)).abs() * 0.5;
            let cover = ((y - top) / (1.0 + steep) + 0.5).clamp(0.0, 1.0);
            (if cover > 0.0 { colour(x, y, y - top) } else { hex(0) }, cover)
        });
    }
}
