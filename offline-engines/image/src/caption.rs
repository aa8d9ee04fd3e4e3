//! The prompt, set small at the foot of the picture.

use ttf_parser::{Face, GlyphId, OutlineBuilder};

use crate::canvas::Canvas;
use crate::colour::{BLACK, WHITE, hex};
use crate::paint::Paint;
use crate::path::{Path, Point};

static FONT: &[u8] = include_bytes!("../fonts/NotoSansSC-subset.ttf");

/// Pictures smaller than this, in pixels, carry no caption.
const SMALLEST: usize = 128;
const LINES: usize = 2;

/// One letter in its place; units of the font size, from the start of the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Placed {
    glyph: GlyphId,
    x: f32,
}

/// Lays the caption over the picture; does nothing when there is no room or nothing the font can show.
pub(crate) fn write(canvas: &mut Canvas<'_>, prompt: &str) {
    if canvas.width.min(canvas.height) < SMALLEST {
        return;
    }
    let Ok(face) = Face::parse(FONT, 0) else { return };
    let unit = canvas.unit();
    let size = (unit * 0.021).max(9.5);
    let margin = unit * 0.034;
    let lines = layout(&face, prompt, (canvas.w() - 2.0 * margin) / size);
    if lines.is_empty() {
        return;
    }
    let leading = size * 1.42;
    let last = canvas.h() - margin - size * 0.12;
    let first = last - leading * (lines.len() - 1) as f32;
    // The veil keeps white letters readable on snow.
    let veil_top = first - size * 3.6;
    let veil = Path::polygon(&[(0.0, veil_top), (canvas.w(), veil_top), (canvas.w(), canvas.h()), (0.0, canvas.h())]);
    // Dark letters on paper and snow, white ones elsewhere.
    let on_light = brightness(canvas, first - size) > 0.62;
    if !on_light {
        canvas.fill(&veil, &Paint::down(veil_top, canvas.h(), (BLACK, 0.0), (BLACK, 0.42)));
    }
    for (index, line) in lines.iter().enumerate() {
        let base = (margin, first + leading * index as f32);
        let letters = outlines(&face, line, base, size);
        if on_light {
            canvas.fill(&letters, &Paint::Flat((hex(0x23262b), 0.82)));
            continue;
        }
        let shadow = outlines(&face, line, (base.0 + size * 0.03, base.1 + size * 0.06), size);
        canvas.fill(&shadow, &Paint::Flat((BLACK, 0.35)));
        canvas.fill(&letters, &Paint::Flat((WHITE, 0.9)));
    }
}

/// Luma of the darker spots of the left part below `top`, where the words begin.
fn brightness(canvas: &Canvas<'_>, top: f32) -> f32 {
    let (columns, rows) = (24, 6);
    let probe = |index: usize| {
        let (x, y) = (
            canvas.w() * 0.55 * (index % columns) as f32 / columns as f32,
            top + (canvas.h() - top) * (index / columns) as f32 / rows as f32,
        );
        canvas.pixel(x as usize, y as usize).luma()
    };
    let mut lumas: Vec<f32> = (0..columns * rows).map(probe).collect();
    lumas.sort_by(f32::total_cmp);
    lumas[lumas.len() / 6]
}

/// At most two lines no wider than `width` font sizes. Letters the font lacks are left out.
pub(crate) fn layout(face: &Face<'_>, prompt: &str, width: f32) -> Vec<Vec<Placed>> {
    let letters = shown(face, prompt);
    let mut lines = Vec::new();
    let mut rest = &letters[..];
    while !rest.is_empty() && lines.len() < LINES {
        let fits = fitting(rest, width);
        let last = lines.len() + 1 == LINES;
        if fits < rest.len() && last {
            let dots: Vec<_> = shown(face, "…");
            let room = width - dots.iter().map(|letter| letter.advance).sum::<f32>();
            let mut cut = fitting_hard(rest, room.max(0.0));
            while cut > 0 && rest[cut - 1].text == ' ' {
                cut -= 1;
            }
            lines.push(place(&[&rest[..cut], &dots[..]].concat()));
            break;
        }
        lines.push(place(&rest[..fits]));
        rest = &rest[fits..];
        let blanks = rest.iter().take_while(|letter| letter.text == ' ').count();
        rest = &rest[blanks..];
    }
    lines
}

#[derive(Clone, Copy, Debug)]
struct Letter {
    text: char,
    glyph: GlyphId,
    advance: f32,
}

