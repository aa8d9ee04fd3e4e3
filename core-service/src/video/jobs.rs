//! What can be done with jobs from outside: take, read, watch, cancel, delete. Everything else is the runner's.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{Stream, stream};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Variant, files,
    job::{IdempotencyKey, Job, JobId, Order},
    store::{Inserted, JobStore, Page, StoreError},
    time::Clock,
    watch::{Watchers, Watching},
};
use crate::{
    error::Error,
    media::{MediaKey, MediaStore, MediaType},
};

/// A watched job is read anew after this long without news, for changes that another node made.
const REREAD: Duration = Duration::from_secs(5);

/// How jobs are run.
#[derive(Debug, Clone)]
pub struct JobSettings {
    /// How many steps may be under way at once; a job takes one only while it is submitted, polled or copied.
    pub workers: usize,
    /// How long a dead worker's job waits for the next one.
    pub lease: Duration,
    /// How long a job may take altogether.
    pub deadline: Duration,
    /// How long a final job and its media are kept. `None`: until they are deleted.
    pub retention: Option<Duration>,
    /// The longest file that is taken from a provider, in bytes.
    pub max_file_bytes: u64,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            workers: 8,
            lease: Duration::from_secs(15),
            deadline: Duration::from_mins(30),
            retention: None,
            max_file_bytes: 2 << 30,
        }
    }
}

/// The jobs of this node. Clones share everything.
#[derive(Debug, Clone)]
pub struct Jobs {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) media_store: MediaStore,
    pub(crate) settings: JobSettings,
    pub(crate) clock: Clock,
    pub(crate) watchers: Watchers,
    /// Tells the runner that a job may have become due.
    pub(crate) wake: Arc<Notify>,
    under_way: Arc<Mutex<HashMap<JobId, CancellationToken>>>,
}

impl Jobs {
    /// The jobs in this store, their files in this media_store.
    pub fn new(store: Arc<dyn JobStore>, media_store: MediaStore, settings: JobSettings) -> Self {
        Self::with_clock(store, media_store, settings, Clock::system())
    }

    pub(crate) fn with_clock(
        store: Arc<dyn JobStore>,
        media_store: MediaStore,
        settings: JobSettings,
        clock: Clock,
    ) -> Self {
        Self {
            store,
            media_store,
            settings,
            clock,
            watchers: Watchers::default(),
            wake: Arc::new(Notify::new()),
            under_way: Arc::default(),
        }
    }

    /// Takes a job; once this answers it survives a crash. Under a key that came before with the same request the answer is
    /// that job, and nothing new is taken. The files of a job that is not taken are removed again.
    ///
    /// # Errors
    /// [`Error::IdempotencyConflict`].
    pub async fn create(&self, id: JobId, order: Order, key: Option<IdempotencyKey>) -> Result<Job, Error> {
        let job = Job::new(id, order, key, self.clock.now(), self.settings.deadline);
        match self.store.insert(&job).await {
            Ok(Inserted::New) => {
                tracing::info!(job.id = %job.id, model.name = job.order.model, "took a video job");
                self.wake.notify_one();
                Ok(job)
            }
            Ok(Inserted::Known(known)) => {
                self.forget_files(&job).await;
                Ok(*known)
            }
            Err(error) => {
                self.forget_files(&job).await;
                Err(error.into())
            }
        }
    }

    /// The job that this very request made before under this key.
    ///
    /// # Errors
    /// [`Error::IdempotencyConflict`], if the key was used with another request.
    pub async fn known(&self, key: &IdempotencyKey) -> Result<Option<Job>, Error> {
        match self.store.find(&key.text).await? {
            Some(job) if job.key.as_ref() == Some(key) => Ok(Some(job)),
            Some(_) => Err(Error::IdempotencyConflict(key.text.clone())),
            None => Ok(None),
        }
    }

    /// The newest snapshot of the job of this id; text that is no id names none.
    pub async fn get(&self, id: &str) -> Result<Job, Error> {
        let found = match JobId::parse(id) {
            Some(id) => self.store.get(&id).await?,
            None => None,
        };
        // An id of ours is short; whatever else was sent is not repeated at length.
        found.ok_or_else(|| Error::VideoNotFound(id.chars().take(64).collect()))
    }

    /// A page of jobs.
    pub async fn list(&self, page: &Page) -> Result<Vec<Job>, Error> {
        Ok(self.store.list(page).await?)
    }

