//! The operations of callers on jobs: create, read, watch, cancel, delete. All other changes of a job are made by the runner.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::time::timeout;
use triptych_proto::v1::Modality;

use super::{
    charge::Charge,
    files::media_key,
    job::{Job, JobId, JobKey, JobOrigin, JobRequest},
    provider::Variant,
    store::{Inserted, JobChanges, JobEvent, JobLimits, JobStore, Page, StoreError},
};
use crate::{
    context::RequestContext,
    error::Error,
    failpoint::Failpoint,
    idempotency::{Idempotency, Key, SDK_WINDOW},
    keys::Owners,
    ledger::{Ledger, Payer},
    media::{MediaKey, MediaStore, MediaType, ProviderLinks, clip::ClipInspector},
    prices::ModelNames,
};

/// The interval at which a watched job is re-read, so that an unavailable database ends the watch with an error. Changes by other nodes
/// are published by the store.
const REREAD_INTERVAL: Duration = Duration::from_secs(30);

/// The longest part of an unknown id that an error message repeats, in characters.
const MAX_REPEATED_ID: usize = 64;

/// The settings of jobs. The defaults are those of the configuration.
#[derive(Debug, Clone)]
pub struct JobSettings {
    /// The maximum number of concurrent steps for the jobs of one provider, at most half of them submissions. A job occupies a worker
    /// only while it is submitted, polled or copied.
    pub concurrency: usize,
    /// How long a lease lasts unless it is renewed: the time after which another worker takes over the jobs of a dead one.
    pub lease: Duration,
    /// How long a job may take, from its first submission.
    pub deadline: Duration,
    /// How long a final job and its media are kept. `None`: until they are deleted.
    pub retention: Option<Duration>,
    /// The maximum size of a file from a provider, in bytes.
    pub max_file_bytes: u64,
    /// The memory for the inputs of all submissions in flight, in bytes. Further submissions wait.
    pub input_memory_bytes: usize,
    /// How many jobs may be queued.
    pub limits: JobLimits,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            lease: Duration::from_secs(15),
            deadline: Duration::from_mins(30),
            retention: None,
            max_file_bytes: 2 << 30,
            input_memory_bytes: 512 << 20,
            limits: JobLimits::default(),
        }
    }
}

/// The jobs of a store, with their media. Clones share both.
#[derive(Debug, Clone)]
pub struct Jobs {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) media_store: MediaStore,
    pub(crate) settings: JobSettings,
    /// Reads the files of finished videos.
    pub(crate) inspector: Option<ClipInspector>,
    /// Makes links to inputs, for providers that fetch them.
    pub(crate) links: Option<ProviderLinks>,
    /// Has the prices of models. The money of a job is reserved by the store.
    pub(crate) ledger: Ledger,
}

impl Jobs {
    /// Returns the jobs in this store, their files in this media store.
    pub fn new(store: Arc<dyn JobStore>, media_store: MediaStore, settings: JobSettings) -> Self {
        Self { store, media_store, settings, inspector: None, links: None, ledger: Ledger::default() }
    }

    /// Gives links to inputs to providers that accept nothing else.
    #[must_use]
    pub fn with_links(self, links: ProviderLinks) -> Self {
        Self { links: Some(links), ..self }
    }

    /// Prices jobs with this ledger.
    #[must_use]
    pub fn with_ledger(self, ledger: Ledger) -> Self {
        Self { ledger, ..self }
    }

    /// Reads size and duration of finished videos from their files, and makes the stills that a provider does not return.
    #[must_use]
    pub fn with_inspector(self, inspector: ClipInspector) -> Self {
        Self { inspector: Some(inspector), ..self }
    }

