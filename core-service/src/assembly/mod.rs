//! Builds a core from its settings, and applies changed settings while it runs.

mod error;
mod models;
mod open_database;
mod settings;

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use http_server::Announcement;
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::{sync::DropGuard, task::TaskTracker};

pub use self::{error::OpenError, open_database::verify_ledger};
use self::{
    models::{Running, all_models},
    open_database::{lock, notifications, wait_for_database},
    settings::{address_policy, inputs, jobs, provider_links, retention},
};
use crate::{
    admin::{KeyRegistry, SqlKeyStore, grpc::AdminGrpc},
    backup,
    catalog::{Catalog, grpc::ModelGrpc},
    chat::{detached::DetachedCalls, files::ChatFiles, grpc::ChatGrpc},
    config::{self, FixedSetting, Grpc, Settings},
    database::{self, Database, DirectoryLock, LostEvents},
    error::Error,
    health::{Health, HealthGrpc},
    idempotency::across_nodes::SharedCalls,
    image::grpc::ImageGrpc,
    keys::Keys,
    ledger::{Ledger, LedgerHandle, LedgerStore},
    live::Live,
    media::{
        InputResolver, MediaStore, PictureBudget, ProviderLinks,
        clip::ClipInspector,
        grpc::MediaGrpc,
        sweeper::{Sweeper, SweeperHandle},
    },
    metrics,
    node::{Node, NodeHandle},
    prices::PriceTable,
    response::{
        BackgroundHandle, BackgroundRunner, LiveResponses, ModelCalls, QueueLimits, ResponseStore, ResponseSweeper,
        ResponseSweeperHandle, grpc::ResponseGrpc,
    },
    sampler,
    usage::UsageGrpc,
    video::{
        callback::CallbackRule,
        grpc::VideoGrpc,
        jobs::Jobs,
        runner::{Runner, RunnerHandle},
        store::sql::SqlStore,
        time::Clock,
    },
    webhooks::{
        attempts::Attempts,
        dispatcher::{Dispatcher, DispatcherHandle},
        grpc::WebhookGrpc,
        registry::Registry,
        sender::Sender,
        store::WebhookStore,
    },
};

/// How long background work, for example the poll of a job, may continue while the core closes.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// A running core.
#[derive(Debug)]
pub struct Core {
    /// The settings at start, which remain valid for all fixed settings.
    settings: Settings,
    services: Services,
    keys: Keys,
    prices: Live<PriceTable>,
    catalog: Catalog,
    cors_allow_origins: Live<Vec<String>>,
    webhook_settings: Live<config::Webhooks>,
    health: Health,
    announced: Announcement,
    lost_events: Option<LostEvents>,
    /// The settings of the last reload, or those at start.
    applied: Mutex<Box<Settings>>,
    media_store: MediaStore,
    /// The signed links by which providers fetch the inputs of videos.
    links: ProviderLinks,
    picture_budget: PictureBudget,
    drain_deadline: OnceLock<Instant>,
    detached: DetachedCalls,
    background: TaskTracker,
    runner: RunnerHandle,
    responses: Responses,
    dispatcher: DispatcherHandle,
    sweeper: SweeperHandle,
    ledger: LedgerHandle,
    sampler: DropGuard,
    /// The tasks that apply and publish the changes of other nodes. Dropping a guard stops its task.
    followers: Vec<DropGuard>,
    node: NodeHandle,
    database: Database,
    directory_lock: Option<DirectoryLock>,
}

/// The background tasks of responses.
#[derive(Debug)]
struct Responses {
    runner: BackgroundHandle,
    sweeper: ResponseSweeperHandle,
}

/// The gRPC services of a core, for a server or for a gateway in the same process.
#[derive(Debug, Clone)]
pub struct Services {
    /// The chat service.
    pub chat: Arc<ChatGrpc>,
    /// The service for responses.
    pub response: Arc<ResponseGrpc>,
    /// The image service.
    pub image: Arc<ImageGrpc>,
    /// The video service.
    pub video: Arc<VideoGrpc>,
    /// The webhook service.
    pub webhook: Arc<WebhookGrpc>,
    /// The service for usage, budgets and estimates.
    pub usage: Arc<UsageGrpc>,
    /// The service for administrators.
    pub admin: Arc<AdminGrpc>,
    /// The model service.
    pub model: Arc<ModelGrpc>,
    /// The media service.
    pub media: Arc<MediaGrpc>,
}

