//! Subjects of the mock image engine: cars, boats, balloons and rockets.
//!
//! `b` is the brush, `named` the colour that the prompt gives the subject. One unit of the coordinates is the height of a sitting
//! cat; see the module `subject`. The shapes are chosen by eye.

use super::brush::Brush;
use crate::colour::{Rgb, WHITE, hex};

/// Draws a car of the 1950s, facing left.
pub(super) fn car(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let paint = b.colour(named, &[0xd6453a, 0x3f8a94, 0xe9c46a, 0x5a7ab0]);
    let chrome = hex(0xe2e6ea);
    b.shadow((0.0, 0.0), 0.95, 0.075);
    let cabin = b.blob_path(&[
        (-0.34, -0.44),
        (-0.22, -0.64),
        (-0.08, -0.72),
        (0.16, -0.72),
        (0.34, -0.64),
        (0.52, -0.42),
        (0.1, -0.38),
    ]);
    b.body(&cabin, paint.lighter(0.05));
    let panes = [
        vec![(-0.25, -0.46), (-0.17, -0.61), (-0.07, -0.66), (0.04, -0.66), (0.04, -0.46)],
        vec![(0.09, -0.46), (0.09, -0.66), (0.17, -0.66), (0.28, -0.6), (0.38, -0.46)],
    ];
    for pane in panes {
        let glass = b.poly_path(&pane);
        b.flat(&glass, hex(0x9fc4d4), 1.0);
        let gleam = b.poly_path(&[
            (pane[0].0 + 0.04, -0.44),
            (pane[0].0 + 0.16, -0.7),
            (pane[0].0 + 0.21, -0.7),
            (pane[0].0 + 0.09, -0.44),
        ]);
        b.inside(&gleam, &glass, WHITE, 0.5);
    }
    let hull = b.blob_path(&[
        (-0.93, -0.2),
        (-0.9, -0.36),
        (-0.74, -0.44),
        (-0.5, -0.47),
        (-0.2, -0.47),
        (0.3, -0.47),
        (0.62, -0.46),
        (0.86, -0.38),
        (0.95, -0.22),
        (0.9, -0.12),
        (0.4, -0.11),
        (-0.4, -0.11),
        (-0.88, -0.12),
    ]);
    b.body(&hull, paint);
    let sheen = b.line_path(&[(-0.84, -0.385), (-0.4, -0.425), (0.3, -0.43), (0.8, -0.37)], (0.02, 0.02));
    b.inside(&sheen, &hull, WHITE, 0.45);
    let low = b.poly_path(&[(-1.0, -0.2), (1.0, -0.2), (1.0, 0.0), (-1.0, 0.0)]);
    b.inside(&low, &hull, hex(0x20141c), 0.2);
    b.line(&[(-0.86, -0.285), (0.0, -0.27), (0.88, -0.29)], (0.016, 0.012), chrome);
    for x in [-0.27, 0.065, 0.41] {
        let door = b.line_path(&[(x, -0.46), (x, -0.15)], (0.007, 0.007));
        b.inside(&door, &hull, paint.darker(0.5), 0.7);
    }
    for x in [-0.02, 0.32] {
        b.line(&[(x - 0.05, -0.35), (x, -0.35)], (0.017, 0.017), chrome);
    }
    for x in [-0.56, 0.56] {
        let arch = b.oval_path((x, -0.14), 0.205, 0.19);
        b.inside(&arch, &hull, hex(0x1c161c), 0.85);
        wheel(b, x, chrome);
    }
    b.blob(&[(-0.98, -0.17), (-0.97, -0.11), (-0.72, -0.1), (-0.76, -0.16)], chrome);
    b.blob(&[(0.99, -0.17), (0.98, -0.11), (0.74, -0.1), (0.78, -0.16)], chrome);
    b.oval((-0.87, -0.32), 0.05, 0.06, chrome);
    let lamp = b.oval_path((-0.878, -0.32), 0.036, 0.046);
    b.bright(&lamp, hex(0xfff2c0), 1.0);
    b.oval((0.91, -0.3), 0.028, 0.045, hex(0xff5a48));
    if b.palette.daylight < 0.3 {
        b.glow((-0.9, -0.32), 0.4, hex(0xffe9a8), 0.8);
    }
}

