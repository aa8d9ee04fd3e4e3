//! Fault injection: models of the built-in engines that fail in a defined way, so that clients can test their error handling.
//!
//! The name of such a model is the name of its engine, `-fault-` and a suffix, for example `offline-chat-fault-429`.
//!
//! | suffix | engines | effect |
//! | --- | --- | --- |
//! | `429` | chat, image, video | rate limit; at video only for the first two submissions of a job |
//! | `500` | chat, image | broken upstream |
//! | `refused` | image, video | content refused |
//! | `slow` | chat, image | a delay before the first event |
//! | `cut` | chat | a stream that breaks after a few chunks; a non-streaming call fails |
//! | `fails` | video | the render fails at 60 % |
//! | `stuck` | video | the render stays at 42 %, until the deadline of the job |
//! | `expired` | video | the links to the finished files have expired, the renewed ones too |
//! | `renewed` | video | the links have expired, the renewed ones are valid |
//! | `lost` | video | the response to the submission is lost; a search finds the render |
//! | `outcome-unknown` | video | the response to the submission is lost, and there is no search |
//! | `unknown-state` | video | the first polls return a state that is not known |
//! | `missing` | video | the first polls do not find the render |
//! | `gone` | video | no poll finds the render |
//! | `slow-copy` | video | the first download of the video is slower than the minimum rate |
//!
//! A render is the generation of one video at its provider. The minimum rate is that of the job runner
//! (`video/runner/min_rate.rs`).
//!
//! Webhook receivers that fail are selected by the URL of the webhook: see [`ReceiverFault`].

mod receiver;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use self::receiver::ReceiverFault;
use crate::error::ProviderError;

/// The text between the name of the engine and the suffix.
const INFIX: &str = "-fault-";

/// The delay of [`Fault::Slow`].
const SLOW_DELAY: Duration = Duration::from_secs(10);

/// A fault. Serialized by its suffix: video tasks store it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// The provider limits the request rate. `paced` is the name in tasks that earlier versions stored.
    #[serde(rename = "429", alias = "paced")]
    RateLimited,
    /// The provider breaks.
    #[serde(rename = "500")]
    Broken,
    /// The provider refuses the content.
    #[serde(rename = "refused")]
    Refused,
    /// The provider responds late.
    #[serde(rename = "slow")]
    Slow,
    /// The stream breaks after [`Fault::CUT_AFTER`] chunks.
    #[serde(rename = "cut")]
    StreamCut,
    /// The render fails at [`Fault::RENDER_FAILS_AT`] percent.
    #[serde(rename = "fails")]
    RenderFails,
    /// The render stays at [`Fault::RENDER_STUCK_AT`] percent.
    #[serde(rename = "stuck")]
    RenderStuck,
    /// The links to the finished files have expired.
    #[serde(rename = "expired")]
    LinkExpired,
    /// The links to the finished files have expired once.
    #[serde(rename = "renewed")]
    LinkRenewed,
    /// The response to the submission is lost, and a search finds the render.
    #[serde(rename = "lost")]
    SubmissionLost,
    /// The response to the submission is lost, and there is no search.
    #[serde(rename = "outcome-unknown")]
    OutcomeUnknown,
    /// The first [`Fault::UNKNOWN_POLLS`] polls return a state that is not known.
    #[serde(rename = "unknown-state")]
    StateUnknown,
    /// The first [`Fault::MISSED_POLLS`] polls do not find the render.
    #[serde(rename = "missing")]
    RenderMissing,
    /// No poll finds the render.
    #[serde(rename = "gone")]
    RenderGone,
    /// The first download of the video is slower than the minimum rate.
    #[serde(rename = "slow-copy")]
    SlowCopy,
}

impl Fault {
    /// The faults of the chat engine.
    pub(crate) const CHAT: [Self; 4] = [Self::RateLimited, Self::Broken, Self::Slow, Self::StreamCut];
    /// The faults of the image engine.
    pub(crate) const IMAGE: [Self; 4] = [Self::RateLimited, Self::Broken, Self::Refused, Self::Slow];
    /// The faults of the video engine.
    pub(crate) const VIDEO: [Self; 12] = [
        Self::RenderFails,
        Self::RenderStuck,
        Self::RateLimited,
        Self::Refused,
        Self::LinkExpired,
        Self::LinkRenewed,
        Self::SubmissionLost,
        Self::OutcomeUnknown,
        Self::StateUnknown,
        Self::RenderMissing,
        Self::RenderGone,
        Self::SlowCopy,
    ];

