//! Faults on request, so that callers can test their own handling: each has a model name.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::ProviderError;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// The render fails at 60 %.
    Fails,
    /// The render never ends; the job's deadline does.
    Stuck,
    /// The first two submissions are turned away.
    Paced,
    /// The content is refused.
    Refused,
    /// The finished files are gone before they can be copied.
    Expired,
}

impl Fault {
    pub(super) const ALL: [Self; 5] = [Self::Fails, Self::Stuck, Self::Paced, Self::Refused, Self::Expired];

    /// The model name that asks for it.
    pub(super) const fn model(self) -> &'static str {
        match self {
            Self::Fails => "offline-video-fault-fails",
            Self::Stuck => "offline-video-fault-stuck",
            Self::Paced => "offline-video-fault-429",
            Self::Refused => "offline-video-fault-refused",
            Self::Expired => "offline-video-fault-expired",
        }
    }

    pub(super) fn of(model: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.model() == model)
    }

    /// `knocks` counts the submissions of this job, this one included.
    pub(super) fn at_submit(self, knocks: u32) -> Result<(), ProviderError> {
        match self {
            Self::Paced if knocks <= 2 => Err(ProviderError::RateLimited {
                message: "turned away, as this model name asks for".to_owned(),
                retry_after: Some(Duration::from_secs(1)),
            }),
            Self::Refused => {
                Err(ProviderError::ContentPolicy("the content was refused, as this model name asks for".to_owned()))
            }
            Self::Paced | Self::Fails | Self::Stuck | Self::Expired => Ok(()),
        }
    }

    /// The share of the frames, in percent, at which the render fails.
    pub(super) fn fails_at(self) -> Option<u8> {
        match self {
            Self::Fails => Some(60),
            Self::Stuck | Self::Paced | Self::Refused | Self::Expired => None,
        }
    }

    /// The progress that is told for ever.
    pub(super) fn stands_still_at(self) -> Option<u8> {
        match self {
            Self::Stuck => Some(42),
            Self::Fails | Self::Paced | Self::Refused | Self::Expired => None,
        }
    }

    pub(super) fn at_fetch(self) -> Result<(), ProviderError> {
        match self {
            Self::Expired => Err(ProviderError::Refused {
                message: "the finished file's link has expired, as this model name asks for".to_owned(),
                field: None,
            }),
            Self::Fails | Self::Stuck | Self::Paced | Self::Refused => Ok(()),
        }
    }

    /// What a render that failed says.
    pub(super) fn broken() -> ProviderError {
        ProviderError::unavailable("the render failed at 60 %, as this model name asks for".to_owned())
    }
}
