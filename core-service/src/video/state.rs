//! The law of a video job: which move follows on which. Pure: no I/O, no clock, no await.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Clip, UpstreamTask, Variant};

/// Shown from the end of the render until the last byte is stored.
const ALMOST: u8 = 99;

/// Where a job stands, with exactly what the next step needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// Is being handed to the provider: from here on the provider may have it, whether we hear of it or not.
    Submitting,
    /// The provider works on it.
    Rendering {
        /// The render at the provider.
        task: UpstreamTask,
        /// 0 to 99.
        percent: u8,
    },
    /// The result is being copied into the media_store.
    Storing {
        /// The render at the provider.
        task: UpstreamTask,
        /// What it made.
        clip: Clip,
    },
    /// Finished; final.
    Succeeded {
        /// What can be downloaded.
        media: Vec<KeptFile>,
    },
    /// Ended without a result; final.
    Failed {
        /// How far it came, 0 to 99.
        percent: u8,
        /// A machine-readable reason in lower case.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// Ended by the caller; final.
    Cancelled {
        /// How far it came, 0 to 99.
        percent: u8,
    },
}

/// One file of a finished clip in the media_store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// Which form of the clip it is.
    pub variant: Variant,
    /// Its key in the media_store.
    pub key: String,
    /// Its media type.
    pub media_type: String,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// A strong validator of the bytes, without quotes.
    pub etag: String,
}

/// What happened to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The request is about to leave, or about to leave again under the same key.
    Begun,
    /// The provider surely did not take the request; it may be sent again later.
    TurnedAway,
    /// The provider took the request.
    Accepted(UpstreamTask),
    /// The provider told how far it is, in percent.
    Advanced(u8),
    /// The provider finished.
    Rendered(Clip),
    /// The result is in the media_store.
    Stored(Vec<KeptFile>),
    /// It cannot go on.
    Failed {
        /// A machine-readable reason in lower case.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// The caller does not want it any more.
    Cancelled,
}

impl JobState {
    /// The state after the event. Progress never falls, and a final state never moves.
    pub fn apply(self, event: Event) -> Result<Self, IllegalMove> {
        use {Event as E, JobState as S};
        let (from, reached) = (self.phase(), self.percent());
        match (self, event) {
            (S::Queued | S::Submitting, E::Begun) => Ok(S::Submitting),
            (S::Submitting, E::TurnedAway) => Ok(S::Queued),
            (S::Submitting, E::Accepted(task)) => Ok(S::Rendering { task, percent: 0 }),
            (S::Rendering { task, percent }, E::Advanced(to)) => {
                Ok(S::Rendering { task, percent: percent.max(to.min(ALMOST)) })
            }
            (S::Rendering { task, .. }, E::Rendered(clip)) => Ok(S::Storing { task, clip }),
            (S::Storing { .. }, E::Stored(media)) => Ok(S::Succeeded { media }),
            (S::Queued | S::Submitting | S::Rendering { .. } | S::Storing { .. }, E::Failed { code, message }) => {
                Ok(S::Failed { percent: reached, code, message })
            }
            (S::Queued | S::Submitting | S::Rendering { .. } | S::Storing { .. }, E::Cancelled) => {
                Ok(S::Cancelled { percent: reached })
            }
            (S::Queued, E::TurnedAway | E::Accepted(_) | E::Advanced(_) | E::Rendered(_) | E::Stored(_))
            | (S::Submitting, E::Advanced(_) | E::Rendered(_) | E::Stored(_))
            | (S::Rendering { .. }, E::Begun | E::TurnedAway | E::Accepted(_) | E::Stored(_))
            | (S::Storing { .. }, E::Begun | E::TurnedAway | E::Accepted(_) | E::Advanced(_) | E::Rendered(_))
            | (
                S::Succeeded { .. } | S::Failed { .. } | S::Cancelled { .. },
                E::Begun
                | E::TurnedAway
                | E::Accepted(_)
                | E::Advanced(_)
                | E::Rendered(_)
                | E::Stored(_)
                | E::Failed { .. }
                | E::Cancelled,
            ) => Err(IllegalMove { from }),
        }
    }

