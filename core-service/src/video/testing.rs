//! A fake provider that follows the script of a test, and a harness around it.

use std::{
    collections::{HashMap, VecDeque},
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, future, stream};
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};

use super::{
    job::{Job, JobId, JobRequest},
    jobs::{JobSettings, Jobs},
    parameters::VideoParameters,
    provider::{
        Cancellation, Clip, ClipFile, LostSubmission, Progress, RenderRequest, Search, Slot, UpstreamTask, Variant,
        VideoModel, VideoProvider,
    },
    runner::{Runner, RunnerHandle},
    state::Phase,
    store::{JobQueue, memory::MemoryStore},
    time::Clock,
};
use crate::{
    call::{Call, Chunks},
    context::RequestContext,
    error::ProviderError,
    keys::Owners,
    live::Live,
    media::MediaStore,
    model_facts::{ModelFacts, fit::FitPolicy},
    models::{Entry, Models},
};

/// The response to one provider call.
#[derive(Debug)]
pub(crate) enum Reply<T> {
    Return(Result<T, ProviderError>),
    /// Never returns.
    Hang,
    /// Returns as soon as the sender sends `true`.
    Gated(watch::Receiver<bool>, T),
    Panic,
}

impl<T> Reply<T> {
    async fn resolve(self) -> Result<T, ProviderError> {
        match self {
            Self::Return(result) => result,
            Self::Hang => future::pending().await,
            Self::Gated(mut gate, value) => {
                gate.wait_for(|open| *open).await.unwrap();
                Ok(value)
            }
            Self::Panic => panic!("scripted panic"),
        }
    }
}

/// The scripted replies of one method that no call has consumed yet. Dropping the script fails the test if errors or panics are left: the
/// test would not have tested them.
#[derive(Debug)]
pub(crate) struct Script<T>(Mutex<VecDeque<Reply<T>>>);

impl<T> Default for Script<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> FromIterator<Reply<T>> for Script<T> {
    fn from_iter<I: IntoIterator<Item = Reply<T>>>(replies: I) -> Self {
        Self(Mutex::new(replies.into_iter().collect()))
    }
}

impl<T> Deref for Script<T> {
    type Target = Mutex<VecDeque<Reply<T>>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> Drop for Script<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = left.iter().filter(|reply| matches!(reply, Reply::Return(Err(_)) | Reply::Panic)).count();
        assert_eq!(failures, 0, "failures that no call of the provider has met");
    }
}

/// A provider that returns its scripted replies in order. Without one, it accepts a submission, reports a render as finished, returns its
/// files, stops it, and cannot search.
#[derive(Debug)]
pub(crate) struct FakeProvider {
    /// Whether a submission can be repeated under the same idempotency key.
    pub(crate) submits_idempotently: bool,
    pub(crate) submits: Script<UpstreamTask>,
    pub(crate) polls: Script<Progress>,
    pub(crate) fetches: Script<Bytes>,
    pub(crate) searches: Script<Search>,
    pub(crate) cancellations: Script<Cancellation>,
    /// The calls so far, one line each, for example `poll TASK`.
    pub(crate) calls: watch::Sender<Vec<String>>,
    /// Limits the renders in progress. `None`: without a limit, and submissions come without a slot.
    pub(crate) slots: Option<Arc<Semaphore>>,
    /// The slots of the renders in progress, by the id of their task. A render releases its slot when a poll reports its end,
    /// or when it is cancelled.
    pub(crate) slots_by_task: Mutex<HashMap<String, Slot>>,
    /// Read at each submission, to record the committed state of its job in `calls`.
    pub(crate) store: Option<Arc<dyn JobQueue>>,
}

impl Default for FakeProvider {
    fn default() -> Self {
        Self {
            submits_idempotently: false,
            submits: Script::default(),
            polls: Script::default(),
            fetches: Script::default(),
            searches: Script::default(),
            cancellations: Script::default(),
            calls: watch::channel(Vec::new()).0,
            slots: None,
            slots_by_task: Mutex::default(),
            store: None,
        }
    }
}

impl FakeProvider {
    pub(crate) fn with_submits(self, replies: impl IntoIterator<Item = Reply<UpstreamTask>>) -> Self {
        Self { submits: replies.into_iter().collect(), ..self }
    }

    pub(crate) fn with_polls(self, replies: impl IntoIterator<Item = Reply<Progress>>) -> Self {
        Self { polls: replies.into_iter().collect(), ..self }
    }

    pub(crate) fn with_fetches(self, replies: impl IntoIterator<Item = Reply<Bytes>>) -> Self {
        Self { fetches: replies.into_iter().collect(), ..self }
    }

    pub(crate) fn with_searches(self, replies: impl IntoIterator<Item = Reply<Search>>) -> Self {
        Self { searches: replies.into_iter().collect(), ..self }
    }

