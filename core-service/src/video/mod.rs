//! Clips: the provider trait and what it is asked, and below it the job machine, the providers and the gRPC door.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use triptych_proto::v1 as pb;

use crate::{
    call::{Call, Chunks},
    error::ProviderError,
    media::MediaKey,
    size::Size,
};

mod files;
pub mod grpc;
pub mod guarded;
pub mod job;
pub mod jobs;
pub mod providers;
mod references;
pub mod runner;
#[cfg(test)]
pub(crate) mod scripted;
pub mod state;
pub mod store;
pub mod time;
mod validate;
mod view;
pub mod watch;

/// Something that makes clips.
///
/// A render belongs to a job that may outlive this process: everything a later process needs to go on stands in
/// [`UpstreamTask`] and [`Clip`], which the job machine keeps.
#[async_trait]
pub trait VideoProvider: std::fmt::Debug + Send + Sync {
    /// Whether submitting twice under one key starts one render instead of two. Only such a provider is asked again
    /// when a crash hid the answer to the first submission.
    fn repeatable(&self) -> bool;

    /// Starts a render.
    async fn submit(&self, call: Call<VideoSpec>) -> Result<UpstreamTask, ProviderError>;

    /// How far it is.
    async fn poll(&self, task: &UpstreamTask) -> Result<Progress, ProviderError>;

    /// The bytes of one finished file.
    async fn fetch(&self, file: &ClipFile) -> Result<Chunks<Bytes>, ProviderError>;

    /// Stops a render, as far as the provider can. Unknown and finished tasks are no error.
    async fn cancel(&self, task: &UpstreamTask) -> Result<(), ProviderError>;

    /// Returns the health of the provider's upstream; empty for a provider without one.
    fn targets(&self) -> Vec<pb::model::Target> {
        Vec::new()
    }
}

/// What to make: a checked request, its reference picture known to be a picture.
#[derive(Debug, Clone)]
pub struct VideoSpec {
    /// What to show; never blank.
    pub prompt: String,
    /// Exact size in pixels, both sides even.
    pub size: Size,
    /// Length in seconds.
    pub seconds: u32,
    /// Asks for the same clip to the same request.
    pub seed: Option<i64>,
    /// The picture to start from.
    pub reference: Option<Reference>,
    /// An opaque name of the end user; may be empty.
    pub user: String,
    /// Members for the upstream that have no field; the text of a JSON object, or empty.
    pub extra_json: String,
}

/// The picture a clip starts from: its bytes, and where they stay for as long as the job does.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The key it is stored under, for a provider that outlives the call.
    pub key: MediaKey,
    /// The picture, encoded.
    pub picture: Bytes,
}

/// A render at a provider, in whatever text the provider needs to find it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamTask(pub String);

/// What a provider says about a render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Still under way.
    Working {
        /// 0 to 99, where the provider tells or can estimate it.
        percent: Option<u8>,
        /// When it is worth asking again.
        poll_after: Duration,
    },
    /// Finished.
    Ready(Clip),
    /// Ended without a clip.
    Failed(ProviderError),
}

/// A finished clip at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clip {
    /// The files it consists of; exactly one is [`Variant::Video`].
    pub files: Vec<ClipFile>,
}

/// One file of a finished clip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipFile {
    /// Which form of the clip it is.
    pub variant: Variant,
    /// Its media type.
    pub media_type: String,
    /// Where the provider keeps it, in the provider's own notation.
    pub location: String,
}

/// The forms a clip can be had in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The clip itself.
    Video,
    /// One still.
    Thumbnail,
    /// A grid of stills.
    Spritesheet,
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Video, Self::Thumbnail, Self::Spritesheet];

    /// Its word in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Thumbnail => "thumbnail",
            Self::Spritesheet => "spritesheet",
        }
    }
}
