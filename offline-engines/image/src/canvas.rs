//! The picture being painted: 8-bit pixels, worked on in bands of rows by a few threads. Every operation is a function of
//! the pixel's place alone, so neither bands nor threads show in the result.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use image::RgbaImage;

use crate::brief::{Cancelled, Quality, Watch};
use crate::colour::Rgb;
use crate::paint::Paint;
use crate::path::{Path, Point};
use crate::random;
use crate::raster::Coverage;

const BAND_ROWS: usize = 16;
/// Below this many pixels a second thread costs more than it saves.
const WORTH_A_THREAD: usize = 40_000;

pub(crate) struct Canvas<'w> {
    pixels: Vec<u8>,
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Added to the octaves of every texture.
    pub(crate) quality: Quality,
    watch: &'w dyn Watch,
    stopped: AtomicBool,
}

impl<'w> Canvas<'w> {
    pub(crate) fn over(picture: RgbaImage, quality: Quality, watch: &'w dyn Watch) -> Self {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        Self { pixels: picture.into_raw(), width, height, quality, watch, stopped: AtomicBool::new(false) }
    }

    pub(crate) fn finish(self) -> Result<RgbaImage, Cancelled> {
        if self.is_stopped() {
            return Err(Cancelled);
        }
        RgbaImage::from_raw(self.width as u32, self.height as u32, self.pixels).ok_or(Cancelled)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        if self.stopped.load(Ordering::Relaxed) {
            return true;
        }
        let stop = self.watch.cancelled();
        if stop {
            self.stopped.store(true, Ordering::Relaxed);
        }
        stop
    }

    /// The shorter side in pixels: the yardstick of everything painted.
    pub(crate) fn unit(&self) -> f32 {
        self.width.min(self.height) as f32
    }

    pub(crate) fn w(&self) -> f32 {
        self.width as f32
    }

    pub(crate) fn h(&self) -> f32 {
        self.height as f32
    }

    /// Octaves for a texture whose standard is `usual`.
    pub(crate) fn octaves(&self, usual: u32) -> u32 {
        match self.quality {
            Quality::Low => usual.saturating_sub(2).max(1),
            Quality::Standard => usual,
            Quality::High => usual + 2,
        }
    }

    pub(crate) fn pixel(&self, x: usize, y: usize) -> Rgb {
        let at = (y.min(self.height - 1) * self.width + x.min(self.width - 1)) * 4;
        Rgb(std::array::from_fn(|part| f32::from(self.pixels[at + part]) / 255.0))
    }

    pub(crate) fn copy(&self) -> Vec<u8> {
        self.pixels.clone()
    }

