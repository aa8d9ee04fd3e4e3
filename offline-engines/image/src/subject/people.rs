//! Subjects of the mock image engine: people in a landscape, astronauts and robots.
//!
//! `b` is the brush, `named` the colour that the prompt gives the subject. One unit of the coordinates is the height of a sitting
//! cat; see the module `subject`. The shapes are chosen by eye.

use super::brush::Brush;
use crate::colour::{Rgb, WHITE, hex};

/// Draws a small figure, seen from behind.
pub(super) fn walker(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let coat = b.colour(named, &[0xc8523f, 0xd9a03f, 0x3f6a8a]);
    b.shadow((0.0, 0.0), 0.2, 0.035);
    b.shifted((0.0, 0.0), 0.72, |b| {
        for side in [-1.0, 1.0] {
            let leg = b.line_path(&[(side * 0.05, -0.42), (side * 0.07, -0.02)], (0.11, 0.085));
            b.body(&leg, hex(0x2f3442));
            b.oval((side * 0.075, -0.015), 0.06, 0.025, hex(0x241f24));
            let arm = b.line_path(&[(side * 0.14, -0.76), (side * 0.21, -0.58), (side * 0.2, -0.42)], (0.09, 0.07));
            b.body(&arm, coat.darker(0.12));
        }
        b.blob(
            &[
                (-0.1, -0.83),
                (0.1, -0.83),
                (0.17, -0.7),
                (0.15, -0.5),
                (0.19, -0.3),
                (0.0, -0.27),
                (-0.19, -0.3),
                (-0.15, -0.5),
                (-0.17, -0.7),
            ],
            coat,
        );
        b.blob(
            &[(-0.1, -0.77), (0.1, -0.77), (0.12, -0.56), (0.08, -0.46), (-0.08, -0.46), (-0.12, -0.56)],
            hex(0x7a5a3c),
        );
        b.oval((0.0, -0.92), 0.085, 0.1, hex(0x3a2a24));
        b.blob(&[(-0.1, -0.83), (0.1, -0.83), (0.09, -0.78), (-0.09, -0.78)], hex(0xe8d9b8));
    });
}

pub(super) fn astronaut(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let suit = named.unwrap_or(hex(0xf2f2f4));
    b.shadow((0.0, 0.0), 0.3, 0.05);
    b.blob(&[(-0.25, -0.72), (0.25, -0.72), (0.27, -0.4), (-0.27, -0.4)], suit.darker(0.28));
    for side in [-1.0, 1.0] {
        let leg = b.line_path(&[(side * 0.1, -0.36), (side * 0.13, -0.18), (side * 0.13, -0.05)], (0.19, 0.16));
        b.body(&leg, suit);
        b.blob(
            &[
                (side * 0.13 - 0.1, 0.005),
                (side * 0.13 - 0.09, -0.09),
                (side * 0.13 + 0.09, -0.09),
                (side * 0.13 + 0.1, 0.005),
            ],
            suit.darker(0.35),
        );
        let arm = b.line_path(&[(side * 0.2, -0.66), (side * 0.33, -0.52), (side * 0.32, -0.36)], (0.15, 0.12));
        b.body(&arm, suit);
        b.oval((side * 0.32, -0.33), 0.07, 0.07, hex(0xd8783f));
    }
    b.blob(&[(-0.2, -0.73), (0.2, -0.73), (0.23, -0.5), (0.2, -0.3), (-0.2, -0.3), (-0.23, -0.5)], suit);
    b.rect(-0.1, -0.58, 0.1, -0.44, suit.darker(0.2));
    for (x, colour) in [(-0.06, 0xd8483f), (0.0, 0x4fa0d8), (0.06, 0xe8c04a)] {
        b.oval((x, -0.52), 0.02, 0.02, hex(colour));
    }
    helmet(b, (0.0, -0.92), suit);
}

