//! Style filter: watercolour, with irregular edges, pigment granulation and an unpainted paper margin. `style` explains the
//! coordinates.

use crate::canvas::Canvas;
use crate::colour::{Rgb, hex, smooth};
use crate::noise;
use crate::random::Rng;

/// Applies the watercolour style.
pub(crate) fn apply(canvas: &mut Canvas<'_>, rng: &mut Rng) {
    let (unit, w, h) = (canvas.unit(), canvas.w(), canvas.h());
    let seed = rng.seed();
    let octaves = canvas.octaves(4);
    let (width, source) = (canvas.width, canvas.to_bytes());
    let (right, low) = (canvas.width - 1, canvas.height - 1);
    let sample = |x: f32, y: f32| {
        let at = ((y.max(0.0) as usize).min(low) * width + (x.max(0.0) as usize).min(right)) * 4;
        Rgb([0, 1, 2].map(|part| f32::from(source[at + part]) / 255.0))
    };
    let paper = hex(0xfaf7ef);
    canvas.remap(0..canvas.height, |x, y, _| {
        let (u, v) = (x / unit, y / unit);
        let wander = |salt: u32| (noise::cloudy(seed ^ salt, u * 11.0, v * 11.0, octaves) - 0.5) * unit * 0.032;
        let (sx, sy) = (x + wander(1), y + wander(2));
        let reach = unit * 0.006;
        let around =
            [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)].map(|(a, b)| sample(sx + a * reach, sy + b * reach));
        let middle = sample(sx, sy);
        let soft = around.iter().fold(middle, |sum, next| sum + *next) * 0.2;
        // Pigment accumulates at the edges of a wash.
        let edge: f32 = around.iter().map(|next| (next.luma() - middle.luma()).abs()).sum::<f32>() * 0.25;
        let granule = noise::cloudy(seed ^ 5, u * 120.0, v * 120.0, 2) - 0.5;
        let pool = noise::cloudy(seed ^ 6, u * 3.2, v * 3.2, octaves) - 0.5;
        let thin = soft.to(paper, (0.2 + pool * 0.7).clamp(0.0, 0.6));
        let pigment =
            thin.saturate(1.22).darker((edge * 1.5).min(0.3) + (granule * 0.22 * (1.0 - thin.luma())).max(0.0));
        let rim =
            (x.min(w - x)).min(y.min(h - y)) / unit + (noise::cloudy(seed ^ 7, u * 7.0, v * 7.0, octaves) - 0.5) * 0.09;
        let grain = noise::plane(seed ^ 8, u * 260.0, v * 260.0) - 0.5;
        let sheet = paper.darker((grain * 0.06).max(0.0));
        let dried = smooth(0.012, 0.0, (rim - 0.05).abs()) * 0.14;
        sheet.to(pigment.darker(dried), smooth(0.042, 0.05, rim)).lighter((-grain * 0.07).max(0.0))
    });
}
