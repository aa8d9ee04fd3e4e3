//! Scene: dunes and distant mesas, with a road if the prompt names a vehicle.
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
    let height = canvas.h();
    let horizon = height * 0.56;
    sky::paint(canvas, setting, horizon);
    let mut rng = setting.rng.fork("desert");
    mesas(canvas, setting, horizon, &mut rng);
    let has_road = setting.prompt.has_subject(Subject::Car) || setting.prompt.has_subject(Subject::Bicycle);
    let layers = if has_road { 3 } else { 5 };
    let low = if has_road { 0.2 } else { 0.37 };
    for layer in 0..layers {
        let depth = layer as f32 / (layers - 1) as f32;
        dune(canvas, setting, (horizon + height * low * depth.powf(1.3), depth), &mut rng);
    }
    if has_road {
        road(canvas, setting, &mut rng);
        return Placement::new(canvas, (0.5, 0.88), 0.36);
    }
    cacti(canvas, setting, &mut rng);
    Placement::new(canvas, (0.5, 0.93), 0.38)
}

/// Returns the colour of sand.
fn sand(setting: &Setting, depth: f32) -> Rgb {
    let palette = setting.palette;
    // Unlike vegetation, sand remains warm in colour even against a low sun.
    let material = hex(0xeab06a).to(hex(0xc8743f), depth * 0.85);
    let shown = palette.land(material, depth);
    let warm = shown.to(
        material.times(palette.light).darker(0.25),
        if palette.night || setting.is_ink() { 0.12 } else { 0.55 + 0.4 * palette.daylight },
    );
    palette.haze.to(material.lighter(0.3), 0.4 * palette.daylight).to(warm, smooth(-0.75, 0.5, depth))
}

/// Draws two ranges of mesas (hills with flat tops) on the horizon.
fn mesas(canvas: &mut Canvas<'_>, setting: &Setting, horizon: f32, rng: &mut Rng) {
    let unit = canvas.unit();
    for depth in [0.05, 0.2] {
        let (seed, shift) = (rng.seed(), rng.range(0.0, 50.0));
        let line = Outline::from_fn(canvas, |u| {
            // Steps instead of slopes give flat tops.
            let step = smooth(0.52, 0.57, noise::line(seed, u * 2.1 + shift))
                + 0.5 * smooth(0.7, 0.74, noise::line(seed, u * 2.1 + shift));
            horizon + unit * 0.015
                - unit * (0.085 + 0.03 * depth) * step
                - unit * 0.012 * noise::rolling(seed, u * 9.0, 4)
        });
        let colour = sand(setting, depth).to(setting.palette.land(hex(0x8a4a3c), depth + 0.2), 0.7);
        line.fill(canvas, |x, _, below| {
            let rib = noise::plane(seed, x / unit * 40.0, below / unit * 3.0) - 0.5;
            colour.darker((rib * 0.24).max(0.0))
        });
    }
}

/// Draws a dune whose crest is around the y coordinate `base`.
fn dune(canvas: &mut Canvas<'_>, setting: &Setting, (base, depth): (f32, f32), rng: &mut Rng) {
    let unit = canvas.unit();
    let (seed, shift) = (rng.seed(), rng.range(0.0, 50.0));
    let octaves = canvas.octaves(3);
    let swell = unit * (0.07 + 0.12 * depth);
    let pitch = 1.7 - 0.7 * depth;
    let line = Outline::from_fn(canvas, |u| {
        let crest =
            noise::craggy(seed, u * pitch + shift, 1) * 0.75 + noise::rolling(seed ^ 2, u * pitch + shift, 2) * 0.25;
        base - swell * (crest - 0.45)
    });
    let (material, side) = (sand(setting, depth), setting.light_side());
    let palette = setting.palette;
    let shadow = material.to(palette.near, 0.42);
    let lit = material.to(palette.disc, if palette.night { 0.06 } else { 0.22 });
    line.fill(canvas, |x, y, below| {
        let wander = (noise::cloudy(seed ^ 8, x / unit * 2.0, y / unit * 3.0, octaves) - 0.5) * unit * 0.25;
        let at = x + wander * smooth(0.0, unit * 0.2, below) + side * below * 0.7;
        let reach = unit * 0.015;
        let slope = (line.at(at + reach) - line.at(at - reach)) / (2.0 * reach);
        let facing = smooth(-0.22, 0.16, -slope * side);
        let ripple =
            ((y / unit * (260.0 - 120.0 * depth) + wander / unit * 60.0).sin() * 0.5 + 0.5) * smooth(0.2, 1.0, depth);
        shadow
            .to(lit, facing)
            .darker(ripple * 0.06)
            .to(palette.haze, smooth(0.0, unit * 0.5, below) * 0.2 * (1.0 - depth))
    });
}

