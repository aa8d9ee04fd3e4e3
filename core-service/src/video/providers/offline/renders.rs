//! The renders of the built-in engine in this process. Each task is started once, and its render is forgotten when all of its
//! files have been fetched.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    pictures::Pictures,
    render::{Outcome, work},
    task::OfflineTask,
};
use crate::{
    error::ProviderError,
    video::provider::{Slot, Variant},
};

/// The recommended poll interval.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(400);

/// The cores that a render uses: the encoder has two threads.
const CORES_PER_RENDER: usize = 2;

/// The maximum number of tasks with an injected fault whose calls are counted. The counts of tasks that end without a download remain;
/// when there are this many, all counts are dropped.
const MAX_COUNTED: usize = 10_000;

/// The renders in progress or not fetched yet.
#[derive(Debug)]
pub(super) struct Renders {
    pictures: Pictures,
    /// One permit is the slot of one render.
    permits: Arc<Semaphore>,
    // A std mutex, which is never held across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The renders by the id of their task.
    renders: HashMap<String, Entry>,
    /// The calls by the id of the task, for faults that concern the first calls only.
    calls: HashMap<String, Calls>,
}

/// The calls about a task so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Calls {
    pub(super) submissions: u32,
    pub(super) polls: u32,
    pub(super) fetches: u32,
}

/// A render whose files were not all fetched yet.
#[derive(Debug)]
struct Entry {
    render: Render,
    /// The files that were not fetched yet.
    unfetched: Vec<Variant>,
    /// Stops the render when the entry is removed.
    _stop: DropGuard,
}

/// A handle to one render.
#[derive(Debug, Clone)]
pub(super) struct Render {
    percent: Arc<AtomicU8>,
    /// `None` until the render has ended.
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Render {
    /// Returns the share of encoded frames in percent, 0 to 99.
    pub(super) fn percent(&self) -> u8 {
        self.percent.load(Ordering::Relaxed).min(99)
    }

    /// Waits until the render has ended.
    #[cfg(test)]
    pub(super) async fn wait(&mut self) {
        drop(self.outcome.wait_for(Option::is_some).await);
    }

    /// Returns the outcome, if the render has ended.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.outcome.borrow().clone()
    }
}

impl Renders {
    pub(super) fn new(pictures: Pictures) -> Self {
        let cores = available_parallelism().map_or(1, Into::into);
        let permits = Arc::new(Semaphore::new((cores / CORES_PER_RENDER).max(1)));
        Self { pictures, permits, state: Mutex::default() }
    }

    /// Counts a call about a task: applies `count`, which increments one of the counts, and returns the counts.
    pub(super) fn count_call(&self, id: &str, count: impl FnOnce(&mut Calls)) -> Calls {
        let mut state = self.state();
        if state.calls.len() >= MAX_COUNTED {
            state.calls.clear();
        }
        let calls = state.calls.entry(id.to_owned()).or_default();
        count(calls);
        *calls
    }

    /// Returns the number of free slots.
    pub(super) fn free_slots(&self) -> usize {
        self.permits.available_permits()
    }

    /// Reserves the slot of one render, if one is free.
    pub(super) fn reserve(&self) -> Option<Slot> {
        Arc::clone(&self.permits).try_acquire_owned().ok().map(Slot::from)
    }

    /// Returns the render of this task, and starts it unless it was started before. Without a reserved slot, as after a
    /// restart, it waits for one.
    pub(super) fn start(&self, task: OfflineTask, slot: Slot) -> Render {
        let mut state = self.state();
        if let Some(entry) = state.renders.get(&task.id) {
            return entry.render.clone();
        }
        let stop = CancellationToken::new();
        let percent = Arc::new(AtomicU8::new(0));
        let (sender, outcome) = watch::channel(None);
        let render = Render { percent: Arc::clone(&percent), outcome };
        let entry =
            Entry { render: render.clone(), unfetched: Variant::ALL.to_vec(), _stop: stop.clone().drop_guard() };
        state.renders.insert(task.id.clone(), entry);
        let pictures = self.pictures.clone();
        let work = work(pictures, Arc::clone(&self.permits), slot, task, percent, stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                outcome = work => {
                    sender.send_replace(Some(outcome));
                }
                () = stop.cancelled() => {}
            }
        });
        render
    }

    /// Waits until the render has ended, and returns one of its files. The render is forgotten with its last file.
    pub(super) async fn file(&self, task: OfflineTask, variant: Variant) -> Result<Bytes, ProviderError> {
        let id = task.id.clone();
        let mut render = self.start(task, Slot::default());
        let ended = render.outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        let cancelled = || ProviderError::unavailable("the render was cancelled".to_owned());
        let files = ended.map_err(|_| cancelled())?.ok_or_else(cancelled)??;
        let mut state = self.state();
        if let Some(entry) = state.renders.get_mut(&id) {
            entry.unfetched.retain(|unfetched| *unfetched != variant);
            if entry.unfetched.is_empty() {
                state.renders.remove(&id);
                state.calls.remove(&id);
            }
        }
        Ok(match variant {
            Variant::Video => files.mp4.clone(),
            Variant::Thumbnail => files.thumbnail.clone(),
            Variant::Spritesheet => files.spritesheet.clone(),
        })
    }

    /// Stops and forgets a render.
    pub(super) fn cancel(&self, id: &str) {
        let mut state = self.state();
        state.renders.remove(id);
        state.calls.remove(id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.state().renders.len()
    }
}
