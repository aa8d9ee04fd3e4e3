//! Colours as three floats in `0.0..=1.0`. They are gamma-encoded (sRGB) and blended without linearization.

use std::ops::{Add, Mul};

/// Red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rgb(pub(crate) [f32; 3]);

pub(crate) const WHITE: Rgb = Rgb([1.0, 1.0, 1.0]);
pub(crate) const BLACK: Rgb = Rgb([0.0, 0.0, 0.0]);

/// Returns the colour for `0xRRGGBB`.
pub(crate) const fn hex(code: u32) -> Rgb {
    Rgb([(code >> 16 & 255) as f32 / 255.0, (code >> 8 & 255) as f32 / 255.0, (code & 255) as f32 / 255.0])
}

impl Rgb {
    /// Interpolates from this colour (`share` 0) to another (`share` 1).
    pub(crate) fn to(self, other: Self, share: f32) -> Self {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        Self([a + (x - a) * share, b + (y - b) * share, c + (z - c) * share])
    }

    pub(crate) fn lighter(self, share: f32) -> Self {
        self.to(WHITE, share)
    }

    pub(crate) fn darker(self, share: f32) -> Self {
        self.to(BLACK, share)
    }

    /// Multiplies the components: the colour under light of another colour.
    pub(crate) fn times(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * other.0[i]))
    }

    /// Returns the brightness (BT.601 luma).
    pub(crate) fn luma(self) -> f32 {
        let [r, g, b] = self.0;
        0.299 * r + 0.587 * g + 0.114 * b
    }

    /// Changes the saturation: `0.0` yields grey, `1.0` no change.
    pub(crate) fn saturate(self, amount: f32) -> Self {
        let grey = self.luma();
        Self(self.0.map(|part| (grey + (part - grey) * amount).clamp(0.0, 1.0)))
    }

    /// Interpolates towards the other colour's hue at this colour's brightness.
    pub(crate) fn tinted(self, other: Self, share: f32) -> Self {
        let (wanted, given) = (self.luma(), other.luma().clamp(0.02, 0.98));
        // Brightening by scaling would clip components and shift the hue, so interpolate towards white instead.
        let hue =
            if wanted > given { other.to(WHITE, (wanted - given) / (1.0 - given)) } else { other * (wanted / given) };
        self.to(hue, share)
    }
}

impl Add for Rgb {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }
}

impl Mul<f32> for Rgb {
    type Output = Self;
    fn mul(self, factor: f32) -> Self {
        Self(self.0.map(|part| part * factor))
    }
}

/// Returns the colour at `t` (0 to 1, clamped) of a gradient through evenly spaced stops.
pub(crate) fn gradient(stops: &[Rgb], t: f32) -> Rgb {
    let last = stops.len() - 1;
    let place = t.clamp(0.0, 1.0) * last as f32;
    let index = (place as usize).min(last.saturating_sub(1));
    stops[index].to(stops[(index + 1).min(last)], smooth(0.0, 1.0, place - index as f32))
}

/// Smoothstep: `0.0` up to `from`, `1.0` from `to` on, an S curve between. Falls instead of rising if `from` is greater.
pub(crate) fn smooth(from: f32, to: f32, x: f32) -> f32 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
