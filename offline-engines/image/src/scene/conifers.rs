//! Conifers, for forests and mountains. Lengths are in pixels.

use super::outline::Outline;
use crate::canvas::Canvas;
use crate::paint::Paint;
use crate::path::{Path, Point};
use crate::random::Rng;

/// Draws a row of conifers along an outline.
pub(super) fn conifers(canvas: &mut Canvas<'_>, line: &Outline, size: f32, paint: &Paint, rng: &mut Rng) {
    let mut path = Path::default();
    let mut x = -size;
    while x < canvas.w() + size {
        let tall = size * rng.range(0.55, 1.25);
        path = path.and(conifer((x, line.at(x) + size * 0.12), tall, rng));
        x += size * rng.range(0.16, 0.52);
    }
    canvas.fill(&path, paint);
}

/// Returns the shape of a conifer.
pub(super) fn conifer(foot: Point, tall: f32, rng: &mut Rng) -> Path {
    let wide = tall * rng.range(0.17, 0.24);
    let tiers = 6;
    let mut right = vec![(foot.0, foot.1 - tall)];
    for tier in 1..=tiers {
        let share = tier as f32 / tiers as f32;
        let y = foot.1 - tall * (1.0 - share * 0.92);
        let out = wide * (0.12 + 0.88 * share) * rng.range(0.8, 1.1);
        right.push((foot.0 + out, y));
        right.push((foot.0 + out * 0.55, y - tall * 0.012));
    }
    let left: Vec<Point> = right.iter().skip(1).rev().map(|p| (2.0 * foot.0 - p.0, p.1)).collect();
    right.push((foot.0 + wide * 0.08, foot.1));
    right.push((foot.0 - wide * 0.08, foot.1));
    right.extend(left);
    Path::polygon(&right)
}
