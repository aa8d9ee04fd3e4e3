//! Two scenes: mountain ranges that fade with distance, and a lake in front of them.
//!
//! Both cover the canvas of the mock image engine and return where a subject stands. Coordinates, `unit`, `u`
//! and `v` are explained in the module `scene`; proportions and colours are chosen by eye.

use super::conifers::conifers;
use super::outline::Outline;
use super::{sky, water};
use crate::canvas::Canvas;
use crate::colour::{Rgb, hex, smooth};
use crate::noise;
use crate::paint::Paint;
use crate::path::Path;
use crate::prompt::{Time, Weather};
use crate::random::Rng;
use crate::setting::{Placement, Setting};

pub(super) fn paint(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let height = canvas.h();
    let horizon = height * 0.68;
    sky::paint(canvas, setting, horizon);
    ranges(canvas, setting, (height * 0.58, height * 0.99), 5);
    Placement::new(canvas, (0.5, 0.93), 0.4)
}

pub(super) fn lake(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let (unit, height) = (canvas.unit(), canvas.h());
    let shore = height * 0.62;
    sky::paint(canvas, setting, shore);
    ranges(canvas, setting, (height * 0.45, shore + unit * 0.015), 4);
    water::paint(canvas, setting, shore, 0.25);
    banks(canvas, setting);
    Placement::new(canvas, (0.52, 0.9), 0.36)
}

/// Draws `count` ranges between two y coordinates; the nearest ones are wooded.
pub(super) fn ranges(canvas: &mut Canvas<'_>, setting: &Setting, (far, near): (f32, f32), count: usize) {
    let unit = canvas.unit();
    let mut rng = setting.rng.fork("ranges");
    let count = if setting.is_minimal() { count.min(3) } else { count };
    let layers: Vec<Range> = (0..count)
        .map(|layer| {
            let depth = layer as f32 / (count - 1) as f32;
            let tall = unit * (0.27 - 0.13 * depth) * if setting.is_ink() { 1.3 } else { 1.0 };
            Range::new(canvas, (far + (near - far) * depth.powf(1.2), tall, depth), &mut rng)
        })
        .collect();
    for (index, range) in layers.iter().enumerate() {
        range.paint(canvas, setting, layers.get(index + 1).map(|next| &next.line), &mut rng);
    }
}

/// A mountain range.
struct Range {
    line: Outline,
    /// The mean y coordinate of the outline.
    base: f32,
    /// The height of the peaks above `base`.
    tall: f32,
    /// 0 for the farthest range, 1 for the nearest.
    depth: f32,
    /// The seed of the surface's texture.
    rough: u32,
    /// Whether the range has bare rock and snow, as distant ones do, or is wooded.
    rocky: bool,
}

impl Range {
    fn new(canvas: &Canvas<'_>, (base, tall, depth): (f32, f32, f32), rng: &mut Rng) -> Self {
        let (seed, rough, shift) = (rng.seed(), rng.seed(), rng.range(0.0, 60.0));
        let octaves = canvas.octaves(6);
        let rocky = depth < 0.6;
        let steep = 1.35 + depth * 0.9;
        let line = Outline::from_fn(canvas, |u| {
            let crag = noise::craggy(seed, u * steep + shift, octaves);
            let roll = noise::rolling(seed, u * steep * 1.2 + shift, octaves.saturating_sub(2));
            base - tall * if rocky { (crag - 0.35) * 1.6 } else { (roll - 0.4) * 1.3 }
        });
        Self { line, base, tall, depth, rough, rocky }
    }

