//! Value noise and its sums. All results lie in `0.0..=1.0` and average one half.

use crate::random;

fn fade(t: f32) -> f32 {
    t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
}

/// One-dimensional noise, for outlines.
pub(crate) fn line(seed: u32, x: f32) -> f32 {
    let cell = x.floor();
    let (left, t) = (cell as i32, fade(x - cell));
    let (a, b) = (random::at(seed, left, 0), random::at(seed, left.wrapping_add(1), 0));
    a + (b - a) * t
}

/// Two-dimensional noise, for surfaces.
pub(crate) fn plane(seed: u32, x: f32, y: f32) -> f32 {
    let (cx, cy) = (x.floor(), y.floor());
    let (ix, iy) = (cx as i32, cy as i32);
    let (tx, ty) = (fade(x - cx), fade(y - cy));
    let (jx, jy) = (ix.wrapping_add(1), iy.wrapping_add(1));
    let top = random::at(seed, ix, iy) + (random::at(seed, jx, iy) - random::at(seed, ix, iy)) * tx;
    let low = random::at(seed, ix, jy) + (random::at(seed, jx, jy) - random::at(seed, ix, jy)) * tx;
    top + (low - top) * ty
}

/// Rolling outline: octaves of [`line`], each half as high and about twice as fine.
pub(crate) fn rolling(seed: u32, x: f32, octaves: u32) -> f32 {
    octave_sum(octaves, |octave, scale| line(seed.wrapping_add(octave * 101), x * scale))
}

/// Craggy outline: folded noise, so that peaks are sharp and valleys wide.
pub(crate) fn craggy(seed: u32, x: f32, octaves: u32) -> f32 {
    octave_sum(octaves, |octave, scale| {
        let fold = 1.0 - (2.0 * line(seed.wrapping_add(octave * 101), x * scale) - 1.0).abs();
        fold * fold * 0.6 + fold * 0.4
    })
}

/// Clouds, stains, waves: octaves of [`plane`].
pub(crate) fn cloudy(seed: u32, x: f32, y: f32, octaves: u32) -> f32 {
    octave_sum(octaves, |octave, scale| {
        // The offset keeps the octaves' lattices from lining up at the origin.
        let shift = octave as f32 * 17.3;
        plane(seed.wrapping_add(octave * 101), x * scale + shift, y * scale - shift)
    })
}

fn octave_sum(octaves: u32, mut sample: impl FnMut(u32, f32) -> f32) -> f32 {
    let (mut sum, mut weight, mut share, mut scale) = (0.0, 0.0, 1.0, 1.0);
    for octave in 0..octaves.max(1) {
        sum += share * sample(octave, scale);
        weight += share;
        share *= 0.5;
        scale *= 2.03;
    }
    sum / weight
}
