//! What is asked for, and whether it can be had.

use std::ops::RangeInclusive;

use image::RgbImage;

use crate::RenderError;

/// The lengths a clip can have, in seconds.
pub const SECONDS: RangeInclusive<u32> = 1..=60;

/// The sizes the encoder takes: what H.264 level 5.2 allows in either orientation.
pub const SIDE: SideLimits = SideLimits { min: 64, max_long: 3840, max_short: 2160 };

/// Bounds of a frame's sides, in pixels. Both sides must be even as well: chroma is stored at half the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SideLimits {
    /// The least either side can be.
    pub min: u32,
    /// The most the longer side can be.
    pub max_long: u32,
    /// The most the shorter side can be.
    pub max_short: u32,
}

/// Pictures per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FrameRate {
    /// 24, as in the cinema; a fifth less work.
    Fps24,
    /// 30, smoother in a pan.
    #[default]
    Fps30,
}

impl FrameRate {
    /// Pictures per second.
    pub const fn per_second(self) -> u32 {
        match self {
            Self::Fps24 => 24,
            Self::Fps30 => 30,
        }
    }
}

/// One clip to render.
#[derive(Debug, Clone, Copy)]
pub struct Shot<'a> {
    /// What the camera moves over. Any size and shape: it is cropped to the frame's shape and scaled.
    pub picture: &'a RgbImage,
    /// Chooses the move, in English or Chinese; see [`Motion::from_prompt`](crate::Motion::from_prompt).
    pub prompt: &'a str,
    /// Width of the clip in pixels; see [`SIDE`].
    pub width: u32,
    /// Height of the clip in pixels; see [`SIDE`].
    pub height: u32,
    /// Length of the clip; see [`SECONDS`].
    pub seconds: u32,
    /// Pictures per second.
    pub fps: FrameRate,
    /// Chooses the move where the prompt names none.
    pub seed: u64,
}

impl Shot<'_> {
    /// Checks everything [`render`](crate::render) would refuse, without doing any work.
    pub fn validate(&self) -> Result<(), RenderError> {
        let Self { width, height, seconds, .. } = *self;
        let fits = width.min(height) >= SIDE.min
            && width.max(height) <= SIDE.max_long
            && width.min(height) <= SIDE.max_short
            && width % 2 == 0
            && height % 2 == 0;
        if !fits {
            return Err(RenderError::BadSize { width, height });
        }
        if !SECONDS.contains(&seconds) {
            return Err(RenderError::BadDuration { seconds });
        }
        if self.picture.is_empty() {
            return Err(RenderError::EmptyPicture);
        }
        Ok(())
    }

    /// Pictures in the clip.
    pub const fn frames(&self) -> u32 {
        self.seconds * self.fps.per_second()
    }

    /// When the frame is shown, as a share of the way: 0 for the first, 1 for the last.
    pub(crate) fn time_of(&self, frame: u32) -> f64 {
        f64::from(frame) / f64::from(self.frames() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(width: u32, height: u32, seconds: u32) -> Result<(), RenderError> {
        let picture = RgbImage::new(8, 8);
        Shot { picture: &picture, prompt: "", width, height, seconds, fps: FrameRate::Fps30, seed: 0 }.validate()
    }

    #[test]
    fn every_customary_size_is_taken() {
        for (width, height) in
            [(64, 64), (1280, 720), (720, 1280), (1024, 1792), (1792, 1024), (1080, 1920), (3840, 2160), (2160, 3840)]
        {
            assert!(verdict(width, height, 5).is_ok(), "{width}x{height}");
        }
    }

    #[test]
    fn a_size_the_encoder_cannot_take_is_refused_with_the_rule() {
        for (width, height) in [(641, 360), (640, 361), (62, 64), (0, 0), (3842, 2160), (3840, 2162), (2400, 2400)] {
            let refusal = verdict(width, height, 5).unwrap_err();
            assert!(matches!(refusal, RenderError::BadSize { .. }), "{width}x{height}");
            assert!(refusal.to_string().contains("must be even and at least 64, the longer at most 3840"));
        }
    }

    #[test]
    fn a_clip_of_no_or_too_many_seconds_is_refused() {
        assert_eq!(verdict(640, 360, 0).unwrap_err().to_string(), "a clip lasts 1 to 60 seconds, not 0");
        assert!(matches!(verdict(640, 360, 61), Err(RenderError::BadDuration { seconds: 61 })));
    }

    #[test]
    fn an_empty_picture_is_refused() {
        let picture = RgbImage::new(0, 5);
        let shot =
            Shot { picture: &picture, prompt: "", width: 64, height: 64, seconds: 1, fps: FrameRate::Fps24, seed: 0 };
        assert!(matches!(shot.validate(), Err(RenderError::EmptyPicture)));
    }
}
