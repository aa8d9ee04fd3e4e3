//! Two scenes of bare ground with craters: the moon, with the Earth in its sky, and Mars.
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

pub(super) fn moon(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut rng = setting.rng.fork("lunar");
    let (top, low) = (hex(0x03040a), hex(0x121a30));
    canvas.shade(0..canvas.height, |_, y| (top.to(low, smooth(0.0, height * 0.7, y)), 1.0));
    let dust = rng.seed();
    sky::milky_way(canvas, dust, height * 0.75, [hex(0x4a5a90), hex(0xcdb8c8)]);
    sky::stars(canvas, rng.seed(), height * 1.4, 1.2);
    let side = setting.light_side();
    earth(canvas, ((width * 0.5 + side * width * 0.27), height * 0.5 - unit * 0.27), unit * 0.11, rng.seed());
    surface(canvas, setting, &MOON_DUST, &mut rng);
    Placement::new(canvas, (0.5, 0.88), 0.42)
}

pub(super) fn mars(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let height = canvas.h();
    let mut rng = setting.rng.fork("mars");
    // Dust in the thin air scatters red light, and is brightest above the horizon.
    let sky = if setting.palette.night {
        [hex(0x0c0706), hex(0x3a1c14), hex(0x6a3422)]
    } else {
        [hex(0x8a5238), hex(0xc98858), hex(0xecc59a)]
    };
    let seed = rng.seed();
    let unit = canvas.unit();
    canvas.shade(0..canvas.height, |x, y| {
        let drift = (noise::plane(seed, x / unit * 1.1, y / unit * 3.0) - 0.5) * 0.1;
        (gradient(&sky, (y / (height * 0.66) + drift).clamp(0.0, 1.0)), 1.0)
    });
    let sun = (setting.light.0 * canvas.w(), setting.light.1 * height);
    canvas.glow(sun, unit * 0.2, hex(0xffe9c8), 0.55);
    canvas.fill(&Path::ellipse(sun, unit * 0.022, unit * 0.022), &Paint::Flat((hex(0xfff6e4), 1.0)));
    surface(canvas, setting, &MARS_DUST, &mut rng);
    Placement::new(canvas, (0.5, 0.88), 0.42)
}

/// The colours of bare ground.
struct Dust {
    /// Of the farthest and the nearest layer.
    ground: [Rgb; 2],
    /// Of the rims of craters, and of the upper and lower edge of their bowls.
    crater: [Rgb; 3],
}

const MOON_DUST: Dust =
    Dust { ground: [hex(0x6f7078), hex(0xa9a7a4)], crater: [hex(0xd6d3cc), hex(0x3a3a44), hex(0x96948f)] };
const MARS_DUST: Dust =
    Dust { ground: [hex(0xa0492c), hex(0xc05a34)], crater: [hex(0xe09468), hex(0x4c1e14), hex(0xa8502f)] };

/// Draws three layers of ground with craters.
fn surface(canvas: &mut Canvas<'_>, setting: &Setting, dust: &Dust, rng: &mut Rng) {
    let height = canvas.h();
    for layer in 0..3 {
        let depth = layer as f32 / 2.0;
        ground(canvas, setting, (height * (0.66 + 0.09 * layer as f32), depth), dust, rng);
    }
    craters(canvas, dust, rng);
}

/// Draws a layer of the ground whose upper edge is around the y coordinate `base`.
fn ground(canvas: &mut Canvas<'_>, setting: &Setting, (base, depth): (f32, f32), dust: &Dust, rng: &mut Rng) {
    let unit = canvas.unit();
    let (seed, rough) = (rng.seed(), rng.seed());
    let octaves = canvas.octaves(5);
    let line = Outline::from_fn(canvas, |u| {
        base - unit * 0.09 * (1.0 - 0.5 * depth) * (noise::rolling(seed, u * 1.6 + 20.0, octaves) - 0.5)
    });
    let material = dust.ground[0].to(dust.ground[1], depth);
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
fn craters(canvas: &mut Canvas<'_>, dust: &Dust, rng: &mut Rng) {
    let [rim, upper, lower] = dust.crater;
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut depths: Vec<f32> = (0..(width / unit * 12.0) as usize + 4).map(|_| rng.next_f32()).collect();
    depths.sort_by(f32::total_cmp);
    for depth in depths {
        let centre = (rng.range(0.0, width), height * (0.74 + 0.25 * depth));
        let rx = unit * (0.008 + 0.07 * depth * depth) * rng.range(0.6, 1.2);
        let ry = rx * (0.22 + 0.12 * depth);
        let bowl = Path::ellipse(centre, rx, ry);
        canvas.fill(&Path::ellipse((centre.0, centre.1 - ry * 0.16), rx * 1.12, ry * 1.2), &Paint::Flat((rim, 0.32)));
        canvas.fill(&bowl, &Paint::vertical(centre.1 - ry, centre.1 + ry, (upper, 0.9), (lower, 0.8)));
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
