//! The state machine of a video job: which transition follows which event. Pure: no I/O, no clock, no await.

mod document;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::document::DocumentError;
use super::{
    provider::{Clip, RenderUsage, UpstreamTask, Variant},
    time::Timestamp,
};

/// The progress from the end of the render until the last byte is stored.
const ALMOST_DONE: u8 = 99;

/// The state of a job, with exactly the data that the next step needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum JobState {
    /// Waiting for a worker.
    Queued,
    /// Being submitted: from here on the provider may have the request, whether its response arrives or not.
    Submitting {
        /// When the submission began. `None` in jobs from before it was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
        /// How many searches at the provider found no render of this submission, whose response was lost.
        #[serde(default, skip_serializing_if = "is_zero")]
        searches: u32,
    },
    /// The provider is rendering.
    Rendering {
        /// The render at the provider.
        task: UpstreamTask,
        /// 0 to 99.
        percent: u8,
        /// How many polls in a row found no such render at the provider.
        #[serde(default, skip_serializing_if = "is_zero")]
        missing: u32,
        /// When the provider accepted the submission. `None` in jobs from before it was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
    },
    /// The result is being copied into the media store.
    Storing {
        /// The render at the provider.
        task: UpstreamTask,
        /// The result at the provider.
        clip: Clip,
        /// How often the provider was polled again for new links.
        #[serde(default, skip_serializing_if = "is_zero")]
        renewals: u32,
    },
    /// Finished; final.
    Succeeded {
        /// The files that can be downloaded.
        media: Vec<StoredFile>,
        /// The render at the provider, for an edit, an extension or a remix by the same model. `None` in jobs from before it was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<UpstreamTask>,
        /// Size, duration and sound of the video file. `None` if it could not be read, or in jobs from before it was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<VideoContent>,
        /// What the provider reports as used. Empty in jobs from before it was kept.
        #[serde(default, skip_serializing_if = "RenderUsage::is_empty")]
        usage: RenderUsage,
    },
    /// Ended without a result; final.
    Failed {
        /// The progress at the end, 0 to 99.
        percent: u8,
        /// A machine-readable reason in lower case.
        code: String,
        /// A human-readable message.
        message: String,
    },
    /// Cancelled by the caller; final.
    Cancelled {
        /// The progress at the end, 0 to 99.
        percent: u8,
        /// When the interrupted submission began, until it is known whether it started a render.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        submission: Option<Timestamp>,
        /// Whether the render may be billed: the provider did not stop it, or may have started one that was not found.
        #[serde(default, skip_serializing_if = "is_false")]
        may_be_billed: bool,
    },
}

/// One file of a finished video in the media store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// The kind of file.
    pub variant: Variant,
    /// The key in the media store.
    pub key: String,
    /// The media type.
    pub media_type: String,
    /// The length in bytes.
    pub size_bytes: u64,
    /// A strong entity tag, without quotes.
    pub etag: String,
    /// Whether the media store did not have the file at the last download.
    #[serde(default, skip_serializing_if = "is_false")]
    pub missing: bool,
}

/// Size, duration and sound of the file of a finished video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoContent {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The duration in milliseconds.
    pub duration_millis: u64,
    /// Whether there is a sound track.
    pub has_audio: bool,
}

/// An event in the life of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A submission is about to be sent at this time, for the first time or again under the same idempotency key.
    SubmissionStarted(Timestamp),
    /// The provider certainly did not accept the submission; it may be sent again later.
    SubmissionRejected,
    /// A search at the provider found no render of the submission.
    NotFound,
    /// The provider accepted the submission at this time.
    Accepted(UpstreamTask, Timestamp),
    /// The provider reported progress, in percent.
    Progressed(u8),
    /// A poll found no such render at the provider.
    Missed,
    /// The provider finished the render, or returned new links to its result.
    Rendered(Clip),
    /// The result is in the media store.
    Stored(Vec<StoredFile>, Option<VideoContent>),
    /// The job cannot continue.
    Failed {
        /// A machine-readable reason in lower case.
        code: String,
        /// A human-readable message.
        message: String,
    },
    /// The caller cancelled the job.
    Cancelled,
}