impl Core {
    /// Locks the data directory, opens the stores and starts the video jobs, including those that an earlier process left unfinished.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        settings.validate()?;
        let keys = Keys::new(&settings.keys, &settings.teams)?;
        let dir = &settings.data_dir;
        tokio::fs::create_dir_all(dir).await.map_err(|source| OpenError::DataDir { dir: dir.clone(), source })?;
        // An SQLite file has one process; several can share a PostgreSQL database.
        let directory_lock = if settings.database_url.is_none() { Some(lock(dir).await?) } else { None };
        if backup::manifest_path(dir).exists() {
            return Err(OpenError::IsBackup { dir: dir.clone() });
        }
        let database = wait_for_database(settings).await?;
        let lost_events = lost_events(&database).await?;
        let (node, node_task) = Node::join(database.clone(), keys.nodes().clone()).await?;
        let key_store = Arc::new(SqlKeyStore::new(database.clone(), keys.clone()));
        let key_registry = KeyRegistry::open(key_store, keys.clone()).await?;
        let prices = Live::new(PriceTable::of(settings));
        let ledger_store = LedgerStore::new(database.clone());
        let (ledger, ledger_task) = Ledger::start(ledger_store.clone(), prices.clone(), node.clone()).await?;
        let media_store = MediaStore::at(&settings.media.location(dir)?, database.clone()).await?;
        let picture_budget = PictureBudget::new(&settings.media);
        let chat_files = ChatFiles::new(inputs(&settings.media), picture_budget.clone())?;
        let inputs = InputResolver::new(media_store.clone(), inputs(&settings.media), picture_budget.clone())?;
        let queue = Arc::new(SqlStore::new(database.clone()));
        let links = provider_links(settings, &database).await?;
        let jobs = Jobs::new(queue.clone(), media_store.clone(), jobs(&settings.jobs, &settings.media))
            .with_links(links.clone())
            .with_ledger(ledger.clone())
            .with_inspector(ClipInspector::new(media_store.clone(), picture_budget.clone()));
        let background = TaskTracker::new();
        let all = all_models(settings, settings, None, &media_store, &picture_budget, &background)?;
        let catalog = Catalog::new(all.chat, all.image, all.video);
        let detached = DetachedCalls::on(Handle::current());
        let chat = ChatGrpc::new(catalog.chat.clone(), settings.chat.on_disconnect, detached.clone(), chat_files);
        let image = ImageGrpc::new(
            catalog.image.clone(),
            media_store.clone(),
            inputs.clone(),
            picture_budget.clone(),
            settings.image.idempotency_ttl,
        );
        let webhook_settings = Live::new(settings.webhooks.clone());
        let (webhook, dispatcher) = webhooks(&settings.webhooks, &webhook_settings, &database, &jobs)?;
        let callback_rule = CallbackRule::new(address_policy(&settings.webhooks), webhook_settings.clone());
        let video = VideoGrpc::new(catalog.video.clone(), jobs.clone(), inputs).with_callbacks(callback_rule);
        let shared_calls = node.shares_database().then(|| SharedCalls::new(database.clone(), node.clone()));
        let image = image.with_shared_calls(shared_calls).with_keys(keys.clone()).with_ledger(ledger.clone());
        let image = Arc::new(image.with_max_message_bytes(settings.grpc.max_message_bytes));
        let video = Arc::new(video.with_keys(keys.clone()));
        let usage = UsageGrpc::new(ledger.clone(), image.clone(), video.clone(), keys.clone());
        let chat = Arc::new(chat.with_keys(keys.clone()).with_ledger(ledger));
        let calls = ModelCalls { chat: chat.clone(), image: image.clone() };
        let (response, responses) = responses(&settings.responses, &database, &keys, calls, node.clone()).await?;
        let services = Services {
            chat,
            response: Arc::new(response),
            image,
            video,
            webhook: Arc::new(webhook.with_keys(keys.clone())),
            usage: Arc::new(usage),
            admin: Arc::new(AdminGrpc::new(key_registry.clone(), ledger_store, jobs.clone())),
            model: Arc::new(ModelGrpc::new(catalog.clone()).with_keys(keys.clone())),
            media: Arc::new(MediaGrpc::new(media_store.clone()).with_links(links.clone())),
        };
        let sweeper = Sweeper::new(media_store.clone(), retention(&settings.media), Arc::new(jobs.clone()))
            .start(node.singleton_task("sweep media"));
        let health = Health::start(database.clone(), media_store.clone(), &background).await;
        metrics::describe();
        let sampler = sampler::start(database.clone(), Clock::of(&database), &background);
        let followers = follow_other_nodes(settings, &database, &queue, &key_registry, &background)?;
        let runner = Runner::start(queue, jobs, catalog.video.clone());
        Ok(Self {
            settings: settings.clone(),
            services,
            keys,
            prices,
            catalog,
            cors_allow_origins: Live::new(settings.grpc.cors_allow_origins.clone()),
            webhook_settings,
            links,
            health,
            announced: Announcement::default(),
            lost_events,
            applied: Mutex::new(Box::new(settings.clone())),
            media_store,
            picture_budget,
            drain_deadline: OnceLock::new(),
            detached,
            background,
            runner,
            responses,
            dispatcher,
            sweeper,
            ledger: ledger_task,
            sampler,
            followers,
            node: node_task,
            database,
            directory_lock,
        })
    }

    /// Applies the [reloadable settings](config::RELOADABLE) and returns the fixed ones that differ from those at start, which
    /// require a restart.
    ///
    /// Replaces API keys, prices, models, the settings of webhooks, the public base URL and CORS origins. Calls in flight continue with
    /// the old models; calls that start later use the new ones. The providers of a modality are created again, with new connections and
    /// closed circuit breakers, if its settings have changed. Video jobs find their provider by its id; without a provider of that id they fail.
    ///
    /// # Errors
    /// As for [`Core::open`]; all settings then stay as they were.
    pub fn reload(&self, settings: &Settings) -> Result<Vec<FixedSetting>, OpenError> {
        settings.validate()?;
        // Serializes reloads, so that keys and models always come from the same settings.
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        let running = Running { settings: &applied, catalog: &self.catalog };
        let (store, budget, background) = (&self.media_store, &self.picture_budget, &self.background);
        let all = all_models(settings, &self.settings, Some(&running), store, budget, background)?;
        self.keys.replace(&settings.keys, &settings.teams)?;
        self.prices.store(PriceTable::of(settings));
        self.catalog.replace(all.chat, all.image, all.video);
        self.webhook_settings.store(settings.webhooks.clone());
        self.links.set_base(settings.media.public_base_url.as_deref());
        self.cors_allow_origins.store(settings.grpc.cors_allow_origins.clone());
        **applied = settings.clone();
        Ok(FixedSetting::changed(&self.settings, settings))
    }

    /// Returns the models that are served.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Returns the gRPC services. Cheap to clone.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Returns the job events that were missing when the database was opened, if any.
    pub fn lost_events(&self) -> Option<LostEvents> {
        self.lost_events
    }

    /// Returns the gRPC health service.
    pub fn health_service(&self) -> HealthGrpc {
        self.health.service()
    }

    /// Reports all services as not serving, so that load balancers stop sending calls before the drain. Calls are still
    /// served; each HTTP/1.1 response closes its connection.
    pub async fn set_not_ready(&self) {
        self.announced.announce();
        self.health.set_not_ready().await;
    }

    /// Returns the announcement of the shutdown to clients that keep connections open.
    pub(crate) fn announced(&self) -> &Announcement {
        &self.announced
    }

    /// Returns the health that the server reports.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Returns the API keys that the core accepts.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns the settings of the gRPC server at start.
    pub fn grpc(&self) -> &Grpc {
        &self.settings.grpc
    }

    /// Returns the current CORS origins of the gRPC server.
    pub(crate) fn cors_allow_origins(&self) -> &Live<Vec<String>> {
        &self.cors_allow_origins
    }

    /// Returns the end of the drain. The first call starts the drain, which lasts `grpc.drain`.
    pub(crate) fn drain_deadline(&self) -> Instant {
        *self.drain_deadline.get_or_init(|| Instant::now() + self.settings.grpc.drain)
    }

    /// Stops the background work and closes the stores. Job steps in progress get `CLOSE_GRACE` to finish, then all leases
    /// are released, so that the next process does not have to wait for their expiry. Detached calls, which continue after their client
    /// has disconnected, get the rest of the drain.
    /// The services must not be called after this.
    pub async fn close(self) {
        let drain_deadline = self.drain_deadline();
        self.set_not_ready().await;
        let Self {
            services,
            detached,
            background,
            runner,
            responses,
            dispatcher,
            sweeper,
            ledger,
            sampler,
            followers,
            node,
            database,
            directory_lock,
            ..
        } = self;
        drop((sampler, followers));
        // Responses first, because they generate images.
        let Responses { runner: background_responses, sweeper: response_sweeper } = responses;
        tokio::join!(background_responses.stop(drain_deadline), response_sweeper.stop());
        let images = async {
            services.image.close().await;
            background.close();
            // Cancellations of provider tasks that are still unsent after the grace period are dropped.
            let _ = timeout(CLOSE_GRACE, background.wait()).await;
        };
        let webhooks = dispatcher.stop(CLOSE_GRACE);
        tokio::join!(images, detached.finish(drain_deadline), runner.stop(CLOSE_GRACE), webhooks, sweeper.stop());
        drop(services);
        ledger.stop().await;
        node.leave().await;
        database.close().await;
        drop(directory_lock);
    }
}

