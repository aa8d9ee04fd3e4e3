//! Puts a core together from its settings: stores, catalog, doors, job machine.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use crate::{
    catalog::{Catalog, Entry, Models},
    chat::{ChatProvider, detached::DetachedCalls, grpc::ChatGrpc, providers::offline::OfflineChat, routing},
    config::{self, Grpc, Settings},
    database::{self, Database},
    error::Error,
    image::{self, grpc::ImageGrpc},
    keys::Keys,
    live::Live,
    media::{
        Downloads, Inputs, MediaStore,
        download::DownloadSettings,
        fetch::FetchSettings,
        grpc::MediaGrpc,
        guard::Guard,
        input::InputSettings,
        sweeper::{RetentionPolicy, Sweeper, SweeperHandle},
    },
    model::ModelGrpc,
    upstream::SetupError,
    video::{
        self,
        grpc::VideoGrpc,
        jobs::{JobSettings, Jobs},
        runner::{Runner, RunnerHandle},
        store::sqlite::SqliteStore,
    },
};

/// What old clients ask for out of habit. Answered by the offline engine only: to a connected upstream these names may
/// mean something else, and a bill.
const HABITUAL: [&str; 4] = ["gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo"];

/// How long a step of a job, a poll mostly, may still take when the core closes.
const STEP_GRACE: Duration = Duration::from_secs(5);

/// A running core.
#[derive(Debug)]
pub struct Core {
    services: Services,
    keys: Keys,
    grpc: Grpc,
    drained: OnceLock<Instant>,
    detached: DetachedCalls,
    background: TaskTracker,
    runner: RunnerHandle,
    sweeper: SweeperHandle,
    database: Database,
}

/// The doors of a core: implementations of the contract's services, for a server or for a gateway in this process.
#[derive(Debug, Clone)]
pub struct Services {
    /// Conversations.
    pub chat: Arc<ChatGrpc>,
    /// Pictures.
    pub image: Arc<ImageGrpc>,
    /// Clips.
    pub video: Arc<VideoGrpc>,
    /// What is served.
    pub model: Arc<ModelGrpc>,
    /// Finished files.
    pub media: Arc<MediaGrpc>,
}

