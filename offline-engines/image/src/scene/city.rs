//! Scene: a skyline and its reflection in water, with tapered, glowing towers for a futuristic city.
//!
//! `paint` draws it over the whole canvas of the mock image engine and returns where a subject stands. Coordinates, `unit`,
//! `u` and `v` are explained in the module `scene`; proportions and colours are chosen by eye.

use super::{sky, water};
use crate::canvas::Canvas;
use crate::colour::{Rgb, hex};
use crate::paint::Paint;
use crate::path::Path;
use crate::prompt::{Style, Time};
use crate::random::Rng;
use crate::setting::{Placement, Setting};

/// Colours of neon strips and traffic.
const NEONS: [u32; 4] = [0x35e8ff, 0xff4fb4, 0xa56bff, 0xffb44a];

pub(super) fn paint(canvas: &mut Canvas<'_>, setting: &Setting) -> Placement {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let quay = height * 0.8;
    sky::paint(canvas, setting, quay * 0.98);
    let mut rng = setting.rng.fork("city");
    let future = setting.prompt.futuristic || setting.prompt.has_style(Style::Neon);
    let glowing = future || setting.palette.night || matches!(setting.time, Time::Dusk | Time::Sunset);
    let layers = if setting.is_minimal() { 3 } else { 4 };
    for layer in 0..layers {
        let depth = layer as f32 / (layers - 1) as f32;
        let row = Row { depth, foot: quay + unit * 0.01, future, glowing };
        row.paint(canvas, setting, &mut rng);
        canvas.glow((width * 0.5, quay), unit * 0.9, setting.palette.haze, if glowing { 0.14 } else { 0.0 });
    }
    if future {
        traffic(canvas, &mut rng);
    }
    water::paint(canvas, setting, quay, 0.12);
    Placement::new(canvas, (0.5, 0.96), 0.36)
}

/// A row of buildings.
struct Row {
    /// 0 for the farthest row, 1 for the nearest.
    depth: f32,
    /// The y coordinate of the ground.
    foot: f32,
    future: bool,
    /// Whether windows are lit from inside.
    glowing: bool,
}

impl Row {
    fn paint(&self, canvas: &mut Canvas<'_>, setting: &Setting, rng: &mut Rng) {
        let (unit, width) = (canvas.unit(), canvas.w());
        let palette = setting.palette;
        let material = if self.future { hex(0x4c5a86) } else { hex(0x8a8f9c) };
        let colour = palette.land(material, self.depth * 0.95 + 0.05);
        let mut x = -unit * 0.1 * rng.next_f32();
        let mut panes = [Path::default(), Path::default(), Path::default()];
        while x < width {
            let wide = unit * rng.range(0.05, 0.115) * (0.85 + 0.4 * self.depth);
            // Buildings are taller towards the middle.
            let centre = (-((x + wide * 0.5 - width * 0.5) / (width * 0.36)).powi(2)).exp();
            let max_height = (0.62 - 0.34 * self.depth) * if self.future { 1.12 } else { 0.92 };
            let tall = unit * max_height * (0.32 + 0.68 * centre) * rng.range(0.5, 1.06);
            let block = [x, self.foot - tall, x + wide, self.foot];
            self.building(canvas, block, colour, rng);
            self.windows(&mut panes, block, unit, rng);
            x += wide * rng.range(0.86, 1.5);
        }
        let day = palette.lit(hex(0xdfeaf2)).to(palette.sky[2], 0.3);
        let tones = [hex(0xffd98a), hex(0xffeccb), hex(if self.future { 0x7fe9ff } else { 0xffc46b })];
        for (path, tone) in panes.iter().zip(tones) {
            let (tone, alpha) =
                if self.glowing { (tone, 0.4 + 0.5 * self.depth) } else { (day, 0.22 + 0.2 * self.depth) };
            canvas.fill(path, &Paint::Flat((tone, alpha)));
        }
    }

