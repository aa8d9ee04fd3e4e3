//! The path of the camera: a function from time to the part of the picture that fills the frame.

use std::f64::consts::TAU;

use crate::motion::{Direction, Motion, Pace};

/// A part of the picture, in pixels of the picture, with the aspect ratio of the frame. Coordinates may be fractional.
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

// Distances and speeds of the camera, chosen by eye.

/// Distance of a pan or tilt over five seconds, in frame widths or heights.
const TRAVEL: f64 = 0.22;
/// Relative change of the crop size by a zoom or a dolly move over five seconds.
const ZOOM: f64 = 0.28;
const DOLLY: f64 = 0.40;
/// Amplitude of an orbit in frame widths and heights, its zoom, and the duration of one turn.
const ORBIT_SWAY: f64 = 0.07;
const ORBIT_RISE: f64 = 0.03;
const ORBIT_ZOOM: f64 = 0.08;
const ORBIT_SECONDS: f64 = 6.0;
/// Amplitude of the hand-held shake in frame widths and heights, and the time in which it fades in and out.
const HANDHELD: f64 = 0.014;
const HANDHELD_FADE_SECONDS: f64 = 0.6;
/// Zoom of a still shot, which distinguishes it from a stalled player.
const STILL_ZOOM: f64 = 0.02;

/// The position of the camera from the first frame to the last.
///
/// Speed is zero at both ends. The crop never exceeds the picture: both end positions leave room for sway and shake, and
/// every crop interpolated between two crops inside a rectangle is inside it too.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraPath {
    /// Width and height of the picture, in pixels.
    picture: (f64, f64),
    start: Crop,
    end: Crop,
    seconds: f64,
    /// Amplitude of the orbit: signed horizontal in frame widths, vertical in frame heights.
    orbit: (f64, f64),
    /// Number of turns of the orbit.
    turns: f64,
    /// Amplitude of the hand-held shake, in frame widths and heights; zero without it.
    handheld: f64,
}

impl CameraPath {
    /// Plans the path for a picture and a frame of the given sizes, which must not be empty. Moves in longer clips cover a
    /// greater distance, but less than proportionally.
    pub fn plan(motion: &Motion, picture: (u32, u32), frame: (u32, u32), seconds: impl Into<f64>) -> Self {
        let picture = (f64::from(picture.0), f64::from(picture.1));
        let aspect = f64::from(frame.0) / f64::from(frame.1);
        // The width of the largest crop with the frame's aspect ratio.
        let cover_width = picture.0.min(picture.1 * aspect);
        let seconds = seconds.into();
        // 1 for five seconds at normal pace, at most 1.5 for longer clips.
        let amount = pace_factor(motion.pace) * 1.5 * seconds / (seconds + 2.5);

        let travel = (
            sign(motion.pan, Direction::Left, Direction::Right) * TRAVEL * amount,
            sign(motion.tilt, Direction::Up, Direction::Down) * TRAVEL * amount,
        );
        let dolly = if motion.dolly { DOLLY } else { ZOOM };
        let depth = sign(motion.zoom, Direction::Out, Direction::In) * dolly * amount;
        let turn = sign(motion.orbit, Direction::Left, Direction::Right);
        let orbit = (turn * ORBIT_SWAY * amount, turn.abs() * ORBIT_RISE * amount);
        let depth = if depth == 0.0 { turn.abs() * ORBIT_ZOOM * amount } else { depth };
        let depth = if motion.still { STILL_ZOOM } else { depth };
        let handheld = if motion.handheld { HANDHELD * pace_factor(motion.pace) } else { 0.0 };

        // Crop so far that travel, sway and shake stay inside the picture.
        let room = (travel.0.abs() + 2.0 * (orbit.0.abs() + handheld), travel.1.abs() + 2.0 * (orbit.1 + handheld));
        let wide = cover_width.min(picture.0 / (1.0 + room.0)).min(picture.1 * aspect / (1.0 + room.1));
        let close = wide / (1.0 + depth.abs());
        let (from, to) = if depth < 0.0 { (close, wide) } else { (wide, close) };
        // The crop at the start (`side` -0.5) or the end (0.5) of the travel.
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

    /// Plans a path that ends with the largest crop in the middle of the picture: as [`plan`](Self::plan), but always moving away
    /// from the subject, and without sway and shake.
    pub fn plan_arrival(motion: &Motion, picture: (u32, u32), frame: (u32, u32), seconds: impl Into<f64>) -> Self {
        let motion = Motion { zoom: Some(Direction::Out), orbit: None, handheld: false, ..*motion };
        let path = Self::plan(&motion, picture, frame, seconds);
        let (width, height) = path.picture;
        let aspect = f64::from(frame.0) / f64::from(frame.1);
        let (cover_width, cover_height) = (width.min(height * aspect), height.min(width / aspect));
        let end = Crop {
            left: (width - cover_width) / 2.0,
            top: (height - cover_height) / 2.0,
            width: cover_width,
            height: cover_height,
        };
        Self { end, ..path }
    }

    /// Returns the crop at `t`, the elapsed share of the clip (0 to 1, clamped).
    pub fn at(&self, t: f64) -> Crop {
        let t = t.clamp(0.0, 1.0);
        let eased = ease(t);
        let between = |a: f64, b: f64| a + (b - a) * eased;
        let width = between(self.start.width, self.end.width);
        let height = between(self.start.height, self.end.height);
        let (x, y) = self.sway(t, eased);
        // The clamps only correct rounding errors.
        let left = (between(self.start.left, self.end.left) + x * width).clamp(0.0, (self.picture.0 - width).max(0.0));
        let top = (between(self.start.top, self.end.top) + y * height).clamp(0.0, (self.picture.1 - height).max(0.0));
        Crop { left, top, width: width.min(self.picture.0 - left), height: height.min(self.picture.1 - top) }
    }

    /// Returns the offset by orbit and shake, in frame widths and heights.
    fn sway(&self, t: f64, eased: f64) -> (f64, f64) {
        let angle = TAU * self.turns * eased;
        let orbit = (self.orbit.0 * angle.sin(), self.orbit.1 * (angle.cos() - 1.0) / 2.0);
        let now = t * self.seconds;
        let envelope = ease((now.min(self.seconds - now) / HANDHELD_FADE_SECONDS).min(1.0));
        // Two frequencies per axis without a short common period, so that no loop is visible. The weights add up to one.
        let shake = |slow: f64, quick: f64| {
            self.handheld * envelope * (0.65 * (TAU * slow * now).sin() + 0.35 * (TAU * quick * now).sin())
        };
        (orbit.0 + shake(0.83, 1.97), orbit.1 + shake(1.09, 2.31))
    }
}

/// Returns the factor on distances for a pace.
fn pace_factor(pace: Pace) -> f64 {
    match pace {
        Pace::Slow => 0.5,
        Pace::Normal => 1.0,
        Pace::Fast => 1.7,
    }
}

/// Returns `-1.0` or `1.0` for a direction, `0.0` for none.
fn sign(direction: Option<Direction>, negative: Direction, positive: Direction) -> f64 {
    match direction {
        Some(direction) if direction == negative => -1.0,
        Some(direction) if direction == positive => 1.0,
        Some(_) | None => 0.0,
    }
}

/// Perlin's smootherstep: first and second derivative are zero at both ends.
pub(crate) fn ease(t: f64) -> f64 {
    t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
}

#[cfg(test)]
mod tests;
