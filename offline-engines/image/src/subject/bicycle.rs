//! Subject of the mock image engine: a bicycle and its rider.
//!
//! `b` is the brush, `named` the colour that the prompt gives the subject. One unit of the coordinates is the height of a sitting
//! cat; see the module `subject`. The shapes are chosen by eye.

use super::brush::Brush;
use super::people;
use crate::colour::{Rgb, hex};
use crate::path::Path;
use crate::prompt::{ParsedPrompt, Subject};

pub(super) fn bicycle(b: &mut Brush<'_, '_>, named: Option<Rgb>, prompt: &ParsedPrompt) {
    let tube = b.colour(named, &[0xd8483f, 0x2f8a8a, 0xf0b040]);
    let (rear, front, crank, seat, head) = ((-0.42, -0.3), (0.45, -0.3), (-0.03, -0.28), (-0.16, -0.72), (0.34, -0.72));
    b.shadow((0.0, 0.0), 0.78, 0.05);
    for hub in [rear, front] {
        let mut spokes = Path::default();
        for spoke in 0..16 {
            let angle = spoke as f32 * std::f32::consts::TAU / 16.0;
            spokes = spokes
                .and(b.line_path(&[hub, (hub.0 + angle.cos() * 0.27, hub.1 + angle.sin() * 0.27)], (0.006, 0.006)));
        }
        b.flat(&spokes, hex(0xc8ccd2), 0.8);
        for (radius, thick, colour) in [(0.285, 0.042, hex(0x26242c)), (0.262, 0.014, hex(0xd0d4da))] {
            let rim: Vec<_> = (0..=48)
                .map(|step| step as f32 / 48.0 * std::f32::consts::TAU)
                .map(|a| (hub.0 + a.cos() * radius, hub.1 + a.sin() * radius))
                .collect();
            b.line(&rim, (thick, thick), colour);
        }
        b.oval(hub, 0.03, 0.03, hex(0x9aa0a8));
    }
    let rider = rider_suit(prompt);
    if let Some(suit) = rider {
        leg(b, (crank.0 - 0.09, crank.1 + 0.09), suit.darker(0.25));
    }
    for (from, to) in [
        (rear, crank),
        (rear, (-0.13, -0.62)),
        (crank, seat),
        (crank, (0.33, -0.63)),
        ((-0.13, -0.62), (0.335, -0.66)),
        (front, head),
    ] {
        b.line(&[from, to], (0.036, 0.036), tube);
    }
    b.oval(crank, 0.075, 0.075, hex(0x4a4a52));
    b.line(&[(crank.0 - 0.09, crank.1 + 0.09), (crank.0 + 0.09, crank.1 - 0.09)], (0.026, 0.026), hex(0x8a9098));
    b.blob(&[(-0.29, -0.745), (-0.17, -0.765), (-0.04, -0.735), (-0.16, -0.715)], hex(0x4a3228));
    b.line(&[head, (0.31, -0.82), (0.44, -0.85)], (0.03, 0.026), hex(0x8a9098));
    if let Some(suit) = rider {
        upper_body(b, suit, prompt.has_subject(Subject::Astronaut));
        leg(b, (crank.0 + 0.09, crank.1 - 0.09), suit);
    }
}

/// Returns the rider's suit colour if the prompt names a rider.
fn rider_suit(prompt: &ParsedPrompt) -> Option<Rgb> {
    let named =
        |wanted: Subject| prompt.subjects.iter().find(|(subject, _)| *subject == wanted).map(|(_, colour)| *colour);
    named(Subject::Astronaut)
        .map(|colour| colour.unwrap_or(hex(0xf2f2f4)))
        .or_else(|| named(Subject::Robot).map(|colour| colour.unwrap_or(hex(0xb8c4cc))))
        .or_else(|| named(Subject::Portrait).map(|colour| colour.unwrap_or(hex(0x4a6a9a))))
}

/// Draws a leg from the saddle over the knee to a pedal.
fn leg(b: &mut Brush<'_, '_>, (x, y): (f32, f32), suit: Rgb) {
    let thigh = b.line_path(&[(-0.15, -0.82), (x * 0.4 + 0.16, y * 0.5 - 0.42), (x - 0.01, y - 0.06)], (0.19, 0.12));
    b.body(&thigh, suit);
    b.blob(
        &[(x - 0.08, y + 0.03), (x - 0.07, y - 0.07), (x + 0.05, y - 0.07), (x + 0.15, y - 0.01), (x + 0.14, y + 0.03)],
        suit.darker(0.35),
    );
}

/// Draws the rider's upper body.
fn upper_body(b: &mut Brush<'_, '_>, suit: Rgb, helmeted: bool) {
    if helmeted {
        b.blob(&[(-0.4, -1.28), (-0.24, -1.34), (-0.16, -1.0), (-0.34, -0.92)], suit.darker(0.28));
    }
    b.blob(
        &[(-0.27, -0.8), (-0.26, -1.08), (-0.12, -1.32), (0.06, -1.33), (0.1, -1.14), (0.0, -0.82), (-0.12, -0.74)],
        suit,
    );
    let arm = b.line_path(&[(-0.02, -1.22), (0.18, -1.04), (0.41, -0.88)], (0.14, 0.1));
    b.body(&arm, suit.darker(0.07));
    b.oval((0.43, -0.87), 0.06, 0.055, if helmeted { hex(0xd8783f) } else { hex(0xe8b894) });
    if helmeted {
        b.oval((-0.1, -1.15), 0.05, 0.035, hex(0x3f6fc0));
        people::helmet(b, (0.02, -1.5), suit);
    } else {
        b.oval((0.02, -1.46), 0.12, 0.14, hex(0xe8b894));
        b.blob(&[(-0.12, -1.44), (-0.12, -1.58), (0.02, -1.64), (0.15, -1.56), (0.02, -1.53)], hex(0x3a2a26));
    }
}
