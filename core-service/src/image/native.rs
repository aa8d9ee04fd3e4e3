//! Which size to ask an upstream for, so that the picture can be cut and shrunk to the size asked for.
//!
//! Upstreams come in three kinds: those with a list of sizes, those with ratios and tiers (a list as well, each row with
//! its own pixels), and those that take any size within a window. In all of them a size that covers the one asked for is
//! better than one that must be enlarged, then one whose ratio is close, then a small one.

use crate::size::Size;

/// Ratios this close, as the difference of their logarithms, count as the same: at most 3 % are cut off.
const SAME_RATIO: f64 = 0.03;
/// Sides grow by multiples of this part, which keeps the ratio and gives round numbers.
const PART: f64 = 8.0;

/// The candidate to ask for when `asked` is wanted: `sizes` gives the size of each. `None` if there are none.
///
/// Candidates that cover `asked` go before all others; among those, the closest ratio; among ratios that are nearly as
/// close, the smallest. Where none covers it, the closest ratio, and the largest of it.
pub fn closest<T: Copy>(asked: Size, candidates: impl IntoIterator<Item = T>, size: impl Fn(T) -> Size) -> Option<T> {
    let rated = candidates.into_iter().map(|candidate| (candidate, size(candidate)));
    let (covering, others): (Vec<_>, Vec<_>) =
        rated.partition(|(_, size)| size.width >= asked.width && size.height >= asked.height);
    let covers = !covering.is_empty();
    let field = if covers { covering } else { others };
    let distance = |size: Size| (Ratio::of(size).log() - Ratio::of(asked).log()).abs();
    let best = field.iter().map(|&(_, size)| distance(size)).fold(f64::INFINITY, f64::min);
    let close = field.into_iter().filter(|&(_, size)| distance(size) <= best + SAME_RATIO);
    let area = |&(_, size): &(T, Size)| u64::from(size.width) * u64::from(size.height);
    // The first of equals, either way, so that an upstream's own order counts.
    let chosen = if covers { close.min_by_key(area) } else { close.min_by_key(|row| std::cmp::Reverse(area(row))) };
    chosen.map(|(candidate, _)| candidate)
}

/// The ratio of width to height in lowest terms, as upstreams spell it: `16:9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// Parts of the width.
    pub width: u32,
    /// Parts of the height.
    pub height: u32,
}

impl Ratio {
    /// The ratio of these parts.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// The exact ratio of a size.
    pub fn of(size: Size) -> Self {
        let (mut a, mut b) = (size.width.max(1), size.height.max(1));
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self { width: size.width.max(1) / a, height: size.height.max(1) / a }
    }