impl JobState {
    /// Returns the state after the event. Progress never decreases, and a final state never changes.
    pub fn apply(self, event: Event) -> Result<Self, IllegalTransition> {
        use {Event as E, JobState as S};
        let (from, reached) = (self.phase(), self.percent());
        match (self, event) {
            (S::Queued | S::Submitting { .. }, E::SubmissionStarted(at)) => {
                Ok(S::Submitting { since: Some(at), searches: 0 })
            }
            (S::Submitting { .. }, E::SubmissionRejected) => Ok(S::Queued),
            (S::Submitting { since, searches }, E::NotFound) => {
                Ok(S::Submitting { since, searches: searches.saturating_add(1) })
            }
            (S::Submitting { .. }, E::Accepted(task, at)) => {
                Ok(S::Rendering { task, percent: 0, missing: 0, since: Some(at) })
            }
            (S::Rendering { task, percent, since, .. }, E::Progressed(to)) => {
                Ok(S::Rendering { task, percent: percent.max(to.min(ALMOST_DONE)), missing: 0, since })
            }
            (S::Rendering { task, percent, missing, since }, E::Missed) => {
                Ok(S::Rendering { task, percent, missing: missing.saturating_add(1), since })
            }
            (S::Rendering { task, .. }, E::Rendered(clip)) => Ok(S::Storing { task, clip, renewals: 0 }),
            (S::Storing { task, clip, renewals }, E::Rendered(renewed)) => {
                // A response with new links may be without the usage.
                let usage = if renewed.usage.is_empty() { clip.usage } else { renewed.usage };
                Ok(S::Storing { task, clip: renewed.with_usage(usage), renewals: renewals.saturating_add(1) })
            }
            (S::Storing { task, clip, .. }, E::Stored(media, content)) => {
                Ok(S::Succeeded { media, task: Some(task), content, usage: clip.usage })
            }
            (
                S::Queued | S::Submitting { .. } | S::Rendering { .. } | S::Storing { .. },
                E::Failed { code, message },
            ) => Ok(S::Failed { percent: reached, code, message }),
            (S::Submitting { since, .. }, E::Cancelled) => {
                Ok(S::Cancelled { percent: reached, submission: since, may_be_billed: false })
            }
            (S::Queued | S::Rendering { .. } | S::Storing { .. }, E::Cancelled) => {
                Ok(S::Cancelled { percent: reached, submission: None, may_be_billed: false })
            }
            (
                S::Queued,
                E::SubmissionRejected
                | E::NotFound
                | E::Accepted(..)
                | E::Progressed(_)
                | E::Missed
                | E::Rendered(_)
                | E::Stored(..),
            )
            | (S::Submitting { .. }, E::Progressed(_) | E::Missed | E::Rendered(_) | E::Stored(..))
            | (
                S::Rendering { .. },
                E::SubmissionStarted(_) | E::SubmissionRejected | E::NotFound | E::Accepted(..) | E::Stored(..),
            )
            | (
                S::Storing { .. },
                E::SubmissionStarted(_)
                | E::SubmissionRejected
                | E::NotFound
                | E::Accepted(..)
                | E::Progressed(_)
                | E::Missed,
            )
            | (
                S::Succeeded { .. } | S::Failed { .. } | S::Cancelled { .. },
                E::SubmissionStarted(_)
                | E::SubmissionRejected
                | E::NotFound
                | E::Accepted(..)
                | E::Progressed(_)
                | E::Missed
                | E::Rendered(_)
                | E::Stored(..)
                | E::Failed { .. }
                | E::Cancelled,
            ) => Err(IllegalTransition { from }),
        }
    }

