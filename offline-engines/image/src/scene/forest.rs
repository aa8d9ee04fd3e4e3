//! Scene: a forest, as layers of conifers with shafts of light.
//!
//! `paint` draws it over the whole canvas of the mock image engine and returns where a subject stands. Coordinates, `unit`,
//! `u` and `v` are explained in the module `scene`; proportions and colours are chosen by eye.

use super::conifers::conifer;
use super::outline::Outline;
use super::sky;
use crate::canvas::Canvas;
use crate::colour::{hex, smooth};
use crate::noise;
use crate::paint::Paint;
use crate::path::Path;
use crate::prompt::Weather;
use crate::setting::{Placement, Setting};

pub(super) fn paint(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let palette = setting.palette;
    sky::paint(canvas, setting, height * 0.7);
    let mut rng = setting.rng.fork("forest");
    let layers = if setting.is_minimal() { 3 } else { 6 };
    for layer in 0..layers {
        let depth = layer as f32 / (layers - 1) as f32;
        let base = height * (0.6 + 0.33 * depth);
        let seed = rng.seed();
        let line = Outline::from_fn(canvas, |u| base - unit * 0.07 * (noise::rolling(seed, u * 1.7 + 30.0, 3) - 0.5));
        let size = unit * (0.13 + 0.3 * depth);
        let material = hex(0x3f7f5c).to(hex(0x173d2c), depth);
        let material = if setting.is_snowy() { material.to(hex(0xd5e2ec), 0.5) } else { material };
        let colour = palette.land(material, depth * 0.92 + 0.06);
        let mut trees = Path::default();
        let mut x = -size;
        while x < width + size {
            // The nearest layers leave a clearing in the middle for light and subject.
            let aside = (x - width * 0.5).abs() / unit;
            if depth < 0.7 || aside > 0.2 + 0.22 * depth {
                trees = trees.and(conifer((x, line.at(x) + size * 0.05), size * rng.range(0.65, 1.3), &mut rng));
            }
            x += size * rng.range(0.14, 0.4);
        }
        let misty = (colour.to(palette.haze, 0.5 * (1.0 - depth)), 1.0);
        canvas.fill(&trees, &Paint::vertical(base - size, base, (colour, 1.0), misty));
        line.fill(canvas, |x, y, _| {
            let floor = noise::cloudy(seed ^ 4, x / unit * 18.0, y / unit * 40.0, 3) - 0.5;
            colour
                .to(palette.haze, 0.42 * (1.0 - depth))
                .darker((floor * 0.5).max(0.0))
                .lighter((-floor * 0.16).max(0.0))
        });
        if layer == layers / 2 {
            shafts(canvas, setting);
        }
    }
    ferns(canvas, setting);
    Placement::new(canvas, (0.5, 0.93), 0.36)
}

/// Draws shafts of light from above, unless the style or the light is too flat for them.
fn shafts(canvas: &mut Canvas<'_>, setting: &Setting) {
    if setting.palette.night || setting.is_ink() || setting.is_minimal() || setting.prompt.has_weather(Weather::Rain) {
        return;
    }
    let (unit, height) = (canvas.unit(), canvas.h());
    let seed = setting.rng.fork("shafts").seed();
    let origin = (setting.light.0 * canvas.w(), -unit * 0.5);
    let light = setting.palette.disc;
    canvas.shade(0..canvas.height, |x, y| {
        let angle = (x - origin.0).atan2(y - origin.1);
        let ray = smooth(0.5, 0.85, noise::rolling(seed, angle * 16.0 + 60.0, 3));
        let soft = smooth(height * 0.9, height * 0.25, y) * smooth(1.1, 0.1, angle.abs());
        (light, ray * soft * 0.3)
    });
}

/// Draws ferns along the bottom of the canvas.
fn ferns(canvas: &mut Canvas<'_>, setting: &Setting) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut rng = setting.rng.fork("ferns");
    let mut path = Path::default();
    for _ in 0..(width / unit * 36.0) as usize {
        let foot = (rng.range(0.0, width), height * rng.range(0.97, 1.04));
        for blade in 0..5 {
            let lean = (blade as f32 - 2.0) * 0.028 * unit * rng.range(0.7, 1.3);
            let tall = unit * rng.range(0.03, 0.085);
            let tip = (foot.0 + lean * 1.6, foot.1 - tall);
            path = path.and(Path::curve(
                &[foot, (foot.0 + lean * 0.5, foot.1 - tall * 0.7), tip],
                (unit * 0.004, unit * 0.001),
            ));
        }
    }
    canvas.fill(&path, &Paint::solid(setting.palette.land(hex(0x2a5a34), 1.0).darker(0.3)));
}