    /// Lays a colour with an alpha over every pixel of the rows.
    pub(crate) fn shade(&mut self, rows: Range<usize>, colour: impl Fn(f32, f32) -> (Rgb, f32) + Sync) {
        self.rows(rows, |y, row| {
            for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
                let (rgb, alpha) = colour(x as f32 + 0.5, y as f32 + 0.5);
                blend(pixel, rgb, alpha, (x, y));
            }
        });
    }

    /// Replaces every visible pixel's colour by a function of it.
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

    /// Multiplies alpha.
    pub(crate) fn fade(&mut self, keep: impl Fn(f32, f32) -> f32 + Sync) {
        self.rows(0..self.height, |y, row| {
            for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
                let share = keep(x as f32 + 0.5, y as f32 + 0.5).clamp(0.0, 1.0);
                pixel[3] = (f32::from(pixel[3]) * share).round() as u8;
            }
        });
    }

    /// The rows below `split` as functions of those above, which stay as they are: reflections.
    pub(crate) fn mirror(&mut self, split: usize, colour: impl Fn(f32, f32, &dyn Fn(f32, f32) -> Rgb) -> Rgb + Sync) {
        let (width, stopped) = (self.width, &self.stopped);
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
        in_bands(below, width, (self.watch, stopped), |y, row| {
            for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
                let rgb = colour(x as f32 + 0.5, (y + split) as f32 + 0.5, &sample);
                blend(pixel, rgb, 1.0, (x, y));
            }
        });
    }

    /// Adds light that falls off with the distance.
    pub(crate) fn glow(&mut self, centre: Point, radius: f32, colour: Rgb, strength: f32) {
        let rows = clip(centre.1 - radius, self.height)..clip(centre.1 + radius + 1.0, self.height);
        let columns = clip(centre.0 - radius, self.width)..clip(centre.0 + radius + 1.0, self.width);
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

    pub(crate) fn fill(&mut self, path: &Path, paint: &Paint) {
        self.fill_within(path, None, paint);
    }

    /// Fills the part of the path that lies inside the other one.
    pub(crate) fn fill_within(&mut self, path: &Path, inside: Option<&Path>, paint: &Paint) {
        let Some(bounds) = path.bounds() else { return };
        let left = clip(bounds[0] - 1.0, self.width);
        let right = clip(bounds[2] + 2.0, self.width);
        let (top, bottom) = (clip(bounds[1] - 1.0, self.height), clip(bounds[3] + 2.0, self.height));
        if left >= right || top >= bottom {
            return;
        }
        let width = self.width;
        let band = &mut self.pixels[top * width * 4..bottom * width * 4];
        let bands: Vec<_> = band.chunks_mut(BAND_ROWS * width * 4).enumerate().collect();
        let threads = if (right - left) * (bottom - top) < WORTH_A_THREAD { 1 } else { thread_count() };
        spread(bands, threads, (self.watch, &self.stopped), |(index, rows)| {
            let first = top + index * BAND_ROWS;
            let block = [left, first, right, (first + BAND_ROWS).min(bottom)];
            let cover = Coverage::of(path, block);
            let stencil = inside.map(|inside| Coverage::of(inside, block));
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

    fn rows(&mut self, rows: Range<usize>, work: impl Fn(usize, &mut [u8]) + Sync) {
        let rows = rows.start.min(self.height)..rows.end.min(self.height);
        if rows.is_empty() {
            return;
        }
        let width = self.width;
        let part = &mut self.pixels[rows.start * width * 4..rows.end * width * 4];
        in_bands(part, width, (self.watch, &self.stopped), |y, row| work(y + rows.start, row));
    }
}

fn in_bands(part: &mut [u8], width: usize, stop: (&dyn Watch, &AtomicBool), work: impl Fn(usize, &mut [u8]) + Sync) {
    let threads = if part.len() / 4 < WORTH_A_THREAD { 1 } else { thread_count() };
    let bands: Vec<_> = part.chunks_mut(BAND_ROWS * width * 4).enumerate().collect();
    spread(bands, threads, stop, |(index, band)| {
        for (offset, row) in band.chunks_exact_mut(width * 4).enumerate() {
            work(index * BAND_ROWS + offset, row);
        }
    });
}

/// Works through the bands on a few threads; leaves the rest undone once stopped.
fn spread<B: Send>(bands: Vec<B>, threads: usize, stop: (&dyn Watch, &AtomicBool), work: impl Fn(B) + Sync) {
    let (watch, stopped) = stop;
    let queue = Mutex::new(bands.into_iter());
    let run = || {
        loop {
            if stopped.load(Ordering::Relaxed) || watch.cancelled() {
                stopped.store(true, Ordering::Relaxed);
                return;
            }
            // A poisoned queue means a sibling panicked; the scope will pass that on.
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

/// At most four: a server paints several pictures at once.
fn thread_count() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(4))
}

fn clip(place: f32, limit: usize) -> usize {
    (place.max(0.0) as usize).min(limit)
}

fn blend(pixel: &mut [u8], rgb: Rgb, alpha: f32, place: (usize, usize)) {
    if alpha <= 0.0 {
        return;
    }
    let alpha = alpha.min(1.0);
    let under = f32::from(pixel[3]) / 255.0 * (1.0 - alpha);
    let total = alpha + under;
    let old = Rgb(std::array::from_fn(|part| f32::from(pixel[part]) / 255.0));
    store(pixel, old.to(rgb, alpha / total), place);
    pixel[3] = (total * 255.0).round() as u8;
}

/// Rounds up or down by chance of place: without it, skies show steps.
fn store(pixel: &mut [u8], rgb: Rgb, (x, y): (usize, usize)) {
    let dither = random::at(0x51ed, x as i32, y as i32);
    for (slot, part) in pixel.iter_mut().zip(rgb.0) {
        *slot = (part.clamp(0.0, 1.0) * 254.99 + dither) as u8;
    }
}
