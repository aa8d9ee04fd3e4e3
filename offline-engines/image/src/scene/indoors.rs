//! Two scenes: a room with a window, and a plain studio background.
//!
//! Both cover the canvas of the mock image engine and return where a subject stands. Coordinates and `unit` are explained in
//! the module `scene`; proportions and colours are chosen by eye.

use super::{mountains, sky};
use crate::canvas::Canvas;
use crate::colour::{Rgb, hex, smooth};
use crate::noise;
use crate::paint::Paint;
use crate::path::{Path, Point};
use crate::prompt::{Scene, Subject};
use crate::random::Rng;
use crate::setting::{Placement, Setting};

fn rect(left: f32, top: f32, right: f32, bottom: f32) -> Path {
    Path::polygon(&[(left, top), (right, top), (right, bottom), (left, bottom)])
}

/// Draws the room: the view through the window first, then walls, window and furnishings over it.
pub(super) fn room(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut rng = setting.rng.fork("room");
    let view = match setting.prompt.scenes.iter().find(|scene| !matches!(scene, Scene::Room | Scene::Studio)) {
        Some(Scene::City) => super::city::paint,
        Some(Scene::Sea) => super::sea::paint,
        Some(Scene::Forest) => super::forest::paint,
        Some(_) | None => |canvas: &mut Canvas<'_>, setting: &Setting| {
            let height = canvas.h();
            sky::paint(canvas, setting, height * 0.62);
            mountains::ranges(canvas, setting, (height * 0.52, height * 0.8), 4);
            // Not used: subjects stand in the room.
            Placement { foot: (0.0, 0.0), size: 0.0 }
        },
    };
    view(canvas, setting);
    let palette = setting.palette;
    let walls = [hex(0xe9d5bd), hex(0xd9dccb), hex(0xe6cfc6), hex(0xc9d6d8)];
    let wall = palette.lit(walls[rng.below(walls.len())]).darker(if palette.night { 0.3 } else { 0.1 });
    // Tall canvases get a taller window.
    let spare = (height - unit).max(0.0);
    let (half, top, sill) =
        (unit * 0.37, height * 0.5 - unit * 0.4 - spare * 0.3, height * 0.5 + unit * 0.27 + spare * 0.2);
    let (left, right) = (width * 0.5 - half, width * 0.5 + half);
    for part in [
        rect(0.0, 0.0, left, height),
        rect(right, 0.0, width, height),
        rect(left - 1.0, 0.0, right + 1.0, top),
        rect(left - 1.0, sill, right + 1.0, height),
    ] {
        canvas.fill(&part, &Paint::vertical(0.0, height, (wall.lighter(0.08), 1.0), (wall.darker(0.2), 1.0)));
    }
    panels(canvas, wall, sill + unit * 0.2);
    frame(canvas, setting, [left, top, right, sill]);
    curtains(canvas, setting, [left, top, right, sill], &mut rng);
    let wood = palette.lit(hex(0xa9764a));
    let (edge, thick) = (unit * 0.07, unit * 0.035);
    canvas.fill(
        &rect(left - edge, sill + thick, right + edge, sill + thick + unit * 0.05),
        &Paint::vertical(sill, sill + unit * 0.09, (wall.darker(0.45), 0.5), (wall, 0.0)),
    );
    canvas.fill(
        &rect(left - edge, sill, right + edge, sill + thick),
        &Paint::vertical(sill, sill + thick, (wood.lighter(0.25), 1.0), (wood.darker(0.25), 1.0)),
    );
    potted_plant(canvas, setting, (width * 0.5 + half * 0.72, sill + unit * 0.004), unit * 0.2, &mut rng);
    books(canvas, setting, (left + unit * 0.03, sill), unit, &mut rng);
    Placement { foot: (width * 0.5 - unit * 0.05, sill + unit * 0.012), size: unit * 0.4 }
}

/// Draws wainscoting below the window.
fn panels(canvas: &mut Canvas<'_>, wall: Rgb, top: f32) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    if height - top < unit * 0.06 {
        return;
    }
    let edge = unit * 0.012;
    canvas.fill(&rect(0.0, top, width, top + edge), &Paint::Flat((wall.lighter(0.3), 0.8)));
    canvas.fill(&rect(0.0, top + edge, width, top + edge * 1.5), &Paint::Flat((wall.darker(0.5), 0.4)));
    let board = unit * 0.16;
    for index in 0..(width / board) as usize + 2 {
        let x = (width * 0.5).rem_euclid(board) + board * (index as f32 - 1.0);
        canvas.fill(&rect(x, top + edge, x + unit * 0.004, height), &Paint::Flat((wall.darker(0.5), 0.28)));
        canvas.fill(
            &rect(x + unit * 0.004, top + edge, x + unit * 0.008, height),
            &Paint::Flat((wall.lighter(0.4), 0.3)),
        );
    }
}

