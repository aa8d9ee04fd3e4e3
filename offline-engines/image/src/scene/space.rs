//! Two scenes: deep space with a planet, and the surface of the moon.
//!
//! Both cover the canvas of the mock image engine and return where a subject stands. Coordinates, `unit`, `u`
//! and `v` are explained in the module `scene`; proportions and colours are chosen by eye.

use super::outline::Outline;
use super::sky;
use crate::canvas::Canvas;
use crate::colour::{Rgb, gradient, hex, smooth};
use crate::noise;
use crate::paint::Paint;
use crate::path::{Path, Point};
use crate::random::Rng;
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
        true,
    );
    globe(
        canvas,
        ((width * 0.5 - side * width * 0.32, height * 0.5 + unit * 0.27), unit * 0.05),
        [hex(0xd8d4cc), hex(0x9a96a0), hex(0x6a6878)],
        rng.seed(),
        false,
    );
    Placement { foot: (width * 0.5 - side * unit * 0.1, height * 0.5 + unit * 0.36), size: unit * 0.44 }
}

/// Draws a planet, lit from the upper left, with bands and an optional ring.
fn globe(canvas: &mut Canvas<'_>, (centre, radius): (Point, f32), colours: [Rgb; 3], seed: u32, ringed: bool) {
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
    let dust = [(0.075, 0.5), (0.03, 0.8)];
    if ringed {
        for (width, alpha) in dust {
            canvas.fill(
                &Path::stroke(&ring(half, turn), (radius * width * 2.0, radius * width * 2.0)),
                &Paint::Flat((colours[0].lighter(0.2), alpha * 0.6)),
            );
        }
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
    if ringed {
        for (width, alpha) in dust {
            canvas.fill(
                &Path::stroke(&ring(0.0, half), (radius * width * 2.0, radius * width * 2.0)),
                &Paint::Flat((colours[0].lighter(0.3), alpha)),
            );
        }
    }
}

pub(super) fn lunar(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut rng = setting.rng.fork("lunar");
    let (top, low) = (hex(0x03040a), hex(0x121a30));
    canvas.shade(0..canvas.height, |_, y| (top.to(low, smooth(0.0, height * 0.7, y)), 1.0));
    let dust = rng.seed();
    sky::milky_way(canvas, dust, height * 0.75, [hex(0x4a5a90), hex(0xcdb8c8)]);
    sky::stars(canvas, rng.seed(), height * 1.4, 1.2);
    let side = setting.light_side();
    earth(canvas, ((width * 0.5 + side * width * 0.27), height * 0.5 - unit * 0.27), unit * 0.11, rng.seed());
    for layer in 0..3 {
        ground(canvas, setting, (height * (0.66 + 0.09 * layer as f32), layer as f32 / 2.0), &mut rng);
    }
    craters(canvas, &mut rng);
    Placement::new(canvas, (0.5, 0.88), 0.42)
}

/// Draws a layer of the ground whose upper edge is around the y coordinate `base`.
fn ground(canvas: &mut Canvas<'_>, setting: &Setting, (base, depth): (f32, f32), rng: &mut Rng) {
    let unit = canvas.unit();
    let (seed, rough) = (rng.seed(), rng.seed());
    let octaves = canvas.octaves(5);
    let line = Outline::from_fn(canvas, |u| {
        base - unit * 0.09 * (1.0 - 0.5 * depth) * (noise::rolling(seed, u * 1.6 + 20.0, octaves) - 0.5)
    });
    let material = hex(0x6f7078).to(hex(0xa9a7a4), depth);
    let material = setting.prompt.colours.first().map_or(material, |named| material.tinted(*named, 0.7));
    line.fill(canvas, |x, y, below| {
        let near = 1.0 / (0.3 + depth);
        let grit = noise::cloudy(rough, x / unit * 9.0 * near, y / unit * 24.0 * near, octaves) - 0.5;
        let rim = (-below / (unit * 0.012)).exp();
        material
            .darker((grit * 0.8).max(0.0) + 0.3 * smooth(0.0, unit * 0.3, below))
            .lighter((-grit * 0.25).max(0.0) + rim * 0.3)
    });
}

/// Draws craters, the distant ones first.
fn craters(canvas: &mut Canvas<'_>, rng: &mut Rng) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut depths: Vec<f32> = (0..(width / unit * 12.0) as usize + 4).map(|_| rng.next_f32()).collect();
    depths.sort_by(f32::total_cmp);
    for depth in depths {
        let centre = (rng.range(0.0, width), height * (0.74 + 0.25 * depth));
        let rx = unit * (0.008 + 0.07 * depth * depth) * rng.range(0.6, 1.2);
        let ry = rx * (0.22 + 0.12 * depth);
        let bowl = Path::ellipse(centre, rx, ry);
        canvas.fill(
            &Path::ellipse((centre.0, centre.1 - ry * 0.16), rx * 1.12, ry * 1.2),
            &Paint::Flat((hex(0xd6d3cc), 0.32)),
        );
        canvas.fill(&bowl, &Paint::vertical(centre.1 - ry, centre.1 + ry, (hex(0x3a3a44), 0.9), (hex(0x96948f), 0.8)));
    }
}

/// Draws the Earth.
fn earth(canvas: &mut Canvas<'_>, centre: Point, radius: f32, seed: u32) {
    canvas.glow(centre, radius * 2.1, hex(0x5aa0ff), 0.5);
    let octaves = canvas.octaves(5);
    let rows = (centre.1 - radius - 2.0).max(0.0) as usize..(centre.1 + radius + 2.0).max(0.0) as usize;
    canvas.shade(rows, |x, y| {
        let (dx, dy) = ((x - centre.0) / radius, (y - centre.1) / radius);
        let far = dx.hypot(dy);
        let cover = ((1.0 - far) * radius + 0.5).clamp(0.0, 1.0);
        if cover <= 0.0 {
            return (hex(0), 0.0);
        }
        let z = (1.0 - far * far).max(0.0).sqrt();
        let (u, v) = (dx / (0.5 + z), dy / (0.5 + z));
        let land = smooth(0.5, 0.56, noise::cloudy(seed, u * 2.2 + 4.0, v * 2.2, octaves));
        let cloud = smooth(0.52, 0.68, noise::cloudy(seed ^ 6, u * 3.0, v * 5.0 + 9.0, octaves));
        let face = hex(0x1f5fb4)
            .to(hex(0x4d8a4f).to(hex(0xb59a62), smooth(0.4, 0.0, v.abs())), land)
            .to(hex(0xffffff), cloud * 0.9);
        let light = smooth(-0.1, 0.8, -0.6 * dx - 0.35 * dy + 0.7 * z);
        (face.darker(1.0 - light).to(hex(0x8ac4ff), (1.0 - z).powi(2) * light * 0.6), cover)
    });
}
