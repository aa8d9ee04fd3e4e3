//! Subject of the mock image engine: a cat.
//!
//! `b` is the brush, `named` the colour that the prompt gives the subject. One unit of the coordinates is the height of a sitting
//! cat; see the module `subject`. The shapes are chosen by eye.

use super::brush::{Brush, mirrored};
use crate::colour::{BLACK, Rgb, WHITE, hex};

pub(super) fn cat(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let fur = b.colour(named, &[0xe39a52, 0x8f96a3, 0xe6c79c, 0xd98a5a, 0x6d6a74]);
    let (dark, light) = (fur.darker(0.3), fur.lighter(0.62));
    b.shadow((0.04, 0.0), 0.44, 0.07);
    let tail = b.line_path(&[(0.2, -0.07), (0.44, -0.02), (0.58, -0.16), (0.53, -0.36), (0.6, -0.52)], (0.13, 0.085));
    b.body(&tail, fur);
    let tip = b.line_path(&[(0.545, -0.42), (0.6, -0.52)], (0.1, 0.085));
    b.inside(&tip, &tail, dark, 0.8);
    let torso = b.blob_path(&[
        (-0.3, -0.02),
        (-0.345, -0.2),
        (-0.25, -0.5),
        (-0.08, -0.66),
        (0.08, -0.66),
        (0.25, -0.5),
        (0.345, -0.2),
        (0.3, -0.02),
        (0.0, 0.015),
    ]);
    b.body(&torso, fur);
    for stripe in 0..3 {
        let y = -0.18 - 0.12 * stripe as f32;
        for side in [-1.0, 1.0] {
            let mark =
                b.line_path(&[(side * 0.36, y - 0.04), (side * 0.27, y), (side * 0.19, y + 0.005)], (0.04, 0.01));
            b.inside(&mark, &torso, dark, 0.62);
        }
    }
    let bib = b.blob_path(&[(-0.13, -0.52), (0.13, -0.52), (0.11, -0.3), (0.0, -0.22), (-0.11, -0.3)]);
    b.inside(&bib, &torso, light, 0.85);
    for side in [-1.0, 1.0] {
        let leg = b.line_path(&[(side * 0.095, -0.34), (side * 0.1, -0.18), (side * 0.1, -0.03)], (0.14, 0.115));
        b.body(&leg, fur.lighter(0.06));
        let paw = b.blob_path(&[
            (side * 0.1 - 0.085, -0.005),
            (side * 0.1 - 0.07, -0.07),
            (side * 0.1, -0.09),
            (side * 0.1 + 0.07, -0.07),
            (side * 0.1 + 0.085, -0.005),
            (side * 0.1, 0.012),
        ]);
        b.body(&paw, light);
        for toe in [-0.028, 0.028] {
            b.line(&[(side * 0.1 + toe, -0.045), (side * 0.1 + toe, -0.012)], (0.007, 0.007), dark);
        }
        let haunch = b.blob_path(&[
            (side * 0.34, -0.01),
            (side * 0.35, -0.17),
            (side * 0.24, -0.24),
            (side * 0.16, -0.1),
            (side * 0.19, 0.0),
        ]);
        b.body(&haunch, fur);
    }
    cat_head(b, fur, dark, light);
}

fn cat_head(b: &mut Brush<'_, '_>, fur: Rgb, dark: Rgb, light: Rgb) {
    let ear = [(-0.275, -0.8), (-0.265, -0.98), (-0.235, -1.09), (-0.15, -1.02), (-0.04, -0.92), (-0.12, -0.8)];
    let inner = [(-0.235, -0.87), (-0.23, -0.98), (-0.215, -1.03), (-0.16, -0.98), (-0.09, -0.91)];
    for shape in [ear.to_vec(), mirrored(&ear)] {
        b.blob(&shape, fur);
    }
    for shape in [inner.to_vec(), mirrored(&inner)] {
        let path = b.blob_path(&shape);
        b.flat(&path, hex(0xf0a6a0), 0.85);
    }
    let head = b.blob_path(&[
        (0.0, -0.965),
        (0.17, -0.93),
        (0.27, -0.81),
        (0.285, -0.69),
        (0.19, -0.575),
        (0.0, -0.535),
        (-0.19, -0.575),
        (-0.285, -0.69),
        (-0.27, -0.81),
        (-0.17, -0.93),
    ]);
    b.body(&head, fur);
    for (x, long) in [(0.0, 0.13), (-0.075, 0.1), (0.075, 0.1)] {
        let mark = b.line_path(&[(x * 1.2, -0.98), (x, -0.96 + long)], (0.035, 0.012));
        b.inside(&mark, &head, dark, 0.68);
    }
    for side in [-1.0, 1.0] {
        for y in [-0.69, -0.64] {
            let mark = b.line_path(&[(side * 0.3, y), (side * 0.215, y + 0.012)], (0.024, 0.008));
            b.inside(&mark, &head, dark, 0.55);
        }
        let muzzle = b.oval_path((side * 0.05, -0.628), 0.075, 0.058);
        b.flat(&muzzle, light, 0.95);
        let cheek = b.oval_path((side * 0.185, -0.65), 0.05, 0.034);
        b.inside(&cheek, &head, hex(0xf08a80), 0.3);
    }
    let iris = b.colour(None, &[0x7fae4a, 0xe0aa3a, 0x5aa6b8]);
    for side in [-1.0, 1.0] {
        let eye = b.oval_path((side * 0.122, -0.745), 0.058, 0.064);
        b.flat(&eye, hex(0x2a2226), 1.0);
        let ring = b.oval_path((side * 0.122, -0.742), 0.05, 0.056);
        b.flat(&ring, iris, 1.0);
        let pupil = b.oval_path((side * 0.119, -0.742), 0.03, 0.046);
        b.flat(&pupil, hex(0x16121a), 1.0);
        for (dx, dy, r) in [(-0.018, -0.022, 0.017), (0.02, 0.018, 0.008)] {
            let shine = b.oval_path((side * 0.122 + dx, -0.742 + dy), r, r);
            b.bright(&shine, WHITE, 0.95);
        }
        for whisker in 0..3 {
            let y = -0.64 + 0.022 * whisker as f32;
            let line = b.line_path(
                &[
                    (side * 0.09, y),
                    (side * 0.23, y - 0.018 + 0.02 * whisker as f32),
                    (side * 0.37, y - 0.012 + 0.04 * whisker as f32),
                ],
                (0.0065, 0.002),
            );
            b.flat(&line, WHITE.to(BLACK, 0.1), 0.85);
        }
    }
    let nose = b.blob_path(&[(-0.03, -0.672), (0.03, -0.672), (0.0, -0.638)]);
    b.flat(&nose, hex(0xd9707a), 1.0);
    for side in [-1.0, 1.0] {
        b.line(&[(0.0, -0.64), (side * 0.012, -0.608), (side * 0.05, -0.604)], (0.01, 0.006), hex(0x5a3a3a));
    }
}