    /// Creates a job; once this returns, it survives a crash. A repeated call returns the job of the first one, and the files
    /// that were stored for the new id are removed.
    ///
    /// # Errors
    /// [`Error::IdempotencyConflict`]; [`Error::QueueFull`]; [`Error::LimitExceeded`]; [`Error::BudgetExceeded`];
    /// [`Error::Unpriced`].
    pub async fn create(
        &self,
        id: JobId,
        request: JobRequest,
        context: &RequestContext,
        call: Option<&Idempotency>,
    ) -> Result<Job, Error> {
        let now = self.store.now();
        let mut job = Job::new(id, context.caller.owner(), request, now, self.settings.deadline);
        job.origin = JobOrigin::new(context);
        job.priority = context.caller.priority();
        job.key = call.map(|call| JobKey {
            key: call.scope.key.clone(),
            fingerprint: call.fingerprint,
            expires_at: match call.scope.key {
                Key::Explicit(_) => None,
                // The key of an SDK call without one is computed from the request, and later equal requests are new jobs.
                Key::Content(_) => Some(now.after(SDK_WINDOW)),
            },
        });
        Failpoint::CreateBeforeCommit.reach();
        let (payer, in_flight) = (context.caller.payer().clone(), context.caller.in_flight_limits().to_vec());
        let charge = self.charge(&job.request, &payer);
        // Without a price, the job would not count against the budget.
        if let (None, Some(budget)) = (&charge.price, payer.budgets.first()) {
            self.remove_files_or_warn(&job).await;
            return Err(Error::Unpriced { model: job.request.model, subject: budget.description.clone() });
        }
        job.charge = Some(charge);
        let limits = JobLimits { in_flight, payer, ..self.settings.limits.clone() };
        match self.store.insert(&job, call, &limits).await {
            Ok(Inserted::New) => {
                Failpoint::CreateCommitted.reach();
                context.report.set_video(job.id.as_str());
                tracing::info!(job.id = %job.id, model.name = job.request.model, "created a video job");
                Ok(job)
            }
            Ok(Inserted::Existing(existing)) => {
                self.remove_files_or_warn(&job).await;
                context.report.set_video(existing.id.as_str());
                Ok(*existing)
            }
            Err(error) => {
                // After other errors the row may exist: the response of the database may be lost, too. The sweeper removes the
                // files if it does not.
                if matches!(
                    error,
                    StoreError::KeyConflict(_)
                        | StoreError::QueueFull { .. }
                        | StoreError::InFlight(_)
                        | StoreError::Budget(_)
                ) {
                    self.remove_files_or_warn(&job).await;
                }
                Err(error.into())
            }
        }
    }

    /// Returns what a job costs by the current prices.
    pub(super) fn charge(&self, request: &JobRequest, payer: &Payer) -> Charge {
        let JobRequest { provider_id, model, upstream_model, parameters, .. } = request;
        let names = ModelNames { public: model, upstream: upstream_model, provider: provider_id };
        Charge::new(&payer.team, &self.ledger.prices().of_model(Modality::Video, names), parameters)
    }

    /// Returns the job of the earlier call that this one repeats, if any.
    ///
    /// # Errors
    /// [`Error::IdempotencyConflict`].
    pub async fn find(&self, call: &Idempotency) -> Result<Option<Job>, Error> {
        Ok(self.store.find(call).await?)
    }

    /// Returns the current snapshot of the job with this id. As in all methods, jobs of other owners are not found.
    ///
    /// # Errors
    /// [`Error::VideoNotFound`], also for text that is not an id; [`Error::VideoUnreadable`].
    pub async fn get(&self, id: &str, owners: &Owners) -> Result<Job, Error> {
        let found = match JobId::parse(id) {
            Some(id) => self.store.get(&id, owners).await?,
            None => None,
        };
        found.ok_or_else(|| not_found(id))
    }

    /// Returns the changes of state of a job, oldest first.
    pub(super) async fn events(&self, id: &JobId) -> Result<Vec<JobEvent>, Error> {
        Ok(self.store.events(id).await?)
    }

    /// Returns one page of jobs.
    pub async fn list(&self, page: &Page) -> Result<Vec<Job>, Error> {
        Ok(self.store.list(page).await?)
    }

    /// Returns for each of these jobs the number of jobs queued before it.
    pub async fn queue_positions(&self, ids: &[JobId]) -> Result<Vec<u32>, Error> {
        Ok(self.store.queue_positions(ids).await?)
    }

    /// Cancels a job. A final job is returned unchanged.
    pub async fn cancel(&self, id: &str, owners: &Owners) -> Result<Job, Error> {
        loop {
            let job = self.get(id, owners).await?;
            let Ok(next) = job.cancelled(self.store.now(), self.settings.retention) else { return Ok(job) };
            if self.amend(&job, &next).await? {
                Failpoint::CancellationRecorded.reach();
                tracing::info!(job.id = %next.id, "cancelled a video job");
                return Ok(next);
            }
        }
    }

    /// Deletes a job and its files. A job in progress is cancelled first. Also deletes a job whose row cannot be read; a render
    /// in progress is then left to the provider.
    pub async fn delete(&self, id: &str, owners: &Owners) -> Result<JobId, Error> {
        loop {
            let job = match self.get(id, owners).await {
                Err(error @ Error::VideoUnreadable { .. }) => return self.delete_unreadable(id, owners, error).await,
                found => found?,
            };
            let next = job.tombstoned(self.store.now(), self.settings.retention);
            if self.amend(&job, &next).await? {
                tracing::info!(job.id = %next.id, job.state = %job.state.phase(), "deleted a video job");
                // The runner does it again, under a lease: a copy in progress may write a file after this.
                self.remove_files_or_warn(&next).await;
                return Ok(next.id);
            }
        }
    }

