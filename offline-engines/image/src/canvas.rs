//! The canvas of a picture: 8-bit RGBA pixels, processed in bands of rows by a few threads. The result for a pixel depends on its
//! position alone, so neither bands nor threads are visible.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use image::RgbaImage;

use crate::colour::Rgb;
use crate::observer::{Cancelled, Observer};
use crate::paint::Paint;
use crate::path::{Path, Point};
use crate::random;
use crate::raster::Coverage;
use crate::request::Quality;

/// Number of rows that a thread processes at a time.
const BAND_ROWS: usize = 16;
/// Number of pixels below which a second thread costs more than it saves.
const MIN_PARALLEL_PIXELS: usize = 40_000;

/// A picture that is being drawn.
pub(crate) struct Canvas<'w> {
    pixels: Vec<u8>,
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Determines the number of noise octaves (layers of detail) of every texture.
    pub(crate) quality: Quality,
    observer: &'w dyn Observer,
    cancelled: AtomicBool,
}

impl<'w> Canvas<'w> {
    pub(crate) fn new(picture: RgbaImage, quality: Quality, observer: &'w dyn Observer) -> Self {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        Self { pixels: picture.into_raw(), width, height, quality, observer, cancelled: AtomicBool::new(false) }
    }

    /// Returns the picture, unless drawing was cancelled.
    pub(crate) fn into_picture(self) -> Result<RgbaImage, Cancelled> {
        if self.is_cancelled() {
            return Err(Cancelled);
        }
        RgbaImage::from_raw(self.width as u32, self.height as u32, self.pixels).ok_or(Cancelled)
    }