/// Draws the frame of a window and the reflection on its glass.
fn frame(canvas: &mut Canvas<'_>, setting: &Setting, [left, top, right, sill]: [f32; 4]) {
    let unit = canvas.unit();
    let white = setting.palette.lit(hex(0xf6f1e6));
    let (bar, middle, across) = (unit * 0.022, (left + right) * 0.5, top + (sill - top) * 0.34);
    let glass =
        Paint::Linear { from: (left, top), to: (right, sill), start: (hex(0xffffff), 0.16), end: (hex(0xffffff), 0.0) };
    canvas.fill(
        &Path::polygon(&[(left, top), (left + (right - left) * 0.55, top), (left, top + (sill - top) * 0.8)]),
        &glass,
    );
    for part in [
        rect(left - bar, top - bar, right + bar, top + bar * 0.3),
        rect(left - bar, top, left + bar * 0.3, sill),
        rect(right - bar * 0.3, top, right + bar, sill),
        rect(middle - bar * 0.35, top, middle + bar * 0.35, sill),
        rect(left, across - bar * 0.3, right, across + bar * 0.3),
    ] {
        canvas.fill(&part, &Paint::vertical(top, sill, (white, 1.0), (white.darker(0.12), 1.0)));
    }
}

fn curtains(canvas: &mut Canvas<'_>, setting: &Setting, [left, top, right, sill]: [f32; 4], rng: &mut Rng) {
    let unit = canvas.unit();
    let cloths = [hex(0xc96f5a), hex(0x6d8f86), hex(0xd9a05b), hex(0x7a85b0)];
    let cloth = setting.palette.lit(cloths[rng.below(cloths.len())]);
    let (rod, hem) = (top - unit * 0.045, sill + unit * 0.2);
    for (side, x) in [(-1.0_f32, left), (1.0, right)] {
        let inner = x - side * unit * 0.085;
        let outer = x + side * unit * 0.11;
        let tie = rod + (hem - rod) * 0.62;
        let edge: Vec<Point> = vec![
            (inner, rod),
            (inner + side * unit * 0.012, tie - unit * 0.2),
            (x + side * unit * 0.005, tie),
            (inner + side * unit * 0.035, hem),
        ];
        let body = Path::polygon(&[&edge[..], &[(outer, hem), (outer, rod)]].concat());
        canvas.fill(
            &body,
            &Paint::Linear {
                from: (inner, 0.0),
                to: (outer, 0.0),
                start: (cloth.lighter(0.16), 1.0),
                end: (cloth.darker(0.22), 1.0),
            },
        );
        for fold in 0..5 {
            let at = inner + (outer - inner) * (0.14 + 0.19 * fold as f32);
            let line =
                [(at, rod), (at + side * unit * 0.006, tie - unit * 0.1), (at + side * unit * 0.012, tie), (at, hem)];
            canvas.fill_within(
                &Path::curve(&line, (unit * 0.007, unit * 0.012)),
                Some(&body),
                &Paint::Flat((cloth.darker(0.5), 0.22)),
            );
        }
    }
    let brass = setting.palette.lit(hex(0xb08a4e));
    canvas.fill(
        &Path::stroke(&[(left - unit * 0.15, rod), (right + unit * 0.15, rod)], (unit * 0.014, unit * 0.014)),
        &Paint::solid(brass),
    );
}

/// Draws a pile of three books.
fn books(canvas: &mut Canvas<'_>, setting: &Setting, foot: Point, unit: f32, rng: &mut Rng) {
    let colours = [hex(0x4a6d8c), hex(0xc25b4a), hex(0xe0b35a), hex(0x5d8a66)];
    let mut y = foot.1;
    for book in 0..3 {
        let (thick, long) = (unit * rng.range(0.016, 0.024), unit * rng.range(0.11, 0.14));
        let colour = setting.palette.lit(colours[(book + rng.below(2)) % 4]);
        let x = foot.0 + unit * rng.range(0.0, 0.014);
        canvas.fill(
            &rect(x, y - thick, x + long, y),
            &Paint::vertical(y - thick, y, (colour.lighter(0.12), 1.0), (colour.darker(0.18), 1.0)),
        );
        canvas.fill(&rect(x + long * 0.12, y - thick, x + long * 0.15, y), &Paint::Flat((hex(0xffffff), 0.35)));
        y -= thick;
    }
}