    /// Draws a building of a random shape within the rectangle.
    fn building(&self, canvas: &mut Canvas<'_>, [left, top, right, foot]: [f32; 4], colour: Rgb, rng: &mut Rng) {
        let (wide, tall, middle) = (right - left, foot - top, (left + right) * 0.5);
        let unit = canvas.unit();
        let shape = match rng.below(if self.future { 5 } else { 4 }) {
            0 => Path::polygon(&[(left, foot), (left, top), (right, top), (right, foot)]),
            1 => {
                let step = top + tall * 0.12;
                let (l, r) = (left + wide * 0.2, right - wide * 0.2);
                Path::polygon(&[
                    (left, foot),
                    (left, step),
                    (l, step),
                    (l, top),
                    (r, top),
                    (r, step),
                    (right, step),
                    (right, foot),
                ])
            }
            2 if self.future => Path::polygon(&[
                (left, foot),
                (left + wide * 0.22, top),
                (right - wide * 0.22, top - tall * 0.05),
                (right, foot),
            ]),
            2 => Path::polygon(&[(left, foot), (left, top + wide * 0.3), (right, top), (right, foot)]),
            3 => {
                let mast = [(middle, top + 1.0), (middle, top - tall * 0.22)];
                Path::polygon(&[(left, foot), (left, top), (right, top), (right, foot)])
                    .and(Path::stroke(&mast, (unit * 0.004, unit * 0.0012)))
            }
            _ => {
                let (waist, r) = (top + tall * 0.3, wide * 0.5);
                let dome: Vec<_> = (0..=20)
                    .map(|step| step as f32 / 20.0 * std::f32::consts::PI)
                    .map(|a| (middle - r * a.cos(), waist - tall * 0.3 * a.sin()))
                    .collect();
                Path::polygon(&[&[(left, foot)], &dome[..], &[(right, foot)]].concat())
            }
        };
        let lit = colour.lighter(0.05);
        canvas.fill(
            &shape,
            &Paint::Linear { from: (left, top), to: (right, foot), start: (lit, 1.0), end: (colour.darker(0.16), 1.0) },
        );
        if self.future && self.depth > 0.2 {
            neon(canvas, [left, top, right, foot], &shape, rng);
        }
    }

    /// Adds the windows of a building to `panes`, one path for each of three colours.
    fn windows(&self, panes: &mut [Path; 3], [left, top, right, foot]: [f32; 4], unit: f32, rng: &mut Rng) {
        let (gx, gy) = ((unit * (0.008 + 0.007 * self.depth)).max(1.5), (unit * (0.011 + 0.009 * self.depth)).max(1.5));
        let (inset, share) = (gx * 0.8, if self.glowing { 0.42 } else { 0.75 });
        let (from, to) = if self.future { (top + (foot - top) * 0.34, foot) } else { (top + gy * 1.6, foot) };
        let columns = ((right - left - inset * 2.0) / gx).max(0.0) as usize;
        let rows = ((to - from) / gy).max(0.0) as usize;
        for row in 0..rows {
            for column in 0..columns {
                if rng.chance(share) {
                    let (x, y) = (left + inset + column as f32 * gx, from + row as f32 * gy);
                    let quad = [(x, y), (x + gx * 0.55, y), (x + gx * 0.55, y + gy * 0.5), (x, y + gy * 0.5)];
                    panes[rng.below(3)].polygons.extend(Path::polygon(&quad).polygons);
                }
            }
        }
    }
}

/// Draws a lit strip or a few rings on a tower.
fn neon(canvas: &mut Canvas<'_>, [left, top, right, foot]: [f32; 4], shape: &Path, rng: &mut Rng) {
    let unit = canvas.unit();
    let colour = hex(NEONS[rng.below(NEONS.len())]);
    let (wide, tall) = (right - left, foot - top);
    if rng.chance(0.5) {
        let x = left + wide * rng.range(0.3, 0.7);
        let strip = Path::stroke(&[(x, top + tall * 0.04), (x, foot - tall * 0.2)], (unit * 0.004, unit * 0.0035));
        canvas.fill_within(&strip, Some(shape), &Paint::Flat((colour, 0.9)));
    } else {
        for ring in 0..2 + rng.below(2) {
            let y = top + tall * (0.16 + 0.12 * ring as f32);
            let band = Path::polygon(&[(left, y), (right, y), (right, y + unit * 0.005), (left, y + unit * 0.005)]);
            canvas.fill_within(&band, Some(shape), &Paint::Flat((colour, 0.9)));
        }
    }
    canvas.glow(((left + right) * 0.5, top + tall * 0.25), unit * 0.11, colour, 0.24);
}

/// Draws streaks of light between the towers.
fn traffic(canvas: &mut Canvas<'_>, rng: &mut Rng) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    for _ in 0..(width / unit * 11.0) as usize {
        let place = (rng.range(0.0, width), height * rng.range(0.3, 0.7));
        let colour = hex(NEONS[rng.below(NEONS.len())]);
        let long = unit * rng.range(0.02, 0.07) * rng.sign();
        let tail =
            Paint::Linear { from: place, to: (place.0 - long, place.1), start: (colour, 0.9), end: (colour, 0.0) };
        canvas.fill(&Path::stroke(&[place, (place.0 - long, place.1)], (unit * 0.0032, unit * 0.001)), &tail);
        canvas.fill(&Path::ellipse(place, unit * 0.0022, unit * 0.0022), &Paint::solid(hex(0xffffff)));
        canvas.glow(place, unit * 0.022, colour, 0.6);
    }
}