/// Draws a road from left to right, with a verge of sand before it.
fn road(canvas: &mut Canvas<'_>, setting: &Setting, rng: &mut Rng) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let palette = setting.palette;
    let (top, bottom) = (height * 0.82, height * 0.82 + unit * 0.15);
    let seed = rng.seed();
    let tar = palette.land(hex(0x4a4750), 0.9);
    canvas.fill(
        &Path::polygon(&[(0.0, top - unit * 0.012), (width, top - unit * 0.012), (width, bottom), (0.0, bottom)]),
        &Paint::solid(sand(setting, 0.9).lighter(0.1)),
    );
    canvas.shade(top as usize..(bottom as usize).min(canvas.height), |x, y| {
        let grit = noise::plane(seed, x / unit * 160.0, y / unit * 220.0) - 0.5;
        let sheen = smooth(bottom, top, y) * 0.14;
        (tar.lighter(sheen).darker((grit * 0.25).max(0.0)), 1.0)
    });
    let (stripe, mut dashes, mut x) = (palette.lit(hex(0xf0c458)), Path::default(), -unit * rng.next_f32() * 0.2);
    let middle = (top + bottom) * 0.5 + unit * 0.02;
    while x < width {
        let far = unit * 0.006;
        dashes = dashes.and(Path::polygon(&[
            (x, middle),
            (x + unit * 0.13, middle),
            (x + unit * 0.125, middle + far),
            (x - unit * 0.005, middle + far),
        ]));
        x += unit * 0.24;
    }
    canvas.fill(&dashes, &Paint::Flat((stripe, 0.9)));
    let verge = Outline::from_fn(canvas, |u| bottom - unit * 0.012 * noise::rolling(seed, u * 8.0, 4));
    let near = sand(setting, 1.0);
    verge.fill(canvas, |x, y, below| {
        let grain = noise::cloudy(seed, x / unit * 24.0, y / unit * 60.0, 4) - 0.5;
        near.darker((grain * 0.4).max(0.0) + (below / unit).min(0.25)).lighter((-grain * 0.16).max(0.0))
    });
}

/// Draws two cacti on the side away from the light.
fn cacti(canvas: &mut Canvas<'_>, setting: &Setting, rng: &mut Rng) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let colour = setting.palette.land(hex(0x4f7a4a), 1.0).darker(0.2);
    let side = -setting.light_side();
    for (place, tall) in [(0.34, 0.24), (0.42, 0.13)] {
        let foot = (width * 0.5 + side * width * place, height * 0.93);
        let tall = unit * tall * rng.range(0.9, 1.1);
        let thick = tall * 0.14;
        let arm = |dir: f32, low: f32, high: f32| {
            let out = foot.0 + dir * tall * 0.26;
            Path::curve(
                &[
                    (foot.0, foot.1 - tall * low),
                    (out - dir * tall * 0.04, foot.1 - tall * low),
                    (out, foot.1 - tall * (low + 0.08)),
                    (out, foot.1 - tall * high),
                ],
                (thick * 0.75, thick * 0.7),
            )
        };
        let body = Path::stroke(&[(foot.0, foot.1), (foot.0, foot.1 - tall)], (thick, thick * 0.9))
            .and(arm(1.0, 0.42, 0.78))
            .and(arm(-1.0, 0.3, 0.62));
        canvas.fill(&body, &Paint::solid(colour));
    }
}