fn wheel(b: &mut Brush<'_, '_>, x: f32, chrome: Rgb) {
    for (radius, colour) in [
        (0.165, hex(0x232028)),
        (0.112, hex(0xf2ede2)),
        (0.092, hex(0x2c2830)),
        (0.082, chrome),
        (0.05, chrome.darker(0.25)),
        (0.022, chrome.lighter(0.4)),
    ] {
        b.oval((x, -0.145), radius, radius, colour);
    }
}

pub(super) fn boat(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let hull = b.colour(None, &[0x8a4a34, 0x2f4a6a, 0xe8e2d6]);
    let sail = named.unwrap_or(hex(0xfaf3e4));
    let wake = b.oval_path((0.0, 0.03), 0.72, 0.04);
    b.flat(&wake, WHITE, 0.22);
    let mirror = b.poly_path(&[(-0.5, 0.02), (0.52, 0.02), (0.3, 0.32), (0.0, 0.5), (-0.25, 0.32)]);
    b.gradient(&mirror, ((0.0, 0.0), (0.0, 0.46)), (b.palette.lit(sail.to(hull, 0.4)), 0.3), (sail, 0.0));
    b.line(&[(0.0, -0.08), (0.0, -1.2)], (0.03, 0.018), hex(0x6a4a34));
    let main = b.poly_path(&[(0.03, -1.16), (0.16, -0.88), (0.34, -0.52), (0.47, -0.22), (0.03, -0.2)]);
    b.body(&main, sail);
    for seam in 0..3 {
        let y = -0.38 - 0.22 * seam as f32;
        let line = b.line_path(&[(0.03, y), (0.45, y + 0.03)], (0.008, 0.008));
        b.inside(&line, &main, sail.darker(0.3), 0.5);
    }
    b.poly(&[(-0.03, -1.1), (-0.16, -0.7), (-0.38, -0.2), (-0.03, -0.22)], sail.darker(0.08));
    b.poly(&[(0.0, -1.2), (0.16, -1.16), (0.0, -1.11)], hex(0xd8503f));
    let body = b.poly_path(&[
        (-0.6, -0.17),
        (-0.3, -0.135),
        (0.3, -0.135),
        (0.56, -0.18),
        (0.46, -0.02),
        (0.34, 0.035),
        (-0.36, 0.035),
        (-0.5, -0.04),
    ]);
    b.body(&body, hull);
    let trim = b.line_path(&[(-0.6, -0.16), (-0.3, -0.12), (0.3, -0.12), (0.56, -0.165)], (0.03, 0.03));
    b.inside(&trim, &body, hex(0xf4ead4), 0.9);
}

