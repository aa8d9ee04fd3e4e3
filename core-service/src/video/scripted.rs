//! A provider that does what a test tells it, and a stage to let it play on.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, future, stream};
use tempfile::TempDir;
use tokio::sync::watch;

use super::{
    Clip, ClipFile, Progress, UpstreamTask, Variant, VideoProvider, VideoSpec,
    job::{Job, JobId, Order},
    jobs::{JobSettings, Jobs},
    runner::{Runner, RunnerHandle},
    state::Phase,
    store::{JobStore, memory::MemoryStore},
    time::Clock,
};
use crate::{
    call::{Call, Chunks},
    catalog::{Catalog, Entry, Models},
    error::ProviderError,
    live::Live,
    media::MediaStore,
};

/// How the provider answers one call.
#[derive(Debug)]
pub(crate) enum Act<T> {
    Say(Result<T, ProviderError>),
    /// Never answers.
    Hang,
    /// Answers as soon as the sender says so.
    When(watch::Receiver<bool>, T),
    Panic,
}

impl<T> Act<T> {
    async fn play(self) -> Result<T, ProviderError> {
        match self {
            Self::Say(answer) => answer,
            Self::Hang => future::pending().await,
            Self::When(mut go, answer) => {
                go.wait_for(|go| *go).await.unwrap();
                Ok(answer)
            }
            Self::Panic => panic!("as the script says"),
        }
    }
}

/// Plays its acts in order, then behaves: accepts, is ready at the first poll, hands out its files.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) repeatable: bool,
    pub(crate) submits: Mutex<VecDeque<Act<UpstreamTask>>>,
    pub(crate) polls: Mutex<VecDeque<Act<Progress>>>,
    pub(crate) fetches: Mutex<VecDeque<Act<Bytes>>>,
    /// What was asked of it, one word a call.
    pub(crate) log: watch::Sender<Vec<String>>,
    /// Asked what it has on disk whenever a submission arrives.
    pub(crate) witness: Option<Arc<dyn JobStore>>,
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            repeatable: false,
            submits: Mutex::default(),
            polls: Mutex::default(),
            fetches: Mutex::default(),
            log: watch::channel(Vec::new()).0,
            witness: None,
        }
    }
}

impl Scripted {
    pub(crate) fn submit_with(self, acts: impl IntoIterator<Item = Act<UpstreamTask>>) -> Self {
        Self { submits: Mutex::new(acts.into_iter().collect()), ..self }
    }

    pub(crate) fn poll_with(self, acts: impl IntoIterator<Item = Act<Progress>>) -> Self {
        Self { polls: Mutex::new(acts.into_iter().collect()), ..self }
    }

    pub(crate) fn fetch_with(self, acts: impl IntoIterator<Item = Act<Bytes>>) -> Self {
        Self { fetches: Mutex::new(acts.into_iter().collect()), ..self }
    }

    pub(crate) fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }

    pub(crate) fn count(&self, word: &str) -> usize {
        self.log.borrow().iter().filter(|said| said.starts_with(word)).count()
    }

    /// Returns once it was asked `word` so many times.
    pub(crate) async fn asked(&self, word: &str, times: usize) {
        let enough = |log: &Vec<String>| log.iter().filter(|said| said.starts_with(word)).count() >= times;
        self.log.subscribe().wait_for(enough).await.unwrap();
    }

    fn note(&self, word: String) {
        self.log.send_modify(|log| log.push(word));
    }
}

fn next<T>(acts: &Mutex<VecDeque<Act<T>>>) -> Option<Act<T>> {
    acts.lock().unwrap().pop_front()
}

#[async_trait]
impl VideoProvider for Scripted {
    fn repeatable(&self) -> bool {
        self.repeatable
    }

    async fn submit(&self, call: Call<VideoSpec>) -> Result<UpstreamTask, ProviderError> {
        if let Some(store) = &self.witness {
            let job = store.get(&JobId::parse(&call.context.idempotency_key).unwrap()).await.unwrap().unwrap();
            self.note(format!("seen {} {}", job.state.phase(), job.attempt));
        }
        if let Some(reference) = &call.request.reference {
            self.note(format!("picture of {} bytes", reference.picture.len()));
        }
        self.note(format!("submit {}", call.context.idempotency_key));
        let usual = Act::Say(Ok(UpstreamTask(format!("task of {}", call.context.idempotency_key))));
        next(&self.submits).unwrap_or(usual).play().await
    }

    async fn poll(&self, task: &UpstreamTask) -> Result<Progress, ProviderError> {
        self.note(format!("poll {}", task.0));
        next(&self.polls).unwrap_or(Act::Say(Ok(Progress::Ready(clip())))).play().await
    }

