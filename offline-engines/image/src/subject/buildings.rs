//! Subjects of the mock image engine: houses, castles, lighthouses and pagodas.
//!
//! `b` is the brush, `named` the colour that the prompt gives the subject. One unit of the coordinates is the height of a sitting
//! cat; see the module `subject`. The shapes are chosen by eye.

use super::brush::Brush;
use crate::colour::{Rgb, hex};

/// Returns the colour of windows: lit in the dark, reflecting the sky by day.
fn window_colour(b: &Brush<'_, '_>) -> Rgb {
    if b.palette.night || b.palette.daylight < 0.3 { hex(0xffd27a) } else { hex(0x54687a) }
}

/// Draws a window of half-width `w` and height `h` whose sill is at (`x`, `y`).
fn window(b: &mut Brush<'_, '_>, x: f32, y: f32, w: f32, h: f32) {
    let light = window_colour(b);
    let pane = b.poly_path(&[
        (x - w, y),
        (x - w, y - h),
        (x - w * 0.5, y - h * 1.25),
        (x + w * 0.5, y - h * 1.25),
        (x + w, y - h),
        (x + w, y),
    ]);
    b.bright(&pane, light, 0.95);
    if b.palette.night || b.palette.daylight < 0.3 {
        b.glow((x, y - h * 0.5), h * 2.6, light, 0.3);
    }
}

pub(super) fn house(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let wall = b.colour(named, &[0xf1e4cf, 0xd9b38c, 0xe3d7d0]);
    let roof = b.colour(None, &[0xa9493a, 0x4f5b73, 0x7a5040]);
    b.shadow((0.0, 0.0), 0.62, 0.06);
    b.rect(0.24, -1.02, 0.36, -0.62, hex(0x9a5a4a));
    for puff in 0..5 {
        let t = puff as f32;
        let smoke = b.oval_path((0.3 + 0.05 * t * t * 0.3, -1.08 - 0.09 * t), 0.045 + 0.014 * t, 0.04 + 0.012 * t);
        b.flat(&smoke, hex(0xffffff), 0.34 - 0.055 * t);
    }
    b.rect(-0.45, -0.5, 0.45, 0.0, wall);
    b.poly(&[(-0.56, -0.47), (-0.34, -0.9), (0.34, -0.9), (0.56, -0.47)], roof);
    for row in 0..4 {
        let y = -0.54 - 0.09 * row as f32;
        let half = 0.53 - 0.048 * row as f32;
        let line = b.line_path(&[(-half, y), (half, y)], (0.008, 0.008));
        b.flat(&line, roof.darker(0.35), 0.5);
    }
    b.rect(-0.09, -0.31, 0.09, 0.0, hex(0x6a4630));
    b.oval((0.055, -0.15), 0.014, 0.014, hex(0xe0b860));
    for x in [-0.28, 0.28] {
        b.rect(x - 0.105, -0.37, x + 0.105, -0.145, hex(0xf6f0e4));
        window(b, x, -0.165, 0.085, 0.15);
        b.rect(x - 0.006, -0.36, x + 0.006, -0.16, hex(0xf6f0e4));
        b.rect(x - 0.12, -0.155, x + 0.12, -0.125, hex(0x8a5a3c));
    }
}

pub(super) fn castle(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let stone = b.colour(named, &[0xb8b2a8, 0xc8b89a, 0xa6a8b4]);
    let roof = b.colour(None, &[0x3f5a86, 0x8a4048, 0x4a6a60]);
    b.shadow((0.0, 0.0), 0.8, 0.06);
    for (x, half, tall, cone) in [(0.0, 0.13, 1.1, 0.34), (-0.3, 0.1, 0.86, 0.28), (0.3, 0.1, 0.94, 0.28)] {
        tower(b, (x, half, tall, cone), stone.darker(0.08), roof);
    }
    b.rect(-0.52, -0.42, 0.52, 0.0, stone);
    for tooth in 0..11 {
        let x = -0.52 + 0.1 * tooth as f32;
        b.rect(x, -0.48, x + 0.055, -0.41, stone);
    }
    for (x, half, tall, cone) in [(-0.56, 0.13, 0.62, 0.3), (0.56, 0.13, 0.62, 0.3)] {
        tower(b, (x, half, tall, cone), stone.lighter(0.06), roof);
    }
    let gate = b.poly_path(&[
        (-0.11, 0.0),
        (-0.11, -0.18),
        (-0.07, -0.26),
        (0.0, -0.29),
        (0.07, -0.26),
        (0.11, -0.18),
        (0.11, 0.0),
    ]);
    b.flat(&gate, hex(0x3a2a24), 1.0);
    for x in [-0.3, 0.3] {
        window(b, x, -0.2, 0.028, 0.08);
    }
}