    pub(crate) fn with_cancellations(self, replies: impl IntoIterator<Item = Reply<Cancellation>>) -> Self {
        Self { cancellations: replies.into_iter().collect(), ..self }
    }

    pub(crate) fn submits_idempotently(self) -> Self {
        Self { submits_idempotently: true, ..self }
    }

    /// Limits the renders in progress to `slots`.
    pub(crate) fn with_slots(self, slots: usize) -> Self {
        Self { slots: Some(Arc::new(Semaphore::new(slots))), ..self }
    }

    /// Returns the number of calls so far with this prefix.
    pub(crate) fn call_count(&self, prefix: &str) -> usize {
        self.calls.borrow().iter().filter(|call| call.starts_with(prefix)).count()
    }

    /// Waits until at least `times` calls with this prefix have been recorded.
    pub(crate) async fn wait_for_calls(&self, prefix: &str, times: usize) {
        let enough = |calls: &Vec<String>| calls.iter().filter(|call| call.starts_with(prefix)).count() >= times;
        self.calls.subscribe().wait_for(enough).await.unwrap();
    }

    fn release_slot(&self, task: &UpstreamTask) {
        self.slots_by_task.lock().unwrap().remove(&task.0);
    }

    fn record(&self, call: String) {
        self.calls.send_modify(|calls| calls.push(call));
    }
}

fn pop_reply<T>(replies: &Script<T>) -> Option<Reply<T>> {
    replies.lock().unwrap().pop_front()
}

#[async_trait]
impl VideoProvider for FakeProvider {
    fn submits_idempotently(&self) -> bool {
        self.submits_idempotently
    }

    fn free_slots(&self) -> usize {
        self.slots.as_ref().map_or(usize::MAX, |slots| slots.available_permits())
    }

    fn reserve(&self) -> Option<Slot> {
        match &self.slots {
            Some(slots) => Arc::clone(slots).try_acquire_owned().ok().map(Slot::from),
            None => Some(Slot::default()),
        }
    }

    async fn submit(&self, mut call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let slot = std::mem::take(&mut call.request.slot);
        assert_eq!(slot.is_reserved(), self.slots.is_some());
        if let Some(store) = &self.store {
            let job =
                store.get(&JobId::parse(&call.context.idempotency_key).unwrap(), &Owners::All).await.unwrap().unwrap();
            self.record(format!("committed {} {}", job.state.phase(), job.submissions));
        }
        for input in &call.request.inputs {
            self.record(format!("{:?} of {} bytes", input.role, input.size_bytes()));
        }
        let VideoParameters { operation, source, .. } = &call.request.parameters;
        if !operation.is_generate() {
            self.record(format!("{} of {}", operation.verb(), source.as_ref().map_or("a file", |task| &task.0)));
        }
        if !call.request.parameters.extra_json.is_empty() {
            self.record(format!("extra members {}", call.request.parameters.extra_json));
        }
        self.record(format!("submit {}", call.context.idempotency_key));
        let default = Reply::Return(Ok(UpstreamTask(format!("task of {}", call.context.idempotency_key))));
        let task = pop_reply(&self.submits).unwrap_or(default).resolve().await?;
        self.slots_by_task.lock().unwrap().insert(task.0.clone(), slot);
        Ok(task)
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        self.record(format!("poll {}", task.0));
        self.record(format!("context {} {}", context.request_id, context.caller.owner().as_str()));
        let polled = pop_reply(&self.polls).unwrap_or(Reply::Return(Ok(Progress::Ready(clip())))).resolve().await;
        if matches!(polled, Ok(Progress::Ready(_) | Progress::Failed(_) | Progress::Cancelled)) {
            self.release_slot(task);
        }
        polled
    }

    async fn fetch(&self, file: &ClipFile, _: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        self.record(format!("fetch {}", file.location));
        let bytes =
            pop_reply(&self.fetches).unwrap_or(Reply::Return(Ok(Bytes::from(file.location.clone())))).resolve().await?;
        Ok(stream::iter([Ok(bytes)]).boxed())
    }

    async fn cancel(&self, task: &UpstreamTask, _: &RequestContext) -> Result<Cancellation, ProviderError> {
        self.record(format!("cancel {}", task.0));
        self.release_slot(task);
        pop_reply(&self.cancellations).unwrap_or(Reply::Return(Ok(Cancellation::Stopped))).resolve().await
    }

    async fn find(&self, lost: &LostSubmission, _: &RequestContext) -> Result<Search, ProviderError> {
        self.record(format!("find {}", lost.job_id));
        pop_reply(&self.searches).unwrap_or(Reply::Return(Ok(Search::Inconclusive))).resolve().await
    }
}

