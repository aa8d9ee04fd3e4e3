//! Facts about video models, as data: the sizes, durations, inputs and options that each model accepts, and how its API spells
//! them. Each provider has a file with them (`tables/`). The entries of the setting `video.model_facts` precede those files.
//!
//! Validation, the choice of the nearest values ([`fit`]), the catalog and the providers read the same facts. A provider sends
//! what [`fit`] chose and has no limits of its own.
//!
//! Terms: a *frame* is an image that the video starts or ends with; a *reference* is an image, video or sound with persons,
//! things or a style for the model to use; a *source* is the video that an edit, an extension or a remix starts from.

mod capabilities;
mod durations;
pub mod fit;
mod members;
mod output;
mod sources;
mod table;

use serde::Deserialize;

pub use self::{
    durations::Durations,
    members::{DurationForm, MemberNames, RatioForm},
    output::{Output, Outputs},
    sources::SourceFacts,
    table::{FactsTable, TableError},
};

/// What one model accepts and returns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFacts {
    /// Which of the provider's APIs serves the model: a word that only the provider's module interprets; empty: the usual one.
    #[serde(default)]
    pub api: String,
    /// The provider's names, if one configured name stands for several of its models or endpoints.
    #[serde(default)]
    pub upstream_names: UpstreamNames,
    /// How the provider spells members that its models do not share.
    #[serde(default)]
    pub members: MemberNames,
    /// The sizes of videos: `any`, a list of pixel sizes, or a table of resolutions and aspect ratios.
    #[serde(default)]
    pub outputs: Outputs,
    /// The sizes of videos with a first or last frame, if they differ.
    #[serde(default)]
    pub outputs_with_frames: Option<Outputs>,
    /// The resolution of requests without size and resolution. `None`: the one nearest to 1920x1080.
    #[serde(default)]
    pub default_resolution: Option<String>,
    /// The resolutions that are possible with a last frame; empty: all.
    #[serde(default)]
    pub resolutions_with_last_frame: Vec<String>,
    /// The resolutions that are possible with references; empty: all.
    #[serde(default)]
    pub resolutions_with_references: Vec<String>,
    /// The resolutions that are possible if the request asks for a sound track; empty: all.
    #[serde(default)]
    pub resolutions_with_audio: Vec<String>,
    /// The aspect ratio to send with frames, for models that require one: the provider's word for that of the frames, for example
    /// `adaptive`.
    #[serde(default)]
    pub aspect_ratio_with_frames: Option<String>,
    /// The durations in seconds.
    #[serde(default)]
    pub seconds: Durations,
    /// The durations that are possible at a resolution, by its name, if they are fewer. They take precedence over the others.
    #[serde(default)]
    pub seconds_of_resolution: std::collections::BTreeMap<String, Durations>,
    /// The durations that are possible with a first or last frame, if they are fewer.
    #[serde(default)]
    pub seconds_with_frames: Option<Durations>,
    /// The frame rate, if it is known.
    #[serde(default)]
    pub frames_per_second: Option<u32>,
    /// The accepted inputs.
    #[serde(default)]
    pub inputs: InputFacts,
    /// Whether videos have a sound track.
    #[serde(default)]
    pub audio: Audio,
    /// Whether a seed is accepted.
    #[serde(default)]
    pub seed: bool,
    /// Whether a negative prompt is accepted.
    #[serde(default)]
    pub negative_prompt: bool,
    /// Whether the model renders new videos. `false`: it only edits or extends given ones.
    #[serde(default = "yes")]
    pub generate: bool,
    /// The videos that can be edited.
    #[serde(default)]
    pub edit: SourceFacts,
    /// The videos that can be extended, with the durations by which they can.
    #[serde(default)]
    pub extend: SourceFacts,
    /// The videos that the provider itself remixes. A remix of any other video is a new render with another prompt.
    #[serde(default)]
    pub remix: SourceFacts,
    /// The day after which the provider no longer serves the model, as `YYYY-MM-DD`.
    #[serde(default)]
    pub deprecated: Option<String>,
}

/// The provider's names for one configured name, by the kind of input of a request. `None`: the configured name itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamNames {
    /// The one for a prompt alone.
    pub text: Option<String>,
    /// The one for a first or last frame.
    pub frames: Option<String>,
    /// The one for references.
    pub references: Option<String>,
    /// The one for edits.
    pub edit: Option<String>,
    /// The one for extensions.
    pub extend: Option<String>,
}

