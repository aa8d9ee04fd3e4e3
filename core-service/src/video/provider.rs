//! The trait of video providers, and its parameter and result types.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use triptych_proto::v1 as pb;

pub use super::task::UpstreamTask;
use super::{
    inputs::{InputRole, RenderInput},
    parameters::VideoParameters,
};
use crate::{
    call::{Call, Chunks},
    context::RequestContext,
    error::ProviderError,
    model_facts::{ModelFacts, fit::FitPolicy},
    usd::Usd,
};

/// How long a provider may take to respond to a call. For the chunks of a file, `runner/min_rate.rs` has a limit of its own.
pub(crate) const PROVIDER_TIMEOUT: Duration = Duration::from_mins(2);

/// A served model: its provider, and its facts.
#[derive(Debug)]
pub struct VideoModel {
    /// The provider.
    pub provider: Arc<dyn VideoProvider>,
    /// The facts of the model: the parameters, inputs and sources that it accepts, and the videos that it returns.
    pub facts: ModelFacts,
    /// What happens to parameters that the model does not accept, unless the request decides it.
    pub fit_policy: FitPolicy,
}

impl VideoModel {
    /// Returns the model without the sizes above a resolution, for example `720p`.
    #[must_use]
    pub fn limited_to(&self, resolution: &str) -> Self {
        let outputs = self.facts.outputs.clone().up_to(resolution);
        let outputs_with_frames = self.facts.outputs_with_frames.clone().map(|outputs| outputs.up_to(resolution));
        let facts = ModelFacts { outputs, outputs_with_frames, ..self.facts.clone() };
        Self { provider: Arc::clone(&self.provider), facts, fit_policy: self.fit_policy }
    }
}

/// A provider of videos.
///
/// A render belongs to a job that may outlive this process: everything that a later process needs to continue is in
/// [`UpstreamTask`] and [`Clip`], which are stored with the job.
#[async_trait]
pub trait VideoProvider: fmt::Debug + Send + Sync {
    /// Returns the address of the upstream, for the log; `None` without an upstream.
    fn address(&self) -> Option<&str> {
        None
    }

    /// Returns whether two submissions under one idempotency key start one render. Only with such a provider is a submission
    /// repeated after a crash in which the response to the first one was lost.
    fn submits_idempotently(&self) -> bool;

    /// Returns how many more renders can start now. Jobs stay queued while there is no free slot.
    fn free_slots(&self) -> usize {
        usize::MAX
    }

    /// Reserves a slot for one render; `None` if none is free.
    fn reserve(&self) -> Option<Slot> {
        Some(Slot::default())
    }

    /// Starts a render. The idempotency key of the context is the id of the job.
    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError>;

    /// Returns the state of a render.
    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError>;

    /// Streams the bytes of one finished file.
    ///
    /// # Errors
    /// [`ProviderError::LinkExpired`] if the location is no longer valid; another poll may return a new one.
    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError>;

    /// Returns the health of the upstream for the model list: one entry, or none for a provider without an upstream.
    fn targets(&self) -> Vec<pb::model::Target> {
        Vec::new()
    }

    /// Stops a render, as far as the provider can. Unknown and finished tasks are no error.
    async fn cancel(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Cancellation, ProviderError>;

    /// Searches for the render of a submission whose response was lost.
    async fn find(&self, lost: &LostSubmission, context: &RequestContext) -> Result<Search, ProviderError> {
        let _ = (lost, context);
        Ok(Search::Inconclusive)
    }
}

/// Whether a render was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancellation {
    /// It was stopped, or had ended before.
    Stopped,
    /// The provider cannot stop it: it is still running and may be billed.
    StillRunning,
}

/// A submission whose outcome is unknown.
#[derive(Debug, Clone)]
pub struct LostSubmission {
    /// The id of the job, which was the idempotency key of the submission. Providers that store a text of the client with a
    /// render store this one.
    pub job_id: String,
    /// The provider's name of the model.
    pub model: String,
    /// The parameters.
    pub parameters: VideoParameters,
    /// When the submission began, in seconds since 1970.
    pub submitted_at: u64,
}

/// The result of a search for a lost submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// The submission started this render.
    Found(UpstreamTask),
    /// The provider lists all of its renders by job id, and has none with this one.
    Absent,
    /// Whether there is a render is unknown: the provider has no list, or nothing in it that tells whose render it is.
    Inconclusive,
}

/// What to render: the validated parameters of a job and the contents of its inputs.
#[derive(Debug, Clone)]
pub struct RenderRequest {
    /// The parameters, as the facts of the model allow them.
    pub parameters: VideoParameters,
    /// The inputs, in the order of the request.
    pub inputs: Vec<RenderInput>,
    /// The slot that was reserved for the render.
    pub slot: Slot,
}

/// The right to one of a limited number of renders in progress. Dropping the last clone releases it. The default
/// holds no slot: the provider has no limit, or acquires the slot itself.
#[derive(Debug, Clone, Default)]
pub struct Slot(Option<Arc<OwnedSemaphorePermit>>);

impl Slot {
    /// Returns whether a slot is held.
    pub fn is_reserved(&self) -> bool {
        self.0.is_some()
    }
}

impl From<OwnedSemaphorePermit> for Slot {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self(Some(Arc::new(permit)))
    }
}

impl RenderRequest {
    /// Returns the first input for a role.
    pub fn input(&self, role: InputRole) -> Option<&RenderInput> {
        self.inputs.iter().find(|input| input.role == role)
    }
}

/// The state of a render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// In progress.
    Working {
        /// 0 to 99, where the provider reports it or it can be estimated.
        percent: Option<u8>,
        /// The recommended delay before the next poll.
        poll_after: Duration,
    },
    /// Finished.
    Ready(Clip),
    /// Ended without a result.
    Failed(ProviderError),
    /// Cancelled or deleted at the provider, but not through this service.
    Cancelled,
    /// The provider does not know the render, or not yet.
    Missing,
}

/// The result of a render at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clip {
    /// The files; exactly one is [`Variant::Video`].
    pub files: Vec<ClipFile>,
    /// What the provider reports as used. Empty in jobs from before it was kept.
    #[serde(default, skip_serializing_if = "RenderUsage::is_empty")]
    pub usage: RenderUsage,
}

impl Clip {
    /// Creates a result without a reported usage.
    pub fn new(files: impl IntoIterator<Item = ClipFile>) -> Self {
        Self { files: files.into_iter().collect(), usage: RenderUsage::default() }
    }

    /// Returns the result with this usage.
    #[must_use]
    pub fn with_usage(self, usage: RenderUsage) -> Self {
        Self { usage, ..self }
    }
}

/// What a provider reports that a render has used, in the quantities that prices know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RenderUsage {
    /// The billed seconds, in milliseconds. They may include those of input videos.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_millis: Option<u64>,
    /// What the provider bills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
}

impl RenderUsage {
    /// Returns whether the provider reported nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One file of a finished render.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipFile {
    /// The kind of file.
    pub variant: Variant,
    /// The media type.
    pub media_type: String,
    /// Where the provider keeps the file, in the provider's own notation.
    pub location: String,
}

/// The kinds of files of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The video itself.
    Video,
    /// One still image.
    Thumbnail,
    /// A grid of still images.
    Spritesheet,
}

impl Variant {
    /// All variants.
    pub const ALL: [Self; 3] = [Self::Video, Self::Thumbnail, Self::Spritesheet];

    /// Returns the name in OpenAI's API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Thumbnail => "thumbnail",
            Self::Spritesheet => "spritesheet",
        }
    }
}
