//! Value noise: random numbers at the points of a lattice, interpolated between them. All results are in `0.0..=1.0`, with a
//! mean of about one half.

use crate::random;

/// Perlin's quintic interpolation.
fn fade(t: f32) -> f32 {
    t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
}

/// Returns one-dimensional noise.
pub(crate) fn line(seed: u32, x: f32) -> f32 {
    let cell = x.floor();
    let (left, t) = (cell as i32, fade(x - cell));
    let (a, b) = (random::lattice(seed, left, 0), random::lattice(seed, left.wrapping_add(1), 0));
    a + (b - a) * t
}

/// Returns two-dimensional noise.
pub(crate) fn plane(seed: u32, x: f32, y: f32) -> f32 {
    let (cx, cy) = (x.floor(), y.floor());
    let (ix, iy) = (cx as i32, cy as i32);
    let (tx, ty) = (fade(x - cx), fade(y - cy));
    let (jx, jy) = (ix.wrapping_add(1), iy.wrapping_add(1));
    let top = random::lattice(seed, ix, iy) + (random::lattice(seed, jx, iy) - random::lattice(seed, ix, iy)) * tx;
    let low = random::lattice(seed, ix, jy) + (random::lattice(seed, jx, jy) - random::lattice(seed, ix, jy)) * tx;
    top + (low - top) * ty
}

/// Returns fractal noise for rolling hills: octaves of [`line`], each with half the amplitude and about twice the frequency
/// of the previous one.
pub(crate) fn rolling(seed: u32, x: f32, octaves: u32) -> f32 {
    octave_sum(octaves, |octave, scale| line(seed.wrapping_add(octave * 101), x * scale))
}

/// Returns ridged fractal noise for mountains: sharp peaks and wide valleys.
pub(crate) fn craggy(seed: u32, x: f32, octaves: u32) -> f32 {
    octave_sum(octaves, |octave, scale| {
        let fold = 1.0 - (2.0 * line(seed.wrapping_add(octave * 101), x * scale) - 1.0).abs();
        // The square sharpens the peaks; the linear share keeps the mean near one half.
        fold * fold * 0.6 + fold * 0.4
    })
}

/// Returns two-dimensional fractal noise for clouds, textures and waves: octaves of [`plane`].
pub(crate) fn cloudy(seed: u32, x: f32, y: f32, octaves: u32) -> f32 {
    octave_sum(octaves, |octave, scale| {
        // The offset prevents the lattices of all octaves from coinciding at the origin.
        let shift = octave as f32 * 17.3;
        plane(seed.wrapping_add(octave * 101), x * scale + shift, y * scale - shift)
    })
}

/// Sums octaves. The frequency does not exactly double, so that the lattice points of two octaves rarely coincide. Where they do, the
/// callers' seeds, which differ by octave, give different values.
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
