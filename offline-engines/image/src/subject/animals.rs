//! Subjects of the mock image engine: dogs, rabbits, birds and fish.
//!
//! `b` is the brush, `named` the colour that the prompt gives the subject. One unit of the coordinates is the height of a sitting
//! cat; see the module `subject`. The shapes are chosen by eye.

use super::brush::{Brush, mirrored};
use crate::colour::{Rgb, WHITE, hex};

/// Draws a sitting dog, seen from the front.
pub(super) fn dog(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let fur = b.colour(named, &[0xd9a05c, 0xb9794a, 0xe6c79a, 0x8a6a52]);
    let (dark, light) = (fur.darker(0.36), fur.lighter(0.66));
    b.shadow((0.0, 0.0), 0.42, 0.065);
    let tail = b.line_path(&[(0.24, -0.1), (0.42, -0.2), (0.44, -0.38)], (0.13, 0.06));
    b.body(&tail, fur);
    let torso = b.blob_path(&[
        (-0.28, 0.0),
        (-0.31, -0.2),
        (-0.22, -0.5),
        (0.0, -0.64),
        (0.22, -0.5),
        (0.31, -0.2),
        (0.28, 0.0),
        (0.0, 0.015),
    ]);
    b.body(&torso, fur);
    let bib = b.blob_path(&[(-0.14, -0.55), (0.14, -0.55), (0.13, -0.26), (0.0, -0.14), (-0.13, -0.26)]);
    b.inside(&bib, &torso, light, 0.9);
    for side in [-1.0, 1.0] {
        let leg = b.line_path(&[(side * 0.11, -0.36), (side * 0.12, -0.03)], (0.15, 0.13));
        b.body(&leg, fur.lighter(0.05));
        b.oval((side * 0.12, -0.035), 0.09, 0.048, light);
        b.blob(
            &[
                (side * 0.33, 0.0),
                (side * 0.33, -0.16),
                (side * 0.23, -0.22),
                (side * 0.17, -0.08),
                (side * 0.21, 0.005),
            ],
            fur,
        );
    }
    let head = b.blob_path(&[
        (0.0, -1.03),
        (0.19, -0.98),
        (0.25, -0.82),
        (0.21, -0.66),
        (0.1, -0.56),
        (-0.1, -0.56),
        (-0.21, -0.66),
        (-0.25, -0.82),
        (-0.19, -0.98),
    ]);
    b.body(&head, fur);
    let blaze = b.blob_path(&[
        (0.0, -1.03),
        (0.045, -0.9),
        (0.08, -0.76),
        (0.15, -0.64),
        (0.0, -0.52),
        (-0.15, -0.64),
        (-0.08, -0.76),
        (-0.045, -0.9),
    ]);
    b.inside(&blaze, &head, light, 0.92);
    let ear = [(-0.17, -1.0), (-0.29, -0.97), (-0.36, -0.8), (-0.33, -0.63), (-0.25, -0.66), (-0.2, -0.84)];
    for shape in [ear.to_vec(), mirrored(&ear)] {
        b.blob(&shape, dark);
    }
    for side in [-1.0, 1.0] {
        let eye = b.oval_path((side * 0.115, -0.81), 0.036, 0.042);
        b.flat(&eye, hex(0x241a1a), 1.0);
        let shine = b.oval_path((side * 0.115 - 0.012, -0.825), 0.012, 0.012);
        b.bright(&shine, WHITE, 0.95);
        let brow = b.oval_path((side * 0.115, -0.895), 0.034, 0.016);
        b.flat(&brow, light, 0.6);
    }
    let tongue = b.blob_path(&[(-0.045, -0.6), (0.045, -0.6), (0.04, -0.51), (0.0, -0.49), (-0.04, -0.51)]);
    b.flat(&tongue, hex(0xe87a86), 1.0);
    for side in [-1.0, 1.0] {
        b.line(&[(0.0, -0.67), (side * 0.02, -0.61), (side * 0.1, -0.615)], (0.014, 0.008), hex(0x3a2626));
    }
    let nose = b.blob_path(&[(-0.062, -0.715), (0.0, -0.735), (0.062, -0.715), (0.03, -0.665), (-0.03, -0.665)]);
    b.flat(&nose, hex(0x2a2024), 1.0);
    let collar = b.line_path(&[(-0.17, -0.545), (0.0, -0.5), (0.17, -0.545)], (0.045, 0.045));
    b.flat(&collar, hex(0xc8463c), 1.0);
    b.oval((0.0, -0.465), 0.035, 0.035, hex(0xf0c050));
}

