//! Subjects of the mock image engine: trees and flowers.
//!
//! `b` is the brush, `named` the colour that the prompt gives the subject. One unit of the coordinates is the height of a sitting
//! cat; see the module `subject`. The shapes are chosen by eye.

use super::brush::Brush;
use crate::colour::{Rgb, WHITE, hex};
use crate::path::{Path, Point};

/// What the crown of a tree consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Foliage {
    Leaves,
    /// The tree is in blossom, and petals fall.
    Blossoms,
}

/// Draws a tree. `leaf` is the colour of its leaves or blossoms.
pub(super) fn tree(b: &mut Brush<'_, '_>, leaf: Rgb, foliage: Foliage) {
    let bark = match foliage {
        Foliage::Leaves => hex(0x6b4a35),
        Foliage::Blossoms => hex(0x5a3f3c),
    };
    b.shadow((0.0, 0.0), 0.4, 0.05);
    let lean = b.rng.range(-0.08, 0.08);
    let mut tips: Vec<Point> = Vec::new();
    let trunk = b.line_path(&[(0.0, 0.03), (-lean * 0.4, -0.25), (lean * 0.5, -0.55), (lean, -0.86)], (0.17, 0.07));
    let foot = b.poly_path(&[(-0.17, 0.02), (-0.07, -0.14), (0.07, -0.14), (0.17, 0.02)]);
    b.body(&foot, bark);
    b.body(&trunk, bark);
    for branch in 0..7 {
        let side = if branch % 2 == 0 { -1.0 } else { 1.0 };
        let start = (lean * 0.4, -0.42 - 0.06 * branch as f32);
        let end = (side * b.rng.range(0.25, 0.56), start.1 - b.rng.range(0.12, 0.34));
        let middle = ((start.0 + end.0) * 0.5, (start.1 + end.1) * 0.5 + 0.04);
        b.line(&[start, middle, end], (0.06, 0.015), bark);
        tips.push(end);
    }
    tips.push((lean, -0.95));
    crown(b, leaf, &tips, foliage);
}

/// Draws three layers of leaf clusters, the darkest first, and falling petals for a blossoming tree.
fn crown(b: &mut Brush<'_, '_>, leaf: Rgb, tips: &[Point], foliage: Foliage) {
    let blossom = foliage == Foliage::Blossoms;
    let side = b.side;
    let coats = [
        (leaf.darker(0.3), 0.0, 1.0),
        (leaf, 0.05, 0.86),
        (leaf.to(WHITE, if blossom { 0.5 } else { 0.22 }), 0.11, 0.5),
    ];
    for (colour, lift, size) in coats {
        let mut path = Path::default();
        for tip in tips {
            for _ in 0..34 {
                let (angle, far) = (b.rng.range(0.0, std::f32::consts::TAU), b.rng.next_f32().sqrt() * 0.24);
                let place =
                    (tip.0 + angle.cos() * far * 1.25 + side * lift * 0.6, tip.1 + angle.sin() * far * 0.85 - lift);
                let radius = b.rng.range(0.022, 0.058) * size;
                path = path.and(b.oval_path(place, radius * 1.1, radius));
            }
        }
        b.flat(&path, colour, if blossom { 0.88 } else { 0.95 });
    }
    let mut specks = Path::default();
    let count = if blossom { 260 } else { 120 };
    for index in 0..count {
        let tip = tips[index % tips.len()];
        let place = (tip.0 + b.rng.range(-0.34, 0.34), tip.1 + b.rng.range(-0.28, 0.24));
        let radius = b.rng.range(0.007, 0.015);
        specks = specks.and(b.oval_path(place, radius, radius * 0.8));
    }
    b.flat(&specks, leaf.to(WHITE, if blossom { 0.62 } else { 0.3 }), 0.85);
    if blossom {
        let mut petals = Path::default();
        for _ in 0..70 {
            let place = (b.rng.range(-1.1, 0.9), b.rng.range(-0.85, 0.06));
            let radius = b.rng.range(0.007, 0.014);
            petals = petals.and(b.oval_path(place, radius * 1.3, radius * 0.7));
        }
        b.flat(&petals, leaf.to(WHITE, 0.4), 0.85);
    }
}

/// Draws three flowers in a vase.
pub(super) fn flowers(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let petal = b.colour(named, &[0xe8566a, 0xf2a63c, 0xf08ab0, 0xb087dc]);
    let glaze = b.colour(None, &[0x4f7f96, 0xe9e2d4, 0x7a9a86]);
    b.shadow((0.0, 0.0), 0.26, 0.045);
    let heads = [(-0.25, -0.82, 0.15), (0.27, -0.76, 0.14), (0.0, -1.02, 0.19)];
    for (x, y, _) in heads {
        b.line(&[(x * 0.12, -0.38), (x * 0.5, (y - 0.38) * 0.55), (x, y)], (0.022, 0.018), hex(0x4f8a4a));
    }
    for (side, y) in [(-1.0, -0.5), (1.0, -0.54), (-1.0, -0.66), (1.0, -0.7)] {
        b.blob(
            &[(side * 0.03, y), (side * 0.16, y - 0.1), (side * 0.3, y - 0.1), (side * 0.17, y + 0.01)],
            hex(0x4f8f50),
        );
    }
    for (x, y, r) in heads {
        blossom(b, (x, y), r, petal);
    }
    b.blob(
        &[
            (-0.075, -0.43),
            (0.075, -0.43),
            (0.085, -0.36),
            (0.17, -0.22),
            (0.17, -0.1),
            (0.1, 0.01),
            (-0.1, 0.01),
            (-0.17, -0.1),
            (-0.17, -0.22),
            (-0.085, -0.36),
        ],
        glaze,
    );
    let shine = b.line_path(&[(-0.1, -0.26), (-0.12, -0.16), (-0.1, -0.07)], (0.025, 0.012));
    b.flat(&shine, WHITE, 0.45);
}

/// Draws the head of a flower with radius `r`.
fn blossom(b: &mut Brush<'_, '_>, (x, y): Point, r: f32, petal: Rgb) {
    for (ring, (count, reach)) in [(9, 1.0), (7, 0.66)].into_iter().enumerate() {
        for index in 0..count {
            let angle = index as f32 / count as f32 * std::f32::consts::TAU + ring as f32 * 0.4;
            let (sin, cos) = angle.sin_cos();
            let at = |along: f32, across: f32| {
                (x + (cos * along - sin * across) * r, y + (sin * along + cos * across) * r * 0.94)
            };
            let tone = petal.to(if ring == 0 { petal.darker(0.3) } else { WHITE }, 0.16 + 0.08 * (index % 2) as f32);
            b.blob(
                &[at(0.1, 0.0), at(reach * 0.6, 0.26), at(reach, 0.1), at(reach, -0.1), at(reach * 0.6, -0.26)],
                tone,
            );
        }
    }
    b.oval((x, y), r * 0.3, r * 0.28, hex(0xf0bb44));
    for dot in 0..10 {
        // The golden angle, by which seeds of a flower head follow one another.
        let angle = dot as f32 * 2.4;
        let far = r * 0.06 * (dot as f32).sqrt();
        let seed = b.oval_path((x + angle.cos() * far, y + angle.sin() * far), r * 0.035, r * 0.035);
        b.flat(&seed, hex(0x9a6a24), 0.8);
    }
}
