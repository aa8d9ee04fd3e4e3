//! Shared by the tests of webhooks: stores on a clock that the test sets, and a receiver.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tokio::sync::Notify;

use super::{
    attempts::Attempts, endpoint::Endpoint, registry::Registry, sender::Sender, signature::WEBHOOK_ID,
    store::WebhookStore,
};
use crate::{
    config::{WebhookEventType, Webhooks},
    database,
    keys::{Owner, Owners},
    live::Live,
    media::{address_policy::AddressPolicy, testing},
    video::{
        UpstreamTask,
        job::{Job, JobId},
        state::Event as JobEvent,
        store::{
            AfterCommit, BusyProviders, Inserted, JobLimits, JobQueue as _, JobStore as _, WorkerId, sql::SqlStore,
        },
        testing::{clip, request},
        time::{Clock, Timestamp},
    },
    webhook_secret::WebhookSecret,
};

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// Returns an endpoint of `owner` for all events.
pub(crate) fn endpoint(owner: &str, url: &str) -> Endpoint {
    Endpoint::new(Owner::new(owner), url.to_owned(), WebhookEventType::ALL.to_vec(), String::new(), NOW)
}

/// Stores in one database, on one clock.
pub(crate) struct Stores {
    pub(crate) webhooks: WebhookStore,
    pub(crate) jobs: SqlStore,
    millis: Arc<AtomicI64>,
    clock: Clock,
    directory: TempDir,
}

impl Stores {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (clock, millis) = Clock::manual(NOW);
        let (webhooks, jobs) = open(&directory, &clock).await;
        Self { webhooks, jobs, millis, clock, directory }
    }

    /// Returns stores of another process on the same file.
    pub(crate) async fn reopened(self) -> Self {
        let (webhooks, jobs) = open(&self.directory, &self.clock).await;
        Self { webhooks, jobs, ..self }
    }

    /// Moves the clock.
    pub(crate) fn advance(&self, by: Duration) {
        self.millis.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Inserts an endpoint of `owner` for all events, and returns it with its secret.
    pub(crate) async fn endpoint(&self, owner: &str, url: &str) -> (Endpoint, WebhookSecret) {
        let (endpoint, secret) = (endpoint(owner, url), WebhookSecret::generate());
        // At most ten endpoints of one owner.
        assert!(self.webhooks.insert_endpoint(&endpoint, &secret, 10).await.unwrap());
        (endpoint, secret)
    }

    /// Runs a job of `owner` through these events.
    pub(crate) async fn job(&self, owner: &str, events: Vec<JobEvent>, callback_url: Option<&str>) -> JobId {
        let mut request = request();
        request.parameters.callback_url = callback_url.map(str::to_owned);
        let job = Job::new(JobId::new(), Owner::new(owner), request, self.jobs.now(), Duration::from_hours(1));
        assert_eq!(self.jobs.insert(&job, None, &JobLimits::default()).await.unwrap(), Inserted::New);
        let mut claim = self.jobs.claim(&WorkerId::new(), &BusyProviders::default()).await.unwrap().unwrap();
        for event in events {
            let next = claim.job.after(event, self.jobs.now()).unwrap();
            let (next, lease) = if next.state.is_final() {
                // Not due, so that later claims of a test do not get it.
                (Job { due_at: None, ..next }, AfterCommit::ReleaseLease)
            } else {
                (next, AfterCommit::KeepLease)
            };
            claim = self.jobs.commit(&claim, next, lease).await.unwrap();
        }
        job.id
    }

    /// Deletes a final job, and removes its row as the runner does.
    pub(crate) async fn delete(&self, id: &JobId) {
        let job = self.jobs.get(id, &Owners::All).await.unwrap().unwrap();
        self.jobs.amend(&job, &job.tombstoned(self.jobs.now(), None)).await.unwrap();
        let claim = self.jobs.claim(&WorkerId::new(), &BusyProviders::default()).await.unwrap().unwrap();
        assert_eq!(claim.job.id, *id);
        self.jobs.purge(&claim).await.unwrap();
    }

    /// Returns the sender of attempts, which may connect to any address.
    pub(crate) fn attempts(&self, settings: Webhooks) -> Attempts {
        let registry = Registry::new(self.webhooks.clone(), Live::new(settings));
        Attempts::new(registry, Sender::new(AddressPolicy::OPEN).unwrap())
    }
}

async fn open(directory: &TempDir, clock: &Clock) -> (WebhookStore, SqlStore) {
    let database = database::testing::open(directory.path()).await;
    let jobs = SqlStore::with_clock(database.clone(), clock.clone());
    (WebhookStore::with_clock(database, clock.clone()), jobs)
}

/// The events of a job that fails.
pub(crate) fn failure() -> Vec<JobEvent> {
    vec![JobEvent::Failed { code: "internal".to_owned(), message: "a defect".to_owned() }]
}

/// The events of a job that succeeds.
pub(crate) fn success() -> Vec<JobEvent> {
    let accepted = JobEvent::Accepted(UpstreamTask("task".to_owned()), NOW);
    vec![JobEvent::SubmissionStarted(NOW), accepted, JobEvent::Rendered(clip()), JobEvent::Stored(Vec::new(), None)]
}

/// A receiver that responds with scripted statuses, then with 200, and logs the ids of the events.
pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) statuses: Arc<Mutex<Vec<&'static str>>>,
    ids: Arc<Mutex<Vec<String>>>,
    received: Arc<Notify>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let (statuses, ids) = (Arc::new(Mutex::new(Vec::<&str>::new())), Arc::new(Mutex::new(Vec::new())));
        let received = Arc::new(Notify::new());
        let (script, log, notify) = (Arc::clone(&statuses), Arc::clone(&ids), Arc::clone(&received));
        let url = testing::serve(move |request| {
            log.lock().unwrap().push(request.header(WEBHOOK_ID).unwrap_or_default().to_owned());
            notify.notify_one();
            let mut script = script.lock().unwrap();
            let status = if script.is_empty() { "200 OK" } else { script.remove(0) };
            testing::response(status, &[], b"")
        })
        .await;
        Self { url, statuses, ids, received }
    }

    /// Makes the next requests fail with these status lines, for example `500 X`.
    pub(crate) fn fail(&self, statuses: impl IntoIterator<Item = &'static str>) {
        self.statuses.lock().unwrap().extend(statuses);
    }

    /// Returns the ids of the events that arrived.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.ids.lock().unwrap().clone()
    }

    /// Waits until `count` requests have arrived.
    pub(crate) async fn received(&self, count: usize) {
        while self.ids().len() < count {
            self.received.notified().await;
        }
    }
}
