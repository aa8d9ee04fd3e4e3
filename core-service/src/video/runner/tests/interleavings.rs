//! Every interleaving of two runners, a canceller and a crash on a small model, checked against the guarantees of jobs.
//!
//! The model has one job, one provider and the compare-and-set of the store. The transitions of the job are the real ones; the
//! steps of a runner are modelled after `submit.rs`, `lost.rs`, `poll.rs`, `copy.rs` and `step.rs`, each provider call and each
//! write being a step of its own. A lease expires when its runner is dead or frozen, which the model allows at any time.

use std::collections::{HashSet, VecDeque};

use super::*;
use crate::{
    keys::Owner,
    video::{
        Clip, UpstreamTask,
        state::{Event, JobState},
        time::Timestamp,
    },
};

const NOW: Timestamp = Timestamp(1_000);

/// How the provider finds the render of a lost submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Searchable {
    /// By the job id that was sent with the submission.
    ByJobId,
    /// It has no search.
    Never,
}

/// What a runner is doing, with the job as the runner has read or written it last.
#[derive(Debug, Clone, PartialEq)]
enum Runner {
    Idle,
    /// Has the lease with this fence, and is about to take the step of the job's state.
    Leasing(Box<Job>, u32),
    /// Has sent the submission, and waits for the response.
    Waiting(Box<Job>, u32),
    /// Has the task, which is not committed yet.
    Accepted(Box<Job>, u32),
    /// Lost its lease or the race with another write, and has a task to record.
    Recording,
    Crashed,
}

/// A request on its way, with the runner that waits for the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Request {
    /// The provider does not have it yet.
    Sent(usize),
    /// The provider has started a render.
    Processed(usize),
}

/// One state of the model.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    /// The job in the store.
    job: Job,
    /// The number of the last claim. A write with an earlier one is refused.
    fence: u32,
    leased: bool,
    runners: [Runner; 2],
    request: Option<Request>,
    /// How many renders the provider has started, each of which it bills.
    renders: u32,
    /// Whether the render was stopped at the provider.
    stopped: bool,
    /// Whether the cancellation and the crash are still to come; there is at most one of each.
    can_cancel: bool,
    can_crash: bool,
    /// How often a lease may still expire under a living runner.
    freezes: u32,
    /// How often a request or its response may still be lost.
    losses: u32,
    searchable: Searchable,
}

fn task() -> UpstreamTask {
    UpstreamTask("task".to_owned())
}

impl Model {
    fn new(searchable: Searchable) -> Self {
        Self {
            job: Job::new(JobId::new(), Owner::default(), request(), NOW, Duration::from_mins(1)),
            fence: 0,
            leased: false,
            runners: [Runner::Idle, Runner::Idle],
            request: None,
            renders: 0,
            stopped: false,
            can_cancel: true,
            can_crash: true,
            freezes: 1,
            losses: 2,
            searchable,
        }
    }

    /// Returns the state after a write under a lease; `None` if the lease or the revision is outdated.
    fn commit(&self, before: &Job, fence: u32, next: Job) -> Option<Self> {
        let valid = self.fence == fence && self.job.revision == before.revision;
        valid.then(|| Self { job: next, ..self.clone() })
    }

    fn with_runner(&self, index: usize, runner: Runner) -> Self {
        let mut next = self.clone();
        next.runners[index] = runner;
        next
    }

    fn released(mut self, index: usize) -> Self {
        self.leased = false;
        self.runners[index] = Runner::Idle;
        self
    }

    /// Returns the state after a refused write: the runner releases its lease, if it still has one.
    fn refused(&self, index: usize, fence: u32, runner: Runner) -> Self {
        Self { leased: self.leased && self.fence != fence, ..self.with_runner(index, runner) }
    }

    fn with_lost_request(&self) -> Option<Self> {
        (self.losses > 0).then(|| Self { request: None, losses: self.losses - 1, ..self.clone() })
    }

    /// Returns the state as text, in which fences and revisions only tell whether they are the newest: both grow without end.
    fn key(&self) -> String {
        let mut model = self.clone();
        for runner in &mut model.runners {
            if let Runner::Leasing(job, fence) | Runner::Waiting(job, fence) | Runner::Accepted(job, fence) = runner {
                *fence = u32::from(*fence == self.fence);
                job.revision = u64::from(job.revision == self.job.revision);
            }
        }
        (model.fence, model.job.revision) = (1, 1);
        format!("{model:?}")
    }