    fn paint(&self, canvas: &mut Canvas<'_>, setting: &Setting, covered_by: Option<&Outline>, rng: &mut Rng) {
        let Self { line, base, tall, depth, rough, rocky } = self;
        let (base, tall, depth, rough) = (*base, *tall, *depth, *rough);
        let (unit, palette) = (canvas.unit(), setting.palette);
        let octaves = canvas.octaves(5);
        let material = if *rocky { hex(0x3f5878) } else { hex(0x3f7a52).to(hex(0x2d5a44), depth) };
        let material = if setting.is_snowy() { material.to(hex(0xdfe8f2), 0.6) } else { material };
        let colour = palette.land(material, depth * 0.8 + 0.18);
        if depth > 0.55 && !setting.is_minimal() {
            let size = unit * (0.02 + 0.075 * (depth - 0.5) * 2.0);
            let frosted = colour.to(palette.haze, if setting.is_snowy() { 0.15 } else { 0.0 });
            conifers(canvas, line, size, &Paint::solid(frosted.darker(0.06)), rng);
        }
        let side = setting.light_side();
        let sun_lit = palette.lit(hex(0xfdf3e6)).to(palette.disc, 0.25);
        let low_light = matches!(setting.time, Time::Dawn | Time::Sunset | Time::Dusk);
        let snow_depth =
            unit * if setting.is_snowy() { 0.3 } else { 0.075 } * if palette.night || low_light { 0.7 } else { 1.0 };
        let floor = base + tall * 0.3;
        line.fill_above(canvas, covered_by, |x, y, below| {
            let (u, v) = (x / unit, y / unit);
            let mut shown = colour;
            if *rocky && !setting.is_minimal() {
                let crease = noise::cloudy(rough, u * 7.0, v * 5.0, octaves) - 0.5;
                let warped = x + crease * unit * 0.16 + (below * 0.25) * crease;
                let reach = unit * 0.012 + below * 0.3;
                let slope = (line.at(warped + reach) - line.at(warped - reach)) / (2.0 * reach);
                let lit = smooth(-0.5, 0.5, -slope * side + crease * 0.7);
                shown = shown.to(palette.near, (1.0 - lit) * 0.3).to(sun_lit, lit * 0.17);
                let cap =
                    if setting.is_ink() { 0.0 } else { snow(line, (x, y, below), (base, tall, snow_depth), crease) };
                let white = palette.haze.to(palette.lit(hex(0x93a8cc)), 0.7).to(sun_lit, lit * 0.9);
                shown = shown.to(white, cap * (0.9 - 0.5 * depth));
            } else if !setting.is_minimal() {
                let patch = noise::cloudy(rough, u * 16.0, v * 30.0, octaves) - 0.5;
                shown = shown.darker((patch * 0.5).max(0.0)).lighter((-patch * 0.16).max(0.0));
            }
            mist(setting, shown, smooth(floor - tall * 0.7, floor + tall * 0.6, y), depth)
        });
    }
}

/// Returns the snow cover, 0 to 1: highest near high crests, in tongues down the slopes.
fn snow(line: &Outline, (x, y, below): (f32, f32, f32), (base, tall, reach): (f32, f32, f32), crease: f32) -> f32 {
    let crest = line.at(x);
    let high = smooth(base - tall * 0.15, base - tall * 0.75, crest);
    // At least half a pixel: with a length of zero, `smooth` would return 1 everywhere.
    let tongue = (reach * high * (1.0 + crease * 2.6)).max(0.5);
    smooth(tongue, tongue * 0.72, below) * smooth(base + tall * 0.1, base - tall * 0.3, y - crease * tall * 0.5)
}

/// Blends valleys with haze; in the ink style with the paper.
fn mist(setting: &Setting, colour: Rgb, low: f32, depth: f32) -> Rgb {
    let max_share = if setting.is_ink() { 0.97 } else { 0.5 - 0.42 * depth };
    let fog = if setting.prompt.has_weather(Weather::Fog) { 0.25 } else { 0.0 };
    colour.to(setting.palette.haze, low * (max_share + fog).min(1.0))
}

/// Draws dark banks with reeds in the foreground, which add depth to the water.
fn banks(canvas: &mut Canvas<'_>, setting: &Setting) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut rng = setting.rng.fork("banks");
    let colour = setting.palette.land(hex(0x2d4a36), 1.0).darker(0.25);
    let seed = rng.seed();
    let side = -setting.light_side();
    let line = Outline::from_fn(canvas, |u| {
        let far = (u * side * unit / width + 0.5).clamp(0.0, 1.0);
        height * (1.03 - 0.13 * smooth(0.45, 1.0, far)) - unit * 0.02 * noise::rolling(seed, u * 6.0, 4)
    });
    let mut reeds = Path::default();
    for _ in 0..(width / unit * 70.0) as usize {
        let x = rng.range(0.0, width);
        let foot = (x, line.at(x) + unit * 0.01);
        let (tall, lean) = (unit * rng.range(0.02, 0.085), rng.range(-0.02, 0.02) * unit);
        reeds = reeds.and(Path::curve(
            &[foot, (x + lean * 0.3, foot.1 - tall * 0.6), (x + lean, foot.1 - tall)],
            (unit * 0.0028, unit * 0.0008),
        ));
    }
    canvas.fill(&reeds, &Paint::solid(colour));
    line.fill(canvas, |_, _, below| colour.darker((below / unit).min(0.2)));
}