pub(super) fn balloon(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let main = b.colour(named, &[0xd9503f, 0xf0a53c, 0x3f7fb0, 0x9a5ab0]);
    let canvas = b.canvas_size();
    let places = if b.solo {
        vec![(0.0, 0.2, 1.2)]
    } else {
        vec![
            ((-canvas.0 * 0.13).max(-0.7), -canvas.1 * 0.05, 0.72),
            ((canvas.0 * 0.26).min(1.2), -canvas.1 * 0.2, 0.32),
            ((canvas.0 * 0.12).min(0.6), -canvas.1 * 0.3, 0.2),
        ]
    };
    for (index, (x, y, size)) in places.into_iter().enumerate() {
        let cloth = if index == 0 { main } else { hex([0xf0b64a, 0x4f9a96][index % 2]) };
        b.shifted((x, y), size, |b| {
            let bag = b.blob_path(&[
                (0.0, -0.78),
                (0.3, -0.68),
                (0.42, -0.42),
                (0.33, -0.14),
                (0.1, 0.1),
                (-0.1, 0.1),
                (-0.33, -0.14),
                (-0.42, -0.42),
                (-0.3, -0.68),
            ]);
            b.body(&bag, cloth);
            for gore in [-0.62, 0.0, 0.62] {
                let stripe = b.line_path(
                    &[(0.0, -0.8), (gore * 0.55, -0.6), (gore * 0.6, -0.36), (gore * 0.42, -0.1), (gore * 0.12, 0.12)],
                    (0.1, 0.06),
                );
                b.inside(&stripe, &bag, hex(0xfbf0d8), 0.85);
            }
            for side in [-1.0, 1.0] {
                b.line(&[(side * 0.09, 0.08), (side * 0.065, 0.3)], (0.009, 0.009), hex(0x5a4434));
            }
            b.blob(&[(-0.09, 0.28), (0.09, 0.28), (0.075, 0.41), (-0.075, 0.41)], hex(0x8a5c38));
            b.glow((0.0, 0.12), 0.16, hex(0xffd080), 0.6);
        });
    }
}

pub(super) fn rocket(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let skin = named.unwrap_or(hex(0xf1eee8));
    let trim = b.colour(None, &[0xd8483f, 0x3f7fc0, 0xf0953c]);
    b.glow((0.0, 0.12), 0.6, hex(0xffa850), 0.6);
    for (half, tall, colour, alpha) in
        [(0.13, 0.52, 0xff7a30, 0.85), (0.085, 0.36, 0xffc860, 0.95), (0.045, 0.2, 0xfff6dc, 1.0)]
    {
        let flame = b.blob_path(&[
            (-half, -0.06),
            (half, -0.06),
            (half * 0.8, tall * 0.3),
            (0.0, tall),
            (-half * 0.8, tall * 0.3),
        ]);
        b.bright(&flame, hex(colour), alpha);
    }
    for side in [-1.0, 1.0] {
        b.blob(
            &[
                (side * 0.15, -0.42),
                (side * 0.34, -0.16),
                (side * 0.36, 0.04),
                (side * 0.26, -0.04),
                (side * 0.13, -0.08),
            ],
            trim,
        );
    }
    b.poly(&[(-0.1, -0.1), (0.1, -0.1), (0.13, -0.01), (-0.13, -0.01)], hex(0x4a4e58));
    let hull = b.blob_path(&[
        (0.0, -1.2),
        (0.12, -1.02),
        (0.2, -0.7),
        (0.19, -0.35),
        (0.12, -0.07),
        (-0.12, -0.07),
        (-0.19, -0.35),
        (-0.2, -0.7),
        (-0.12, -1.02),
    ]);
    b.body(&hull, skin);
    let nose = b.poly_path(&[(-0.3, -0.93), (0.0, -0.9), (0.3, -0.93), (0.3, -1.3), (-0.3, -1.3)]);
    b.inside(&nose, &hull, trim, 1.0);
    let belt = b.poly_path(&[(-0.3, -0.25), (0.3, -0.25), (0.3, -0.19), (-0.3, -0.19)]);
    b.inside(&belt, &hull, trim, 1.0);
    for y in [-0.7, -0.45] {
        let r = if y < -0.6 { 0.09 } else { 0.06 };
        b.oval((0.0, y), r, r, hex(0x9aa2ac));
        b.oval((0.0, y), r * 0.76, r * 0.76, hex(0x3f74a8));
        let shine = b.oval_path((-r * 0.25, y - r * 0.28), r * 0.2, r * 0.16);
        b.bright(&shine, WHITE, 0.85);
    }
    b.blob(&[(-0.03, -0.36), (0.03, -0.36), (0.035, 0.06), (-0.035, 0.06)], trim.darker(0.12));
}
