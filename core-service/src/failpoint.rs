//! Named points at which a test can end the process, as a crash would.
//!
//! Development builds read `FAILPOINT=NAME`; release builds contain no failpoints. `tests/clients/failpoints.py` ends
//! a process at each of them.

use std::{process, sync::LazyLock};

/// A point in the life of a job at which a crash is most likely to lose something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failpoint {
    /// The inputs of a new job are stored, its row is not.
    CreateBeforeCommit,
    /// The row of a new job is committed, the call is not answered.
    CreateCommitted,
    /// A submission is recorded as begun, and not sent.
    SubmissionRecorded,
    /// The provider has accepted a submission, which is not recorded.
    SubmissionAccepted,
    /// The task of the provider is recorded, and was never polled.
    TaskRecorded,
    /// A poll found the finished render, which is not recorded.
    RenderFinished,
    /// The files are copied, and the stills are not made.
    FilesCopied,
    /// All files are stored, the end of the job is not recorded.
    FilesStored,
    /// The end of the job is recorded.
    JobFinished,
    /// A cancellation is recorded, the call is not answered and the provider not told.
    CancellationRecorded,
    /// The provider has stopped an abandoned render, which is not recorded.
    RenderStopped,
    /// The files of a deleted job are removed, its row is not.
    FilesRemoved,
    /// A webhook was delivered, which is not recorded.
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