/// Draws a potted plant.
fn potted_plant(canvas: &mut Canvas<'_>, setting: &Setting, foot: Point, tall: f32, rng: &mut Rng) {
    let palette = setting.palette;
    let (clay, green) = (palette.lit(hex(0xc4704a)), palette.lit(hex(0x4f8a52)));
    let rim = foot.1 - tall * 0.36;
    for leaf in 0..11 {
        let lean = (leaf as f32 - 5.0) / 5.0 + rng.range(-0.1, 0.1);
        let tip = (foot.0 + lean * tall * 0.5, rim - tall * (0.62 - 0.34 * lean * lean) * rng.range(0.85, 1.1));
        let middle = (foot.0 + lean * tall * 0.2, rim - tall * 0.34);
        let side = tall * 0.06;
        let blade = Path::blob(&[
            (foot.0, rim + tall * 0.03),
            (middle.0 - side, middle.1 + side * 0.3),
            tip,
            (middle.0 + side, middle.1 + side),
        ]);
        let tone = green.to(if leaf % 2 == 0 { hex(0x2f5d3e) } else { hex(0x8dbb6a) }, 0.28);
        canvas.fill(
            &blade,
            &Paint::Linear {
                from: (foot.0, rim),
                to: tip,
                start: (tone.darker(0.25), 1.0),
                end: (tone.lighter(0.1), 1.0),
            },
        );
    }
    let (wide, low) = (tall * 0.2, tall * 0.15);
    let pot =
        Path::polygon(&[(foot.0 - wide, rim), (foot.0 + wide, rim), (foot.0 + low, foot.1), (foot.0 - low, foot.1)]);
    canvas.fill(
        &pot,
        &Paint::Linear {
            from: (foot.0 - wide, 0.0),
            to: (foot.0 + wide, 0.0),
            start: (clay.lighter(0.14), 1.0),
            end: (clay.darker(0.28), 1.0),
        },
    );
    canvas.fill(
        &rect(foot.0 - wide * 1.1, rim - tall * 0.045, foot.0 + wide * 1.1, rim + tall * 0.04),
        &Paint::solid(clay.lighter(0.05)),
    );
}

/// Draws the studio background: a disc and plants, or lights out of focus behind a portrait.
pub(super) fn studio(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let mut rng = setting.rng.fork("studio");
    let sets: [[u32; 3]; 5] = [
        [0xf3ddc7, 0xe9a178, 0xcf8a63],
        [0xd5e3df, 0x8fb9ae, 0x6f9a90],
        [0xf1dada, 0xdf9aa0, 0xb87882],
        [0xdbe1ee, 0x97a9d0, 0x7686b0],
        [0xf4e9c9, 0xe9bf62, 0xc79b4a],
    ];
    let [wall, disc, floor] = sets[rng.below(sets.len())].map(hex).map(|rgb| tint(setting, rgb));
    let seed = rng.seed();
    let octaves = canvas.octaves(4);
    let middle = (width * 0.5, height * 0.46);
    canvas.shade(0..canvas.height, |x, y| {
        let far = ((x - middle.0) / unit).hypot((y - middle.1) / unit);
        let plaster = noise::cloudy(seed, x / unit * 3.0, y / unit * 3.0, octaves) - 0.5;
        (wall.lighter(0.22).to(wall.darker(0.14), smooth(0.0, 0.95, far)).darker((plaster * 0.12).max(0.0)), 1.0)
    });
    if setting.prompt.has_subject(Subject::Portrait) {
        bokeh(canvas, setting, [disc, floor], &mut rng);
        return Placement { foot: (width * 0.5, height + unit * 0.01), size: unit * 0.57 };
    }
    let radius = unit * 0.35;
    canvas.fill(
        &Path::ellipse(middle, radius, radius),
        &Paint::vertical(middle.1 - radius, middle.1 + radius, (disc.lighter(0.14), 1.0), (disc, 1.0)),
    );
    let ground = height * 0.5 + unit * 0.29;
    canvas.fill(
        &rect(0.0, ground, width, height),
        &Paint::vertical(ground, height, (floor, 1.0), (floor.darker(0.24), 1.0)),
    );
    canvas.fill(
        &rect(0.0, ground - unit * 0.03, width, ground),
        &Paint::vertical(ground - unit * 0.03, ground, (floor, 0.0), (floor.darker(0.3), 0.2)),
    );
    if !setting.is_minimal() {
        potted_plant(canvas, setting, (width * 0.5 + unit * 0.4, ground + unit * 0.06), unit * 0.4, &mut rng);
        potted_plant(canvas, setting, (width * 0.5 - unit * 0.42, ground + unit * 0.035), unit * 0.25, &mut rng);
    }
    Placement { foot: (width * 0.5, ground + unit * 0.085), size: unit * 0.5 }
}

/// Adjusts a colour to the prompt's colours and style.
fn tint(setting: &Setting, rgb: Rgb) -> Rgb {
    if setting.is_ink() {
        return setting.palette.haze.darker((1.0 - rgb.luma()) * 0.6);
    }
    let named = setting.prompt.colours.first().map_or(rgb, |colour| rgb.tinted(*colour, 0.75));
    setting.palette.lit(named)
}

/// Draws lights out of focus, the background of portraits.
fn bokeh(canvas: &mut Canvas<'_>, setting: &Setting, colours: [Rgb; 2], rng: &mut Rng) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    for spot in 0..(width / unit * 26.0) as usize + 8 {
        let place = (rng.range(0.0, width), rng.range(0.0, height * 0.85));
        let radius = unit * rng.range(0.025, 0.1);
        let colour = colours[spot % 2].to(setting.palette.disc, rng.range(0.2, 0.8));
        let alpha = rng.range(0.08, 0.26);
        canvas.fill(
            &Path::ellipse(place, radius, radius),
            &Paint::Radial { centre: place, radius, inner: (colour, alpha * 0.7), outer: (colour, alpha) },
        );
    }
}
