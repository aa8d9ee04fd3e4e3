//! Ridges of land, what grows on them, and meadows.

use super::{Setting, Stage, sky};
use crate::canvas::Canvas;
use crate::colour::{Rgb, hex, smooth};
use crate::lexicon::Subject;
use crate::noise;
use crate::paint::Paint;
use crate::path::{Path, Point};
use crate::random::Dice;

/// Height of an outline per pixel column, as y.
#[derive(Debug)]
pub(super) struct Outline(pub(super) Vec<f32>);

impl Outline {
    pub(super) fn of(canvas: &Canvas<'_>, height: impl Fn(f32) -> f32) -> Self {
        let (unit, middle) = (canvas.unit(), canvas.w() * 0.5);
        Self((0..canvas.width).map(|x| height((x as f32 + 0.5 - middle) / unit)).collect())
    }

    pub(super) fn at(&self, x: f32) -> f32 {
        self.0[(x.max(0.0) as usize).min(self.0.len() - 1)]
    }

    pub(super) fn top(&self) -> f32 {
        self.0.iter().copied().fold(f32::INFINITY, f32::min)
    }

    /// Fills everything below with a colour that knows the depth below the outline.
    pub(super) fn fill(&self, canvas: &mut Canvas<'_>, colour: impl Fn(f32, f32, f32) -> Rgb + Sync) {
        self.fill_above(canvas, None, colour);
    }

    /// Like [`fill`](Self::fill), sparing what a nearer outline is going to cover.
    pub(super) fn fill_above(
        &self,
        canvas: &mut Canvas<'_>,
        nearer: Option<&Self>,
        colour: impl Fn(f32, f32, f32) -> Rgb + Sync,
    ) {
        let rows = (self.top() - 2.0).max(0.0) as usize..canvas.height;
        canvas.shade(rows, |x, y| {
            let top = self.at(x);
            // A margin keeps the nearer one's soft edge on ground of the right colour.
            let covered =
                nearer.is_some_and(|nearer| y > nearer.at(x) + (nearer.at(x + 1.0) - nearer.at(x - 1.0)).abs() + 4.0);
            if y < top - 2.0 || covered {
                return (hex(0), 0.0);
            }
            // Steep outlines need a softer step for the same edge.
            let steep = (self.at(x + 1.0) - self.at(x - 1.0)).abs() * 0.5;
            let cover = ((y - top) / (1.0 + steep) + 0.5).clamp(0.0, 1.0);
            (if cover > 0.0 { colour(x, y, y - top) } else { hex(0) }, cover)
        });
    }
}

/// A row of conifers whose feet follow the outline.
pub(super) fn conifers(canvas: &mut Canvas<'_>, line: &Outline, size: f32, paint: &Paint, dice: &mut Dice) {
    let mut path = Path::default();
    let mut x = -size;
    while x < canvas.w() + size {
        let tall = size * dice.range(0.55, 1.25);
        path = path.and(conifer((x, line.at(x) + size * 0.12), tall, dice));
        x += size * dice.range(0.16, 0.52);
    }
    canvas.fill(&path, paint);
}

pub(super) fn conifer(foot: Point, tall: f32, dice: &mut Dice) -> Path {
    let wide = tall * dice.range(0.17, 0.24);
    let tiers = 6;
    let mut right = vec![(foot.0, foot.1 - tall)];
    for tier in 1..=tiers {
        let share = tier as f32 / tiers as f32;
        let y = foot.1 - tall * (1.0 - share * 0.92);
        let out = wide * (0.12 + 0.88 * share) * dice.range(0.8, 1.1);
        right.push((foot.0 + out, y));
        right.push((foot.0 + out * 0.55, y - tall * 0.012));
    }
    let left: Vec<Point> = right.iter().skip(1).rev().map(|p| (2.0 * foot.0 - p.0, p.1)).collect();
    right.push((foot.0 + wide * 0.08, foot.1));
    right.push((foot.0 - wide * 0.08, foot.1));
    right.extend(left);
    Path::polygon(&right)
}

