//! Named points at which a test can end the process, as a crash would.
//!
//! Development builds read `FAILPOINT=NAME`; release builds contain no failpoints. `tests/clients/failpoints.py` ends
//! a process at each of them.

use std::{process, sync::LazyLock};

/// A point in the life of a job at which a crash is most likely to lose something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failpoint {
    /// The inputs of a new job are stored; its row is not inserted yet.
    CreateBeforeCommit,
    /// The row of a new job is committed; the response is not sent yet.
    CreateCommitted,
    /// A submission is recorded as begun; the request is not sent yet.
    SubmissionRecorded,
    /// The provider has accepted a submission; its task is not recorded yet.
    SubmissionAccepted,
    /// The task of the provider is recorded, and was never polled.
    TaskRecorded,
    /// A poll has returned the finished render; the result is not recorded yet.
    RenderFinished,
    /// The files are copied; the thumbnail and the sprite sheet are not generated yet.
    FilesCopied,
    /// All files are stored; the end of the job is not recorded yet.
    FilesStored,
    /// The end of the job is recorded.
    JobFinished,
    /// A cancellation is recorded; neither the response nor the cancellation request to the provider is sent yet.
    CancellationRecorded,
    /// The provider has stopped an abandoned render; this is not recorded yet.
    RenderStopped,
    /// The files of a deleted job are removed; its row is not removed yet.
    FilesRemoved,
    /// A webhook was delivered; the attempt is not recorded yet.
    WebhookDelivered,
}

impl Failpoint {
    const ALL: [Self; 13] = [
        Self::CreateBeforeCommit,
        Self::CreateCommitted,
        Self::SubmissionRecorded,
        Self::SubmissionAccepted,
        Self::TaskRecorded,
        Self::RenderFinished,
        Self::FilesCopied,
        Self::FilesStored,
        Self::JobFinished,
        Self::CancellationRecorded,
        Self::RenderStopped,
        Self::FilesRemoved,
        Self::WebhookDelivered,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::CreateBeforeCommit => "create-before-commit",
            Self::CreateCommitted => "create-committed",
            Self::SubmissionRecorded => "submission-recorded",
            Self::SubmissionAccepted => "submission-accepted",
            Self::TaskRecorded => "task-recorded",
            Self::RenderFinished => "render-finished",
            Self::FilesCopied => "files-copied",
            Self::FilesStored => "files-stored",
            Self::JobFinished => "job-finished",
            Self::CancellationRecorded => "cancellation-recorded",
            Self::RenderStopped => "render-stopped",
            Self::FilesRemoved => "files-removed",
            Self::WebhookDelivered => "webhook-delivered",
        }
    }

    /// Ends the process without any clean-up, if this is the configured failpoint of a development build.
    pub(crate) fn reach(self) {
        static CONFIGURED: LazyLock<Option<Failpoint>> = LazyLock::new(|| {
            let name = std::env::var("FAILPOINT").ok()?;
            Failpoint::ALL.into_iter().find(|failpoint| failpoint.name() == name)
        });
        if cfg!(debug_assertions) && *CONFIGURED == Some(self) {
            process::abort();
        }
    }
}
