//! Paths in pixel coordinates. Curves are flattened to line segments when a path is created.

/// A set of closed polygons, filled with the non-zero winding rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path {
    pub(crate) polygons: Vec<Vec<Point>>,
}

/// x and y.
pub(crate) type Point = (f32, f32);

impl Path {
    pub(crate) fn polygon(points: &[Point]) -> Self {
        Self { polygons: vec![oriented(points.to_vec())] }
    }

    /// Creates a closed, smooth curve through the points (Catmull-Rom).
    pub(crate) fn blob(points: &[Point]) -> Self {
        let count = points.len();
        let mut outline = Vec::with_capacity(count * 12);
        for index in 0..count {
            let four = std::array::from_fn(|k| points[(index + count + k - 1) % count]);
            spline(four, &mut outline);
        }
        Self { polygons: vec![oriented(outline)] }
    }

    pub(crate) fn ellipse(centre: Point, rx: f32, ry: f32) -> Self {
        // Sides of about 3 px look round; small ellipses need at least 24 sides.
        let sides = ((rx.max(ry) * 2.0) as usize).clamp(24, 360);
        let outline = (0..sides)
            .map(|side| {
                let angle = side as f32 / sides as f32 * std::f32::consts::TAU;
                (centre.0 + rx * angle.cos(), centre.1 + ry * angle.sin())
            })
            .collect();
        Self { polygons: vec![oriented(outline)] }
    }

    /// Creates a line with round ends whose width changes from `widths.0` to `widths.1`.
    pub(crate) fn stroke(points: &[Point], widths: (f32, f32)) -> Self {
        let mut path = Self::default();
        let last = points.len().saturating_sub(1).max(1) as f32;
        let radius = |index: usize| 0.5 * (widths.0 + (widths.1 - widths.0) * index as f32 / last);
        for (index, pair) in points.windows(2).enumerate() {
            path.capsule(pair[0], pair[1], radius(index), radius(index + 1));
        }
        path
    }

    /// Like [`stroke`](Self::stroke), along a smooth curve through the points.
    pub(crate) fn curve(points: &[Point], widths: (f32, f32)) -> Self {
        let mut line = Vec::with_capacity(points.len() * 12);
        for index in 0..points.len().saturating_sub(1) {
            let at = |k: usize| points[(index + k).saturating_sub(1).min(points.len() - 1)];
            spline([at(0), at(1), at(2), at(3)], &mut line);
        }
        line.extend(points.last());
        Self::stroke(&line, widths)
    }

    /// Adds a line segment with round ends of different radii.
    fn capsule(&mut self, from: Point, to: Point, r0: f32, r1: f32) {
        let along = (to.1 - from.1).atan2(to.0 - from.0);
        // Segments of about 2 px on each round end.
        let steps = ((r0.max(r1) * 1.5) as usize).clamp(4, 40);
        let mut outline = Vec::with_capacity(steps * 2 + 2);
        let half_turn = std::f32::consts::PI;
        for (centre, radius, start) in [(to, r1, along - half_turn / 2.0), (from, r0, along + half_turn / 2.0)] {
            outline.extend((0..=steps).map(|step| {
                let angle = start + half_turn * step as f32 / steps as f32;
                (centre.0 + radius * angle.cos(), centre.1 + radius * angle.sin())
            }));
        }
        self.polygons.push(oriented(outline));
    }

    /// Adds the polygons of another path.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.polygons.extend(other.polygons);
        self
    }

    /// Returns left, top, right and bottom, or `None` for an empty path.
    pub(crate) fn bounds(&self) -> Option<[f32; 4]> {
        self.polygons.iter().flatten().fold(None, |bounds, &(x, y)| match bounds {
            None => Some([x, y, x, y]),
            Some([l, t, r, b]) => Some([l.min(x), t.min(y), r.max(x), b.max(y)]),
        })
    }
}

/// Makes all polygons wind in the same direction. The rasterizer adds windings, and opposite ones would cancel where
/// polygons overlap.
fn oriented(mut outline: Vec<Point>) -> Vec<Point> {
    let next = outline.iter().cycle().skip(1);
    let area: f32 = outline.iter().zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum();
    if area < 0.0 {
        outline.reverse();
    }
    outline
}

/// Appends the part of the spline between the two middle points, without the end point.
fn spline([a, b, c, d]: [Point; 4], line: &mut Vec<Point>) {
    let length = (c.0 - b.0).hypot(c.1 - b.1);
    // Segments of about 3 px look smooth.
    let steps = ((length / 3.0) as usize).clamp(3, 48);
    line.extend((0..steps).map(|step| {
        let t = step as f32 / steps as f32;
        let along = |p0: f32, p1: f32, p2: f32, p3: f32| {
            0.5 * (2.0 * p1
                + (p2 - p0) * t
                + (2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3) * t * t
                + (3.0 * p1 - p0 - 3.0 * p2 + p3) * t * t * t)
        };
        (along(a.0, b.0, c.0, d.0), along(a.1, b.1, c.1, d.1))
    }));
}