/// The kind of input of a request: what the model gets beside the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Nothing.
    Text,
    /// A first or last frame.
    Frames,
    /// References.
    References,
    /// A video to edit.
    Edit,
    /// A video to extend.
    Extend,
}

/// The inputs that a model accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputFacts {
    /// Whether a request requires an input in addition to the prompt.
    pub required: bool,
    /// Whether an image can be the first frame.
    pub first_frame: bool,
    /// Whether an image can be the last frame.
    pub last_frame: bool,
    /// Whether a last frame is accepted without a first one.
    pub last_frame_alone: bool,
    /// The maximum number of reference images.
    pub images: u32,
    /// The maximum number of reference videos.
    pub videos: u32,
    /// The maximum number of reference sounds.
    pub sounds: u32,
    /// Whether reference sounds are accepted without another reference.
    pub sounds_alone: bool,
    /// Whether reference sounds are accepted but have no effect, which is reported to the client.
    pub sounds_unused: bool,
}

fn yes() -> bool {
    true
}

/// The sound track of a model's videos.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audio {
    /// There is none.
    #[default]
    Never,
    /// The request chooses; the default is with sound.
    DefaultOn,
    /// The request chooses; the default is without sound.
    DefaultOff,
    /// There always is one.
    Always,
}

impl ModelFacts {
    /// Returns the facts of a model that no table has: every parameter of a new video is sent as requested, and the provider
    /// decides. Of the inputs only a first frame is accepted, and the model has no edits, extensions and remixes of its own.
    pub fn unknown() -> Self {
        Self {
            api: String::new(),
            upstream_names: UpstreamNames::default(),
            members: MemberNames::default(),
            outputs: Outputs::Any,
            outputs_with_frames: None,
            default_resolution: None,
            resolutions_with_last_frame: Vec::new(),
            resolutions_with_references: Vec::new(),
            resolutions_with_audio: Vec::new(),
            aspect_ratio_with_frames: None,
            seconds: Durations::default(),
            seconds_of_resolution: std::collections::BTreeMap::new(),
            seconds_with_frames: None,
            frames_per_second: None,
            inputs: InputFacts { first_frame: true, ..InputFacts::default() },
            audio: Audio::DefaultOn,
            seed: true,
            negative_prompt: true,
            generate: true,
            edit: SourceFacts::default(),
            extend: SourceFacts::default(),
            remix: SourceFacts::default(),
            deprecated: None,
        }
    }

    /// Returns the values of `Model.capabilities` in the gRPC API.
    pub fn capabilities(&self) -> Vec<&'static str> {
        let InputFacts { first_frame, last_frame, images, videos, sounds, .. } = self.inputs;
        let references = images > 0 || videos > 0 || sounds > 0;
        [
            ("input_reference", first_frame || images > 0),
            ("last_frame", last_frame),
            ("references", references),
            ("audio", self.audio != Audio::Never),
            ("remix", self.generate || self.remix.is_possible()),
            ("edit", self.edit.is_possible()),
            ("extend", self.extend.is_possible()),
        ]
        .into_iter()
        .filter_map(|(name, has)| has.then_some(name))
        .collect()
    }

    /// Returns the sizes of videos with or without a first or last frame.
    pub fn outputs(&self, with_frames: bool) -> &Outputs {
        self.outputs_with_frames.as_ref().filter(|_| with_frames).unwrap_or(&self.outputs)
    }

    /// Returns the provider's name of the model for a request with this kind of input. `configured` is the name in the settings.
    pub fn upstream_name<'a>(&'a self, configured: &'a str, kind: InputKind) -> &'a str {
        let UpstreamNames { text, frames, references, edit, extend } = &self.upstream_names;
        let name = match kind {
            InputKind::Text => text,
            InputKind::Frames => frames,
            InputKind::References => references,
            InputKind::Edit => edit,
            InputKind::Extend => extend,
        };
        name.as_deref().unwrap_or(configured)
    }

    /// Returns the durations of videos at a resolution, with or without a first or last frame.
    pub fn durations(&self, resolution: &str, with_frames: bool) -> &Durations {
        let with_frames = self.seconds_with_frames.as_ref().filter(|_| with_frames);
        self.seconds_of_resolution.get(resolution).or(with_frames).unwrap_or(&self.seconds)
    }
}