    /// The one of `known` closest to the ratio of `asked`, the first of equals. `None` if there are none.
    pub fn nearest(asked: Size, known: impl IntoIterator<Item = Self>) -> Option<Self> {
        let asked = Self::of(asked).log();
        known.into_iter().min_by(|a, b| (a.log() - asked).abs().total_cmp(&(b.log() - asked).abs()))
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

/// The sizes of an upstream that takes any within bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Fewest and most pixels in all.
    pub area: (u64, u64),
    /// Shortest and longest side.
    pub side: (u32, u32),
    /// What sides are multiples of.
    pub step: u32,
    /// How much longer than the other a side may be, at least 1.
    pub ratio: f64,
}

impl Window {
    /// The smallest size within the window that covers `asked` in the same ratio, or else the largest there is. A ratio
    /// beyond the window's own becomes that.
    #[expect(clippy::cast_precision_loss, reason = "areas are far below 2^52")]
    pub fn size(&self, asked: Size) -> Size {
        let (mut width, mut height) = (f64::from(asked.width.max(1)), f64::from(asked.height.max(1)));
        width = width.max(height / self.ratio);
        height = height.max(width / self.ratio);
        let needed =
            (self.area.0 as f64 / (width * height)).sqrt().max(f64::from(self.side.0) / width.min(height)).max(1.0);
        let needed = (needed * PART).ceil() / PART;
        let most = (self.area.1 as f64 / (width * height)).sqrt().min(f64::from(self.side.1) / width.max(height));
        let scale = needed.min(most);
        let stepped = |side: f64, up: bool| {
            let step = f64::from(self.step.max(1));
            // A hair of rounding must not cost a step.
            let steps = if up { (side / step - 1e-9).ceil() } else { (side / step + 1e-9).floor() };
            whole((steps * step).clamp(f64::from(self.side.0), f64::from(self.side.1)))
        };
        let grown = Size::new(stepped(width * scale, true), stepped(height * scale, true));
        if u64::from(grown.width) * u64::from(grown.height) <= self.area.1 {
            return grown;
        }
        Size::new(stepped(width * scale, false), stepped(height * scale, false))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sides are positive and far below 2^32")]
fn whole(side: f64) -> u32 {
    side.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> Size {
        text.parse().unwrap()
    }

    #[test]
    fn from_a_list_comes_the_smallest_size_that_covers_with_little_cut_off() {
        let dall_e_2 = ["256x256", "512x512", "1024x1024"];
        let dall_e_3 = ["1024x1024", "1792x1024", "1024x1792"];
        let gpt_image = ["1024x1024", "1536x1024", "1024x1536"];
        #[rustfmt::skip]
        let table = [
            (dall_e_2, "256x256", "256x256"), (dall_e_2, "257x100", "512x512"), (dall_e_2, "2000x10", "1024x1024"),
            (dall_e_3, "512x512", "1024x1024"), (dall_e_3, "1536x1024", "1792x1024"), (dall_e_3, "1024x1536", "1024x1792"),
            (dall_e_3, "256x512", "1024x1792"), (dall_e_3, "1920x1080", "1792x1024"), (dall_e_3, "1030x1020", "1792x1024"),
            (gpt_image, "1792x1024", "1536x1024"), (gpt_image, "1024x1024", "1024x1024"), (gpt_image, "512x768", "1024x1536"),
            (gpt_image, "4096x4096", "1024x1024"), (gpt_image, "1000x990", "1024x1024"),
        ];
        for (list, asked, expected) in table {
            assert_eq!(closest(size(asked), list, size), Some(expected), "{asked} of {list:?}");
        }
        assert_eq!(closest(size("1x1"), [], size), None::<&str>);
    }

    #[test]
    fn from_ratios_and_tiers_comes_the_row_whose_pixels_cover() {
        let rows = [
            (("1:1", "1K"), "1024x1024"),
            (("1:1", "2K"), "2048x2048"),
            (("3:2", "1K"), "1264x848"),
            (("3:2", "2K"), "2528x1696"),
            (("16:9", "1K"), "1376x768"),
            (("16:9", "2K"), "2752x1536"),
            (("16:9", "4K"), "5504x3072"),
        ];
        #[rustfmt::skip]
        let table = [
            ("1024x1024", ("1:1", "1K")), ("256x256", ("1:1", "1K")), ("1025x1025", ("1:1", "2K")), ("1792x1024", ("16:9", "2K")),
            ("1536x1024", ("3:2", "2K")), ("1200x800", ("3:2", "1K")), ("4096x2304", ("16:9", "4K")), ("5504x3072", ("16:9", "4K")),
            ("16384x1024", ("16:9", "4K")), ("1024x576", ("16:9", "1K")),
        ];
        for (asked, expected) in table {
            let row = closest(size(asked), rows, |(_, pixels)| size(pixels)).unwrap();
            assert_eq!(row.0, expected, "{asked}");
        }
    }

    #[test]
    fn a_ratio_is_in_lowest_terms_and_the_nearest_is_measured_both_ways_alike() {
        for (asked, exact, nearest) in [
            ("1792x1024", "7:4", "16:9"),
            ("1024x1792", "4:7", "9:16"),
            ("1024x1024", "1:1", "1:1"),
            ("1536x1024", "3:2", "3:2"),
            ("4096x16", "256:1", "21:9"),
            ("16x4096", "1:256", "9:16"),
            ("1023x1024", "1023:1024", "1:1"),
        ] {
            let known = [(1, 1), (2, 3), (3, 2), (9, 16), (16, 9), (21, 9)].map(|(w, h)| Ratio::new(w, h));
            assert_eq!(Ratio::of(size(asked)).to_string(), exact);
            assert_eq!(Ratio::nearest(size(asked), known).unwrap().to_string(), nearest, "{asked}");
        }
    }

    #[test]
    fn a_window_gives_the_same_ratio_with_enough_and_not_too_many_pixels() {
        let seedream_4_5 = Window { area: (3_686_400, 16_777_216), side: (240, 6000), step: 1, ratio: 16.0 };
        let seedream_3 = Window { area: (512 * 512, 2048 * 2048), side: (512, 2048), step: 1, ratio: 4.0 };
        let gpt_image_2 = Window { area: (655_360, 8_294_400), side: (16, 3840), step: 16, ratio: 3.0 };
        #[rustfmt::skip]
        let table = [
            (seedream_4_5, "1792x1024", "2688x1536"), (seedream_4_5, "1024x1792", "1536x2688"), (seedream_4_5, "1536x1024", "2496x1664"),
            (seedream_4_5, "1024x1024", "1920x1920"), (seedream_4_5, "4096x4096", "4096x4096"), (seedream_4_5, "4000x3000", "4000x3000"),
            (seedream_3, "256x256", "512x512"), (seedream_3, "1024x1024", "1024x1024"), (seedream_3, "1792x1024", "1792x1024"),
            (seedream_3, "4096x4096", "2048x2048"), (seedream_3, "4096x1024", "2048x512"), (seedream_3, "2048x256", "2048x512"),
            (gpt_image_2, "1024x1024", "1024x1024"), (gpt_image_2, "1000x1000", "1008x1008"), (gpt_image_2, "512x512", "832x832"),
            (gpt_image_2, "4096x16", "3840x1280"), (gpt_image_2, "3840x2160", "3840x2160"), (gpt_image_2, "4096x2304", "3840x2160"),
            (seedream_4_5, "5404x3040", "5404x3040"), (seedream_4_5, "5504x3072", "5482x3060"), (gpt_image_2, "16384x1024", "3840x1280"),
        ];
        for (window, asked, expected) in table {
            assert_eq!(window.size(size(asked)), size(expected), "{asked} in {window:?}");
        }
    }

    #[test]
    fn a_window_is_never_left() {
        let window = Window { area: (655_360, 8_294_400), side: (16, 3840), step: 16, ratio: 3.0 };
        for width in (16..=16_384).step_by(197) {
            for height in (16..=16_384).step_by(189) {
                let native = window.size(Size::new(width, height));
                let area = u64::from(native.width) * u64::from(native.height);
                assert!((655_360..=8_294_400).contains(&area), "{width}x{height}: {native}");
                assert!(
                    native.width.is_multiple_of(16) && native.height.is_multiple_of(16),
                    "{width}x{height}: {native}"
                );
                assert!(native.width.max(native.height) <= 3840, "{width}x{height}: {native}");
            }
        }
    }
}