    async fn delete_unreadable(&self, id: &str, owners: &Owners, error: Error) -> Result<JobId, Error> {
        let id = JobId::parse(id).ok_or_else(|| not_found(id))?;
        if !self.store.remove_unreadable(&id, owners).await? {
            return Err(not_found(id.as_str()));
        }
        tracing::warn!(job.id = %id, "deleted a job: {error}");
        if let Err(error) = self.remove_outputs(&id).await {
            // The row is gone, so the sweeper removes them later, as it does the inputs, whose keys only the row had.
            tracing::warn!(job.id = %id, "the files of a job could not be removed: {error}");
        }
        Ok(id)
    }

    /// Streams the current snapshot, then every change up to the final one. Changes in quick succession may be merged.
    pub async fn watch(
        &self,
        id: &str,
        owners: &Owners,
    ) -> Result<impl Stream<Item = Result<Job, Error>> + Send + 'static + use<>, Error> {
        // Subscribed before the read, so that no change is missed.
        let changes = self.store.changes_of(&JobId::parse(id).ok_or_else(|| not_found(id))?);
        let current = self.get(id, owners).await?;
        let (jobs, owners, newest) = (self.clone(), owners.clone(), Arc::new(current));
        let watcher = Watcher { jobs, owners, changes, newest, returned: false };
        Ok(stream::try_unfold(Some(watcher), |watcher| async {
            let Some(mut watcher) = watcher else { return Ok(None) };
            let job = watcher.next().await?;
            let rest = (!job.state.is_final()).then_some(watcher);
            Ok(Some((job, rest)))
        }))
    }

    /// Records whether the media store had a file of a finished job, so that snapshots have no link to a file that is missing. The
    /// file may come back, for example when a volume is mounted again.
    pub(crate) async fn record_file(&self, job: &Job, variant: Variant, missing: bool) -> Result<(), Error> {
        let state = job.state.clone().with_file_missing(variant, missing);
        let next = Job { state, revision: job.revision + 1, ..job.clone() };
        if self.amend(job, &next).await? && missing {
            tracing::error!(job.id = %job.id, "the {} of a finished video is not in the media store", variant.as_str());
        }
        Ok(())
    }

    /// Writes a change; `false` if the job has changed since it was read.
    pub(super) async fn amend(&self, before: &Job, next: &Job) -> Result<bool, Error> {
        match self.store.amend(before, next).await {
            Ok(()) => Ok(true),
            Err(StoreError::Stale) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove_files_or_warn(&self, job: &Job) {
        if let Err(error) = self.remove_files(job).await {
            tracing::warn!(job.id = %job.id, "the files of a job could not be removed yet: {error}");
        }
    }

    /// Removes the inputs of a job, and its outputs as [`remove_outputs`](Self::remove_outputs).
    pub(crate) async fn remove_files(&self, job: &Job) -> Result<(), Error> {
        self.remove_outputs(&job.id).await?;
        for key in job.request.parameters.input_keys().filter_map(MediaKey::parse) {
            self.media_store.remove(&key).await?;
        }
        Ok(())
    }

    /// Removes every output that a job can have, whatever its state: the keys are derived from its id alone.
    pub(crate) async fn remove_outputs(&self, id: &JobId) -> Result<(), Error> {
        for variant in Variant::ALL {
            for kind in [MediaType::Mp4].into_iter().chain(MediaType::PICTURES) {
                self.media_store.remove(&media_key(id.as_str(), variant, kind.as_str())?).await?;
            }
        }
        Ok(())
    }
}

/// Returns the error for an unknown id. Ids are short; longer text from a caller is not repeated in full.
fn not_found(id: &str) -> Error {
    Error::VideoNotFound(id.chars().take(MAX_REPEATED_ID).collect())
}

/// One subscriber of one job.
struct Watcher {
    jobs: Jobs,
    owners: Owners,
    changes: JobChanges,
    /// The newest snapshot.
    newest: Arc<Job>,
    /// Whether it was returned.
    returned: bool,
}

impl Watcher {
    async fn next(&mut self) -> Result<Job, Error> {
        while self.returned {
            let job = match timeout(REREAD_INTERVAL, self.changes.next()).await {
                Ok(change) => change.job,
                Err(_) if self.changes.is_reader(REREAD_INTERVAL) => self.read().await?,
                // Another subscriber reads the job.
                Err(_) => continue,
            };
            if job.revision > self.newest.revision {
                self.newest = job;
                self.returned = false;
            }
        }
        self.returned = true;
        Ok(Job::clone(&self.newest))
    }

    /// Reads the job for all of its subscribers. If another node has deleted it, they get its tombstone, as after a deletion by this node.
    async fn read(&self) -> Result<Arc<Job>, Error> {
        let Jobs { store, settings, .. } = &self.jobs;
        let job = match self.jobs.get(self.newest.id.as_str(), &self.owners).await {
            Err(Error::VideoNotFound(_)) => self.newest.tombstoned(store.now(), settings.retention),
            found => found?,
        };
        let job = Arc::new(job);
        self.changes.publish_read(Arc::clone(&job));
        Ok(job)
    }
}
