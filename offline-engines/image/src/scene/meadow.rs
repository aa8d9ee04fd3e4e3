//! Scene: a meadow with hills, trees, grass and flowers.
//!
//! `paint` draws it over the whole canvas of the mock image engine and returns where a subject stands. Coordinates, `unit`,
//! `u` and `v` are explained in the module `scene`; proportions and colours are chosen by eye.

use super::outline::Outline;
use super::sky;
use crate::canvas::Canvas;
use crate::colour::{Rgb, hex, smooth};
use crate::noise;
use crate::paint::Paint;
use crate::path::Path;
use crate::prompt::Subject;
use crate::random::Rng;
use crate::setting::{Placement, Setting};

pub(super) fn paint(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let (unit, height) = (canvas.unit(), canvas.h());
    let horizon = height * 0.56;
    sky::paint(canvas, setting, horizon);
    let mut rng = setting.rng.fork("meadow");
    let palette = setting.palette;
    let green = if setting.is_snowy() { hex(0xe6eef5) } else { hex(0x6fae4e) };
    let octaves = canvas.octaves(4);
    let layers = if setting.is_minimal() { 3 } else { 5 };
    for layer in 0..layers {
        let depth = layer as f32 / (layers - 1) as f32;
        let base = horizon + (height - horizon) * (depth.powf(1.5) * 0.62) - unit * 0.01;
        let (seed, rough) = (rng.seed(), rng.seed());
        let swell = unit * (0.09 + 0.03 * depth);
        let line = Outline::from_fn(canvas, |u| {
            base - swell * (noise::rolling(seed, u * (1.5 - depth * 0.6) + 50.0, 3) - 0.4)
        });
        if layer > 0 && layer < layers - 1 && !setting.is_minimal() {
            let crowns = palette.land(hex(0x2f6b3c), depth * 0.9);
            grove(canvas, &line, unit * (0.025 + 0.04 * depth), crowns, &mut rng);
        }
        let material = green.to(hex(0xb9cf5a), if setting.is_snowy() { 0.0 } else { 0.5 - depth * 0.5 });
        let colour = palette.land(material, depth);
        let light = palette.cloud_lit.to(material, 0.4);
        line.fill(canvas, |x, y, below| {
            let patch = noise::cloudy(rough, x / unit * (9.0 - 5.0 * depth), y / unit * 22.0, octaves) - 0.5;
            let rim = (-below / (unit * 0.05)).exp();
            colour.to(light, rim * 0.22).darker((-patch * 0.45).max(0.0)).lighter((patch * 0.2).max(0.0))
        });
    }
    if !setting.is_snowy() && !setting.is_minimal() {
        grasses(canvas, setting, &mut rng);
        blossoms(canvas, setting, &mut rng);
    }
    Placement::new(canvas, (0.5, 0.9), 0.42)
}

/// Draws groups of round treetops along an outline.
fn grove(canvas: &mut Canvas<'_>, line: &Outline, size: f32, colour: Rgb, rng: &mut Rng) {
    let mut x = 0.0;
    let mut path = Path::default();
    while x < canvas.w() {
        if rng.chance(0.5) {
            for _ in 0..2 + rng.below(3) {
                let r = size * rng.range(0.3, 0.62);
                let place = (x + rng.range(-0.6, 0.6) * size, line.at(x) - r * 0.55);
                path = path.and(Path::ellipse(place, r, r * 0.9));
            }
        }
        x += size * rng.range(0.9, 3.2);
    }
    let top = line.top();
    canvas.fill(
        &path,
        &Paint::vertical(top - size, top + size * 2.5, (colour.lighter(0.1), 1.0), (colour.darker(0.18), 1.0)),
    );
}

/// Draws three rows of blades of grass in the foreground.
fn grasses(canvas: &mut Canvas<'_>, setting: &Setting, rng: &mut Rng) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    for (row, tone) in [(0.86, 0.0), (0.93, 0.12), (1.0, 0.3)] {
        let mut path = Path::default();
        let colour = setting.palette.land(hex(0x4f9440), 1.0).darker(tone * 0.7);
        let count = (width / unit * 90.0) as usize;
        for _ in 0..count {
            let foot = (rng.range(0.0, width), height * (row + rng.range(-0.03, 0.05)));
            let tall = unit * rng.range(0.02, 0.06);
            let lean = rng.range(-0.4, 0.4) * tall;
            let tip = (foot.0 + lean, foot.1 - tall);
            path = path.and(Path::polygon(&[(foot.0 - unit * 0.002, foot.1), tip, (foot.0 + unit * 0.002, foot.1)]));
        }
        canvas.fill(&path, &Paint::Flat((colour, 0.85)));
    }
}

/// Draws flowers of three kinds, more of them if the prompt names flowers.
fn blossoms(canvas: &mut Canvas<'_>, setting: &Setting, rng: &mut Rng) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let colours = [hex(0xf7f3e3), hex(0xe8506a), hex(0xf3c443), hex(0xa884d6), hex(0xf29ac0)];
    let start = rng.below(colours.len());
    let named = setting.prompt.has_subject(Subject::Flower);
    for kind in 0..3 {
        let colour = setting.palette.lit(colours[(start + kind) % colours.len()]);
        let (mut petals, mut hearts) = (Path::default(), Path::default());
        for _ in 0..(width / unit * if named { 190.0 } else { 46.0 }) as usize {
            let depth = rng.next_f32().sqrt();
            let place = (rng.range(0.0, width), height * (0.68 + 0.33 * depth));
            let size = unit * (0.0018 + 0.0085 * smooth(0.2, 1.0, depth)) * rng.range(0.7, 1.2);
            for petal in 0..5 {
                // A fifth of a turn from petal to petal; the rest turns each flower differently.
                let angle = petal as f32 * 1.2566 + depth * 9.0;
                let at = (place.0 + angle.cos() * size * 0.8, place.1 + angle.sin() * size * 0.62);
                petals = petals.and(Path::ellipse(at, size * 0.62, size * 0.52));
            }
            hearts = hearts.and(Path::ellipse(place, size * 0.42, size * 0.36));
        }
        canvas.fill(&petals, &Paint::Flat((colour, 0.95)));
        canvas.fill(&hearts, &Paint::Flat((setting.palette.lit(hex(0xf0b93c)), 1.0)));
    }
}