    /// Asks the observer whether to stop; once cancelled, a canvas remains cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        if self.cancelled.load(Ordering::Relaxed) {
            return true;
        }
        let cancelled = self.observer.cancelled();
        if cancelled {
            self.cancelled.store(true, Ordering::Relaxed);
        }
        cancelled
    }

    /// Returns the shorter side in pixels: the unit for the size of all details.
    pub(crate) fn unit(&self) -> f32 {
        self.width.min(self.height) as f32
    }

    pub(crate) fn w(&self) -> f32 {
        self.width as f32
    }

    pub(crate) fn h(&self) -> f32 {
        self.height as f32
    }

    /// Returns the number of octaves for a texture that has `standard` octaves at standard quality.
    pub(crate) fn octaves(&self, standard: u32) -> u32 {
        match self.quality {
            Quality::Low => standard.saturating_sub(2).max(1),
            Quality::Standard => standard,
            Quality::High => standard + 2,
        }
    }

    /// Returns the colour of a pixel; coordinates are clamped to the canvas.
    pub(crate) fn pixel(&self, x: usize, y: usize) -> Rgb {
        let at = (y.min(self.height - 1) * self.width + x.min(self.width - 1)) * 4;
        Rgb(std::array::from_fn(|part| f32::from(self.pixels[at + part]) / 255.0))
    }

    /// Returns a copy of the RGBA bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.pixels.clone()
    }

    /// Blends a colour and its alpha, a function of x and y, over every pixel of the rows.
    pub(crate) fn shade(&mut self, rows: Range<usize>, colour: impl Fn(f32, f32) -> (Rgb, f32) + Sync) {
        self.rows(rows, |y, row| {
            for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
                let (rgb, alpha) = colour(x as f32 + 0.5, y as f32 + 0.5);
                blend(pixel, rgb, alpha, (x, y));
            }
        });
    }

    /// Replaces the colour of every visible pixel by a function of x, y and the colour.
    pub(crate) fn remap(&mut self, rows: Range<usize>, colour: impl Fn(f32, f32, Rgb) -> Rgb + Sync) {
        self.rows(rows, |y, row| {
            for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
                if pixel[3] > 0 {
                    let old = Rgb(std::array::from_fn(|part| f32::from(pixel[part]) / 255.0));
                    store(pixel, colour(x as f32 + 0.5, y as f32 + 0.5, old), (x, y));
                }
            }
        });
    }

    /// Multiplies the alpha of every pixel by a function of x and y.
    pub(crate) fn fade(&mut self, factor: impl Fn(f32, f32) -> f32 + Sync) {
        self.rows(0..self.height, |y, row| {
            for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
                let factor = factor(x as f32 + 0.5, y as f32 + 0.5).clamp(0.0, 1.0);
                pixel[3] = (f32::from(pixel[3]) * factor).round() as u8;
            }
        });
    }

    /// Draws a reflection: the rows below `split` become a function of x, y and the unchanged rows above.
    pub(crate) fn mirror(&mut self, split: usize, colour: impl Fn(f32, f32, &dyn Fn(f32, f32) -> Rgb) -> Rgb + Sync) {
        let (width, cancelled) = (self.width, &self.cancelled);
        let (above, below) = self.pixels.split_at_mut(split.min(self.height) * width * 4);
        if above.is_empty() {
            return;
        }
        let sample = |x: f32, y: f32| {
            let column = (x.max(0.0) as usize).min(width - 1);
            let row = (y.max(0.0) as usize).min(split - 1);
            let at = (row * width + column) * 4;
            Rgb(std::array::from_fn(|part| f32::from(above[at + part]) / 255.0))
        };
        in_bands(below, width, (self.observer, cancelled), |y, row| {
            for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
                let rgb = colour(x as f32 + 0.5, (y + split) as f32 + 0.5, &sample);
                blend(pixel, rgb, 1.0, (x, y));
            }
        });
    }

    /// Adds light that decreases with the distance from its centre. As in screen blending, the darkness that is left is multiplied, so
    /// that bright pixels approach white without a hard limit.
    pub(crate) fn glow(&mut self, centre: Point, radius: f32, colour: Rgb, strength: f32) {
        let rows = clamp_to(centre.1 - radius, self.height)..clamp_to(centre.1 + radius + 1.0, self.height);
        let columns = clamp_to(centre.0 - radius, self.width)..clamp_to(centre.0 + radius + 1.0, self.width);
        self.rows(rows, |y, row| {
            for x in columns.clone() {
                let (dx, dy) = (x as f32 + 0.5 - centre.0, y as f32 + 0.5 - centre.1);
                let near = 1.0 - (dx * dx + dy * dy) / (radius * radius);
                if near > 0.0 {
                    let light = near * near * near * strength;
                    let pixel = &mut row[x * 4..x * 4 + 4];
                    let old = Rgb(std::array::from_fn(|part| f32::from(pixel[part]) / 255.0));
                    let new =
                        Rgb(std::array::from_fn(|i| 1.0 - (1.0 - old.0[i]) * (1.0 - (colour.0[i] * light).min(1.0))));
                    store(pixel, new, (x, y));
                }
            }
        });
    }

    /// Fills a path.
    pub(crate) fn fill(&mut self, path: &Path, paint: &Paint) {
        self.fill_within(path, None, paint);
    }

    /// Fills the part of a path that is inside another one.
    pub(crate) fn fill_within(&mut self, path: &Path, inside: Option<&Path>, paint: &Paint) {
        let Some(bounds) = path.bounds() else { return };
        let left = clamp_to(bounds[0] - 1.0, self.width);
        let right = clamp_to(bounds[2] + 2.0, self.width);
        let (top, bottom) = (clamp_to(bounds[1] - 1.0, self.height), clamp_to(bounds[3] + 2.0, self.height));
        if left >= right || top >= bottom {
            return;
        }
        let width = self.width;
        let band = &mut self.pixels[top * width * 4..bottom * width * 4];
        let bands: Vec<_> = band.chunks_mut(BAND_ROWS * width * 4).enumerate().collect();
        let threads = if (right - left) * (bottom - top) < MIN_PARALLEL_PIXELS { 1 } else { thread_count() };
        run_bands(bands, threads, (self.observer, &self.cancelled), |(index, rows)| {
            let first = top + index * BAND_ROWS;
            let block = [left, first, right, (first + BAND_ROWS).min(bottom)];
            let cover = Coverage::from_path(path, block);
            let stencil = inside.map(|inside| Coverage::from_path(inside, block));
            for (offset, row) in rows.chunks_exact_mut(width * 4).enumerate() {
                let y = first + offset;
                let stencil = stencil.as_ref().map(|stencil| stencil.row(y));
                for (column, &share) in cover.row(y).iter().enumerate() {
                    let share = share * stencil.map_or(1.0, |stencil| stencil[column]);
                    if share > 0.002 {
                        let x = left + column;
                        let (rgb, alpha) = paint.at(x as f32 + 0.5, y as f32 + 0.5);
                        blend(&mut row[x * 4..x * 4 + 4], rgb, alpha * share, (x, y));
                    }
                }
            }
        });
    }

    /// Calls `work` with the index and the bytes of each row.
    fn rows(&mut self, rows: Range<usize>, work: impl Fn(usize, &mut [u8]) + Sync) {
        let rows = rows.start.min(self.height)..rows.end.min(self.height);
        if rows.is_empty() {
            return;
        }
        let width = self.width;
        let part = &mut self.pixels[rows.start * width * 4..rows.end * width * 4];
        in_bands(part, width, (self.observer, &self.cancelled), |y, row| work(y + rows.start, row));
    }
}

