//! The choice of the native size of an image: a size that the upstream can generate. The gateway then crops the image and scales it
//! down to the size that the client requested.
//!
//! Upstreams offer a list of sizes, or ratios and tiers such as 16:9 and 2K (also a list: every combination has a size), or any
//! size within a [`Window`]. The choice prefers, in this order, a size that covers the requested one, so that nothing is
//! enlarged; a close ratio, so that little is cropped; and few pixels.

use crate::size::Size;

/// Ratios whose logarithms differ by at most this count as equal; at most 3 % of the image are cropped.
const SAME_RATIO: f64 = 0.03;
/// Sizes are scaled up in steps of one eighth, which keeps the ratio and yields round numbers.
const SCALE_STEPS: f64 = 8.0;

/// Returns the best candidate for the requested size; `size` returns the size of a candidate. `None` without candidates.
///
/// Among the candidates that cover the requested size: the closest ratio, and among nearly equal ratios the smallest. If
/// none covers it: the closest ratio, and of that the largest. The first of equal candidates wins.
pub fn closest<T: Copy>(
    requested: Size,
    candidates: impl IntoIterator<Item = T>,
    size: impl Fn(T) -> Size,
) -> Option<T> {
    let rated = candidates.into_iter().map(|candidate| (candidate, size(candidate)));
    let (covering, others): (Vec<_>, Vec<_>) =
        rated.partition(|(_, size)| size.width >= requested.width && size.height >= requested.height);
    let covers = !covering.is_empty();
    let eligible = if covers { covering } else { others };
    let distance = |size: Size| (Ratio::from_size(size).log() - Ratio::from_size(requested).log()).abs();
    let best = eligible.iter().map(|&(_, size)| distance(size)).fold(f64::INFINITY, f64::min);
    let close = eligible.into_iter().filter(|&(_, size)| distance(size) <= best + SAME_RATIO);
    let area = |&(_, size): &(T, Size)| size.pixels();
    // `min_by_key` returns the first of equal candidates, `max_by_key` would return the last.
    let chosen = if covers { close.min_by_key(area) } else { close.min_by_key(|row| std::cmp::Reverse(area(row))) };
    chosen.map(|(candidate, _)| candidate)
}

/// An aspect ratio. Displayed as upstreams write it: `16:9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// The relative width.
    pub width: u32,
    /// The relative height.
    pub height: u32,
}

impl Ratio {
    /// Creates a ratio.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Returns the exact ratio of a size, in lowest terms.
    pub fn from_size(size: Size) -> Self {
        let (mut a, mut b) = (size.width.max(1), size.height.max(1));
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self { width: size.width.max(1) / a, height: size.height.max(1) / a }
    }

    /// Returns the candidate closest to the ratio of a size, the first of equal ones. `None` without candidates.
    pub fn nearest(requested: Size, candidates: impl IntoIterator<Item = Self>) -> Option<Self> {
        let requested = Self::from_size(requested).log();
        candidates.into_iter().min_by(|a, b| (a.log() - requested).abs().total_cmp(&(b.log() - requested).abs()))
    }

    fn log(self) -> f64 {
        (f64::from(self.width) / f64::from(self.height)).ln()
    }
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.width, self.height)
    }
}

/// The valid sizes of an upstream that accepts any size within limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// The minimum and maximum number of pixels.
    pub area: (u64, u64),
    /// The minimum and maximum length of a side.
    pub side: (u32, u32),
    /// The lengths of sides are multiples of this.
    pub step: u32,
    /// The maximum ratio of the longer to the shorter side, at least 1.
    pub ratio: f64,
}

impl Window {
    /// Returns the smallest valid size that covers the requested one in its ratio, or the largest valid size of that ratio. A
    /// ratio beyond the limit is replaced by the limit.
    #[expect(clippy::cast_precision_loss, reason = "areas are far below 2^52")]
    pub fn size(&self, requested: Size) -> Size {
        let (mut width, mut height) = (f64::from(requested.width.max(1)), f64::from(requested.height.max(1)));
        width = width.max(height / self.ratio);
        height = height.max(width / self.ratio);
        let needed =
            (self.area.0 as f64 / (width * height)).sqrt().max(f64::from(self.side.0) / width.min(height)).max(1.0);
        let needed = (needed * SCALE_STEPS).ceil() / SCALE_STEPS;
        let most = (self.area.1 as f64 / (width * height)).sqrt().min(f64::from(self.side.1) / width.max(height));
        let scale = needed.min(most);
        let stepped = |side: f64, up: bool| {
            let step = f64::from(self.step.max(1));
            // The epsilon keeps rounding errors from costing a step.
            let steps = if up { (side / step - 1e-9).ceil() } else { (side / step + 1e-9).floor() };
            rounded((steps * step).clamp(f64::from(self.side.0), f64::from(self.side.1)))
        };
        let grown = Size::new(stepped(width * scale, true), stepped(height * scale, true));
        if grown.pixels() <= self.area.1 {
            return grown;
        }
        Size::new(stepped(width * scale, false), stepped(height * scale, false))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sides are positive and far below 2^32")]
fn rounded(side: f64) -> u32 {
    side.round() as u32
}

#[cfg(test)]
mod tests;
