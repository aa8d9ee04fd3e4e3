//! The state machine of a video job: which transition follows which event. Pure: no I/O, no clock, no await.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::provider::{Clip, UpstreamTask, Variant};

/// The version of the JSON document that [`JobState::to_json`] writes.
const DOCUMENT_VERSION: u32 = 1;

/// The progress from the end of the render until the last byte is stored.
const ALMOST_DONE: u8 = 99;

/// The state of a job, with exactly the data that the next step needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum JobState {
    /// Waiting for a worker.
    Queued,
    /// Being submitted: from here on the provider may have the request, whether its response arrives or not.
    Submitting,
    /// The provider is rendering.
    Rendering {
        /// The render at the provider.
        task: UpstreamTask,
        /// 0 to 99.
        percent: u8,
        /// How many polls in a row found no such render at the provider.
        #[serde(default, skip_serializing_if = "is_zero")]
        missing: u32,
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
        /// The render at the provider, for a native remix or extension. `None` in jobs from before it was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<UpstreamTask>,
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
}

/// An event in the life of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A submission is about to be sent, for the first time or again under the same idempotency key.
    SubmissionStarted,
    /// The provider certainly did not accept the submission; it may be sent again later.
    SubmissionRejected,
    /// The provider accepted the submission.
    Accepted(UpstreamTask),
    /// The provider reported progress, in percent.
    Progressed(u8),
    /// The provider does not know the render.
    Missed,
    /// The provider finished the render, or returned new links to its result.
    Rendered(Clip),
    /// The result is in the media store.
    Stored(Vec<StoredFile>),
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
    pub fn apply(self, event: Event) -> Result<Self, IllegalMove> {
        use {Event as E, JobState as S};
        let (from, reached) = (self.phase(), self.percent());
        match (self, event) {
            (S::Queued | S::Submitting, E::SubmissionStarted) => Ok(S::Submitting),
            (S::Submitting, E::SubmissionRejected) => Ok(S::Queued),
            (S::Submitting, E::Accepted(task)) => Ok(S::Rendering { task, percent: 0, missing: 0 }),
            (S::Rendering { task, percent, .. }, E::Progressed(to)) => {
                Ok(S::Rendering { task, percent: percent.max(to.min(ALMOST_DONE)), missing: 0 })
            }
            (S::Rendering { task, percent, missing }, E::Missed) => {
                Ok(S::Rendering { task, percent, missing: missing.saturating_add(1) })
            }
            (S::Rendering { task, .. }, E::Rendered(clip)) => Ok(S::Storing { task, clip, renewals: 0 }),
            (S::Storing { task, renewals, .. }, E::Rendered(clip)) => {
                Ok(S::Storing { task, clip, renewals: renewals.saturating_add(1) })
            }
            (S::Storing { task, .. }, E::Stored(media)) => Ok(S::Succeeded { media, task: Some(task) }),
            (S::Queued | S::Submitting | S::Rendering { .. } | S::Storing { .. }, E::Failed { code, message }) => {
                Ok(S::Failed { percent: reached, code, message })
            }
            (S::Queued | S::Submitting | S::Rendering { .. } | S::Storing { .. }, E::Cancelled) => {
                Ok(S::Cancelled { percent: reached })
            }
            (
                S::Queued,
                E::SubmissionRejected | E::Accepted(_) | E::Progressed(_) | E::Missed | E::Rendered(_) | E::Stored(_),
            )
            | (S::Submitting, E::Progressed(_) | E::Missed | E::Rendered(_) | E::Stored(_))
            | (S::Rendering { .. }, E::SubmissionStarted | E::SubmissionRejected | E::Accepted(_) | E::Stored(_))
            | (
                S::Storing { .. },
                E::SubmissionStarted | E::SubmissionRejected | E::Accepted(_) | E::Progressed(_) | E::Missed,
            )
            | (
                S::Succeeded { .. } | S::Failed { .. } | S::Cancelled { .. },
                E::SubmissionStarted
                | E::SubmissionRejected
                | E::Accepted(_)
                | E::Progressed(_)
                | E::Missed
                | E::Rendered(_)
                | E::Stored(_)
                | E::Failed { .. }
                | E::Cancelled,
            ) => Err(IllegalMove { from }),
        }
    }

    /// Returns the state as a JSON document with a version.
    pub fn to_json(&self) -> Result<String, DocumentError> {
        #[derive(Serialize)]
        struct Document<'a> {
            version: u32,
            #[serde(flatten)]
            state: &'a JobState,
        }
        Ok(serde_json::to_string(&Document { version: DOCUMENT_VERSION, state: self })?)
    }

    /// Parses a document that [`to_json`](Self::to_json) wrote, in this release or an earlier one. Documents from before
    /// the version was introduced count as version 0.
    ///
    /// # Errors
    /// The document was written by a later release, or is not valid.
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        struct Version {
            #[serde(default)]
            version: u32,
        }
        let Version { version } = serde_json::from_str(text)?;
        if version > DOCUMENT_VERSION {
            return Err(DocumentError::LaterVersion(version));
        }
        Ok(serde_json::from_str(text)?)
    }

    /// Returns the name of the state.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Queued => Phase::Queued,
            Self::Submitting => Phase::Submitting,
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
            Self::Queued | Self::Submitting => 0,
            Self::Rendering { percent, .. } | Self::Failed { percent, .. } | Self::Cancelled { percent } => *percent,
            Self::Storing { .. } => ALMOST_DONE,
            Self::Succeeded { .. } => 100,
        }
    }

    /// Returns the render at the provider while it is in progress or being copied.
    pub fn active_task(&self) -> Option<&UpstreamTask> {
        match self {
            Self::Rendering { task, .. } | Self::Storing { task, .. } => Some(task),
            Self::Queued | Self::Submitting | Self::Succeeded { .. } | Self::Failed { .. } | Self::Cancelled { .. } => {
                None
            }
        }
    }

    /// Whether callers see the same in both states.
    pub fn looks_like(&self, other: &Self) -> bool {
        (self.phase(), self.percent()) == (other.phase(), other.percent())
    }

    /// Whether the state is final.
    pub fn is_final(&self) -> bool {
        matches!(self.phase(), Phase::Succeeded | Phase::Failed | Phase::Cancelled)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A stored job state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// A later release wrote it.
    #[error("the document has version {0}, this release reads versions up to {DOCUMENT_VERSION}")]
    LaterVersion(u32),
    /// It is not valid JSON, or not a state.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
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
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The event is not allowed in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this transition is not allowed for a job that is {from}")]
pub struct IllegalMove {
    /// The state, which does not change.
    pub from: Phase,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> UpstreamTask {
        UpstreamTask("t".to_owned())
    }

    fn clip() -> Clip {
        Clip { files: Vec::new() }
    }

    fn states() -> [JobState; 7] {
        [
            JobState::Queued,
            JobState::Submitting,
            JobState::Rendering { task: task(), percent: 40, missing: 2 },
            JobState::Storing { task: task(), clip: clip(), renewals: 1 },
            JobState::Succeeded { media: Vec::new(), task: Some(task()) },
            JobState::Failed { percent: 40, code: "c".to_owned(), message: "m".to_owned() },
            JobState::Cancelled { percent: 40 },
        ]
    }

    fn events() -> [Event; 9] {
        [
            Event::SubmissionStarted,
            Event::SubmissionRejected,
            Event::Accepted(task()),
            Event::Progressed(70),
            Event::Missed,
            Event::Rendered(clip()),
            Event::Stored(Vec::new()),
            Event::Failed { code: "x".to_owned(), message: "y".to_owned() },
            Event::Cancelled,
        ]
    }

    #[test]
    fn every_pair_of_state_and_event_has_the_transition_of_the_table() {
        // Columns: submission started, submission rejected, accepted, progressed, missed, rendered, stored, failed, cancelled.
        let table = [
            ["submitting 0", "-", "-", "-", "-", "-", "-", "failed 0", "cancelled 0"],
            ["submitting 0", "queued 0", "rendering 0", "-", "-", "-", "-", "failed 0", "cancelled 0"],
            ["-", "-", "-", "rendering 70", "rendering 40", "storing 99", "-", "failed 40", "cancelled 40"],
            ["-", "-", "-", "-", "-", "storing 99", "succeeded 100", "failed 99", "cancelled 99"],
            ["-"; 9],
            ["-"; 9],
            ["-"; 9],
        ];
        for (state, row) in states().into_iter().zip(table) {
            for (event, expected) in events().into_iter().zip(row) {
                let context = format!("{state:?} on {event:?}");
                let found = state.clone().apply(event);
                let found = found.map_or_else(|_| "-".to_owned(), |to| format!("{} {}", to.phase(), to.percent()));
                assert_eq!(found, expected, "{context}");
            }
        }
    }

    #[test]
    fn progress_never_decreases_and_stays_below_100_until_everything_is_stored() {
        let mut state = JobState::Rendering { task: task(), percent: 0, missing: 0 };
        let mut progress = Vec::new();
        for percent in [10, 5, 60, 0, 100, 255, 30] {
            state = state.apply(Event::Progressed(percent)).unwrap();
            progress.push(state.percent());
        }
        assert_eq!(progress, [10, 10, 60, 60, 99, 99, 99]);
    }

    #[test]
    fn missed_polls_are_counted_until_the_next_progress_and_renewals_for_good() {
        let missing = |state: &JobState| if let JobState::Rendering { missing, .. } = state { *missing } else { 99 };
        let mut state = JobState::Rendering { task: task(), percent: 5, missing: 0 };
        let mut counts = Vec::new();
        for event in [Event::Missed, Event::Missed, Event::Progressed(0), Event::Missed] {
            state = state.apply(event).unwrap();
            counts.push((missing(&state), state.percent()));
        }
        assert_eq!(counts, [(1, 5), (2, 5), (0, 5), (1, 5)]);
        let state = state.apply(Event::Rendered(clip())).unwrap().apply(Event::Rendered(clip())).unwrap();
        assert!(matches!(state, JobState::Storing { renewals: 1, .. }), "{state:?}");
    }

    #[test]
    fn a_final_state_never_changes() {
        for state in states().into_iter().filter(JobState::is_final) {
            for event in events() {
                assert_eq!(state.clone().apply(event), Err(IllegalMove { from: state.phase() }));
            }
        }
    }

    #[test]
    fn a_state_survives_serialization() {
        for state in states() {
            let text = state.to_json().unwrap();
            assert!(text.starts_with(r#"{"version":1,"#), "{text}");
            assert_eq!(JobState::from_json(&text).unwrap(), state, "{text}");
        }
    }

    #[test]
    fn a_document_without_a_version_is_readable() {
        let old = r#"{"phase":"succeeded","media":[]}"#;
        assert_eq!(JobState::from_json(old).unwrap(), JobState::Succeeded { media: Vec::new(), task: None });
        let old = r#"{"phase":"rendering","task":"t","percent":40}"#;
        assert_eq!(JobState::from_json(old).unwrap(), JobState::Rendering { task: task(), percent: 40, missing: 0 });
    }

    #[test]
    fn a_document_of_a_later_version_is_refused() {
        let error = JobState::from_json(r#"{"version":2,"phase":"queued"}"#).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
    }
}