    /// How many chunks a stream has before [`Fault::StreamCut`] breaks it.
    pub(crate) const CUT_AFTER: usize = 5;
    /// The progress in percent at which [`Fault::RenderFails`] fails.
    pub(crate) const RENDER_FAILS_AT: u8 = 60;
    /// The progress in percent that [`Fault::RenderStuck`] reports forever.
    pub(crate) const RENDER_STUCK_AT: u8 = 42;
    /// How many submissions of a job [`Fault::RateLimited`] rejects.
    pub(crate) const REJECTED_SUBMISSIONS: u32 = 2;
    /// How many polls of a render [`Fault::StateUnknown`] answers with a state that is not known.
    pub(crate) const UNKNOWN_POLLS: u32 = 3;
    /// How many polls do not find the render of [`Fault::RenderMissing`]: one less than the number that fails a job.
    pub(crate) const MISSED_POLLS: u32 = 2;

    const ALL: [Self; 15] = [
        Self::RateLimited,
        Self::Broken,
        Self::Refused,
        Self::Slow,
        Self::StreamCut,
        Self::RenderFails,
        Self::RenderStuck,
        Self::LinkExpired,
        Self::LinkRenewed,
        Self::SubmissionLost,
        Self::OutcomeUnknown,
        Self::StateUnknown,
        Self::RenderMissing,
        Self::RenderGone,
        Self::SlowCopy,
    ];

    const fn suffix(self) -> &'static str {
        match self {
            Self::RateLimited => "429",
            Self::Broken => "500",
            Self::Refused => "refused",
            Self::Slow => "slow",
            Self::StreamCut => "cut",
            Self::RenderFails => "fails",
            Self::RenderStuck => "stuck",
            Self::LinkExpired => "expired",
            Self::LinkRenewed => "renewed",
            Self::SubmissionLost => "lost",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::StateUnknown => "unknown-state",
            Self::RenderMissing => "missing",
            Self::RenderGone => "gone",
            Self::SlowCopy => "slow-copy",
        }
    }

    /// Returns the name of the model of `engine` with this fault.
    pub(crate) fn model(self, engine: &str) -> String {
        format!("{engine}{INFIX}{}", self.suffix())
    }

    /// Returns the fault of the model with this name.
    pub(crate) fn of(model: &str) -> Option<Self> {
        let (_, suffix) = model.rsplit_once(INFIX)?;
        Self::ALL.into_iter().find(|fault| fault.suffix() == suffix)
    }

    /// Returns whether the response to the submission is lost.
    pub(crate) fn loses_submission(self) -> bool {
        matches!(self, Self::SubmissionLost | Self::OutcomeUnknown)
    }

    /// Returns the error with which the fault makes a call fail; `None` if it only delays or stops progress.
    pub(crate) fn error(self) -> Option<ProviderError> {
        Some(match self {
            Self::RateLimited => ProviderError::RateLimited {
                message: "fault injection: rate limit".to_owned(),
                retry_after: Some(Duration::from_secs(2)),
            },
            Self::Broken => ProviderError::Broken("fault injection: broken upstream".to_owned()),
            Self::Refused => ProviderError::ContentPolicy("fault injection: content refused".to_owned()),
            Self::StreamCut => ProviderError::Broken("fault injection: stream cut".to_owned()),
            Self::RenderFails => {
                let message = format!("fault injection: render failed at {} %", Self::RENDER_FAILS_AT);
                ProviderError::unavailable(message)
            }
            Self::SubmissionLost | Self::OutcomeUnknown => {
                ProviderError::Broken("fault injection: the response to the submission was lost".to_owned())
            }
            Self::LinkExpired | Self::LinkRenewed => {
                ProviderError::LinkExpired("fault injection: the link to the file has expired".to_owned())
            }
            Self::Slow
            | Self::RenderStuck
            | Self::StateUnknown
            | Self::RenderMissing
            | Self::RenderGone
            | Self::SlowCopy => return None,
        })
    }

    /// Applies the faults that occur before the first event of a chat or image call: fails or delays the call.
    pub(crate) async fn before_first_event(self) -> Result<(), ProviderError> {
        match self {
            Self::RateLimited | Self::Broken | Self::Refused => self.error().map_or(Ok(()), Err),
            Self::Slow => {
                tokio::time::sleep(SLOW_DELAY).await;
                Ok(())
            }
            Self::StreamCut
            | Self::RenderFails
            | Self::RenderStuck
            | Self::LinkExpired
            | Self::LinkRenewed
            | Self::SubmissionLost
            | Self::OutcomeUnknown
            | Self::StateUnknown
            | Self::RenderMissing
            | Self::RenderGone
            | Self::SlowCopy => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_model_name() {
        for fault in Fault::ALL {
            assert_eq!(Fault::of(&fault.model("offline-chat")), Some(fault));
        }
        for other in ["offline-chat", "offline-chat-fault-", "offline-chat-fault-418", "429"] {
            assert_eq!(Fault::of(other), None, "{other}");
        }
    }

    #[test]
    fn stored_tasks_name_the_fault_by_its_suffix() {
        for fault in Fault::VIDEO {
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.suffix());
        }
    }
}