    /// Returns every state that can follow.
    fn successors(&self) -> Vec<Self> {
        let mut next = Vec::new();
        if self.can_cancel
            && let Ok(cancelled) = self.job.cancelled(NOW, None)
        {
            next.push(Self { job: cancelled, can_cancel: false, ..self.clone() });
        }
        if self.leased && self.freezes > 0 {
            next.push(Self { leased: false, freezes: self.freezes - 1, ..self.clone() });
        }
        match self.request {
            Some(Request::Sent(runner)) => {
                let processed = Some(Request::Processed(runner));
                next.push(Self { request: processed, renders: self.renders + 1, ..self.clone() });
                // Lost on the way. The provider call of a living runner then ends with an error.
                next.extend(self.with_lost_request());
            }
            Some(Request::Processed(runner)) => {
                if let Runner::Waiting(job, fence) = &self.runners[runner] {
                    let answered = self.with_runner(runner, Runner::Accepted(job.clone(), *fence));
                    next.push(Self { request: None, ..answered });
                    next.extend(self.with_lost_request());
                } else {
                    next.push(Self { request: None, ..self.clone() });
                }
            }
            None => {}
        }
        for index in 0..self.runners.len() {
            next.extend(self.steps_of(index));
            if self.can_crash && self.runners[index] != Runner::Crashed {
                let crashed = self.with_runner(index, Runner::Crashed);
                // Its lease expires, and the other runner can take the job over.
                let holds =
                    matches!(self.runners[index], Runner::Leasing(..) | Runner::Waiting(..) | Runner::Accepted(..));
                next.push(Self { can_crash: false, leased: self.leased && !holds, ..crashed });
            }
        }
        next
    }

    fn steps_of(&self, index: usize) -> Vec<Self> {
        match &self.runners[index] {
            Runner::Crashed => Vec::new(),
            Runner::Idle if self.leased || self.is_at_rest() => Vec::new(),
            Runner::Idle => {
                let fence = self.fence + 1;
                let claimed = self.with_runner(index, Runner::Leasing(Box::new(self.job.clone()), fence));
                vec![Self { fence, leased: true, ..claimed }]
            }
            Runner::Leasing(job, fence) => self.step(index, job, *fence),
            // The response arrives through `request`; without one the call fails, and its render is searched for.
            Runner::Waiting(..) if self.request.is_some() => Vec::new(),
            Runner::Waiting(job, fence) => self.search(index, job, *fence),
            Runner::Accepted(job, fence) => {
                let accepted = job.after(Event::Accepted(task(), NOW), NOW).unwrap();
                let committed = self.commit(job, *fence, accepted).map(|model| model.released(index));
                vec![committed.unwrap_or_else(|| self.refused(index, *fence, Runner::Recording))]
            }
            Runner::Recording => {
                let has_ended = matches!(self.job.state, JobState::Cancelled { .. } | JobState::Failed { .. });
                let recorded = if matches!(self.job.state, JobState::Submitting { .. }) {
                    self.job.after(Event::Accepted(task(), NOW), NOW).unwrap()
                } else if has_ended && self.job.abandoned.is_none() {
                    self.job.with_abandoned(task(), NOW)
                } else {
                    self.job.clone()
                };
                vec![Self { job: recorded, ..self.with_runner(index, Runner::Idle) }]
            }
        }
    }

    /// Returns what follows the step of a runner that holds the lease.
    fn step(&self, index: usize, job: &Job, fence: u32) -> Vec<Self> {
        let lost = || vec![self.refused(index, fence, Runner::Idle)];
        let write = |next: Job| self.commit(job, fence, next).map_or_else(lost, |model| vec![model.released(index)]);
        match &job.state {
            JobState::Queued => {
                let submitting = job.after(Event::SubmissionStarted(NOW), NOW).unwrap();
                let Some(model) = self.commit(job, fence, submitting.clone()) else { return lost() };
                let waiting = model.with_runner(index, Runner::Waiting(Box::new(submitting), fence));
                vec![Self { request: Some(Request::Sent(index)), ..waiting }]
            }
            JobState::Submitting { .. } => self.search(index, job, fence),
            JobState::Rendering { .. } => write(job.after(Event::Rendered(Clip::new([])), NOW).unwrap()),
            JobState::Storing { .. } => write(job.after(Event::Stored(Vec::new(), None), NOW).unwrap()),
            JobState::Succeeded { .. } | JobState::Failed { .. } | JobState::Cancelled { .. } => {
                self.clean_up(index, job, fence)
            }
        }
    }