/// Draws a tower at `x` with half-width `half`, height `tall` and a roof of height `cone`.
fn tower(b: &mut Brush<'_, '_>, (x, half, tall, cone): (f32, f32, f32, f32), stone: Rgb, roof: Rgb) {
    b.rect(x - half, -tall, x + half, 0.0, stone);
    b.rect(x - half * 1.18, -tall - 0.02, x + half * 1.18, -tall + 0.05, stone.lighter(0.1));
    for row in 0..5 {
        for column in 0..2 {
            let (bx, by) = (
                x - half * 0.6 + half * column as f32 + half * 0.3 * (row % 2) as f32,
                -tall * (0.16 + 0.15 * row as f32),
            );
            let brick = b.line_path(&[(bx, by), (bx + half * 0.3, by)], (0.009, 0.009));
            b.flat(&brick, stone.darker(0.3), 0.45);
        }
    }
    b.poly(&[(x - half * 1.3, -tall), (x, -tall - cone), (x + half * 1.3, -tall)], roof);
    b.line(&[(x, -tall - cone + 0.01), (x, -tall - cone - 0.09)], (0.012, 0.008), hex(0x4a3a30));
    b.poly(&[(x, -tall - cone - 0.09), (x + 0.1, -tall - cone - 0.062), (x, -tall - cone - 0.035)], hex(0xd8503f));
    window(b, x, -tall + 0.22, half * 0.26, 0.09);
}

pub(super) fn lighthouse(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let stripe = b.colour(named, &[0xc8443a, 0xc8443a, 0x2f5a8a]);
    let white = hex(0xf6f1e6);
    let dark = b.palette.night || b.palette.daylight < 0.3;
    let lantern = (0.0, -1.13);
    if dark {
        let width = b.canvas_size().0;
        for (side, rise) in [(-1.0, 0.12), (1.0, -0.1)] {
            let far = (side * width, lantern.1 + rise * width - 0.1);
            let beam = b.poly_path(&[
                (lantern.0, lantern.1 - 0.03),
                (far.0, far.1 - width * 0.1),
                (far.0, far.1 + width * 0.1),
                (lantern.0, lantern.1 + 0.03),
            ]);
            b.gradient(&beam, (lantern, (side * width * 0.62, lantern.1)), (hex(0xfff0b8), 0.5), (hex(0xfff0b8), 0.0));
        }
    }
    b.shadow((0.0, 0.0), 0.3, 0.04);
    b.rect(0.12, -0.2, 0.48, 0.01, white.darker(0.06));
    b.poly(&[(0.08, -0.19), (0.18, -0.33), (0.42, -0.33), (0.52, -0.19)], stripe.darker(0.12));
    window(b, 0.34, -0.06, 0.035, 0.06);
    let body = b.poly_path(&[(-0.2, 0.02), (-0.125, -1.0), (0.125, -1.0), (0.2, 0.02)]);
    b.body(&body, white);
    for band in 0..3 {
        let (top, low) = (-0.86 + 0.33 * band as f32, -0.7 + 0.33 * band as f32);
        let shape = b.poly_path(&[(-0.3, top), (0.3, top), (0.3, low), (-0.3, low)]);
        b.inside(&shape, &body, stripe, 1.0);
    }
    let away = -b.side;
    let shade = b.poly_path(&[(away * 0.03, -1.05), (away * 0.3, -1.05), (away * 0.3, 0.05), (away * 0.06, 0.05)]);
    b.inside(&shade, &body, hex(0x20283a), 0.26);
    for y in [-0.28, -0.62] {
        let pane = b.poly_path(&[(-0.028, y), (-0.028, y - 0.08), (0.0, y - 0.105), (0.028, y - 0.08), (0.028, y)]);
        let light = window_colour(b);
        b.bright(&pane, light, 0.95);
    }
    let door = b.poly_path(&[(-0.055, 0.02), (-0.055, -0.1), (0.0, -0.15), (0.055, -0.1), (0.055, 0.02)]);
    b.flat(&door, hex(0x3a3340), 1.0);
    b.rect(-0.19, -1.04, 0.19, -0.99, hex(0x3c4250));
    for post in 0..7 {
        let x = -0.18 + 0.06 * post as f32;
        b.line(&[(x, -1.03), (x, -1.12)], (0.008, 0.008), hex(0x3c4250));
    }
    b.line(&[(-0.19, -1.11), (0.19, -1.11)], (0.011, 0.011), hex(0x3c4250));
    let room = b.poly_path(&[(-0.085, -1.04), (-0.085, -1.21), (0.085, -1.21), (0.085, -1.04)]);
    b.bright(&room, if dark { hex(0xfff2bf) } else { hex(0xbcd4dc) }, 1.0);
    for x in [-0.085, 0.0, 0.085] {
        b.line(&[(x, -1.04), (x, -1.21)], (0.012, 0.012), hex(0x3c4250));
    }
    b.poly(&[(-0.13, -1.2), (-0.06, -1.31), (0.0, -1.345), (0.06, -1.31), (0.13, -1.2)], stripe);
    b.line(&[(0.0, -1.33), (0.0, -1.42)], (0.014, 0.008), hex(0x3c4250));
    if dark {
        b.glow(lantern, 0.9, hex(0xffe6a0), 0.6);
        b.glow(lantern, 0.3, hex(0xfff6d8), 0.9);
    }
}

