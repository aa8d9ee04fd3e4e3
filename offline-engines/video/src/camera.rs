//! The camera's path: a plain function from time to the part of the picture that fills the frame.

use std::f64::consts::TAU;

use crate::motion::{Direction, Motion, Pace};

/// A part of the picture in its own pixels, with the shape of the frame. Fractions of pixels count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crop {
    /// Distance from the picture's left edge.
    pub left: f64,
    /// Distance from the picture's top edge.
    pub top: f64,
    /// Width of the part.
    pub width: f64,
    /// Height of the part.
    pub height: f64,
}

/// Travel of a pan or tilt over five seconds, in frame widths or heights.
const TRAVEL: f64 = 0.22;
/// Growth of a zoom over five seconds; a dolly goes deeper.
const ZOOM: f64 = 0.28;
const DOLLY: f64 = 0.40;
/// An orbit's sway to either side in frame widths, its rise in frame heights, its growth, and the length of one turn.
const ORBIT: (f64, f64, f64) = (0.07, 0.03, 0.08);
const ORBIT_SECONDS: f64 = 6.0;
/// Reach of an unsteady hand, in frame widths and heights, and how long it takes to set in and to calm down.
const HANDHELD: f64 = 0.014;
const HANDHELD_ONSET_SECONDS: f64 = 0.6;
/// A still shot breathes by this much, lest it look like a stalled player.
const STILL_ZOOM: f64 = 0.02;

/// Where the camera looks, from the first frame to the last. It starts and stops at rest and never sees past the
/// picture's edge: both ends keep the room that the sway needs, and whatever lies between two boxes inside a rectangle
/// lies inside it too.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    picture: (f64, f64),
    start: Crop,
    end: Crop,
    seconds: f64,
    /// Signed sway of an orbit in frame widths, and its rise in frame heights.
    orbit: (f64, f64),
    turns: f64,
    handheld: f64,
}

impl Path {
    /// Lays the path for a picture and a frame of the given sizes (neither of them empty). Longer clips travel further,
    /// but not in proportion.
    pub fn plan(motion: &Motion, picture: (u32, u32), frame: (u32, u32), seconds: u32) -> Self {
        let picture = (f64::from(picture.0), f64::from(picture.1));
        let aspect = f64::from(frame.0) / f64::from(frame.1);
        let cover_width = picture.0.min(picture.1 * aspect);
        let seconds = f64::from(seconds);
        let amount = pace(motion.pace) * 1.5 * seconds / (seconds + 2.5);

        let travel = (
            sign(motion.pan, Direction::Left, Direction::Right) * TRAVEL * amount,
            sign(motion.tilt, Direction::Up, Direction::Down) * TRAVEL * amount,
        );
        let dolly = if motion.dolly { DOLLY } else { ZOOM };
        let depth = sign(motion.zoom, Direction::Out, Direction::In) * dolly * amount;
        let turn = sign(motion.orbit, Direction::Left, Direction::Right);
        let orbit = (turn * ORBIT.0 * amount, turn.abs() * ORBIT.1 * amount);
        let depth = if depth == 0.0 { turn.abs() * ORBIT.2 * amount } else { depth };
        let depth = if motion.still { STILL_ZOOM } else { depth };
        let handheld = if motion.handheld { HANDHELD * pace(motion.pace) } else { 0.0 };

        // Close enough in that the whole travel and the sway fit between the picture's edges.
        let room = (travel.0.abs() + 2.0 * (orbit.0.abs() + handheld), travel.1.abs() + 2.0 * (orbit.1 + handheld));
        let wide = cover_width.min(picture.0 / (1.0 + room.0)).min(picture.1 * aspect / (1.0 + room.1));
        let close = wide / (1.0 + depth.abs());
        let (from, to) = if depth < 0.0 { (close, wide) } else { (wide, close) };
        let at = |width: f64, side: f64| {
            let height = width / aspect;
            let centre = (picture.0 / 2.0 + side * travel.0 * wide, picture.1 / 2.0 + side * travel.1 * wide / aspect);
            Crop { left: centre.0 - width / 2.0, top: centre.1 - height / 2.0, width, height }
        };
        Self {
            picture,
            start: at(from, -0.5),
            end: at(to, 0.5),
            seconds,
            orbit,
            turns: (seconds / ORBIT_SECONDS).round().max(1.0),
            handheld,
        }
    }

