//! Water of a scene: a reflection of the rows above, distorted by waves. `scene` explains the coordinates.

use crate::canvas::Canvas;
use crate::colour::{hex, smooth};
use crate::noise;
use crate::setting::Setting;

/// Draws water below `shore`, a y coordinate. `rough` is between 0 (a mirror) and 1 (open sea).
pub(super) fn paint(canvas: &mut Canvas<'_>, setting: &Setting, shore: f32, rough: f32) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let palette = setting.palette;
    let mut rng = setting.rng.fork("water");
    let seed = rng.seed();
    let octaves = canvas.octaves(3);
    let split = (shore as usize).min(canvas.height - 1).max(1);
    let deep = palette.land(hex(0x1d5f7c), 0.75).to(palette.sky[0], 0.45);
    let squash = (shore / (height - shore).max(1.0)).min(0.9);
    let sun_x = setting.light.0 * width;
    let middle = width * 0.5;
    canvas.mirror(split, |x, y, above| {
        let depth = ((y - shore) / (height - shore)).clamp(0.0, 1.0);
        // Waves are smaller towards the horizon.
        let far = 1.0 / (0.06 + depth);
        let (u, v) = ((x - middle) / unit * far, far * 5.0);
        let wave = noise::cloudy(seed, u * 1.6, v * 2.4, octaves) - 0.5;
        let fine = noise::plane(seed ^ 0x4d, u * 7.0, v * 9.0) - 0.5;
        let sway = (wave * 1.4 + fine * 0.5) * unit * (0.015 + 0.09 * depth) * (0.35 + rough);
        let lift = (wave * 1.2 + fine * 0.8) * unit * 0.12 * depth * (0.3 + rough);
        let mirrored = shore - (y - shore) * squash - 1.0 + lift;
        let seen = above(x + sway, mirrored.min(shore - 1.0));
        let body = smooth(-0.1, 1.0, depth) * (0.18 + 0.5 * rough);
        let mut colour = seen.to(deep, body.min(0.9)).darker(0.06);
        let crest = smooth(0.12, 0.34, wave + fine * 0.5) * (0.1 + 0.26 * rough) * smooth(0.0, 0.12, depth);
        colour = colour.to(palette.sky[2].to(palette.cloud_lit, 0.5), crest * if palette.night { 0.3 } else { 0.8 });
        let trough = smooth(0.1, 0.4, -wave) * 0.16 * (0.4 + rough);
        colour = colour.darker(trough);
        if !setting.is_ink() && !setting.is_minimal() {
            let lane = unit * (0.025 + 0.13 * depth);
            let near = (-((x - sun_x) / lane).powi(2)).exp();
            let glint = smooth(0.0, 0.16, fine + wave * 0.4 + near * 0.1) * near;
            colour = colour.to(palette.disc, glint * if palette.night { 0.5 } else { 0.72 });
        }
        // A pale line along the shore.
        colour.to(palette.haze, smooth(0.05, 0.0, depth) * 0.5)
    });
}