/// Draws a sitting rabbit, seen from the front.
pub(super) fn rabbit(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let fur = b.colour(named, &[0xf3ece2, 0xcbb49a, 0xb8b4b8, 0xe2cdb4]);
    b.shadow((0.0, 0.0), 0.36, 0.06);
    let ear = [(-0.05, -0.72), (-0.16, -0.92), (-0.15, -1.16), (-0.09, -1.2), (-0.03, -1.02), (-0.01, -0.78)];
    let inner = [(-0.06, -0.78), (-0.12, -0.95), (-0.115, -1.1), (-0.085, -1.12), (-0.05, -0.98)];
    for (shape, pink) in [(ear.to_vec(), inner.to_vec()), (mirrored(&ear), mirrored(&inner))] {
        b.blob(&shape, fur);
        let path = b.blob_path(&pink);
        b.flat(&path, hex(0xf2b0ae), 0.8);
    }
    b.oval((0.26, -0.1), 0.09, 0.09, fur.lighter(0.5));
    b.blob(
        &[
            (-0.27, 0.0),
            (-0.3, -0.18),
            (-0.18, -0.46),
            (0.0, -0.54),
            (0.18, -0.46),
            (0.3, -0.18),
            (0.27, 0.0),
            (0.0, 0.015),
        ],
        fur,
    );
    b.oval((0.0, -0.23), 0.14, 0.18, fur.lighter(0.6));
    for side in [-1.0, 1.0] {
        b.oval((side * 0.17, -0.03), 0.12, 0.055, fur.lighter(0.35));
        b.oval((side * 0.08, -0.26), 0.05, 0.07, fur.lighter(0.2));
    }
    b.blob(
        &[
            (0.0, -0.82),
            (0.17, -0.76),
            (0.24, -0.6),
            (0.17, -0.46),
            (0.0, -0.42),
            (-0.17, -0.46),
            (-0.24, -0.6),
            (-0.17, -0.76),
        ],
        fur,
    );
    for side in [-1.0, 1.0] {
        let eye = b.oval_path((side * 0.115, -0.63), 0.034, 0.044);
        b.flat(&eye, hex(0x2a1a20), 1.0);
        let shine = b.oval_path((side * 0.115 - 0.01, -0.648), 0.012, 0.012);
        b.bright(&shine, WHITE, 0.95);
        let cheek = b.oval_path((side * 0.16, -0.55), 0.04, 0.026);
        b.flat(&cheek, hex(0xf2908e), 0.35);
        b.line(&[(0.0, -0.535), (side * 0.035, -0.51)], (0.009, 0.007), hex(0x6a4444));
    }
    let nose = b.blob_path(&[(-0.025, -0.565), (0.025, -0.565), (0.0, -0.535)]);
    b.flat(&nose, hex(0xe08890), 1.0);
}

/// Draws a flock in the sky: a large bird and eight smaller ones at random places.
pub(super) fn birds(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let canvas = b.canvas_size();
    let material = named.unwrap_or(if b.palette.night { hex(0xd8dcec) } else { b.palette.near.to(hex(0x2a2a34), 0.4) });
    let spread = (canvas.0 * 0.32).min(1.6);
    for bird in 0..9 {
        let lead = bird == 0;
        let place = if lead {
            (-spread * 0.1, -canvas.1 * 0.16)
        } else {
            (b.rng.range(-1.0, 1.0) * spread, b.rng.range(-0.36, -0.08) * canvas.1)
        };
        let size = if lead { 0.3 } else { b.rng.range(0.06, 0.16) };
        // How high the wings are raised.
        let beat = b.rng.range(0.15, 0.6);
        // Towards the light.
        let facing = b.side;
        b.shifted(place, size, |b| {
            let wing = |side: f32| {
                [
                    (side * 0.06, 0.0),
                    (side * 0.3, -beat * 0.9),
                    (side * 0.66, -beat * 0.95),
                    (side * 1.05, -beat * 0.5),
                    (side * 0.66, -beat * 0.7 + 0.06),
                    (side * 0.32, -beat * 0.5 + 0.13),
                    (side * 0.06, 0.12),
                ]
            };
            for side in [-1.0, 1.0] {
                let path = b.blob_path(&wing(side));
                b.bright(&path, material, 0.95);
            }
            let body = b.blob_path(&[
                (facing * 0.36, 0.0),
                (facing * 0.2, -0.06),
                (-facing * 0.1, -0.03),
                (-facing * 0.42, 0.02),
                (-facing * 0.1, 0.14),
                (facing * 0.2, 0.1),
            ]);
            b.bright(&body, material, 0.95);
        });
    }
}