/// Why a core cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting makes no sense.
    #[error(transparent)]
    Invalid(#[from] config::Invalid),
    /// Two models have the same public name.
    #[error(
        "the model name `{0}` stands for two models; give one of them another name (chat.model, chat.models, chat.routes, \
         or models in a section of image)"
    )]
    Ambiguous(String),
    /// The data directory cannot be used.
    #[error("data_dir = \"{dir}\" cannot be used: {source}")]
    DataDir {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// An upstream cannot be set up.
    #[error("an upstream cannot be set up: {0}")]
    Upstream(#[from] SetupError),
    /// The database could not be opened.
    #[error(transparent)]
    Database(#[from] database::OpenError),
    /// A store could not be opened.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Core {
    /// Opens the stores and starts the job machine; jobs that an earlier process left go on from here.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        settings.validate()?;
        let keys = Keys::new(&settings.keys)?;
        let dir = &settings.data_dir;
        tokio::fs::create_dir_all(dir).await.map_err(|source| OpenError::DataDir { dir: dir.clone(), source })?;
        let keeping = keeping(&settings.media);
        let media_store = MediaStore::open(&dir.join("media"))?.kept_for(keeping.retention.unwrap_or(Duration::MAX));
        let inputs = Inputs::new(media_store.clone(), inputs(&settings.media))?;
        let database = Database::open(&dir.join("jobs.sqlite")).await?;
        let queue = Arc::new(SqliteStore::new(database.clone()));
        let jobs = Jobs::new(queue.clone(), media_store.clone(), jobs(&settings.jobs));
        let background = TaskTracker::new();
        let images = image::assembly::entries(&settings.image, downloads(&settings.media)?, background.clone())?;
        let catalog = Live::new(Catalog::new(
            Models::new(chat(settings)?).map_err(OpenError::Ambiguous)?,
            Models::new(images).map_err(OpenError::Ambiguous)?,
            Models::new(video::assembly::entries(&settings.video, &media_store)).map_err(OpenError::Ambiguous)?,
        ));
        let detached = DetachedCalls::on(Handle::current());
        let chat = ChatGrpc::new(catalog.clone(), settings.chat.on_disconnect, detached.clone());
        let image =
            ImageGrpc::new(catalog.clone(), media_store.clone(), inputs.clone(), settings.image.idempotency_ttl);
        let services = Services {
            chat: Arc::new(chat.with_keys(keys.clone())),
            image: Arc::new(image.with_keys(keys.clone()).with_messages_of(settings.grpc.max_message_bytes)),
            video: Arc::new(VideoGrpc::new(catalog.clone(), jobs.clone(), inputs).with_keys(keys.clone())),
            model: Arc::new(ModelGrpc::new(catalog.clone()).with_keys(keys.clone())),
            media: Arc::new(MediaGrpc::new(media_store.clone())),
        };
        let sweeper = Sweeper::new(media_store, keeping, Arc::new(jobs.clone())).start();
        let runner = Runner::start(queue, jobs, catalog);
        let drained = OnceLock::new();
        Ok(Self {
            services,
            keys,
            grpc: settings.grpc.clone(),
            drained,
            detached,
            background,
            runner,
            sweeper,
            database,
        })
    }

    /// The doors. Cheap to clone.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// The keys that callers may show.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The settings of the core's own server.
    pub fn grpc(&self) -> &Grpc {
        &self.grpc
    }

    /// When the drain is over that the first call of this begins: `grpc.drain` from then.
    pub(crate) fn drained(&self) -> Instant {
        *self.drained.get_or_init(|| Instant::now() + self.grpc.drain)
    }

    /// Stops the job machine and closes the stores: steps under way get a moment to finish, and all leases are handed
    /// back, so that the next process need not wait for them to lapse. Answers that are read on without their callers
    /// have what the servers left of the drain. The doors answer no more after this.
    pub async fn close(self) {
        let drained = self.drained();
        let Self { services, keys: _, grpc: _, drained: _, detached, background, runner, sweeper, database } = self;
        let images = async {
            services.image.close().await;
            background.close();
            // What has not been said by then remains unsaid.
            let _ = timeout(STEP_GRACE, background.wait()).await;
        };
        tokio::join!(images, detached.finish(drained), runner.stop(STEP_GRACE), sweeper.stop());
        drop(services);
        database.close().await;
    }
}

fn downloads(settings: &config::Media) -> Result<Downloads, Error> {
    let guard = if settings.fetch_private_addresses { Guard::OPEN } else { Guard::PUBLIC_ANY_PORT };
    Downloads::new(DownloadSettings { guard, ..DownloadSettings::default() })
}

fn inputs(settings: &config::Media) -> InputSettings {
    let config::Media { fetch_private_addresses, max_input_bytes, max_pixels, .. } = *settings;
    let guard = if fetch_private_addresses { Guard::OPEN } else { Guard::PUBLIC };
    let fetch = FetchSettings { guard, ..FetchSettings::default() };
    InputSettings { max_bytes: max_input_bytes, max_pixels, fetch }
}

fn keeping(settings: &config::Media) -> RetentionPolicy {
    let config::Media { retention, quota_bytes, .. } = *settings;
    RetentionPolicy {
        retention: (!retention.is_zero()).then_some(retention),
        quota_bytes: (quota_bytes > 0).then_some(quota_bytes),
    }
}

fn jobs(settings: &config::Jobs) -> JobSettings {
    let config::Jobs { workers, lease, deadline, retention, max_file_bytes } = *settings;
    let retention = (!retention.is_zero()).then_some(retention);
    JobSettings { workers, lease, deadline, retention, max_file_bytes }
}

/// The chat models: the upstreams', if any is connected, and always the offline engine.
fn chat(settings: &Settings) -> Result<Vec<Entry<dyn ChatProvider>>, SetupError> {
    let pace = settings.offline.chat_tokens_per_second;
    let connected = routing::assembly::entries(&settings.chat)?;
    if connected.is_empty() {
        let model = &settings.chat.model;
        let aliases: Vec<_> = HABITUAL.into_iter().filter(|name| name != model).collect();
        return Ok(OfflineChat::entries(pace, &[(model, &aliases)]));
    }
    Ok(connected.into_iter().chain(OfflineChat::entries(pace, &[])).collect())
}