/// The letters the font has, runs of blanks folded into one.
fn shown(face: &Face<'_>, text: &str) -> Vec<Letter> {
    let em = f32::from(face.units_per_em());
    let mut letters: Vec<Letter> = Vec::new();
    // A prompt may be a novel; two lines never need more than this.
    for text in text.chars().take(2000) {
        let text = if text.is_whitespace() { ' ' } else { text };
        let blank_before = letters.last().is_none_or(|letter| letter.text == ' ');
        match face.glyph_index(text) {
            Some(glyph) if !(text == ' ' && blank_before) => {
                let advance = f32::from(face.glyph_hor_advance(glyph).unwrap_or(0)) / em;
                letters.push(Letter { text, glyph, advance });
            }
            Some(_) | None => {}
        }
    }
    if letters.last().is_some_and(|letter| letter.text == ' ') {
        letters.pop();
    }
    letters
}

fn fitting_hard(letters: &[Letter], width: f32) -> usize {
    let mut used = 0.0;
    letters
        .iter()
        .take_while(|letter| {
            used += letter.advance;
            used <= width
        })
        .count()
}

/// How many letters fit, broken between words where there are words. At least one, so that layout ends.
fn fitting(letters: &[Letter], width: f32) -> usize {
    let most = fitting_hard(letters, width);
    if most == letters.len() {
        return most;
    }
    let breakable =
        |index: usize| letters[index].text == ' ' || wide(letters[index].text) || wide(letters[index - 1].text);
    // Chinese commas and full stops must not start a line.
    let starts_badly = |index: usize| "，。、；：？！）》」』”’…".contains(letters[index].text);
    (1..=most).rev().find(|&index| breakable(index) && !starts_badly(index)).unwrap_or(most).max(1)
}

fn wide(text: char) -> bool {
    text >= '\u{2e80}'
}

fn place(letters: &[Letter]) -> Vec<Placed> {
    let mut x = 0.0;
    letters
        .iter()
        .map(|letter| {
            let placed = Placed { glyph: letter.glyph, x };
            x += letter.advance;
            placed
        })
        .collect()
}

fn outlines(face: &Face<'_>, line: &[Placed], base: Point, size: f32) -> Path {
    let scale = size / f32::from(face.units_per_em());
    let mut path = Path::default();
    for letter in line {
        let mut pen = Pen { path: &mut path, origin: (base.0 + letter.x * size, base.1), scale, here: (0.0, 0.0) };
        face.outline_glyph(letter.glyph, &mut pen);
    }
    path
}

struct Pen<'a> {
    path: &'a mut Path,
    origin: Point,
    scale: f32,
    here: Point,
}

impl Pen<'_> {
    fn point(&self, (x, y): Point) -> Point {
        (self.origin.0 + x * self.scale, self.origin.1 - y * self.scale)
    }

    fn push(&mut self, to: Point) {
        let place = self.point(to);
        if let Some(outline) = self.path.loops.last_mut() {
            outline.push(place);
        }
        self.here = to;
    }
}

impl OutlineBuilder for Pen<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.loops.push(Vec::new());
        self.push((x, y));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.push((x, y));
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        let from = self.here;
        for step in 1..=5 {
            let t = step as f32 / 5.0;
            let mix = |a: f32, c: f32, b: f32| (1.0 - t) * (1.0 - t) * a + 2.0 * t * (1.0 - t) * c + t * t * b;
            self.push((mix(from.0, cx, x), mix(from.1, cy, y)));
        }
    }

    fn curve_to(&mut self, ax: f32, ay: f32, bx: f32, by: f32, x: f32, y: f32) {
        let from = self.here;
        for step in 1..=8 {
            let (t, s) = (step as f32 / 8.0, 1.0 - step as f32 / 8.0);
            let mix = |p: f32, a: f32, b: f32, q: f32| {
                s * s * s * p + 3.0 * s * s * t * a + 3.0 * s * t * t * b + t * t * t * q
            };
            self.push((mix(from.0, ax, bx, x), mix(from.1, ay, by, y)));
        }
    }

    fn close(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face() -> Face<'static> {
        Face::parse(FONT, 0).expect("the embedded font is sound")
    }

    #[test]
    fn a_letter_the_font_lacks_is_left_out() {
        assert!(layout(&face(), "\u{e000}\u{f8ff}", 40.0).is_empty());
        assert_eq!(layout(&face(), "ab\u{e000}c", 40.0), layout(&face(), "abc", 40.0));
    }

    #[test]
    fn chinese_and_accented_letters_are_shown() {
        assert_eq!(layout(&face(), "山间日出，水墨风格 été", 40.0)[0].len(), 13);
    }

    #[test]
    fn a_long_prompt_ends_in_an_ellipsis_on_the_second_line() {
        let lines = layout(&face(), &"a long walk in the hills ".repeat(20), 20.0);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].last().map(|letter| letter.glyph), face().glyph_index('…'));
        assert!(lines.iter().flatten().all(|letter| letter.x < 20.0));
    }

    #[test]
    fn one_endless_word_is_broken_rather_than_dropped() {
        let lines = layout(&face(), &"w".repeat(30), 12.0);
        assert!(lines[0].len() > 5 && lines.len() == 2);
    }
}