pub(super) fn pagoda(b: &mut Brush<'_, '_>, named: Option<Rgb>) {
    let wood = b.colour(named, &[0xb8442f, 0xa63a34, 0x8a4a38]);
    let tile = b.colour(None, &[0x2f4550, 0x34465e, 0x3a4a44]);
    let (cream, gold) = (hex(0xf0e2c4), hex(0xe0b050));
    b.shadow((0.0, 0.0), 0.62, 0.05);
    b.rect(-0.5, -0.07, 0.5, 0.0, hex(0xb0aaa0));
    b.rect(-0.44, -0.11, 0.44, -0.06, hex(0xc4beb2));
    let mut y = -0.1;
    for tier in 0..5 {
        let shrink = 1.0 - 0.145 * tier as f32;
        let (half, tall) = (0.3 * shrink, 0.175 * (1.0 - 0.06 * tier as f32));
        b.rect(-half, y - tall, half, y, cream);
        for post in 0..5 {
            let x = -half + half * 0.5 * post as f32;
            b.line(&[(x, y), (x, y - tall)], (0.024 * shrink, 0.024 * shrink), wood);
        }
        for pane in 0..4 {
            window(b, -half * 0.75 + half * 0.5 * pane as f32, y - tall * 0.18, half * 0.15, tall * 0.42);
        }
        b.rect(-half * 1.12, y - 0.02, half * 1.12, y, wood);
        b.line(&[(-half * 1.12, y - tall * 0.36), (half * 1.12, y - tall * 0.36)], (0.01, 0.01), wood.darker(0.1));
        let (eave, ridge) = (half * 1.72, y - tall - 0.115 * shrink);
        let low = y - tall + 0.012;
        let roof = [
            (-eave * 1.03, low - 0.055 * shrink),
            (-eave * 0.72, low - 0.004),
            (0.0, low + 0.004),
            (eave * 0.72, low - 0.004),
            (eave * 1.03, low - 0.055 * shrink),
            (eave * 0.72, low - 0.065 * shrink),
            (half * 0.8, ridge),
            (-half * 0.8, ridge),
            (-eave * 0.72, low - 0.065 * shrink),
        ];
        let path = b.poly_path(&roof);
        b.body(&path, tile);
        for rib in -5..=5 {
            let x = rib as f32 / 5.5;
            let line = b.line_path(&[(x * half * 0.8, ridge), (x * eave * 0.78, low)], (0.006, 0.009));
            b.inside(&line, &path, tile.lighter(0.3), 0.45);
        }
        b.line(
            &[
                (-eave * 1.03, low - 0.055 * shrink),
                (-eave * 0.72, low - 0.002),
                (0.0, low + 0.006),
                (eave * 0.72, low - 0.002),
                (eave * 1.03, low - 0.055 * shrink),
            ],
            (0.016 * shrink, 0.016 * shrink),
            wood.to(gold, 0.3),
        );
        y = ridge + 0.01;
    }
    b.line(&[(0.0, y + 0.01), (0.0, y - 0.27)], (0.026, 0.01), gold);
    for ring in 0..5 {
        b.oval((0.0, y - 0.05 - 0.036 * ring as f32), 0.042 - 0.005 * ring as f32, 0.01, gold);
    }
    b.oval((0.0, y - 0.27), 0.018, 0.022, gold);
}
