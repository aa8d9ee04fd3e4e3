//! The request of a clip, a [`Shot`], and its validation.

use image::RgbImage;

use crate::error::RenderError;
use crate::limits::{SECONDS, SIDE};

/// Frame rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FrameRate {
    /// 24 frames per second, as in the cinema: a fifth less work than 30.
    Fps24,
    /// 30 frames per second: smoother motion.
    #[default]
    Fps30,
}

impl FrameRate {
    /// Returns the number of frames per second.
    pub const fn per_second(self) -> u32 {
        match self {
            Self::Fps24 => 24,
            Self::Fps30 => 30,
        }
    }
}

/// A clip to render.
#[derive(Debug, Clone, Copy)]
pub struct Shot<'a> {
    /// The pictures over which the camera moves, one after the other, with a cross-fade between two. At least one, of any size and
    /// aspect ratio: each is cropped and scaled to the frame.
    pub pictures: &'a [RgbImage],
    /// Whether the clip ends with the whole last picture, as far as the frame's aspect ratio shows it.
    pub ends_on_last_picture: bool,
    /// Text that selects the camera moves, in English or Chinese; see [`Motion::from_prompt`](crate::Motion::from_prompt).
    pub prompt: &'a str,
    /// Width of the frame in pixels; see [`SIDE`].
    pub width: u32,
    /// Height of the frame in pixels; see [`SIDE`].
    pub height: u32,
    /// Duration in seconds; see [`SECONDS`].
    pub seconds: u32,
    /// Frame rate.
    pub fps: FrameRate,
    /// Selects the camera moves if the prompt names none.
    pub seed: u64,
    /// Whether the clip has a sound track. It is silent.
    pub audio: bool,
}

impl Shot<'_> {
    /// Validates the fields.
    ///
    /// # Errors
    ///
    /// Returns [`RenderError::BadSize`], [`RenderError::BadDuration`] or [`RenderError::EmptyPicture`].
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
        if self.pictures.is_empty() || self.pictures.iter().any(|picture| picture.is_empty()) {
            return Err(RenderError::EmptyPicture);
        }
        Ok(())
    }

    /// Returns the number of frames.
    pub const fn frames(&self) -> u32 {
        self.seconds * self.fps.per_second()
    }

    /// Returns the time of a frame as a share of the clip: 0 for the first frame, 1 for the last.
    pub(crate) fn time_of(&self, frame: u32) -> f64 {
        f64::from(frame) / f64::from(self.frames() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shot(pictures: &[RgbImage]) -> Shot<'_> {
        Shot {
            pictures,
            ends_on_last_picture: false,
            prompt: "",
            width: 64,
            height: 64,
            seconds: 1,
            fps: FrameRate::Fps30,
            seed: 0,
            audio: false,
        }
    }

    fn validate(width: u32, height: u32, seconds: u32) -> Result<(), RenderError> {
        Shot { width, height, seconds, ..shot(&[RgbImage::new(8, 8)]) }.validate()
    }

    #[test]
    fn common_and_extreme_sizes_are_valid() {
        for (width, height) in
            [(64, 64), (1280, 720), (720, 1280), (1024, 1792), (1792, 1024), (1080, 1920), (3840, 2160), (2160, 3840)]
        {
            assert!(validate(width, height, 5).is_ok(), "{width}x{height}");
        }
    }

    #[test]
    fn unsupported_size_is_an_error_that_names_the_rule() {
        for (width, height) in [(641, 360), (640, 361), (62, 64), (0, 0), (3842, 2160), (3840, 2162), (2400, 2400)] {
            let error = validate(width, height, 5).unwrap_err();
            assert!(matches!(error, RenderError::BadSize { .. }), "{width}x{height}");
            assert!(error.to_string().contains("must be even and at least 64, the longer side at most 3840"));
        }
    }

    #[test]
    fn duration_out_of_range_is_an_error() {
        assert_eq!(validate(640, 360, 0).unwrap_err().to_string(), "seconds 0: must be between 1 and 60");
        assert!(matches!(validate(640, 360, 61), Err(RenderError::BadDuration { seconds: 61 })));
    }

    #[test]
    fn empty_or_missing_picture_is_an_error() {
        for pictures in [vec![], vec![RgbImage::new(0, 5)], vec![RgbImage::new(8, 8), RgbImage::new(5, 0)]] {
            assert!(matches!(shot(&pictures).validate(), Err(RenderError::EmptyPicture)), "{}", pictures.len());
        }
    }
}
