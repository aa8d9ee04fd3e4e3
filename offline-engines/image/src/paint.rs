//! Fills of shapes: solid colours and gradients, with alpha.

use crate::colour::Rgb;
use crate::path::Point;

/// A colour and its alpha.
pub(crate) type Tint = (Rgb, f32);

/// The fill of a shape.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Paint {
    Flat(Tint),
    Linear { from: Point, to: Point, start: Tint, end: Tint },
    Radial { centre: Point, radius: f32, inner: Tint, outer: Tint },
}

impl Paint {
    pub(crate) fn solid(rgb: Rgb) -> Self {
        Self::Flat((rgb, 1.0))
    }

    /// Creates a vertical gradient between two y coordinates.
    pub(crate) fn vertical(top: f32, bottom: f32, start: Tint, end: Tint) -> Self {
        Self::Linear { from: (0.0, top), to: (0.0, bottom), start, end }
    }

    /// Returns the tint at a position.
    pub(crate) fn at(&self, x: f32, y: f32) -> Tint {
        match *self {
            Self::Flat(tint) => tint,
            Self::Linear { from, to, start, end } => {
                let (dx, dy) = (to.0 - from.0, to.1 - from.1);
                let t = ((x - from.0) * dx + (y - from.1) * dy) / (dx * dx + dy * dy).max(1e-6);
                interpolate(start, end, t.clamp(0.0, 1.0))
            }
            Self::Radial { centre, radius, inner, outer } => {
                let t = (x - centre.0).hypot(y - centre.1) / radius.max(1e-3);
                interpolate(inner, outer, t.min(1.0))
            }
        }
    }
}

/// Interpolates between two tints.
pub(crate) fn interpolate(start: Tint, end: Tint, t: f32) -> Tint {
    (start.0.to(end.0, t), start.1 + (end.1 - start.1) * t)
}
