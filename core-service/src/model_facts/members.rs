//! The names and forms of members of the JSON requests, for providers whose models do not share them: the models of several vendors at
//! fal and Runway.

use serde::Deserialize;

/// The names of the members for inputs, and the forms of some members, in the requests to a model. The defaults are fal's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemberNames {
    /// The first frame.
    pub first_frame: String,
    /// The last frame.
    pub last_frame: String,
    /// The reference images.
    pub images: String,
    /// The reference videos.
    pub videos: String,
    /// The reference sounds.
    pub sounds: String,
    /// The video to edit or to extend.
    pub source: String,
    /// Whether an entry for a reference video or sound has a member `type` (Runway).
    pub typed_references: bool,
    /// The form of the duration.
    pub seconds: DurationForm,
    /// Which requests have the member `ratio` (Runway).
    pub ratio: RatioForm,
}

/// Which requests have the member `ratio`, a size or an aspect ratio. Models refuse it in the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RatioForm {
    /// Those in which most models of the provider have it.
    #[default]
    Usual,
    /// Those without a first or last frame.
    WithoutFrames,
    /// All; with a first or last frame, it is a word for the resolution: `auto_720p`, `auto_1080p`.
    AutoWithFrames,
    /// None.
    Never,
}

/// The form of a duration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DurationForm {
    /// `5`.
    #[default]
    Number,
    /// `"5"`.
    Text,
    /// `"5s"`.
    TextWithUnit,
}

impl Default for MemberNames {
    fn default() -> Self {
        Self {
            first_frame: "image_url".to_owned(),
            last_frame: "end_image_url".to_owned(),
            images: "image_urls".to_owned(),
            videos: "video_urls".to_owned(),
            sounds: "audio_urls".to_owned(),
            source: "video_url".to_owned(),
            typed_references: true,
            seconds: DurationForm::default(),
            ratio: RatioForm::default(),
        }
    }
}