pub(super) fn meadow(canvas: &mut Canvas<'_>, setting: &Setting) -> Stage {
    let (unit, height) = (canvas.unit(), canvas.h());
    let horizon = height * 0.56;
    sky::paint(canvas, setting, horizon);
    let mut dice = setting.dice.fork("meadow");
    let palette = setting.palette;
    let green = if setting.snowy() { hex(0xe6eef5) } else { hex(0x6fae4e) };
    let octaves = canvas.octaves(4);
    let layers = if setting.plain() { 3 } else { 5 };
    for layer in 0..layers {
        let depth = layer as f32 / (layers - 1) as f32;
        let base = horizon + (height - horizon) * (depth.powf(1.5) * 0.62) - unit * 0.01;
        let (seed, rough) = (dice.seed(), dice.seed());
        let swell = unit * (0.09 + 0.03 * depth);
        let line =
            Outline::of(canvas, |u| base - swell * (noise::rolling(seed, u * (1.5 - depth * 0.6) + 50.0, 3) - 0.4));
        if layer > 0 && layer < layers - 1 && !setting.plain() {
            let crowns = palette.land(hex(0x2f6b3c), depth * 0.9);
            grove(canvas, &line, unit * (0.025 + 0.04 * depth), crowns, &mut dice);
        }
        let own = green.to(hex(0xb9cf5a), if setting.snowy() { 0.0 } else { 0.5 - depth * 0.5 });
        let colour = palette.land(own, depth);
        let light = palette.cloud_lit.to(own, 0.4);
        line.fill(canvas, |x, y, below| {
            let patch = noise::cloudy(rough, x / unit * (9.0 - 5.0 * depth), y / unit * 22.0, octaves) - 0.5;
            let rim = (-below / (unit * 0.05)).exp();
            colour.to(light, rim * 0.22).darker((-patch * 0.45).max(0.0)).lighter((patch * 0.2).max(0.0))
        });
    }
    if !setting.snowy() && !setting.plain() {
        grasses(canvas, setting, &mut dice);
        blossoms(canvas, setting, &mut dice);
    }
    Stage { foot: (canvas.w() * 0.5, height * 0.9), size: unit * 0.42 }
}

fn grove(canvas: &mut Canvas<'_>, line: &Outline, size: f32, colour: Rgb, dice: &mut Dice) {
    let mut x = 0.0;
    let mut path = Path::default();
    while x < canvas.w() {
        if dice.chance(0.5) {
            for _ in 0..2 + dice.below(3) {
                let r = size * dice.range(0.3, 0.62);
                let place = (x + dice.range(-0.6, 0.6) * size, line.at(x) - r * 0.55);
                path = path.and(Path::ellipse(place, r, r * 0.9));
            }
        }
        x += size * dice.range(0.9, 3.2);
    }
    let top = line.top();
    canvas.fill(
        &path,
        &Paint::down(top - size, top + size * 2.5, (colour.lighter(0.1), 1.0), (colour.darker(0.18), 1.0)),
    );
}

fn grasses(canvas: &mut Canvas<'_>, setting: &Setting, dice: &mut Dice) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    for (row, tone) in [(0.86, 0.0), (0.93, 0.12), (1.0, 0.3)] {
        let mut path = Path::default();
        let colour = setting.palette.land(hex(0x4f9440), 1.0).darker(tone * 0.7);
        let count = (width / unit * 90.0) as usize;
        for _ in 0..count {
            let foot = (dice.range(0.0, width), height * (row + dice.range(-0.03, 0.05)));
            let tall = unit * dice.range(0.02, 0.06);
            let lean = dice.range(-0.4, 0.4) * tall;
            let tip = (foot.0 + lean, foot.1 - tall);
            path = path.and(Path::polygon(&[(foot.0 - unit * 0.002, foot.1), tip, (foot.0 + unit * 0.002, foot.1)]));
        }
        canvas.fill(&path, &Paint::Flat((colour, 0.85)));
    }
}

fn blossoms(canvas: &mut Canvas<'_>, setting: &Setting, dice: &mut Dice) {
    let (unit, width, height) = (canvas.unit(), canvas.w(), canvas.h());
    let colours = [hex(0xf7f3e3), hex(0xe8506a), hex(0xf3c443), hex(0xa884d6), hex(0xf29ac0)];
    let start = dice.below(colours.len());
    let asked = setting.reading.has(Subject::Flower);
    for kind in 0..3 {
        let colour = setting.palette.lit(colours[(start + kind) % colours.len()]);
        let (mut petals, mut hearts) = (Path::default(), Path::default());
        for _ in 0..(width / unit * if asked { 190.0 } else { 46.0 }) as usize {
            let depth = dice.unit().sqrt();
            let place = (dice.range(0.0, width), height * (0.68 + 0.33 * depth));
            let size = unit * (0.0018 + 0.0085 * smooth(0.2, 1.0, depth)) * dice.range(0.7, 1.2);
            for petal in 0..5 {
                let angle = petal as f32 * 1.2566 + depth * 9.0;
                let at = (place.0 + angle.cos() * size * 0.8, place.1 + angle.sin() * size * 0.62);
                petals = petals.and(Path::ellipse(at, size * 0.62, size * 0.52));
            }
            hearts = hearts.and(Path::ellipse(place, size * 0.42, size * 0.36));
        }
        canvas.fill(&petals, &Paint::Flat((colour, 0.95)));
        canvas.fill(&hearts, &Paint::Flat((setting.palette.lit(hex(0xf0b93c)), 1.0)));
    }
}
