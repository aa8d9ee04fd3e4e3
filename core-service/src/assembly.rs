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
    catalog::{Catalog, Entry, Shelf},
    chat::{ChatProvider, keeper::Keeper, providers::offline::OfflineChat, routing, service::ChatDoor},
    config::{self, Grpc, Settings},
    error::Error,
    image::{self, service::ImageDoor},
    keys::Keys,
    media::{
        Downloads, Inputs, Vault,
        download::DownloadSettings,
        fetch::FetchSettings,
        guard::Guard,
        input::InputSettings,
        service::MediaDoor,
        sweeper::{Keeping, Sweeper, SweeperHandle},
    },
    model::ModelDoor,
    upstream::SetupError,
    video::{
        self, VideoProvider,
        jobs::{JobSettings, Jobs},
        runner::{Runner, RunnerHandle},
        service::VideoDoor,
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
    keeper: Keeper,
    errands: TaskTracker,
    runner: RunnerHandle,
    sweeper: SweeperHandle,
    store: SqliteStore,
}

/// The doors of a core: implementations of the contract's services, for a server or for a gateway in this process.
#[derive(Debug, Clone)]
pub struct Services {
    /// Conversations.
    pub chat: Arc<ChatDoor>,
    /// Pictures.
    pub image: Arc<ImageDoor>,
    /// Clips.
    pub video: Arc<VideoDoor>,
    /// What is served.
    pub model: Arc<ModelDoor>,
    /// Finished files.
    pub media: Arc<MediaDoor>,
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
        let vault = Vault::open(&dir.join("media"))?.kept_for(keeping.retention.unwrap_or(Duration::MAX));
        let inputs = Inputs::new(vault.clone(), inputs(&settings.media))?;
        let store = SqliteStore::open(&dir.join("jobs.sqlite")).await.map_err(Error::from)?;
        let jobs = Jobs::new(Arc::new(store.clone()), vault.clone(), jobs(&settings.jobs));
        let errands = TaskTracker::new();
        let images = image::assembly::entries(&settings.image, downloads(&settings.media)?, errands.clone())?;
        let catalog = Arc::new(Catalog::new(
            Shelf::new(chat(settings)?).map_err(OpenError::Ambiguous)?,
            Shelf::new(images).map_err(OpenError::Ambiguous)?,
            Shelf::new(video(&settings.video, &vault)).map_err(OpenError::Ambiguous)?,
        ));
        let keeper = Keeper::on(Handle::current());
        let chat = ChatDoor::new(catalog.clone(), settings.chat.on_disconnect, keeper.clone());
        let image = ImageDoor::new(catalog.clone(), vault.clone(), inputs.clone(), settings.image.idempotency_ttl);
        let services = Services {
            chat: Arc::new(chat.with_keys(keys.clone())),
            image: Arc::new(image.with_keys(keys.clone()).with_messages_of(settings.grpc.max_message_bytes)),
            video: Arc::new(VideoDoor::new(catalog.clone(), jobs.clone(), inputs).with_keys(keys.clone())),
            model: Arc::new(ModelDoor::new(catalog.clone()).with_keys(keys.clone())),
            media: Arc::new(MediaDoor::new(vault.clone())),
        };
        let sweeper = Sweeper::new(vault, keeping, Arc::new(jobs.clone())).start();
        let runner = Runner::start(jobs, catalog);
        let drained = OnceLock::new();
        Ok(Self { services, keys, grpc: settings.grpc.clone(), drained, keeper, errands, runner, sweeper, store })
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
        let Self { services, keys: _, grpc: _, drained: _, keeper, errands, runner, sweeper, store } = self;
        let images = async {
            services.image.close().await;
            errands.close();
            // What has not been said by then remains unsaid.
            let _ = timeout(STEP_GRACE, errands.wait()).await;
        };
        tokio::join!(images, keeper.finish(drained), runner.stop(STEP_GRACE), sweeper.stop());
        drop(services);
        store.close().await;
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

fn keeping(settings: &config::Media) -> Keeping {
    let config::Media { retention, quota_bytes, .. } = *settings;
    Keeping {
        retention: (!retention.is_zero()).then_some(retention),
        quota_bytes: (quota_bytes > 0).then_some(quota_bytes),
    }
}

fn jobs(settings: &config::Jobs) -> JobSettings {
    let config::Jobs { workers, lease, deadline, retention, max_file_bytes } = *settings;
    let retention = (!retention.is_zero()).then_some(retention);
    JobSettings { workers, lease, deadline, retention, max_file_bytes }
}

/// The clips' models. What validation refuses has none.
fn video(settings: &config::Video, vault: &Vault) -> Vec<Entry<dyn VideoProvider>> {
    use config::VideoServiceType::{Midjourney, Offline, Openai, Seedance, Veo, Wan};
    match settings.service_type {
        Offline => video::providers::offline::entries(vault),
        Seedance | Veo | Wan | Midjourney | Openai => vec![],
    }
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
