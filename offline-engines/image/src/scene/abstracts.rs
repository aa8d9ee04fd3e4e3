//! Scene: an abstract composition, of flowing bands or of discs.
//!
//! `paint` draws it over the whole canvas of the mock image engine and returns where a subject stands. Coordinates, `unit`,
//! `u` and `v` are explained in the module `scene`; proportions and colours are chosen by eye.

use crate::canvas::Canvas;
use crate::colour::{Rgb, gradient, hex, smooth};
use crate::noise;
use crate::paint::Paint;
use crate::path::Path;
use crate::random::Rng;
use crate::setting::{Placement, Setting};

/// Colour sets; the first colour is the background.
const SETS: [[u32; 5]; 5] = [
    [0xf4ecdd, 0xe4572e, 0x17455c, 0xf2b134, 0x76b5a0],
    [0x101a33, 0x3d5a9e, 0xe76f8a, 0xf6c28b, 0x7fd1c7],
    [0xfaf3ea, 0xd96c57, 0x8a4f7d, 0xf1b7a0, 0x2f4858],
    [0x0d2b2a, 0x1f6f6b, 0xe9c46a, 0xf4a261, 0xe76f51],
    [0xeef1ec, 0x5b8e7d, 0xf4a259, 0xbc4b51, 0x264653],
];

pub(super) fn paint(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut rng = setting.rng.fork("abstract");
    let mut colours = SETS[rng.below(SETS.len())].map(hex);
    if let Some(named) = setting.prompt.colours.first() {
        colours = colours.map(|rgb| rgb.tinted(*named, 0.55));
    }
    if setting.is_ink() {
        colours = colours.map(|rgb| setting.palette.haze.darker((1.0 - rgb.luma()) * 0.8));
    }
    if rng.chance(0.55) {
        flow(canvas, colours, &mut rng);
    } else {
        discs(canvas, colours, &mut rng);
    }
    Placement { foot: (width * 0.5, height * 0.5 + unit * 0.3), size: unit * 0.44 }
}

/// Draws flowing bands: domain-warped noise, cut into bands with a shadow along each edge.
fn flow(canvas: &mut Canvas<'_>, colours: [Rgb; 5], rng: &mut Rng) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let (seed, turn) = (rng.seed(), rng.range(0.0, std::f32::consts::TAU));
    let octaves = canvas.octaves(4).min(4);
    let bands = rng.range(15.0, 22.0);
    let (sin, cos) = turn.sin_cos();
    canvas.shade(0..canvas.height, |x, y| {
        let (a, b) = ((x - width * 0.5) / unit, (y - height * 0.5) / unit);
        let (u, v) = (a * cos - b * sin, a * sin + b * cos);
        let wx = noise::cloudy(seed, u * 1.1 + 5.0, v * 1.1, 2);
        let wy = noise::cloudy(seed ^ 3, u * 1.1, v * 1.1 + 8.0, 2);
        let field = noise::cloudy(seed ^ 7, u * 0.8 + wx * 1.5, v * 0.8 + wy * 1.5, 2) * bands;
        let (band, part) = (field.floor(), field.fract());
        let colour = colours[(band as i32).rem_euclid(5) as usize];
        let next = colours[(band as i32 + 1).rem_euclid(5) as usize];
        let fold =
            colour.to(next, part * 0.25).lighter(smooth(0.75, 1.0, part) * 0.14).darker(smooth(0.3, 0.0, part) * 0.26);
        let thread = noise::cloudy(seed ^ 9, u * 30.0, v * 30.0, octaves) - 0.5;
        (fold.darker((thread * 0.1).max(0.0)), 1.0)
    });
}

/// Draws discs: whole, halved, as rings or as stripes.
fn discs(canvas: &mut Canvas<'_>, colours: [Rgb; 5], rng: &mut Rng) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    canvas.shade(0..canvas.height, |x, y| {
        (gradient(&[colours[0].lighter(0.08), colours[0].darker(0.08)], (x / width + y / height) * 0.5), 1.0)
    });
    for shape in 0..(9.0 * (width / unit).max(height / unit).min(4.0)) as usize {
        let centre = (rng.range(0.05, 0.95) * width, rng.range(0.05, 0.95) * height);
        let radius = unit * rng.range(0.05, 0.27);
        let colour = colours[1 + shape % 4];
        let shade = Paint::Linear {
            from: (centre.0 - radius, centre.1 - radius),
            to: (centre.0 + radius, centre.1 + radius),
            start: (colour.lighter(0.12), 0.94),
            end: (colour.darker(0.12), 0.94),
        };
        let disc = Path::ellipse(centre, radius, radius);
        match rng.below(4) {
            0 => canvas.fill(&disc, &shade),
            1 => {
                let half = Path::polygon(&[
                    (centre.0 - radius, centre.1),
                    (centre.0 + radius, centre.1),
                    (centre.0 + radius, centre.1 + radius),
                    (centre.0 - radius, centre.1 + radius),
                ]);
                canvas.fill_within(&disc, Some(&half), &shade);
            }
            2 => {
                for ring in 0..5 {
                    let r = radius * (1.0 - 0.19 * ring as f32);
                    let tone = if ring % 2 == 0 { colour } else { colours[0] };
                    canvas.fill(&Path::ellipse(centre, r, r), &Paint::solid(tone));
                }
            }
            _ => {
                for line in 0..6 {
                    let y = centre.1 + radius * (line as f32 / 3.0 - 0.83);
                    canvas.fill(
                        &Path::stroke(&[(centre.0 - radius, y), (centre.0 + radius, y)], (unit * 0.009, unit * 0.009)),
                        &Paint::Flat((colour, 0.9)),
                    );
                }
            }
        }
    }
}
