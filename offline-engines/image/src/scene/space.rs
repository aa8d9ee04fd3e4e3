//! Scene: deep space with a planet.
//!
//! `deep` covers the canvas of the mock image engine and returns where a subject stands. Coordinates, `unit`, `u`
//! and `v` are explained in the module `scene`; proportions and colours are chosen by eye.

use super::sky;
use crate::canvas::Canvas;
use crate::colour::{Rgb, gradient, hex, smooth};
use crate::noise;
use crate::paint::Paint;
use crate::path::{Path, Point};
use crate::setting::{Placement, Setting};

pub(super) fn deep(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut rng = setting.rng.fork("space");
    let seed = rng.seed();
    let octaves = canvas.octaves(6);
    let sets = [
        [0x05040f, 0x2a1458, 0xa0327c, 0xffa26b],
        [0x030812, 0x0f2f5c, 0x1f8aa0, 0xbff0d0],
        [0x07040f, 0x3a1040, 0x6a3cc0, 0x7ad0ff],
    ];
    let mut colours = sets[rng.below(sets.len())].map(hex);
    if let Some(named) = setting.prompt.colours.first() {
        colours = colours.map(|rgb| rgb.tinted(*named, 0.6));
    }
    canvas.shade(0..canvas.height, |x, y| {
        let (u, v) = ((x - width * 0.5) / unit, (y - height * 0.5) / unit);
        let (wx, wy) = (noise::cloudy(seed, u * 1.4, v * 1.4, 3), noise::cloudy(seed ^ 2, u * 1.4, v * 1.4, 3));
        let gas = noise::cloudy(seed ^ 5, u * 1.7 + wx * 2.2, v * 1.7 + wy * 2.2, octaves);
        let lane = (-((v + u * 0.45) * 1.5).powi(2)).exp();
        (gradient(&colours, smooth(0.3, 0.86, gas) * (0.35 + 0.65 * lane)), 1.0)
    });
    sky::stars(canvas, rng.seed(), height * 3.0, 1.2);
    let side = rng.sign();
    let planet = (width * 0.5 + side * width * 0.24, height * 0.5 - unit * 0.14);
    globe(
        canvas,
        (planet, unit * 0.19),
        [colours[3].to(hex(0xe0b080), 0.5), colours[2], colours[1].lighter(0.1)],
        rng.seed(),
        &RINGS,
    );
    globe(
        canvas,
        ((width * 0.5 - side * width * 0.32, height * 0.5 + unit * 0.27), unit * 0.05),
        [hex(0xd8d4cc), hex(0x9a96a0), hex(0x6a6878)],
        rng.seed(),
        &[],
    );
    Placement { foot: (width * 0.5 - side * unit * 0.1, height * 0.5 + unit * 0.36), size: unit * 0.44 }
}

/// The rings of the planet: the width of each, in radii of the planet, and its opacity.
const RINGS: [(f32, f32); 2] = [(0.075, 0.5), (0.03, 0.8)];

/// Draws a planet, lit from the upper left, with bands and with these rings, as of [`RINGS`].
fn globe(canvas: &mut Canvas<'_>, (centre, radius): (Point, f32), colours: [Rgb; 3], seed: u32, rings: &[(f32, f32)]) {
    canvas.glow(centre, radius * 1.7, colours[0], 0.35);
    let ring = |from: f32, to: f32| {
        (0..=40)
            .map(|step| {
                let a = from + (to - from) * step as f32 / 40.0;
                let (x, y) = (radius * 1.85 * a.cos(), radius * 0.42 * a.sin());
                (centre.0 + x * 0.95 + y * 0.3, centre.1 + y - x * 0.28)
            })
            .collect::<Vec<_>>()
    };
    let (half, turn) = (std::f32::consts::PI, std::f32::consts::TAU);
    for &(width, alpha) in rings {
        canvas.fill(
            &Path::stroke(&ring(half, turn), (radius * width * 2.0, radius * width * 2.0)),
            &Paint::Flat((colours[0].lighter(0.2), alpha * 0.6)),
        );
    }
    let (rows, octaves) =
        ((centre.1 - radius - 2.0).max(0.0) as usize..(centre.1 + radius + 2.0).max(0.0) as usize, canvas.octaves(5));
    canvas.shade(rows, |x, y| {
        let (dx, dy) = ((x - centre.0) / radius, (y - centre.1) / radius);
        let far = dx.hypot(dy);
        let cover = ((1.0 - far) * radius + 0.5).clamp(0.0, 1.0);
        if cover <= 0.0 {
            return (colours[0], 0.0);
        }
        let z = (1.0 - far * far).max(0.0).sqrt();
        let swirl = noise::cloudy(seed, dx * 1.6 / (0.4 + z), dy * 6.0, octaves) - 0.5;
        let band = gradient(&colours, (dy * 0.5 + 0.5 + swirl * 0.7).clamp(0.0, 1.0));
        let light = (-0.55 * dx - 0.5 * dy + 0.67 * z).max(0.0);
        let rim = (1.0 - z).powi(3) * 0.4 * light;
        (band.darker(1.0 - smooth(-0.05, 0.75, light)).lighter(rim), cover)
    });
    for &(width, alpha) in rings {
        canvas.fill(
            &Path::stroke(&ring(0.0, half), (radius * width * 2.0, radius * width * 2.0)),
            &Paint::Flat((colours[0].lighter(0.3), alpha)),
        );
    }
}