    /// The state's name without its content.
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

    /// How far the job is or came: 100 exactly when succeeded.
    pub fn percent(&self) -> u8 {
        match self {
            Self::Queued | Self::Submitting => 0,
            Self::Rendering { percent, .. } | Self::Failed { percent, .. } | Self::Cancelled { percent } => *percent,
            Self::Storing { .. } => ALMOST,
            Self::Succeeded { .. } => 100,
        }
    }

    /// The render at the provider, while there is one.
    pub fn task(&self) -> Option<&UpstreamTask> {
        match self {
            Self::Rendering { task, .. } | Self::Storing { task, .. } => Some(task),
            Self::Queued | Self::Submitting | Self::Succeeded { .. } | Self::Failed { .. } | Self::Cancelled { .. } => {
                None
            }
        }
    }

    /// Whether nothing follows any more.
    pub fn is_final(&self) -> bool {
        matches!(self.phase(), Phase::Succeeded | Phase::Failed | Phase::Cancelled)
    }
}

/// A state's name.
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
    /// Its word in logs and rows.
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

/// This event cannot happen in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {from} cannot make this move")]
pub struct IllegalMove {
    /// Where the job stands, and stays.
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
            JobState::Rendering { task: task(), percent: 40 },
            JobState::Storing { task: task(), clip: clip() },
            JobState::Succeeded { media: Vec::new() },
            JobState::Failed { percent: 40, code: "c".to_owned(), message: "m".to_owned() },
            JobState::Cancelled { percent: 40 },
        ]
    }

    fn events() -> [Event; 8] {
        [
            Event::Begun,
            Event::TurnedAway,
            Event::Accepted(task()),
            Event::Advanced(70),
            Event::Rendered(clip()),
            Event::Stored(Vec::new()),
            Event::Failed { code: "x".to_owned(), message: "y".to_owned() },
            Event::Cancelled,
        ]
    }

    #[test]
    fn every_state_answers_every_event_as_the_table_says() {
        // Columns: begun, turned away, accepted, advanced, rendered, stored, failed, cancelled; where each leads to.
        let table = [
            ["submitting 0", "-", "-", "-", "-", "-", "failed 0", "cancelled 0"],
            ["submitting 0", "queued 0", "rendering 0", "-", "-", "-", "failed 0", "cancelled 0"],
            ["-", "-", "-", "rendering 70", "storing 99", "-", "failed 40", "cancelled 40"],
            ["-", "-", "-", "-", "-", "succeeded 100", "failed 99", "cancelled 99"],
            ["-"; 8],
            ["-"; 8],
            ["-"; 8],
        ];
        for (state, row) in states().into_iter().zip(table) {
            for (event, expected) in events().into_iter().zip(row) {
                let told = format!("{state:?} on {event:?}");
                let found = state.clone().apply(event);
                let found = found.map_or_else(|_| "-".to_owned(), |to| format!("{} {}", to.phase(), to.percent()));
                assert_eq!(found, expected, "{told}");
            }
        }
    }

    #[test]
    fn progress_never_falls_and_stays_below_100_until_everything_is_stored() {
        let mut state = JobState::Rendering { task: task(), percent: 0 };
        let mut shown = Vec::new();
        for told in [10, 5, 60, 0, 100, 255, 30] {
            state = state.apply(Event::Advanced(told)).unwrap();
            shown.push(state.percent());
        }
        assert_eq!(shown, [10, 10, 60, 60, 99, 99, 99]);
    }

    #[test]
    fn a_final_state_never_moves() {
        for state in states().into_iter().filter(JobState::is_final) {
            for event in events() {
                assert_eq!(state.clone().apply(event), Err(IllegalMove { from: state.phase() }));
            }
        }
    }

    #[test]
    fn a_state_survives_being_written_down() {
        for state in states() {
            let text = serde_json::to_string(&state).unwrap();
            assert_eq!(serde_json::from_str::<JobState>(&text).unwrap(), state, "{text}");
        }
    }
}