    /// What the camera sees at `t`, the share of the clip that has passed (0 to 1, clamped).
    pub fn at(&self, t: f64) -> Crop {
        let t = t.clamp(0.0, 1.0);
        let eased = ease(t);
        let between = |a: f64, b: f64| a + (b - a) * eased;
        let width = between(self.start.width, self.end.width);
        let height = between(self.start.height, self.end.height);
        let (x, y) = self.sway(t, eased);
        // The clamps only take back what floating point adds.
        let left = (between(self.start.left, self.end.left) + x * width).clamp(0.0, (self.picture.0 - width).max(0.0));
        let top = (between(self.start.top, self.end.top) + y * height).clamp(0.0, (self.picture.1 - height).max(0.0));
        Crop { left, top, width: width.min(self.picture.0 - left), height: height.min(self.picture.1 - top) }
    }

    /// Offset from the straight path, in frame widths and heights.
    fn sway(&self, t: f64, eased: f64) -> (f64, f64) {
        let angle = TAU * self.turns * eased;
        let orbit = (self.orbit.0 * angle.sin(), self.orbit.1 * (angle.cos() - 1.0) / 2.0);
        let now = t * self.seconds;
        let onset = ease((now.min(self.seconds - now) / HANDHELD_ONSET_SECONDS).min(1.0));
        // Two incommensurable rhythms a side: the eye finds no loop. The weights add up to one.
        let hand = |slow: f64, quick: f64| {
            self.handheld * onset * (0.65 * (TAU * slow * now).sin() + 0.35 * (TAU * quick * now).sin())
        };
        (orbit.0 + hand(0.83, 1.97), orbit.1 + hand(1.09, 2.31))
    }
}

fn pace(pace: Pace) -> f64 {
    match pace {
        Pace::Slow => 0.5,
        Pace::Normal => 1.0,
        Pace::Fast => 1.7,
    }
}

fn sign(way: Option<Direction>, negative: Direction, positive: Direction) -> f64 {
    match way {
        Some(way) if way == negative => -1.0,
        Some(way) if way == positive => 1.0,
        Some(_) | None => 0.0,
    }
}