    /// Returns the name of the state.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Queued => Phase::Queued,
            Self::Submitting { .. } => Phase::Submitting,
            Self::Rendering { .. } => Phase::Rendering,
            Self::Storing { .. } => Phase::Storing,
            Self::Succeeded { .. } => Phase::Succeeded,
            Self::Failed { .. } => Phase::Failed,
            Self::Cancelled { .. } => Phase::Cancelled,
        }
    }

    /// Returns the progress in percent: 100 exactly when succeeded.
    pub fn percent(&self) -> u8 {
        match self {
            Self::Queued | Self::Submitting { .. } => 0,
            Self::Rendering { percent, .. } | Self::Failed { percent, .. } | Self::Cancelled { percent, .. } => {
                *percent
            }
            Self::Storing { .. } => ALMOST_DONE,
            Self::Succeeded { .. } => 100,
        }
    }

    /// Returns the render at the provider while it is in progress or being copied.
    pub fn active_task(&self) -> Option<&UpstreamTask> {
        match self {
            Self::Rendering { task, .. } | Self::Storing { task, .. } => Some(task),
            Self::Queued
            | Self::Submitting { .. }
            | Self::Succeeded { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. } => None,
        }
    }

    /// Returns the render at the provider, also that of a finished job.
    pub fn task(&self) -> Option<&UpstreamTask> {
        if let Self::Succeeded { task, .. } = self { task.as_ref() } else { self.active_task() }
    }

    /// Returns when the submission began, as long as its outcome is not known.
    pub fn submission(&self) -> Option<Timestamp> {
        if let Self::Submitting { since, .. } = self { *since } else { self.unresolved_submission() }
    }

    /// Returns when the submission of a cancelled job began, while it is not known whether it started a render.
    pub fn unresolved_submission(&self) -> Option<Timestamp> {
        match self {
            Self::Cancelled { submission, .. } => *submission,
            Self::Queued
            | Self::Submitting { .. }
            | Self::Rendering { .. }
            | Self::Storing { .. }
            | Self::Succeeded { .. }
            | Self::Failed { .. } => None,
        }
    }

    /// Returns the state of a cancelled job whose clean-up has ended. `billed` is whether a render may be billed. Other states are returned
    /// unchanged.
    #[must_use]
    pub fn cleaned_up(self, billed: bool) -> Self {
        if let Self::Cancelled { percent, may_be_billed, .. } = self {
            Self::Cancelled { percent, submission: None, may_be_billed: may_be_billed || billed }
        } else {
            self
        }
    }

    /// Returns the state of a finished job after a download of a file. `missing` is whether the media store did not have the file.
    #[must_use]
    pub fn with_file_missing(mut self, variant: Variant, missing: bool) -> Self {
        if let Self::Succeeded { media, .. } = &mut self {
            media.iter_mut().filter(|file| file.variant == variant).for_each(|file| file.missing = missing);
        }
        self
    }

    /// Returns whether the states differ in nothing that callers see: phase and progress.
    pub fn looks_like(&self, other: &Self) -> bool {
        (self.phase(), self.percent()) == (other.phase(), other.percent())
    }

    /// Returns whether the state is final.
    pub fn is_final(&self) -> bool {
        matches!(self.phase(), Phase::Succeeded | Phase::Failed | Phase::Cancelled)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The name of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// [`JobState::Queued`].
    Queued,
    /// [`JobState::Submitting`].
    Submitting,
    /// [`JobState::Rendering`].
    Rendering,
    /// [`JobState::Storing`].
    Storing,
    /// [`JobState::Succeeded`].
    Succeeded,
    /// [`JobState::Failed`].
    Failed,
    /// [`JobState::Cancelled`].
    Cancelled,
}

impl Phase {
    /// Returns the name in logs and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Submitting => "submitting",
            Self::Rendering => "rendering",
            Self::Storing => "storing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Parses a name.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [
            Self::Queued,
            Self::Submitting,
            Self::Rendering,
            Self::Storing,
            Self::Succeeded,
            Self::Failed,
            Self::Cancelled,
        ];
        all.into_iter().find(|phase| phase.as_str() == name)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The event is not allowed in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this transition is not allowed for a job that is {from}")]
pub struct IllegalTransition {
    /// The state, which does not change.
    pub from: Phase,
}

#[cfg(test)]
mod tests;
