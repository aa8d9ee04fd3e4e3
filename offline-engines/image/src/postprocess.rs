//! Post-processing of a finished picture: bloom (a glow around lights), vignette (darker corners), film grain. Strengths
//! are chosen by eye.

use crate::canvas::Canvas;
use crate::colour::{BLACK, Rgb, smooth};
use crate::prompt::{Scene, Style};
use crate::random;
use crate::request::Quality;
use crate::setting::Setting;

/// Applies the effects that suit the style and scene.
pub(crate) fn apply(canvas: &mut Canvas<'_>, setting: &Setting) {
    let prompt = &setting.prompt;
    if prompt.has_style(Style::Pixel) {
        return;
    }
    if !setting.is_ink() && !setting.is_minimal() {
        let strength = if prompt.has_style(Style::Neon) {
            0.9
        } else if setting.palette.night {
            0.5
        } else {
            0.22
        };
        bloom(canvas, strength);
    }
    let (width, height) = (canvas.w(), canvas.h());
    let paper = setting.is_ink() || setting.is_minimal() || prompt.has_style(Style::Watercolour);
    let vignette = match setting.scene {
        _ if paper => 0.03,
        Scene::Studio | Scene::Abstract => 0.08,
        Scene::Mountains
        | Scene::Sea
        | Scene::Lake
        | Scene::Forest
        | Scene::Desert
        | Scene::City
        | Scene::Meadow
        | Scene::Room
        | Scene::Space
        | Scene::Lunar
        | Scene::Mars
        | Scene::Underwater => 0.16,
    };
    // High-quality pictures are reduced afterwards, which turns grain into visible noise.
    let grain = if canvas.quality == Quality::High { 0.0 } else { 0.018 };
    canvas.remap(0..canvas.height, |x, y, colour| {
        let (dx, dy) = (x / width - 0.5, y / height - 0.5);
        let edge = smooth(0.2, 0.78, dx * dx * 2.0 + dy * dy * 2.0);
        // The seed is arbitrary: grain depends on the position only.
        let speck = (random::lattice(0x6721, x as i32, y as i32) - 0.5) * grain;
        let shown = colour.darker(edge * vignette);
        shown + Rgb([speck; 3])
    });
}

/// Adds a blurred copy of the bright areas to the picture, with about 96 cells along the shorter side.
fn bloom(canvas: &mut Canvas<'_>, strength: f32) {
    let step = (canvas.unit() / 96.0).max(1.0) as usize;
    let (columns, rows) = (canvas.width.div_ceil(step), canvas.height.div_ceil(step));
    let mut small = vec![BLACK; columns * rows];
    for (row, line) in small.chunks_exact_mut(columns).enumerate() {
        for (column, cell) in line.iter_mut().enumerate() {
            // The result is blurred, so five samples per cell suffice.
            let probes = [(0.25, 0.25), (0.75, 0.25), (0.5, 0.5), (0.25, 0.75), (0.75, 0.75)];
            let sum = probes.iter().fold(BLACK, |sum, (px, py)| {
                let at = |index: usize, part: f32| index * step + (part * step as f32) as usize;
                let colour = canvas.pixel(at(column, *px), at(row, *py));
                sum + colour * smooth(0.55, 0.95, colour.luma().max(colour.0[0].max(colour.0[2]) * 0.86))
            });
            *cell = sum * 0.2;
        }
    }
    for _ in 0..2 {
        blur(&mut small, columns, rows);
    }
    let (width, height) = (columns as f32, rows as f32);
    canvas.remap(0..canvas.height, |x, y, colour| {
        let (u, v) =
            ((x / step as f32 - 0.5).clamp(0.0, width - 1.0), (y / step as f32 - 0.5).clamp(0.0, height - 1.0));
        let (left, top) = (u as usize, v as usize);
        let (right, low) = ((left + 1).min(columns - 1), (top + 1).min(rows - 1));
        let (tx, ty) = (u - left as f32, v - top as f32);
        let upper = small[top * columns + left].to(small[top * columns + right], tx);
        let lower = small[low * columns + left].to(small[low * columns + right], tx);
        let light = upper.to(lower, ty) * strength;
        // Screen blending: bright colours approach white without a hard limit.
        Rgb(std::array::from_fn(|i| 1.0 - (1.0 - colour.0[i]) * (1.0 - light.0[i].min(1.0))))
    });
}

/// Applies a box blur of seven cells in both directions.
fn blur(cells: &mut Vec<Rgb>, columns: usize, rows: usize) {
    let reach = 3_isize;
    for (dx, dy) in [(1_isize, 0_isize), (0, 1)] {
        let source = std::mem::take(cells);
        *cells = (0..columns * rows)
            .map(|index| {
                let (x, y) = ((index % columns) as isize, (index / columns) as isize);
                let sum = (-reach..=reach).fold(BLACK, |sum, step| {
                    let (sx, sy) =
                        ((x + dx * step).clamp(0, columns as isize - 1), (y + dy * step).clamp(0, rows as isize - 1));
                    sum + source[sy as usize * columns + sx as usize]
                });
                sum * (1.0 / (2 * reach + 1) as f32)
            })
            .collect();
    }
}
