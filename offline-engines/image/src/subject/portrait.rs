//! Subject of the mock image engine: a portrait.
//!
//! `b` is the brush, `named` the colour that the prompt gives the subject. One unit of the coordinates is the height of a sitting
//! cat; see the module `subject`. The shapes are chosen by eye.

use super::brush::{Brush, mirrored};
use crate::colour::{Rgb, WHITE, hex};

/// Draws head and shoulders, seen from the front.
pub(super) fn portrait(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let skin = b.colour(None, &[0xf2c9a8, 0xe0a87e, 0xb97a52, 0x8a5638, 0xf0d0b8]);
    let hair = b.colour(None, &[0x2a2022, 0x4a2f22, 0x7a4a2a, 0x33302e, 0xa8703c]);
    let coat = b.colour(named, &[0x2f3e56, 0x4a5a52, 0x6a3a44, 0x394048]);
    let long = b.rng.chance(0.55);
    if long {
        b.blob(
            &[
                (0.0, -1.37),
                (0.27, -1.28),
                (0.345, -1.0),
                (0.36, -0.68),
                (0.4, -0.42),
                (0.2, -0.36),
                (-0.2, -0.36),
                (-0.4, -0.42),
                (-0.36, -0.68),
                (-0.345, -1.0),
                (-0.27, -1.28),
            ],
            hair.darker(0.12),
        );
    }
    let torso = b.poly_path(&shoulders());
    b.body(&torso, coat);
    let shirt = b.poly_path(&[(-0.155, -0.53), (0.155, -0.53), (0.05, 0.05), (-0.05, 0.05)]);
    b.inside(&shirt, &torso, hex(0xf6f2ea), 1.0);
    let neck = b.poly_path(&[(-0.125, -0.8), (0.125, -0.8), (0.135, -0.55), (0.0, -0.4), (-0.135, -0.55)]);
    b.body(&neck, skin.darker(0.07));
    let under = b.blob_path(&[(-0.15, -0.78), (0.15, -0.78), (0.12, -0.68), (0.0, -0.61), (-0.12, -0.68)]);
    b.inside(&under, &neck, skin.darker(0.4), 0.42);
    let lapel =
        [(-0.16, -0.56), (-0.29, -0.49), (-0.32, -0.3), (-0.25, -0.28), (-0.27, -0.23), (-0.03, 0.03), (-0.02, -0.02)];
    let collar = [(-0.13, -0.58), (-0.19, -0.5), (-0.1, -0.36), (0.0, -0.4)];
    for shape in [lapel.to_vec(), mirrored(&lapel)] {
        b.poly(&shape, coat.lighter(0.09));
    }
    for shape in [collar.to_vec(), mirrored(&collar)] {
        b.poly(&shape, hex(0xfffdf8));
    }
    head(b, skin, hair, long);
}

fn shoulders() -> Vec<(f32, f32)> {
    let half = [(0.13, -0.57), (0.2, -0.53), (0.36, -0.475), (0.52, -0.41), (0.62, -0.31), (0.68, -0.16), (0.72, 0.06)];
    half.iter().copied().chain(half.iter().rev().map(|(x, y)| (-x, *y))).collect()
}