/// A finished render with a video and a thumbnail. The content of each file is the name of its variant.
pub(crate) fn clip() -> Clip {
    let file = |variant: Variant, media_type: &str| ClipFile {
        variant,
        media_type: media_type.to_owned(),
        location: variant.as_str().to_owned(),
    };
    Clip::new([file(Variant::Video, "video/mp4"), file(Variant::Thumbnail, "image/jpeg")])
}

/// A render in progress.
pub(crate) fn working(percent: u8) -> Reply<Progress> {
    Reply::Return(Ok(Progress::Working { percent: Some(percent), poll_after: Duration::from_millis(50) }))
}

pub(crate) fn fails<T>(error: ProviderError) -> Reply<T> {
    Reply::Return(Err(error))
}

pub(crate) fn unavailable<T>() -> Reply<T> {
    fails(ProviderError::unavailable("unavailable".to_owned()))
}

/// A job queue, a fake provider and a media store in a temporary directory, for a runner that a test starts and stops.
pub(crate) struct Harness {
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) jobs: Jobs,
    pub(crate) provider: Arc<FakeProvider>,
    pub(crate) models: Live<Models<VideoModel>>,
    pub(crate) directory: TempDir,
}

impl Harness {
    /// Creates a harness over a store in memory, on tokio's clock.
    pub(crate) fn new(provider: FakeProvider) -> Self {
        Self::with_store(Arc::new(MemoryStore::new(Clock::tokio())), provider, JobSettings::default())
    }

    /// Creates a harness with this store and these settings, and an empty media directory.
    pub(crate) fn with_store(queue: Arc<dyn JobQueue>, provider: FakeProvider, settings: JobSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let media_store = MediaStore::for_test(directory.path());
        let provider = Arc::new(provider);
        let jobs = Jobs::new(queue.clone(), media_store, settings);
        Self { queue, jobs, models: models(&provider), provider, directory }
    }

    /// Starts a runner. It stops when the handle is dropped, and its steps are aborted.
    pub(crate) fn start(&self) -> RunnerHandle {
        Runner::start(self.queue.clone(), self.jobs.clone(), self.models.clone())
    }

    /// Creates a job with `request()`.
    pub(crate) async fn create(&self) -> JobId {
        self.jobs.create(JobId::new(), request(), &RequestContext::default(), None).await.unwrap().id
    }

    /// Waits for the final state and returns all snapshots from now up to the final one.
    pub(crate) async fn follow(&self, id: &JobId) -> Vec<Job> {
        follow(&self.jobs, id).await
    }

    /// Waits for the final state and returns the job in it.
    pub(crate) async fn outcome(&self, id: &JobId) -> Job {
        self.follow(id).await.pop().unwrap()
    }

    /// Waits until the job is in this phase and returns it.
    pub(crate) async fn wait_for_phase(&self, id: &JobId, phase: Phase) -> Job {
        let mut snapshots = std::pin::pin!(self.jobs.watch(id.as_str(), &Owners::All).await.unwrap());
        loop {
            let job = snapshots.next().await.unwrap().unwrap();
            if job.state.phase() == phase {
                return job;
            }
        }
    }

    /// Returns the names of the stored media files, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.directory.path().join("media")).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Returns the catalog entry of a model of this provider.
pub(crate) fn entry(name: &str, provider: &Arc<FakeProvider>) -> Entry<VideoModel> {
    entry_with(name, provider, ModelFacts::unknown())
}

/// Returns the catalog entry of a model of this provider with these facts.
pub(crate) fn entry_with(name: &str, provider: &Arc<FakeProvider>, facts: ModelFacts) -> Entry<VideoModel> {
    Entry {
        id: name.to_owned(),
        upstream_model: "upstream-name".to_owned(),
        owned_by: "fake".to_owned(),
        provider_id: "fake".to_owned(),
        aliases: Vec::new(),
        capabilities: Vec::new(),
        hidden: false,
        passed_by: None,
        provider: Arc::new(VideoModel {
            provider: Arc::<FakeProvider>::clone(provider),
            facts,
            fit_policy: FitPolicy::default(),
        }),
    }
}

pub(crate) fn models(provider: &Arc<FakeProvider>) -> Live<Models<VideoModel>> {
    Live::new(Models::new(vec![entry("fake-video", provider)]).unwrap())
}

pub(crate) async fn follow(jobs: &Jobs, id: &JobId) -> Vec<Job> {
    let snapshots = jobs.watch(id.as_str(), &Owners::All).await.unwrap();
    snapshots.map(Result::unwrap).collect().await
}

pub(crate) fn request() -> JobRequest {
    JobRequest {
        provider_id: "fake".to_owned(),
        model: "fake-video".to_owned(),
        upstream_model: "upstream-name".to_owned(),
        parameters: VideoParameters {
            prompt: "a boat".to_owned(),
            width: 320,
            height: 180,
            seconds: 1,
            ..VideoParameters::default()
        },
        remixed_from: None,
        source_video: None,
        requested_seconds: None,
    }
}
