//! Style filter: oil painting, as layers of brush strokes in the picture's colours, broad strokes first. Strengths are
//! chosen by eye.

use crate::canvas::Canvas;
use crate::noise;
use crate::observer::{Cancelled, Observer};
use crate::paint::Paint;
use crate::path::Path;
use crate::random::Rng;

/// Redraws the picture with brush strokes.
pub(crate) fn apply<'w>(
    canvas: Canvas<'w>,
    rng: &mut Rng,
    observer: &'w dyn Observer,
) -> Result<Canvas<'w>, Cancelled> {
    let quality = canvas.quality;
    let (width, height, unit) = (canvas.w(), canvas.h(), canvas.unit());
    let source = Canvas::new(canvas.into_picture()?, quality, observer);
    let mut target = Canvas::new(
        image::RgbaImage::from_raw(source.width as u32, source.height as u32, source.to_bytes()).ok_or(Cancelled)?,
        quality,
        observer,
    );
    let field = rng.seed();
    let finest = if source.octaves(2) > 2 { 0.0075 } else { 0.0105 };
    // Thickness in units of the shorter side, and length in thicknesses.
    for (size, long) in [(0.03, 3.4), (0.017, 3.6), (finest, 3.4)] {
        // On a narrow canvas the unit is small and would require millions of strokes thinner than a pixel.
        let step = (unit * size).max(1.5);
        let (columns, rows) = ((width / step) as usize + 2, (height / step) as usize + 2);
        // Regular order would be visible in the overlaps. A stride that is coprime to the count and close to its golden section
        // visits all cells in scattered order.
        let count = columns * rows;
        let stride = (count as f32 * 0.618) as usize | 1;
        let stride = (stride..).step_by(2).find(|&stride| coprime(stride, count)).unwrap_or(1);
        for index in 0..count {
            if index % 256 == 0 && target.is_cancelled() {
                return Err(Cancelled);
            }
            let cell = index * stride % count;
            let place = (
                ((cell % columns) as f32 + rng.range(-0.4, 0.4)) * step,
                ((cell / columns) as f32 + rng.range(-0.4, 0.4)) * step,
            );
            let seen =
                |dx: f32, dy: f32| source.pixel((place.0 + dx).max(0.0) as usize, (place.1 + dy).max(0.0) as usize);
            let colour = seen(0.0, 0.0);
            let (gx, gy) =
                (seen(step, 0.0).luma() - seen(-step, 0.0).luma(), seen(0.0, step).luma() - seen(0.0, -step).luma());
            let detail = gx.hypot(gy);
            // Fine strokes mostly where the picture has detail.
            if size < 0.016 && detail < 0.04 && rng.chance(0.6) {
                continue;
            }
            let swirl = (noise::cloudy(field, place.0 / unit * 2.2, place.1 / unit * 2.2, 2) - 0.5) * 4.0;
            let angle = if detail > 0.05 { gx.atan2(-gy) } else { swirl };
            let reach = step * long * 0.5 * rng.range(0.7, 1.2) * if detail > 0.12 { 0.6 } else { 1.0 };
            let (dx, dy) = (angle.cos() * reach * 0.5, angle.sin() * reach * 0.5);
            let tone =
                if rng.chance(0.5) { colour.lighter(rng.range(0.0, 0.09)) } else { colour.darker(rng.range(0.0, 0.1)) };
            let line = [(place.0 - dx, place.1 - dy), (place.0 + dx, place.1 + dy)];
            draw_stroke(&mut target, &line, step * 0.62, tone.saturate(1.12));
        }
    }
    Ok(target)
}

/// Draws a stroke with a shadow.
fn draw_stroke(target: &mut Canvas<'_>, line: &[(f32, f32); 2], thick: f32, tone: crate::colour::Rgb) {
    let shadow = line.map(|(x, y)| (x + thick * 0.1, y + thick * 0.14));
    target.fill(&Path::stroke(&shadow, (thick, thick * 0.7)), &Paint::Flat((tone.darker(0.35), 0.3)));
    target.fill(&Path::stroke(line, (thick, thick * 0.7)), &Paint::Flat((tone, 0.92)));
}

fn coprime(mut a: usize, mut b: usize) -> bool {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}