fn head(b: &mut Brush<'_, '_>, skin: Rgb, hair: Rgb, long: bool) {
    for side in [-1.0, 1.0] {
        b.oval((side * 0.26, -0.97), 0.042, 0.07, skin.darker(0.08));
    }
    let face = b.blob_path(&[
        (0.0, -1.3),
        (0.16, -1.26),
        (0.245, -1.1),
        (0.245, -0.93),
        (0.195, -0.77),
        (0.09, -0.665),
        (0.0, -0.65),
        (-0.09, -0.665),
        (-0.195, -0.77),
        (-0.245, -0.93),
        (-0.245, -1.1),
        (-0.16, -1.26),
    ]);
    b.body(&face, skin);
    let away = -b.side;
    let shade = b.blob_path(&[
        (away * 0.1, -1.32),
        (away * 0.32, -1.2),
        (away * 0.32, -0.7),
        (away * 0.06, -0.6),
        (away * 0.17, -0.85),
        (away * 0.16, -1.1),
    ]);
    b.inside(&shade, &face, skin.darker(0.42), 0.2);
    for side in [-1.0, 1.0] {
        let cheek = b.oval_path((side * 0.15, -0.86), 0.065, 0.042);
        b.inside(&cheek, &face, hex(0xe06a60), 0.1);
        let white =
            b.blob_path(&[(side * 0.055, -0.99), (side * 0.1, -1.02), (side * 0.155, -0.995), (side * 0.1, -0.968)]);
        b.flat(&white, hex(0xfdf8f2), 1.0);
        let iris = b.oval_path((side * 0.104, -0.994), 0.023, 0.024);
        b.inside(&iris, &white, hex(0x4a3424), 1.0);
        let pupil = b.oval_path((side * 0.104, -0.994), 0.011, 0.012);
        b.inside(&pupil, &white, hex(0x120c0a), 1.0);
        let shine = b.oval_path((side * 0.104 - 0.008, -1.003), 0.006, 0.006);
        b.bright(&shine, WHITE, 0.9);
        b.line(&[(side * 0.052, -0.992), (side * 0.1, -1.022), (side * 0.162, -1.0)], (0.008, 0.013), hex(0x2a1a18));
        b.line(&[(side * 0.05, -1.07), (side * 0.11, -1.083), (side * 0.175, -1.06)], (0.016, 0.008), hair);
        let ala = b.line_path(&[(side * 0.034, -0.862), (side * 0.028, -0.846), (0.0, -0.842)], (0.009, 0.007));
        b.flat(&ala, skin.darker(0.42), 0.6);
    }
    nose_and_mouth(b, skin);
    locks(b, hair, long);
}

/// Draws the hair in front of the face.
fn locks(b: &mut Brush<'_, '_>, hair: Rgb, long: bool) {
    if long {
        b.blob(
            &[
                (-0.05, -1.33),
                (0.1, -1.37),
                (0.26, -1.27),
                (0.325, -1.05),
                (0.335, -0.72),
                (0.27, -0.62),
                (0.262, -0.92),
                (0.215, -1.12),
                (0.06, -1.245),
            ],
            hair,
        );
        b.blob(
            &[
                (0.08, -1.36),
                (-0.1, -1.37),
                (-0.26, -1.27),
                (-0.325, -1.05),
                (-0.335, -0.72),
                (-0.27, -0.62),
                (-0.262, -0.92),
                (-0.225, -1.12),
                (-0.02, -1.26),
            ],
            hair,
        );
    } else {
        b.blob(
            &[
                (-0.262, -1.0),
                (-0.29, -1.18),
                (-0.21, -1.35),
                (0.0, -1.41),
                (0.21, -1.35),
                (0.29, -1.18),
                (0.262, -1.0),
                (0.235, -1.1),
                (0.19, -1.2),
                (0.05, -1.19),
                (-0.1, -1.23),
                (-0.2, -1.16),
                (-0.238, -1.08),
            ],
            hair,
        );
    }
    for strand in 0..4 {
        let x = -0.12 + 0.08 * strand as f32;
        let gleam = b.line_path(&[(x, -1.345), (x + b.side * 0.06, -1.31), (x + b.side * 0.1, -1.26)], (0.005, 0.012));
        b.flat(&gleam, hair.lighter(0.35), 0.3);
    }
}

fn nose_and_mouth(b: &mut Brush<'_, '_>, skin: Rgb) {
    let away = -b.side;
    let bridge = b.line_path(&[(away * 0.018, -1.0), (away * 0.024, -0.93), (away * 0.034, -0.87)], (0.006, 0.013));
    b.flat(&bridge, skin.darker(0.35), 0.35);
    let upper = b.blob_path(&[
        (-0.075, -0.764),
        (-0.03, -0.784),
        (0.0, -0.777),
        (0.03, -0.784),
        (0.075, -0.764),
        (0.0, -0.755),
    ]);
    let lower = b.blob_path(&[(-0.068, -0.76), (0.0, -0.753), (0.068, -0.76), (0.03, -0.733), (-0.03, -0.733)]);
    let lips = skin.to(hex(0xb4403f), 0.5);
    b.flat(&upper, lips.darker(0.12), 1.0);
    b.flat(&lower, lips, 1.0);
    b.line(&[(-0.084, -0.775), (-0.035, -0.758), (0.035, -0.758), (0.084, -0.775)], (0.005, 0.005), skin.darker(0.45));
}