/// Calls `work` with each row and its index within `part`, in parallel bands. `stop` is who may cancel the work, and the flag that
/// remembers it.
fn in_bands(part: &mut [u8], width: usize, stop: (&dyn Observer, &AtomicBool), work: impl Fn(usize, &mut [u8]) + Sync) {
    let threads = if part.len() / 4 < MIN_PARALLEL_PIXELS { 1 } else { thread_count() };
    let bands: Vec<_> = part.chunks_mut(BAND_ROWS * width * 4).enumerate().collect();
    run_bands(bands, threads, stop, |(index, band)| {
        for (offset, row) in band.chunks_exact_mut(width * 4).enumerate() {
            work(index * BAND_ROWS + offset, row);
        }
    });
}

/// Processes the bands on a few threads. Once cancelled, skips the remaining ones.
fn run_bands<B: Send>(bands: Vec<B>, threads: usize, stop: (&dyn Observer, &AtomicBool), work: impl Fn(B) + Sync) {
    let (observer, cancelled) = stop;
    let queue = Mutex::new(bands.into_iter());
    let run = || {
        loop {
            if cancelled.load(Ordering::Relaxed) || observer.cancelled() {
                cancelled.store(true, Ordering::Relaxed);
                return;
            }
            // A poisoned mutex means that another thread panicked; the scope resumes that panic.
            let Some(band) = queue.lock().ok().and_then(|mut queue| queue.next()) else { return };
            work(band);
        }
    };
    if threads <= 1 {
        return run();
    }
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
}

/// Returns the number of threads per picture: at most four, because a server draws several pictures at once.
fn thread_count() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(4))
}

/// Rounds down and clamps to `0..=limit`.
fn clamp_to(position: f32, limit: usize) -> usize {
    (position.max(0.0) as usize).min(limit)
}

/// Blends a colour over a pixel.
fn blend(pixel: &mut [u8], rgb: Rgb, alpha: f32, position: (usize, usize)) {
    if alpha <= 0.0 {
        return;
    }
    let alpha = alpha.min(1.0);
    let under = f32::from(pixel[3]) / 255.0 * (1.0 - alpha);
    let total = alpha + under;
    let old = Rgb(std::array::from_fn(|part| f32::from(pixel[part]) / 255.0));
    store(pixel, old.to(rgb, alpha / total), position);
    pixel[3] = (total * 255.0).round() as u8;
}

/// Stores a colour with dithering by position, without which gradients show bands.
fn store(pixel: &mut [u8], rgb: Rgb, (x, y): (usize, usize)) {
    // The seed is arbitrary: dithering depends on the position only.
    let dither = random::lattice(0x51ed, x as i32, y as i32);
    for (slot, part) in pixel.iter_mut().zip(rgb.0) {
        // The cast rounds down; `dither` is below 1, so the result is at most 255.
        *slot = (part.clamp(0.0, 1.0) * 254.99 + dither) as u8;
    }
}