/// Starts to follow what other nodes change. Without a shared database there are none.
fn follow_other_nodes(
    settings: &Settings,
    database: &Database,
    queue: &SqlStore,
    keys: &KeyRegistry,
    tasks: &TaskTracker,
) -> Result<Vec<DropGuard>, OpenError> {
    if !database.is_shared() {
        return Ok(Vec::new());
    }
    let notifications = notifications(settings, database)?;
    Ok(vec![queue.follow_other_nodes(notifications, tasks), keys.follow_other_nodes(tasks)])
}

/// Returns and logs the job events that an earlier process stored and that the database lacks.
async fn lost_events(database: &Database) -> Result<Option<LostEvents>, OpenError> {
    let lost_events = database.lost_events().await.map_err(database::OpenError::Connect)?;
    if let Some(lost) = lost_events {
        tracing::error!("{lost}");
    }
    Ok(lost_events)
}

/// Creates the service for responses, and starts to generate those that are queued.
async fn responses(
    settings: &config::Responses,
    database: &Database,
    keys: &Keys,
    calls: ModelCalls,
    node: Node,
) -> Result<(ResponseGrpc, Responses), Error> {
    let config::Responses { retention, max_stored_bytes, concurrency, max_queued_per_owner, max_queued } = *settings;
    let store = ResponseStore::new(database.clone(), max_stored_bytes);
    let (live, wake) = (LiveResponses::new(node.shares_database()), Arc::new(Notify::new()));
    let service = ResponseGrpc {
        store: store.clone(),
        calls: calls.clone(),
        keys: keys.clone(),
        live: live.clone(),
        wake: wake.clone(),
        queue_limits: QueueLimits { per_owner: max_queued_per_owner, total: max_queued },
    };
    let runner = BackgroundRunner { store: store.clone(), calls, keys: keys.clone(), live, wake, concurrency, node };
    let runner = runner.start().await?;
    let sweeper = ResponseSweeper { store, retention }.start();
    Ok((service, Responses { runner, sweeper }))
}

/// Creates the webhook service and starts the dispatcher. `live` are the settings that a reload replaces.
fn webhooks(
    settings: &config::Webhooks,
    live: &Live<config::Webhooks>,
    database: &Database,
    jobs: &Jobs,
) -> Result<(WebhookGrpc, DispatcherHandle), Error> {
    let address_policy = address_policy(settings);
    let registry = Registry::new(WebhookStore::new(database.clone()), live.clone());
    let attempts = Attempts::new(registry, Sender::new(address_policy)?);
    let wake = Arc::new(Notify::new());
    let dispatcher = Dispatcher::start(attempts.clone(), &*jobs.store, settings.max_in_flight, wake.clone());
    Ok((WebhookGrpc::new(attempts, jobs.clone(), address_policy, wake), dispatcher))
}

#[cfg(test)]
mod tests;
