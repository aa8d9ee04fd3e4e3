//! Subject of the mock image engine: a cup.
//!
//! `b` is the brush, `named` the colour that the prompt gives the subject. One unit of the coordinates is the height of a sitting
//! cat; see the module `subject`. The shapes are chosen by eye.

use super::brush::Brush;
use crate::colour::{Rgb, WHITE, hex};

/// Draws a steaming cup on a saucer.
pub(super) fn cup(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let glaze = b.colour(named, &[0xf4efe6, 0x4f7a8c, 0xd96f55, 0xe9c46a]);
    b.shadow((0.0, 0.0), 0.66, 0.1);
    b.oval((0.0, -0.03), 0.6, 0.085, glaze.darker(0.12));
    b.oval((0.0, -0.05), 0.56, 0.07, glaze.lighter(0.15));
    b.oval((0.0, -0.05), 0.36, 0.04, glaze.darker(0.2));
    let handle =
        b.line_path(&[(0.34, -0.46), (0.55, -0.47), (0.59, -0.33), (0.47, -0.2), (0.29, -0.17)], (0.075, 0.06));
    b.body(&handle, glaze.darker(0.06));
    let body = b.poly_path(&cup_outline());
    b.body(&body, glaze);
    let shine = b.line_path(&[(-0.29, -0.45), (-0.27, -0.25), (-0.2, -0.13)], (0.05, 0.025));
    b.inside(&shine, &body, WHITE, 0.5);
    b.oval((0.0, -0.55), 0.4, 0.085, glaze.lighter(0.25));
    let well = b.oval_path((0.0, -0.545), 0.365, 0.07);
    b.flat(&well, hex(0x5a3220), 1.0);
    let crema = b.oval_path((0.0, -0.535), 0.335, 0.056);
    b.flat(&crema, hex(0xb87a48), 1.0);
    let heart =
        b.blob_path(&[(0.0, -0.5), (-0.13, -0.54), (-0.09, -0.573), (0.0, -0.555), (0.09, -0.573), (0.13, -0.54)]);
    b.inside(&heart, &crema, hex(0xf6e6cc), 0.95);
    for (x, tall) in [(-0.14, 0.42), (0.03, 0.55), (0.18, 0.38)] {
        for (thick, alpha) in [(0.07, 0.1), (0.034, 0.2)] {
            let wisp = b.line_path(
                &[(x, -0.6), (x + 0.05, -0.6 - tall * 0.3), (x - 0.04, -0.6 - tall * 0.65), (x + 0.03, -0.6 - tall)],
                (thick, thick * 0.2),
            );
            b.bright(&wisp, WHITE, alpha);
        }
    }
}

/// Returns the outline of the cup: on each side a quarter of an ellipse from rim to bottom.
fn cup_outline() -> Vec<(f32, f32)> {
    let quarter = |step: i32| std::f32::consts::FRAC_PI_2 * step as f32 / 16.0;
    let right = (0..=16).map(|step| (0.16 + 0.24 * quarter(step).cos(), -0.55 + 0.5 * quarter(step).sin()));
    let left = (0..=16).rev().map(|step| (-0.16 - 0.24 * quarter(step).cos(), -0.55 + 0.5 * quarter(step).sin()));
    right.chain(left).collect()
}
