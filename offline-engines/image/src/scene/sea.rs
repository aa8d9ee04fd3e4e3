//! Scene: the open sea with a beach, or with a headland for buildings.
//!
//! `paint` draws it over the whole canvas of the mock image engine and returns where a subject stands. Coordinates, `unit`,
//! `u` and `v` are explained in the module `scene`; proportions and colours are chosen by eye.

use super::outline::Outline;
use super::{sky, water};
use crate::canvas::Canvas;
use crate::colour::{hex, smooth};
use crate::noise;
use crate::prompt::Subject;
use crate::setting::{Placement, Setting};

/// The horizon, as a fraction of the height.
const HORIZON: f32 = 0.55;
/// The mean waterline of the beach, as a fraction of the height.
const WATERLINE: f32 = 0.86;
/// The roughness of the water, from 0 (a mirror) to 1 (open sea).
const ROUGHNESS: f32 = 0.8;
/// The size of subjects, as a fraction of the shorter side of the canvas.
const SUBJECT_SIZE: f32 = 0.4;
/// The height of the headland without its crags, in units.
const HEADLAND_HEIGHT: f32 = 0.34;

pub(super) fn paint(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let horizon = canvas.h() * HORIZON;
    sky::paint(canvas, setting, horizon);
    isles(canvas, setting, horizon);
    water::paint(canvas, setting, horizon, ROUGHNESS);
    let buildings = [Subject::Lighthouse, Subject::Castle, Subject::House, Subject::Pagoda];
    if buildings.iter().any(|subject| setting.prompt.has_subject(*subject)) {
        return headland(canvas, setting);
    }
    if setting.prompt.has_subject(Subject::Boat) {
        return Placement::new(canvas, (0.5, 0.74), SUBJECT_SIZE);
    }
    beach(canvas, setting);
    Placement::new(canvas, (0.5, 0.93), SUBJECT_SIZE)
}

/// Draws two ranges of isles on the horizon, the more distant one first.
fn isles(canvas: &mut Canvas<'_>, setting: &Setting, horizon: f32) {
    let unit = canvas.unit();
    let mut rng = setting.rng.fork("isles");
    for depth in [0.05, 0.2] {
        let (seed, shift) = (rng.seed(), rng.range(0.0, 40.0));
        let line = Outline::from_fn(canvas, |u| {
            let rise = smooth(0.5, 0.85, noise::rolling(seed, u * 1.1 + shift, 2)) * 0.6;
            horizon + unit * 0.004 - unit * 0.2 * rise * noise::rolling(seed ^ 1, u * 7.0 + shift, 5)
        });
        let colour = setting.palette.land(hex(0x5d7f8c), depth + 0.12);
        line.fill(canvas, |_, _, _| colour);
    }
}

/// Draws a headland that rises from the bottom of the canvas, opposite the light, and returns a position on its top.
fn headland(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut rng = setting.rng.fork("headland");
    let (seed, rough) = (rng.seed(), rng.seed());
    let side = -setting.light_side();
    let octaves = canvas.octaves(5);
    // In units from the vertical centre line, as `u` is; `out` is the distance from the middle towards the edge.
    let middle = side * width / unit * 0.2;
    let line = Outline::from_fn(canvas, |u| {
        let out = (u - middle) * side;
        let hill = smooth(-0.34, -0.05, out) * (1.0 - 0.25 * smooth(0.15, 0.6, out));
        let crag = (noise::craggy(seed, u * 5.0, octaves) - 0.5) * smooth(0.0, 0.3, (out + 0.02).abs() * 2.0);
        height * 1.02 - unit * (HEADLAND_HEIGHT * hill + 0.09 * crag * hill.max(0.15))
    });
    let palette = setting.palette;
    let rock = palette.land(hex(0x6b6a62), 0.9);
    let grass = palette.land(hex(0x71944e), 0.9);
    let foam = palette.land(hex(0xf2f7f8), 0.6).to(palette.haze, 0.3);
    line.fill(canvas, |x, y, below| {
        let crack = noise::cloudy(rough, x / unit * 14.0, y / unit * 22.0, octaves) - 0.5;
        let turf = smooth(unit * 0.045, unit * 0.01, below + crack * unit * 0.06);
        let rock = rock.darker((crack * 1.1).clamp(0.0, 0.5)).lighter((-crack * 0.4).max(0.0));
        let spray = smooth(height * 0.965, height * 1.0, y + crack * unit * 0.09) * 0.5;
        rock.to(grass, turf * 0.85).to(foam, spray)
    });
    let x = width * 0.5 + middle * unit;
    Placement { foot: (x, line.at(x) + unit * 0.012), size: unit * SUBJECT_SIZE }
}

/// Draws a beach along the bottom of the canvas, with two crests of foam before it.
fn beach(canvas: &mut Canvas<'_>, setting: &Setting) {
    let (unit, height) = (canvas.unit(), canvas.h());
    let mut rng = setting.rng.fork("beach");
    let (seed, rough) = (rng.seed(), rng.seed());
    let tilt = rng.sign() * 0.05;
    let octaves = canvas.octaves(4);
    let palette = setting.palette;
    // The tilt ends at some distance: on very wide canvases the beach would otherwise cover the sky.
    let edge = |u: f32| {
        height * WATERLINE - unit * (tilt * u.clamp(-4.0, 4.0) + 0.05 * (noise::rolling(seed, u * 1.8 + 20.0, 3) - 0.5))
    };
    let foam = palette.lit(hex(0xffffff)).to(palette.haze, 0.2);
    let wet = palette.land(hex(0xb59a78), 0.85);
    let dry = palette.land(hex(0xecd6a8), 0.8);
    let line = Outline::from_fn(canvas, edge);
    // The distance of a crest from the waterline, in units, and the opacity of its foam.
    for (lift, opacity) in [(0.055, 0.4), (0.024, 0.65)] {
        let crest = Outline::from_fn(canvas, |u| {
            edge(u) - unit * lift + unit * 0.018 * (noise::rolling(seed ^ 3, u * 5.0, 4) - 0.5)
        });
        canvas.shade((height * 0.6) as usize..canvas.height, |x, y| {
            let off = (y - crest.at(x)) / (unit * 0.011);
            let lace = noise::cloudy(rough, x / unit * 40.0, y / unit * 90.0, octaves);
            (foam, (-off * off).exp() * opacity * smooth(0.3, 0.6, lace))
        });
    }
    line.fill(canvas, |x, y, below| {
        let grain = noise::cloudy(rough, x / unit * 30.0, y / unit * 60.0, octaves) - 0.5;
        let ridge = noise::plane(seed, x / unit * 7.0, y / unit * 46.0) - 0.5;
        let sand = wet.to(dry, smooth(unit * 0.02, unit * 0.075, below + grain * unit * 0.02));
        let foamy = smooth(unit * 0.012, 0.0, below + grain * unit * 0.012);
        sand.darker((grain * 0.14 + ridge * 0.1).max(0.0)).lighter((-ridge * 0.1).max(0.0)).to(foam, foamy * 0.9)
    });
}
