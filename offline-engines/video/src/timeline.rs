//! Plans which part of which picture is visible at each time of a clip.

use crate::camera::{CameraPath, Crop, ease};
use crate::motion::Motion;
use crate::shot::Shot;

/// The duration of a cross-fade in relation to the time between two boundaries.
const FADE: f64 = 0.5;

/// The pictures of a clip in time. The clip is divided evenly; a cross-fade is centred at each boundary.
#[derive(Debug)]
pub(crate) struct Timeline {
    scenes: Vec<Scene>,
}

/// A picture, and when it is visible.
#[derive(Debug)]
struct Scene {
    path: CameraPath,
    /// When the picture appears and disappears, as shares of the clip. Neighbours overlap by a cross-fade.
    start: f64,
    end: f64,
}

/// A part of one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct View {
    /// The index of the picture.
    pub(crate) picture: usize,
    pub(crate) part: Crop,
}

/// The content of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FrameContent {
    pub(crate) view: View,
    /// The view that fades in, and its opacity: 1 to 255.
    pub(crate) next: Option<(View, u8)>,
}

impl Timeline {
    /// Plans the camera moves of a valid shot over pictures of these sizes. A prompt that names no move gives each picture another
    /// one.
    pub(crate) fn plan(shot: &Shot<'_>, sizes: &[(u32, u32)]) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 pictures")]
        let count = sizes.len() as f64;
        let scenes = (0_u32..).zip(sizes).map(|(index, size)| {
            let (index, is_last) = (f64::from(index), f64::from(index) + 1.0 >= count);
            let start = ((index - FADE / 2.0) / count).max(0.0);
            let end = if is_last { 1.0 } else { (index + 1.0 + FADE / 2.0) / count };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small index")]
            let motion = Motion::from_prompt(shot.prompt, shot.seed.wrapping_add(index as u64));
            let (frame, seconds) = ((shot.width, shot.height), f64::from(shot.seconds) * (end - start));
            let path = if is_last && shot.ends_on_last_picture {
                CameraPath::plan_arrival(&motion, *size, frame, seconds)
            } else {
                CameraPath::plan(&motion, *size, frame, seconds)
            };
            Scene { path, start, end }
        });
        Self { scenes: scenes.collect() }
    }

    /// Returns the content of the frame at `t`, the elapsed share of the clip: 0 to 1.
    pub(crate) fn at(&self, t: f64) -> FrameContent {
        let is_visible = |scene: &&Scene| scene.start <= t && t <= scene.end;
        let first = self.scenes.iter().position(|scene| is_visible(&scene)).unwrap_or_default();
        let view = |picture: usize| {
            let Scene { path, start, end } = &self.scenes[picture];
            View { picture, part: path.at((t - start) / (end - start)) }
        };
        let next = self.scenes.get(first + 1).filter(is_visible).and_then(|next| {
            let fade = (t - next.start) / (self.scenes[first].end - next.start);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the opacity is from 0 to 1")]
            let opacity = (ease(fade.clamp(0.0, 1.0)) * 255.0).round() as u8;
            (opacity > 0).then(|| (view(first + 1), opacity))
        });
        FrameContent { view: view(first), next }
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::shot::FrameRate;

    fn timeline(pictures: usize, ends_on_last_picture: bool) -> Timeline {
        let pictures = vec![RgbImage::new(64, 36); pictures];
        let shot = Shot {
            pictures: &pictures,
            ends_on_last_picture,
            prompt: "pan left",
            width: 64,
            height: 64,
            seconds: 4,
            fps: FrameRate::Fps30,
            seed: 1,
            audio: false,
        };
        Timeline::plan(&shot, &vec![(640, 360); pictures.len()])
    }

    /// Returns closely spaced times of the clip.
    fn steps() -> impl Iterator<Item = f64> {
        (0..=1000).map(|step| f64::from(step) / 1000.0)
    }

    #[test]
    fn pictures_fade_into_each_other_in_order() {
        for count in [2, 3, 12] {
            let timeline = timeline(count, false);
            // The index of the visible picture; in a cross-fade a fraction between two.
            let shown = |t| {
                let FrameContent { view, next } = timeline.at(t);
                #[expect(clippy::cast_precision_loss, reason = "a few pictures")]
                let position = view.picture as f64;
                next.map_or(position, |(next, opacity)| {
                    assert_eq!(next.picture, view.picture + 1);
                    position + f64::from(opacity) / 255.0
                })
            };
            let positions: Vec<_> = steps().map(shown).collect();
            assert!(positions.is_sorted(), "{positions:?}");
            assert_eq!((positions[0], timeline.at(1.0).view.picture, timeline.at(1.0).next), (0.0, count - 1, None));
            let jump = positions.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
            assert!(jump < 0.1, "{count}: {jump}");
        }
    }

    #[test]
    fn last_picture_is_whole_at_the_end() {
        for count in [1, 2, 5] {
            let timeline = timeline(count, true);
            // A square frame shows the middle of a picture of 640x360.
            let whole = Crop { left: 140.0, top: 0.0, width: 360.0, height: 360.0 };
            assert_eq!(timeline.at(1.0), FrameContent { view: View { picture: count - 1, part: whole }, next: None });
        }
    }
}