/// Draws a helmet; also used for riders.
pub(super) fn helmet(b: &mut Brush<'_, '_>, (x, y): (f32, f32), suit: Rgb) {
    b.oval((x, y), 0.235, 0.225, suit);
    let visor = b.blob_path(&[
        (x - 0.17, y - 0.03),
        (x - 0.12, y - 0.14),
        (x + 0.12, y - 0.14),
        (x + 0.17, y - 0.03),
        (x + 0.12, y + 0.1),
        (x - 0.12, y + 0.1),
    ]);
    b.body(&visor, hex(0x24344e));
    let gold = b.blob_path(&[
        (x - 0.15, y - 0.02),
        (x - 0.1, y - 0.12),
        (x + 0.02, y - 0.13),
        (x - 0.06, y - 0.02),
        (x - 0.08, y + 0.06),
    ]);
    b.inside(&gold, &visor, hex(0xe8b868), 0.6);
    let shine = b.line_path(&[(x + 0.06, y - 0.1), (x + 0.11, y - 0.06)], (0.025, 0.015));
    b.bright(&shine, WHITE, 0.85);
}

pub(super) fn robot(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let shell = b.colour(named, &[0xe8e4da, 0x8fb0c0, 0xe0a45a, 0x9ac0a8]);
    let steel = hex(0x5c6672);
    b.shadow((0.0, 0.0), 0.36, 0.055);
    for side in [-1.0, 1.0] {
        b.line(&[(side * 0.12, -0.32), (side * 0.13, -0.06)], (0.075, 0.075), steel);
        b.blob(
            &[
                (side * 0.13 - 0.11, 0.005),
                (side * 0.13 - 0.09, -0.09),
                (side * 0.13 + 0.09, -0.09),
                (side * 0.13 + 0.11, 0.005),
            ],
            shell.darker(0.25),
        );
        b.line(&[(side * 0.26, -0.6), (side * 0.37, -0.48), (side * 0.36, -0.34)], (0.07, 0.06), steel);
        b.oval((side * 0.27, -0.6), 0.065, 0.065, shell.darker(0.2));
        b.oval((side * 0.36, -0.31), 0.065, 0.065, shell.darker(0.1));
    }
    b.blob(
        &[
            (-0.23, -0.68),
            (0.0, -0.7),
            (0.23, -0.68),
            (0.25, -0.45),
            (0.2, -0.28),
            (0.0, -0.26),
            (-0.2, -0.28),
            (-0.25, -0.45),
        ],
        shell,
    );
    let chest = b.blob_path(&[(-0.12, -0.57), (0.12, -0.57), (0.12, -0.41), (-0.12, -0.41)]);
    b.flat(&chest, hex(0x2c3644), 1.0);
    for (x, colour) in [(-0.055, 0x58e0c0), (0.0, 0xf2c14e), (0.055, 0xe8604f)] {
        lamp(b, (x, -0.49), hex(colour));
    }
    b.line(&[(0.0, -0.68), (0.0, -0.76)], (0.1, 0.1), steel);
    b.blob(
        &[
            (-0.26, -1.02),
            (-0.2, -1.1),
            (0.2, -1.1),
            (0.26, -1.02),
            (0.27, -0.86),
            (0.2, -0.76),
            (-0.2, -0.76),
            (-0.27, -0.86),
        ],
        shell,
    );
    let screen =
        b.blob_path(&[(-0.19, -1.0), (0.19, -1.0), (0.2, -0.86), (0.15, -0.81), (-0.15, -0.81), (-0.2, -0.86)]);
    b.flat(&screen, hex(0x1d2530), 1.0);
    for side in [-1.0, 1.0] {
        let eye = b.oval_path((side * 0.09, -0.93), 0.036, 0.044);
        b.bright(&eye, hex(0x6ff0e0), 1.0);
        b.glow((side * 0.09, -0.93), 0.13, hex(0x6ff0e0), 0.45);
        b.oval((side * 0.285, -0.92), 0.04, 0.07, steel);
    }
    let smile = b.line_path(&[(-0.055, -0.868), (0.0, -0.85), (0.055, -0.868)], (0.014, 0.014));
    b.bright(&smile, hex(0x6ff0e0), 0.9);
    b.line(&[(0.0, -1.08), (0.0, -1.2)], (0.022, 0.018), steel);
    lamp(b, (0.0, -1.22), hex(0xff6a5a));
}

/// Draws a small round lamp.
fn lamp(b: &mut Brush<'_, '_>, place: (f32, f32), colour: Rgb) {
    let bulb = b.oval_path(place, 0.03, 0.03);
    b.bright(&bulb, colour, 1.0);
    b.glow(place, 0.14, colour, 0.7);
}
