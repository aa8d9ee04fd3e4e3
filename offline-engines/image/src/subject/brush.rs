//! Draws in a subject's coordinates and in the light of the scene.

use crate::canvas::Canvas;
use crate::colour::{BLACK, Rgb, hex};
use crate::paint::Paint;
use crate::palette::Palette;
use crate::path::{Path, Point};
use crate::random::Rng;
use crate::setting::{Placement, Setting};

/// A canvas with a coordinate transformation and the scene's light. The methods that end in `_path` return a shape, the
/// others draw it.
pub(super) struct Brush<'a, 'w> {
    canvas: &'a mut Canvas<'w>,
    origin: Point,
    scale: f32,
    pub(super) palette: Palette,
    pub(super) rng: Rng,
    /// `-1.0` if the light comes from the left, `1.0` if from the right.
    pub(super) side: f32,
    /// Whether the style is ink, which has no glowing lights.
    pub(super) ink: bool,
    /// Whether the subject is the only content of the picture: one fish instead of a school.
    pub(super) solo: bool,
}

impl<'a, 'w> Brush<'a, 'w> {
    pub(super) fn new(canvas: &'a mut Canvas<'w>, setting: &Setting, placement: Placement, rng: Rng) -> Self {
        Self {
            canvas,
            origin: placement.foot,
            scale: placement.size,
            palette: setting.palette,
            rng,
            side: setting.light_side(),
            ink: setting.is_ink(),
            solo: false,
        }
    }

    /// Returns the colour that the prompt names, or else one of `codes` (`0xRRGGBB`) at random.
    pub(super) fn colour(&mut self, named: Option<Rgb>, codes: &[u32]) -> Rgb {
        // Drawn in both cases: a named colour must not change the other random details.
        let pick = hex(codes[self.rng.below(codes.len())]);
        named.unwrap_or(pick)
    }

    /// Returns the width and height of the canvas in the subject's units.
    pub(super) fn canvas_size(&self) -> Point {
        (self.canvas.w() / self.scale, self.canvas.h() / self.scale)
    }

    /// Calls `draw` with a moved and scaled coordinate system.
    pub(super) fn shifted<R>(&mut self, by: Point, scale: f32, draw: impl FnOnce(&mut Self) -> R) -> R {
        let before = (self.origin, self.scale);
        self.origin = self.at(by);
        self.scale *= scale;
        let result = draw(self);
        (self.origin, self.scale) = before;
        result
    }

    fn at(&self, (x, y): Point) -> Point {
        (self.origin.0 + x * self.scale, self.origin.1 + y * self.scale)
    }

    fn all_at(&self, points: &[Point]) -> Vec<Point> {
        points.iter().map(|point| self.at(*point)).collect()
    }

    pub(super) fn blob_path(&self, points: &[Point]) -> Path {
        Path::blob(&self.all_at(points))
    }

    pub(super) fn poly_path(&self, points: &[Point]) -> Path {
        Path::polygon(&self.all_at(points))
    }

    pub(super) fn oval_path(&self, centre: Point, rx: f32, ry: f32) -> Path {
        Path::ellipse(self.at(centre), rx * self.scale, ry * self.scale)
    }

    pub(super) fn line_path(&self, points: &[Point], widths: (f32, f32)) -> Path {
        Path::curve(&self.all_at(points), (widths.0 * self.scale, widths.1 * self.scale))
    }

    /// Fills a path with a gradient, from bright at the lit side to dark at the opposite side and bottom.
    pub(super) fn body(&mut self, path: &Path, colour: Rgb) {
        let Some([left, top, right, bottom]) = path.bounds() else { return };
        let material = self.palette.lit(colour);
        let (bright, dark) = (material.to(self.palette.disc, 0.16), material.darker(0.2).saturate(1.12));
        let (from, to) = if self.side < 0.0 { ((left, top), (right, bottom)) } else { ((right, top), (left, bottom)) };
        self.canvas.fill(path, &Paint::Linear { from, to, start: (bright, 1.0), end: (dark, 1.0) });
    }

    /// Fills a path with one colour, in the scene's light.
    pub(super) fn flat(&mut self, path: &Path, colour: Rgb, alpha: f32) {
        self.canvas.fill(path, &Paint::Flat((self.palette.lit(colour), alpha)));
    }

    /// Fills a path with one colour, regardless of the scene's light: windows, eyes, lamps.
    pub(super) fn bright(&mut self, path: &Path, colour: Rgb, alpha: f32) {
        self.canvas.fill(path, &Paint::Flat((colour, alpha)));
    }

    /// Fills the part of a path that is inside `outline`.
    pub(super) fn inside(&mut self, path: &Path, outline: &Path, colour: Rgb, alpha: f32) {
        self.canvas.fill_within(path, Some(outline), &Paint::Flat((self.palette.lit(colour), alpha)));
    }

    pub(super) fn blob(&mut self, points: &[Point], colour: Rgb) {
        let path = self.blob_path(points);
        self.body(&path, colour);
    }

    pub(super) fn poly(&mut self, points: &[Point], colour: Rgb) {
        let path = self.poly_path(points);
        self.body(&path, colour);
    }

    pub(super) fn rect(&mut self, left: f32, top: f32, right: f32, bottom: f32, colour: Rgb) {
        self.poly(&[(left, top), (right, top), (right, bottom), (left, bottom)], colour);
    }

    pub(super) fn oval(&mut self, centre: Point, rx: f32, ry: f32, colour: Rgb) {
        let path = self.oval_path(centre, rx, ry);
        self.body(&path, colour);
    }

    pub(super) fn line(&mut self, points: &[Point], widths: (f32, f32), colour: Rgb) {
        let path = self.line_path(points, widths);
        self.flat(&path, colour, 1.0);
    }

    pub(super) fn glow(&mut self, centre: Point, radius: f32, colour: Rgb, strength: f32) {
        if !self.ink {
            self.canvas.glow(self.at(centre), radius * self.scale, colour, strength);
        }
    }

    /// Draws a soft shadow on the ground.
    pub(super) fn shadow(&mut self, centre: Point, rx: f32, ry: f32) {
        for (share, alpha) in [(1.25, 0.1), (1.0, 0.14), (0.75, 0.16)] {
            let path = self.oval_path((centre.0 - self.side * rx * 0.12, centre.1), rx * share, ry * share);
            self.canvas.fill(&path, &Paint::Flat((self.palette.near.to(BLACK, 0.5), alpha)));
        }
    }

    /// Fills a path with a gradient, regardless of the scene's light: beams, flames.
    pub(super) fn gradient(&mut self, path: &Path, (from, to): (Point, Point), start: (Rgb, f32), end: (Rgb, f32)) {
        self.canvas.fill(path, &Paint::Linear { from: self.at(from), to: self.at(to), start, end });
    }
}

/// Mirrors points at the vertical axis.
pub(super) fn mirrored(points: &[Point]) -> Vec<Point> {
    points.iter().map(|(x, y)| (-x, *y)).collect()
}
