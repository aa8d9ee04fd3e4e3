//! Scene: under water, with light rays, seaweed and bubbles.
//!
//! `paint` draws it over the whole canvas of the mock image engine and returns where a subject stands. Coordinates, `unit`,
//! `u` and `v` are explained in the module `scene`; proportions and colours are chosen by eye.

use super::outline::Outline;
use crate::canvas::Canvas;
use crate::colour::{Rgb, gradient, hex, smooth};
use crate::noise;
use crate::paint::Paint;
use crate::path::Path;
use crate::random::Rng;
use crate::setting::{Placement, Setting};

pub(super) fn paint(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut rng = setting.rng.fork("underwater");
    let seed = rng.seed();
    let octaves = canvas.octaves(4);
    let mut waters = [hex(0xb4f0ea), hex(0x4cc3d2), hex(0x1a7fae), hex(0x0c3f74), hex(0x07234c)];
    if setting.is_ink() {
        waters = [0.0, 0.1, 0.2, 0.3, 0.4].map(|dark| setting.palette.haze.darker(dark));
    } else if let Some(named) = setting.prompt.colours.first() {
        waters = waters.map(|rgb| rgb.tinted(*named, 0.6));
    }
    let waters = waters.map(|rgb| if setting.palette.night { rgb.darker(0.45) } else { rgb });
    let origin = (setting.light.0 * width, -unit * 0.6);
    canvas.shade(0..canvas.height, |x, y| {
        let (u, v) = (x / unit, y / unit);
        let drift = noise::cloudy(seed, u * 2.0, v * 2.0, octaves) - 0.5;
        let angle = (x - origin.0).atan2(y - origin.1);
        let ray = smooth(0.45, 0.8, noise::rolling(seed ^ 1, angle * 13.0 + 70.0, 3)) * smooth(height * 0.8, 0.0, y);
        let net = 1.0 - (noise::cloudy(seed ^ 3, u * 9.0, v * 26.0, 2) - 0.5).abs() * 9.0;
        let surface = smooth(0.14, 0.0, y / height) * net.max(0.0);
        (gradient(&waters, y / height + drift * 0.14).to(waters[0], ray * 0.34 + surface * 0.5), 1.0)
    });
    for depth in [0.0_f32, 0.5, 1.0] {
        let line = Outline::from_fn(canvas, |u| {
            height * (0.86 + 0.06 * depth)
                - unit * 0.09 * (noise::rolling(seed ^ 8, u * (2.0 - depth * 0.7) + depth * 20.0 + 9.0, octaves) - 0.4)
        });
        let sand = waters[2].to(waters[4], depth * 0.8).to(hex(0xd8c090), 0.16);
        let mut x = 0.0;
        while x < width {
            seaweed(
                canvas,
                (x, line.at(x) + unit * 0.02),
                unit * rng.range(0.08, 0.28) * (0.5 + depth * 0.5),
                &mut rng,
                waters[3].to(hex(0x2f9a6a), 0.25 + 0.25 * depth),
            );
            x += unit * rng.range(0.03, 0.2);
        }
        line.fill(canvas, |x, y, below| {
            let grain = noise::cloudy(seed ^ 4, x / unit * 16.0, y / unit * 34.0, octaves) - 0.5;
            sand.darker((grain * 0.4).max(0.0)).to(waters[0], (-below / (unit * 0.02)).exp() * 0.2)
        });
    }
    for _ in 0..(width / unit * 34.0) as usize {
        let place = (rng.range(0.0, width), rng.range(0.0, height * 0.9));
        let radius = unit * (0.002 + 0.011 * rng.next_f32().powi(3));
        canvas.fill(
            &Path::ellipse(place, radius, radius),
            &Paint::Radial { centre: place, radius, inner: (hex(0xffffff), 0.06), outer: (hex(0xffffff), 0.45) },
        );
        canvas.fill(
            &Path::ellipse((place.0 - radius * 0.35, place.1 - radius * 0.35), radius * 0.22, radius * 0.22),
            &Paint::Flat((hex(0xffffff), 0.8)),
        );
    }
    Placement { foot: (width * 0.5, height * 0.5 + unit * 0.2), size: unit * 0.44 }
}

/// Draws one plant, `tall` pixels high.
fn seaweed(canvas: &mut Canvas<'_>, foot: (f32, f32), tall: f32, rng: &mut Rng, colour: Rgb) {
    let sway = tall * rng.range(0.06, 0.16) * rng.sign();
    let line = [
        foot,
        (foot.0 + sway, foot.1 - tall * 0.3),
        (foot.0 - sway * 0.7, foot.1 - tall * 0.65),
        (foot.0 + sway * 0.6, foot.1 - tall),
    ];
    canvas.fill(
        &Path::curve(&line, (tall * 0.075, tall * 0.012)),
        &Paint::vertical(foot.1 - tall, foot.1, (colour.lighter(0.16), 0.9), (colour.darker(0.25), 0.95)),
    );
}