/// Perlin's smootherstep: speed and acceleration are zero at both ends.
fn ease(t: f64) -> f64 {
    t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPTS: [&str; 12] = [
        "pan left",
        "pan right",
        "tilt up",
        "tilt down",
        "zoom in",
        "zoom out fast",
        "dolly in",
        "orbit around it, handheld, fast",
        "handheld",
        "static shot",
        "fast pan right, tilt down and zoom out, shaky, circling",
        "",
    ];
    const SIZES: [((u32, u32), (u32, u32)); 6] = [
        ((1920, 1080), (1920, 1080)),
        ((256, 256), (1920, 1080)),
        ((1024, 1024), (1080, 1920)),
        ((6000, 400), (1280, 720)),
        ((3, 900), (64, 64)),
        ((1, 1), (1792, 1024)),
    ];

    fn path(prompt: &str, seconds: u32) -> Path {
        Path::plan(&Motion::from_prompt(prompt, 3), (1600, 1200), (1280, 720), seconds)
    }

    fn steps() -> impl Iterator<Item = f64> {
        (0..=600).map(|step| f64::from(step) / 600.0)
    }

    #[test]
    fn the_camera_never_sees_past_the_edge_and_never_stretches() {
        for prompt in PROMPTS {
            for (picture, frame) in SIZES {
                for seconds in [1, 5, 60] {
                    let path = Path::plan(&Motion::from_prompt(prompt, 9), picture, frame, seconds);
                    let aspect = f64::from(frame.0) / f64::from(frame.1);
                    for crop in steps().map(|t| path.at(t)) {
                        let inside = crop.left >= 0.0
                            && crop.top >= 0.0
                            && crop.left + crop.width <= f64::from(picture.0)
                            && crop.top + crop.height <= f64::from(picture.1);
                        assert!(inside && crop.width > 0.0, "{prompt:?} {picture:?} {crop:?}");
                        assert!((crop.width / crop.height / aspect - 1.0).abs() < 1e-9, "{prompt:?} {crop:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_camera_starts_and_stops_at_rest() {
        for prompt in PROMPTS {
            let path = path(prompt, 5);
            let moved = |from: f64, to: f64| {
                let (a, b) = (path.at(from), path.at(to));
                (a.left - b.left).abs() + (a.top - b.top).abs() + (a.width - b.width).abs()
            };
            // One frame of 150, over a picture 1600 wide: less than a tenth of a pixel.
            assert!(moved(0.0, 1.0 / 149.0) < 0.1, "{prompt:?} starts with a jerk");
            assert!(moved(148.0 / 149.0, 1.0) < 0.1, "{prompt:?} stops with a jerk");
        }
    }

    #[test]
    fn a_pan_moves_one_way_only_and_keeps_its_height() {
        let (left, right) = (path("pan left", 5), path("pan right", 5));
        let lefts: Vec<f64> = steps().map(|t| left.at(t).left).collect();
        let rights: Vec<f64> = steps().map(|t| right.at(t).left).collect();
        assert!(lefts.is_sorted_by(|a, b| a >= b) && lefts[0] - lefts[600] > 100.0);
        assert!(rights.is_sorted() && rights[600] - rights[0] > 100.0);
        assert!(steps().all(|t| (right.at(t).top - right.at(0.0).top).abs() < 1e-9));
    }

    #[test]
    fn a_tilt_moves_up_or_down() {
        assert!(path("tilt up", 5).at(1.0).top < path("tilt up", 5).at(0.0).top - 50.0);
        assert!(path("tilt down", 5).at(1.0).top > path("tilt down", 5).at(0.0).top + 50.0);
    }

    #[test]
    fn a_zoom_closes_in_on_the_middle_and_a_dolly_goes_deeper() {
        let zoom = path("zoom in", 5);
        assert!(steps().map(|t| zoom.at(t).width).is_sorted_by(|a, b| a >= b));
        let middle = |crop: Crop| crop.left + crop.width / 2.0;
        assert!(steps().all(|t| (middle(zoom.at(t)) - 800.0).abs() < 1e-6));
        assert!(path("dolly in", 5).at(1.0).width < zoom.at(1.0).width);
        let out = path("zoom out", 5);
        assert!(steps().map(|t| out.at(t).width).is_sorted());
    }

    #[test]
    fn an_orbit_swings_to_both_sides_and_comes_back() {
        let orbit = path("orbit", 5);
        let middle = |t: f64| orbit.at(t).left + orbit.at(t).width / 2.0 - 800.0;
        let swing: Vec<f64> = steps().map(middle).collect();
        assert!(swing.iter().copied().fold(0.0, f64::max) > 40.0);
        assert!(swing.iter().copied().fold(0.0, f64::min) < -40.0);
        assert!(middle(1.0).abs() < 1e-6);
    }

    #[test]
    fn fast_travels_further_than_slow_and_longer_further_than_short() {
        let travel = |prompt: &str, seconds: u32| {
            let path = path(prompt, seconds);
            path.at(1.0).left - path.at(0.0).left
        };
        assert!(travel("fast pan right", 5) > 1.2 * travel("pan right", 5));
        assert!(travel("pan right", 5) > 1.2 * travel("slow pan right", 5));
        assert!(travel("pan right", 10) > travel("pan right", 2));
    }

    #[test]
    fn a_still_shot_only_breathes() {
        let still = path("static shot", 5);
        let grown = still.at(0.0).width / still.at(1.0).width;
        assert!(grown > 1.005 && grown < 1.03, "{grown}");
    }
}
