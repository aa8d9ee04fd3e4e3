//! Draws the prompt as a caption at the bottom of the picture.

use ttf_parser::{Face, GlyphId, OutlineBuilder};

use crate::canvas::Canvas;
use crate::colour::{BLACK, WHITE, hex};
use crate::paint::Paint;
use crate::path::{Path, Point};

static FONT: &[u8] = include_bytes!("../fonts/NotoSansSC-subset.ttf");

/// Minimum length of the shorter side for a caption, in pixels.
const MIN_SIDE: usize = 128;
/// Maximum number of lines.
const MAX_LINES: usize = 2;

/// A glyph and its offset from the start of the line, in multiples of the font size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PlacedGlyph {
    glyph: GlyphId,
    x: f32,
}

/// Draws the caption. Does nothing if the picture is too small or the font has no glyph for any character.
pub(crate) fn write(canvas: &mut Canvas<'_>, prompt: &str) {
    if canvas.width.min(canvas.height) < MIN_SIDE {
        return;
    }
    let Ok(face) = Face::parse(FONT, 0) else { return };
    // Proportions are chosen by eye. Letters smaller than 9.5 pixels would be illegible.
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
    // A gradient to dark keeps white letters legible on a bright background.
    let shade_top = first - size * 3.6;
    let shade =
        Path::polygon(&[(0.0, shade_top), (canvas.w(), shade_top), (canvas.w(), canvas.h()), (0.0, canvas.h())]);
    // On very bright backgrounds such as paper or snow, use dark letters without a gradient.
    let on_light = brightness(canvas, first - size) > 0.62;
    if !on_light {
        canvas.fill(&shade, &Paint::vertical(shade_top, canvas.h(), (BLACK, 0.0), (BLACK, 0.42)));
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

/// Returns the luma of the background: a low percentile over the left part below `top`, where the text starts.
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

/// Lays out at most [`MAX_LINES`] lines of at most `width` font sizes. Characters without a glyph are omitted.
pub(crate) fn layout(face: &Face<'_>, prompt: &str, width: f32) -> Vec<Vec<PlacedGlyph>> {
    let letters = glyphs(face, prompt);
    let mut lines = Vec::new();
    let mut rest = &letters[..];
    while !rest.is_empty() && lines.len() < MAX_LINES {
        let fits = line_length(rest, width);
        let last = lines.len() + 1 == MAX_LINES;
        if fits < rest.len() && last {
            let dots: Vec<_> = glyphs(face, "…");
            let room = width - dots.iter().map(|letter| letter.advance).sum::<f32>();
            let mut cut = count_fitting(rest, room.max(0.0));
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

/// A character with its glyph and its advance in multiples of the font size.
#[derive(Clone, Copy, Debug)]
struct Letter {
    text: char,
    glyph: GlyphId,
    advance: f32,
}

/// Returns the characters for which the font has a glyph. Runs of whitespace become one space.
fn glyphs(face: &Face<'_>, text: &str) -> Vec<Letter> {
    let em = f32::from(face.units_per_em());
    let mut letters: Vec<Letter> = Vec::new();
    // Prompts may be very long; two lines never hold more than this.
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

/// Returns the number of characters that fit into the width.
fn count_fitting(letters: &[Letter], width: f32) -> usize {
    let mut used = 0.0;
    letters
        .iter()
        .take_while(|letter| {
            used += letter.advance;
            used <= width
        })
        .count()
}

/// Returns the number of characters in the next line, which ends between words if possible. At least one, so that the
/// layout terminates.
fn line_length(letters: &[Letter], width: f32) -> usize {
    let max = count_fitting(letters, width);
    if max == letters.len() {
        return max;
    }
    let breakable =
        |index: usize| letters[index].text == ' ' || is_cjk(letters[index].text) || is_cjk(letters[index - 1].text);
    // Chinese punctuation must not start a line.
    let cannot_start_line = |index: usize| "，。、；：？！）》」』”’…".contains(letters[index].text);
    (1..=max).rev().find(|&index| breakable(index) && !cannot_start_line(index)).unwrap_or(max).max(1)
}

/// Returns whether a line can be broken before and after the character.
fn is_cjk(text: char) -> bool {
    text >= '\u{2e80}'
}

fn place(letters: &[Letter]) -> Vec<PlacedGlyph> {
    let mut x = 0.0;
    letters
        .iter()
        .map(|letter| {
            let placed = PlacedGlyph { glyph: letter.glyph, x };
            x += letter.advance;
            placed
        })
        .collect()
}

/// Returns the path of a line whose baseline starts at `base`.
fn outlines(face: &Face<'_>, line: &[PlacedGlyph], base: Point, size: f32) -> Path {
    let scale = size / f32::from(face.units_per_em());
    let mut path = Path::default();
    for letter in line {
        let mut pen = Pen { path: &mut path, origin: (base.0 + letter.x * size, base.1), scale, current: (0.0, 0.0) };
        face.outline_glyph(letter.glyph, &mut pen);
    }
    path
}

/// Converts glyph outlines from font units to pixels. A curve becomes a few segments, enough at the size of a caption.
struct Pen<'a> {
    path: &'a mut Path,
    origin: Point,
    scale: f32,
    /// The current point, in font units.
    current: Point,
}

impl Pen<'_> {
    fn point(&self, (x, y): Point) -> Point {
        (self.origin.0 + x * self.scale, self.origin.1 - y * self.scale)
    }

    fn push(&mut self, to: Point) {
        let place = self.point(to);
        if let Some(outline) = self.path.polygons.last_mut() {
            outline.push(place);
        }
        self.current = to;
    }
}

impl OutlineBuilder for Pen<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.polygons.push(Vec::new());
        self.push((x, y));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.push((x, y));
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        let from = self.current;
        for step in 1..=5 {
            let t = step as f32 / 5.0;
            let mix = |a: f32, c: f32, b: f32| (1.0 - t) * (1.0 - t) * a + 2.0 * t * (1.0 - t) * c + t * t * b;
            self.push((mix(from.0, cx, x), mix(from.1, cy, y)));
        }
    }

    fn curve_to(&mut self, ax: f32, ay: f32, bx: f32, by: f32, x: f32, y: f32) {
        let from = self.current;
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
        Face::parse(FONT, 0).expect("the embedded font is valid")
    }

    #[test]
    fn character_without_a_glyph_is_omitted() {
        assert!(layout(&face(), "\u{e000}\u{f8ff}", 40.0).is_empty());
        assert_eq!(layout(&face(), "ab\u{e000}c", 40.0), layout(&face(), "abc", 40.0));
    }

    #[test]
    fn chinese_and_accented_characters_have_glyphs() {
        assert_eq!(layout(&face(), "山间日出，水墨风格 été", 40.0)[0].len(), 13);
    }

    #[test]
    fn long_prompt_ends_with_an_ellipsis_on_the_second_line() {
        let lines = layout(&face(), &"a long walk in the hills ".repeat(20), 20.0);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].last().map(|letter| letter.glyph), face().glyph_index('…'));
        assert!(lines.iter().flatten().all(|letter| letter.x < 20.0));
    }

    #[test]
    fn word_longer_than_a_line_is_broken() {
        let lines = layout(&face(), &"w".repeat(30), 12.0);
        assert!(lines[0].len() > 5 && lines.len() == 2);
    }
}