    /// How many queued jobs stand before this one.
    pub async fn ahead(&self, id: &JobId) -> Result<u32, Error> {
        Ok(self.store.ahead(id).await?)
    }

    /// Ends a job. One that is final already stays as it is, and is the answer.
    pub async fn cancel(&self, id: &str) -> Result<Job, Error> {
        loop {
            let job = self.get(id).await?;
            let Ok(next) = job.cancelled(self.clock.now(), self.settings.retention) else { return Ok(job) };
            if self.amend(&next).await? {
                tracing::info!(job.id = %next.id, job.state = %job.state.phase(), "cancelled a video job");
                return Ok(next);
            }
        }
    }

    /// Removes a job and its files, and ends it first where it is under way.
    pub async fn delete(&self, id: &str) -> Result<JobId, Error> {
        loop {
            let job = self.get(id).await?;
            let next = job.buried(self.clock.now(), self.settings.retention);
            if self.amend(&next).await? {
                tracing::info!(job.id = %next.id, job.state = %job.state.phase(), "deleted a video job");
                // The runner does it again, under a lease: a copy under way may put a file there after this.
                self.forget_files(&next).await;
                return Ok(next.id);
            }
        }
    }

    /// The present snapshot, then every change (those in between may be skipped), up to the final one.
    pub async fn watch(&self, id: &str) -> Result<impl Stream<Item = Result<Job, Error>> + Send + 'static, Error> {
        let missing = || Error::VideoNotFound(id.chars().take(64).collect());
        let watching = self.watchers.subscribe(&JobId::parse(id).ok_or_else(missing)?);
        let present = self.get(id).await?;
        let looking = Looking { jobs: self.clone(), watching, seen: 0, next: Some(present) };
        Ok(stream::try_unfold(Some(looking), |looking| async {
            let Some(mut looking) = looking else { return Ok(None) };
            let job = looking.next().await?;
            let rest = (!job.state.is_final()).then_some(looking);
            Ok(Some((job, rest)))
        }))
    }

    /// Whether the change was written; `false` if somebody was faster.
    async fn amend(&self, next: &Job) -> Result<bool, Error> {
        match self.store.amend(next).await {
            Ok(()) => {
                self.watchers.publish(next);
                self.interrupt(&next.id);
                self.wake.notify_one();
                Ok(true)
            }
            Err(StoreError::Stale) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes every file the job can have, whatever its state says: keys are made from its id alone.
    async fn forget_files(&self, job: &Job) {
        if let Err(error) = self.remove_files(job, true).await {
            tracing::warn!(job.id = %job.id, "files stay behind for now: {error}");
        }
    }

    pub(crate) async fn remove_files(&self, job: &Job, with_reference: bool) -> Result<(), Error> {
        for variant in Variant::ALL {
            for kind in [MediaType::Mp4, MediaType::Jpeg, MediaType::Webp, MediaType::Png] {
                self.media_store.remove(&files::media_key(job.id.as_str(), variant, kind.as_str())?).await?;
            }
        }
        if let Some(key) = job.order.reference.as_deref().filter(|_| with_reference).and_then(MediaKey::parse) {
            self.media_store.remove(&key).await?;
        }
        Ok(())
    }

    /// Notes that a step of this job is under way here, until the guard goes.
    pub(crate) fn enter(&self, id: &JobId, token: CancellationToken) -> UnderWay {
        self.steps().insert(id.clone(), token);
        UnderWay { jobs: self.clone(), id: id.clone() }
    }

    fn interrupt(&self, id: &JobId) {
        if let Some(token) = self.steps().get(id) {
            token.cancel();
        }
    }

    fn steps(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, CancellationToken>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A step under way in this process.
#[derive(Debug)]
pub(crate) struct UnderWay {
    jobs: Jobs,
    id: JobId,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.jobs.steps().remove(&self.id);
    }
}

/// Somebody watching a job.
struct Looking {
    jobs: Jobs,
    watching: Watching,
    seen: u64,
    next: Option<Job>,
}

impl Looking {
    async fn next(&mut self) -> Result<Job, Error> {
        loop {
            let job = match self.next.take() {
                Some(job) => job,
                None => match timeout(REREAD, self.watching.changed()).await {
                    Ok(job) => Job::clone(&job),
                    Err(_) => self.jobs.get(self.id()).await?,
                },
            };
            if job.revision > self.seen {
                self.seen = job.revision;
                return Ok(job);
            }
        }
    }

    fn id(&self) -> &str {
        self.watching.id().as_str()
    }
}