/// Draws a school of four fish, or a single one if the picture has no other content.
pub(super) fn fish(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let scales = b.colour(named, &[0xf08a3a, 0xf2b84a, 0xe0523f, 0x7fb8e0]);
    let school = [((0.0, -0.36), 1.0), ((-0.95, -0.85), 0.42), ((0.85, 0.1), 0.36), ((1.05, -0.9), 0.26)];
    for (place, size) in school.into_iter().take(if b.solo { 1 } else { 4 }) {
        b.shifted(if b.solo { (0.0, 0.0) } else { place }, size, |b| one_fish(b, scales));
    }
}

/// Draws a fish with its centre at the origin, facing left.
fn one_fish(b: &mut Brush<'_, '_>, scales: Rgb) {
    let fin = scales.to(hex(0xffe0b0), 0.35);
    b.blob(&[(0.4, 0.0), (0.62, -0.2), (0.82, -0.3), (0.74, -0.06), (0.76, 0.14), (0.84, 0.32), (0.62, 0.18)], fin);
    b.blob(&[(-0.18, -0.22), (0.0, -0.42), (0.2, -0.44), (0.3, -0.16)], fin);
    b.blob(&[(-0.02, 0.2), (0.1, 0.4), (0.22, 0.36), (0.2, 0.16)], fin);
    let body = b.blob_path(&[
        (-0.58, 0.02),
        (-0.42, -0.18),
        (-0.1, -0.29),
        (0.25, -0.17),
        (0.5, -0.02),
        (0.25, 0.17),
        (-0.1, 0.27),
        (-0.42, 0.19),
    ]);
    b.body(&body, scales);
    let belly = b.blob_path(&[(-0.56, 0.08), (-0.1, 0.12), (0.45, 0.03), (0.2, 0.3), (-0.3, 0.32)]);
    b.inside(&belly, &body, WHITE, 0.42);
    for band in [-0.18, 0.12] {
        let stripe = b.line_path(&[(band, -0.4), (band - 0.05, 0.0), (band, 0.4)], (0.1, 0.09));
        b.inside(&stripe, &body, WHITE, 0.75);
    }
    for row in 0..3 {
        for column in 0..4 {
            let at = (-0.02 + 0.1 * column as f32, -0.1 + 0.1 * row as f32);
            let arc = b.line_path(&[(at.0, at.1 - 0.04), (at.0 + 0.03, at.1), (at.0, at.1 + 0.04)], (0.01, 0.01));
            b.inside(&arc, &body, scales.darker(0.35), 0.4);
        }
    }
    b.blob(&[(-0.2, 0.03), (-0.02, 0.02), (0.08, 0.14), (-0.06, 0.16)], fin);
    let white = b.oval_path((-0.38, -0.05), 0.062, 0.062);
    b.flat(&white, WHITE, 1.0);
    let pupil = b.oval_path((-0.39, -0.05), 0.038, 0.038);
    b.flat(&pupil, hex(0x1a1a24), 1.0);
    let shine = b.oval_path((-0.4, -0.065), 0.013, 0.013);
    b.bright(&shine, WHITE, 0.95);
    b.line(&[(-0.56, 0.05), (-0.49, 0.08)], (0.014, 0.008), scales.darker(0.5));
}
