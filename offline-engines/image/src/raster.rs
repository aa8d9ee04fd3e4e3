//! Rasterizes paths to exact coverage per pixel, by accumulating signed areas along each row: the algorithm of the font-rs
//! rasterizer.

use crate::path::Path;

/// The coverage, `0.0..=1.0`, of the pixels of a block, row by row.
#[derive(Debug)]
pub(crate) struct Coverage {
    cells: Vec<f32>,
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Coverage {
    /// Computes the coverage of the pixels from (left, top) to (right, bottom), exclusive.
    pub(crate) fn from_path(path: &Path, [left, top, right, bottom]: [usize; 4]) -> Self {
        let (width, height) = (right - left, bottom - top);
        // Two additional cells per row receive the contributions beyond the right edge.
        let mut cover = Self { cells: vec![0.0; (width + 2) * height], left, top, width, height };
        for outline in &path.polygons {
            for index in 0..outline.len() {
                cover.edge(outline[index], outline[(index + 1) % outline.len()]);
            }
        }
        for row in cover.cells.chunks_exact_mut(width + 2) {
            let mut sum = 0.0_f32;
            for cell in row {
                sum += *cell;
                *cell = sum.abs().min(1.0);
            }
        }
        cover
    }

    pub(crate) fn row(&self, y: usize) -> &[f32] {
        let start = (y - self.top) * (self.width + 2);
        &self.cells[start..start + self.width]
    }

    /// Accumulates an edge.
    fn edge(&mut self, from: (f32, f32), to: (f32, f32)) {
        let shift = |p: (f32, f32)| (p.0 - self.left as f32, p.1 - self.top as f32);
        let (from, to) = (shift(from), shift(to));
        if (from.1 - to.1).abs() < 1e-6 {
            return;
        }
        let (sign, from, to) = if from.1 < to.1 { (1.0, from, to) } else { (-1.0, to, from) };
        let slope = (to.0 - from.0) / (to.1 - from.1);
        let (first, last) = (from.1.max(0.0), to.1.min(self.height as f32));
        if first >= last {
            return;
        }
        let limit = self.width as f32;
        let x_at = |y: f32| (from.0 + (y - from.1) * slope).clamp(0.0, limit);
        for y in first as usize..(last.ceil() as usize).min(self.height) {
            let (y0, y1) = (first.max(y as f32), last.min(y as f32 + 1.0));
            let (a, b) = (x_at(y0), x_at(y1));
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            self.span(y * (self.width + 2), low, high, sign * (y1 - y0));
        }
    }

    /// Accumulates the part of an edge that covers `height` of one row, between two x coordinates.
    fn span(&mut self, row: usize, low: f32, high: f32, height: f32) {
        let (start, end) = (low as usize, high.ceil() as usize);
        if end <= start + 1 {
            let inside = 0.5 * (low + high) - start as f32;
            self.cells[row + start] += height * (1.0 - inside);
            self.cells[row + start + 1] += height * inside;
            return;
        }
        let slope = 1.0 / (high - low);
        let head = 1.0 - (low - start as f32);
        let first = 0.5 * slope * head * head;
        self.cells[row + start] += height * first;
        let tail = high - (end - 1) as f32;
        let last = 0.5 * slope * tail * tail;
        if end == start + 2 {
            self.cells[row + start + 1] += height * (1.0 - first - last);
        } else {
            let second = slope * (1.5 - (low - start as f32));
            self.cells[row + start + 1] += height * (second - first);
            for column in start + 2..end - 1 {
                self.cells[row + column] += height * slope;
            }
            let so_far = second + (end - start - 3) as f32 * slope;
            self.cells[row + end - 1] += height * (1.0 - so_far - last);
        }
        self.cells[row + end] += height * last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_equals_the_area_of_a_triangle() {
        let path = Path::polygon(&[(0.5, 0.25), (7.5, 0.25), (3.5, 7.75)]);
        let cover = Coverage::from_path(&path, [0, 0, 8, 8]);
        let sum: f32 = (0..8).flat_map(|y| cover.row(y).to_vec()).sum();
        assert!((sum - 7.0 * 7.5 / 2.0).abs() < 0.01, "{sum}");
    }

    #[test]
    fn overlapping_polygons_are_not_counted_twice() {
        let path = Path::polygon(&[(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)]);
        let both = path.clone().and(path);
        assert!(Coverage::from_path(&both, [0, 0, 4, 4]).row(2).iter().all(|&cell| (cell - 1.0).abs() < 1e-4));
    }
}
