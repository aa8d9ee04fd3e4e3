//! Style filter: ink wash on rice paper, with few tones, bleeding edges and a red seal. `style` explains the coordinates.

use crate::canvas::Canvas;
use crate::colour::{hex, smooth};
use crate::noise;
use crate::paint::Paint;
use crate::path::Path;
use crate::random::Rng;
use crate::setting::Setting;

/// Applies the ink style.
pub(crate) fn apply(canvas: &mut Canvas<'_>, setting: &Setting, rng: &mut Rng) {
    let unit = canvas.unit();
    let (seed, fibre) = (rng.seed(), rng.seed());
    let octaves = canvas.octaves(4);
    let (width, source) = (canvas.width, canvas.to_bytes());
    let (right, low) = (canvas.width - 1, canvas.height - 1);
    let (paper, ink) = (setting.palette.sky[2], hex(0x1b1f24));
    canvas.remap(0..canvas.height, |x, y, _| {
        let (u, v) = (x / unit, y / unit);
        // Ink bleeds along the fibres: sample the picture at a displaced position.
        let creep = |salt: u32| (noise::cloudy(seed ^ salt, u * 38.0, v * 38.0, octaves.min(3)) - 0.5) * unit * 0.011;
        let (sx, sy) = (((x + creep(1)).max(0.0) as usize).min(right), ((y + creep(2)).max(0.0) as usize).min(low));
        let at = (sy * width + sx) * 4;
        let [r, g, b] = [0, 1, 2].map(|part| f32::from(source[at + part]) / 255.0);
        let luma = 0.299 * r + 0.587 * g + 0.114 * b;
        let pool = noise::cloudy(seed ^ 3, u * 5.0, v * 5.0, octaves) - 0.5;
        let dry = noise::cloudy(seed ^ 4, u * 90.0, v * 22.0, 2) - 0.5;
        let dark = smooth(0.93, 0.12, luma);
        let wet = (dark + pool * 0.5 * dark * (1.0 - dark) * 2.0 + dry * 0.2 * dark * (1.0 - dark)).clamp(0.0, 1.0);
        let weave = noise::plane(fibre, u * 210.0, v * 30.0) + noise::plane(fibre ^ 1, u * 30.0, v * 210.0) - 1.0;
        let sheet = paper.darker((weave * 0.05).max(0.0)).lighter((-weave * 0.1).max(0.0));
        // Keep saturated reds such as the sun or a flower.
        let red = smooth(0.18, 0.4, r - g.max(b));
        sheet.to(ink, wet * 0.95).to(hex(0xb8402e), red * 0.9)
    });
    seal(canvas);
}

/// Draws a square seal in the upper right corner. Its strokes form no character.
fn seal(canvas: &mut Canvas<'_>) {
    let unit = canvas.unit();
    if unit < 96.0 {
        return;
    }
    let size = unit * 0.055;
    let (left, top) = (canvas.w() - unit * 0.115, unit * 0.06);
    let (red, paper) = (Paint::Flat((hex(0xb4372a), 0.92)), Paint::Flat((hex(0xf3eddf), 0.95)));
    let round = Path::stroke(
        &[(left + size * 0.12, top + size * 0.5), (left + size * 0.88, top + size * 0.5)],
        (size * 0.3, size * 0.3),
    );
    let square = Path::polygon(&[(left, top), (left + size, top), (left + size, top + size), (left, top + size)]);
    canvas.fill(&square.and(round), &red);
    let line = |points: &[(f32, f32)]| {
        let placed: Vec<_> = points.iter().map(|(x, y)| (left + x * size, top + y * size)).collect();
        Path::stroke(&placed, (size * 0.075, size * 0.075))
    };
    let marks = line(&[(0.18, 0.2), (0.82, 0.2)]).and(line(&[(0.5, 0.2), (0.5, 0.8)])).and(line(&[
        (0.2, 0.44),
        (0.2, 0.8),
        (0.8, 0.8),
        (0.8, 0.44),
    ]));
    canvas.fill(&marks, &paper);
}