    /// Returns what follows the search for the render of a lost submission.
    fn search(&self, index: usize, job: &Job, fence: u32) -> Vec<Self> {
        let lost = || vec![self.refused(index, fence, Runner::Idle)];
        let next = match self.searchable {
            Searchable::ByJobId if self.renders > 0 => {
                return vec![self.with_runner(index, Runner::Accepted(Box::new(job.clone()), fence))];
            }
            // In reality, the searches take longer than a request on its way, so the model waits for the request.
            Searchable::ByJobId if self.request.is_some() => return Vec::new(),
            Searchable::ByJobId => job.after(Event::SubmissionRejected, NOW).unwrap(),
            Searchable::Never => {
                let (code, message) = ("outcome_unknown".to_owned(), String::new());
                job.after(Event::Failed { code, message }, NOW).unwrap()
            }
        };
        self.commit(job, fence, next).map_or_else(lost, |model| vec![model.released(index)])
    }

    fn clean_up(&self, index: usize, job: &Job, fence: u32) -> Vec<Self> {
        let lost = || vec![self.refused(index, fence, Runner::Idle)];
        let mut model = self.clone();
        let next = if job.abandoned.is_some() {
            model.stopped = true;
            Job { abandoned: None, state: job.state.clone().cleaned_up(false), ..job.clone() }
        } else if job.state.unresolved_submission().is_none() {
            return vec![self.clone().released(index)];
        } else if self.request.is_some()
            || self.runners.iter().any(|runner| matches!(runner, Runner::Accepted(..) | Runner::Recording))
        {
            // The clean-up waits for the last moment at which a response can be recorded.
            return Vec::new();
        } else {
            match self.searchable {
                Searchable::ByJobId if self.renders > 0 => job.with_abandoned(task(), NOW),
                Searchable::ByJobId => Job { state: job.state.clone().cleaned_up(false), ..job.clone() },
                Searchable::Never => Job { state: job.state.clone().cleaned_up(true), ..job.clone() },
            }
        };
        model.commit(job, fence, next).map_or_else(lost, |model| vec![model.released(index)])
    }

    /// Returns whether the job is final and needs no clean-up.
    fn is_at_rest(&self) -> bool {
        self.job.state.is_final() && self.job.abandoned.is_none() && self.job.state.unresolved_submission().is_none()
    }

    /// Checks the guarantees of one transition.
    fn assert_invariants(&self, before: &Self) {
        assert!(self.renders <= 1, "paid twice: {self:#?}");
        assert!(self.job.state.percent() >= before.job.state.percent() || self.job.state.is_final(), "{self:#?}");
        if before.job.state.is_final() {
            assert_eq!(before.job.state.phase(), self.job.state.phase(), "a final state changed");
        }
    }

    /// Checks the guarantees of a state that has no successor.
    fn assert_end(&self) {
        assert!(self.is_at_rest(), "the job never ends: {self:#?}");
        let is_reported = match &self.job.state {
            JobState::Succeeded { .. } => true,
            JobState::Failed { code, .. } => code == "outcome_unknown",
            JobState::Cancelled { may_be_billed, .. } => *may_be_billed,
            JobState::Queued | JobState::Submitting { .. } | JobState::Rendering { .. } | JobState::Storing { .. } => {
                false
            }
        };
        assert!(self.renders == 0 || self.stopped || is_reported, "a render was lost: {self:#?}");
    }
}

/// Explores every reachable state, and returns how many there are. Tests require many, so that a model without steps does not pass.
fn explore(start: Model) -> usize {
    let mut seen = HashSet::from([start.key()]);
    let mut open = VecDeque::from([start]);
    while let Some(model) = open.pop_front() {
        let successors = model.successors();
        if successors.is_empty() {
            model.assert_end();
        }
        for next in successors {
            next.assert_invariants(&model);
            if seen.insert(next.key()) {
                open.push_back(next);
            }
        }
    }
    seen.len()
}

#[test]
fn no_interleaving_loses_a_render_or_pays_twice_at_a_provider_that_stores_the_job_id() {
    assert!(explore(Model::new(Searchable::ByJobId)) > 1000);
}

#[test]
fn no_interleaving_pays_twice_or_hides_a_render_at_a_provider_without_a_list() {
    assert!(explore(Model::new(Searchable::Never)) > 500);
}