    async fn fetch(&self, file: &ClipFile) -> Result<Chunks<Bytes>, ProviderError> {
        self.note(format!("fetch {}", file.location));
        let bytes = next(&self.fetches).unwrap_or(Act::Say(Ok(Bytes::from(file.location.clone())))).play().await?;
        Ok(stream::iter([Ok(bytes)]).boxed())
    }

    async fn cancel(&self, task: &UpstreamTask) -> Result<(), ProviderError> {
        self.note(format!("cancel {}", task.0));
        Ok(())
    }
}

pub(crate) fn clip() -> Clip {
    let file = |variant: Variant, media_type: &str| ClipFile {
        variant,
        media_type: media_type.to_owned(),
        location: variant.as_str().to_owned(),
    };
    Clip { files: vec![file(Variant::Video, "video/mp4"), file(Variant::Thumbnail, "image/jpeg")] }
}

pub(crate) fn working(percent: u8) -> Act<Progress> {
    Act::Say(Ok(Progress::Working { percent: Some(percent), poll_after: Duration::from_millis(50) }))
}

pub(crate) fn fails<T>(error: ProviderError) -> Act<T> {
    Act::Say(Err(error))
}

pub(crate) fn away<T>() -> Act<T> {
    fails(ProviderError::unavailable("away".to_owned()))
}

/// Everything a job needs to run.
pub(crate) struct Stage {
    pub(crate) jobs: Jobs,
    pub(crate) provider: Arc<Scripted>,
    pub(crate) catalog: Live<Catalog>,
    pub(crate) directory: TempDir,
}

impl Stage {
    /// In memory, on tokio's clock.
    pub(crate) fn new(provider: Scripted) -> Self {
        Self::over(Arc::new(MemoryStore::new()), provider, JobSettings::default(), Clock::of_tokio())
    }

    pub(crate) fn over(store: Arc<dyn JobStore>, provider: Scripted, settings: JobSettings, clock: Clock) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let media_store = MediaStore::for_test(directory.path());
        let provider = Arc::new(provider);
        let jobs = Jobs::with_clock(store, media_store, settings, clock);
        Self { jobs, catalog: catalog(&provider), provider, directory }
    }

    pub(crate) fn start(&self) -> RunnerHandle {
        Runner::start(self.jobs.clone(), self.catalog.clone())
    }

    pub(crate) async fn create(&self) -> JobId {
        self.jobs.create(JobId::new(), order(), None).await.unwrap().id
    }

    /// All snapshots up to the final one.
    pub(crate) async fn follow(&self, id: &JobId) -> Vec<Job> {
        follow(&self.jobs, id).await
    }

    pub(crate) async fn outcome(&self, id: &JobId) -> Job {
        self.follow(id).await.pop().unwrap()
    }

    /// Returns once the job shows itself so.
    pub(crate) async fn until(&self, id: &JobId, phase: Phase) -> Job {
        let mut snapshots = std::pin::pin!(self.jobs.watch(id.as_str()).await.unwrap());
        loop {
            let job = snapshots.next().await.unwrap().unwrap();
            if job.state.phase() == phase {
                return job;
            }
        }
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.directory.path().join("media")).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub(crate) fn catalog(provider: &Arc<Scripted>) -> Live<Catalog> {
    let entry = Entry::<dyn VideoProvider> {
        id: "scripted-video".to_owned(),
        upstream: "upstream-name".to_owned(),
        owned_by: "scripted".to_owned(),
        provider_id: "scripted".to_owned(),
        aliases: Vec::new(),
        capabilities: &["input_reference", "remix"],
        hidden: false,
        provider: Arc::<Scripted>::clone(provider),
    };
    let video = Models::new(vec![entry]).unwrap();
    Live::new(Catalog::new(Models::new(Vec::new()).unwrap(), Models::new(Vec::new()).unwrap(), video))
}

pub(crate) async fn follow(jobs: &Jobs, id: &JobId) -> Vec<Job> {
    let snapshots = jobs.watch(id.as_str()).await.unwrap();
    snapshots.map(Result::unwrap).collect().await
}

pub(crate) fn order() -> Order {
    Order {
        provider: "scripted".to_owned(),
        model: "scripted-video".to_owned(),
        upstream: "upstream-name".to_owned(),
        prompt: "a boat".to_owned(),
        width: 320,
        height: 180,
        seconds: 1,
        seed: None,
        reference: None,
        user: String::new(),
        extra_json: String::new(),
        remixed_from: None,
    }
}
