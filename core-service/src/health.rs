//! Health: whether each service can serve, by the state of the stores it needs; the gRPC health service.
//!
//! A task probes the stores at intervals, so that a health call costs nothing and never waits for a store. A service serves while its
//! stores can be read. Whether they can be written is a metric: on a full disk, reads and chat go on, and creates are refused with an
//! error of their own.
//!
//! If a database that several nodes (processes) share cannot be reached, this concerns all of them. Then the services that need it
//! are reported as not serving, and the nodes stay ready: otherwise no node would be left for chat.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::BoxStream};
use tokio::{
    sync::Mutex,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, HealthCheckResponse, health_check_response, health_server::Health as HealthProtocol},
    server::{HealthReporter, HealthService},
};
use triptych_proto::v1::{
    admin_service_server, chat_service_server, image_service_server, media_service_server, model_service_server,
    response_service_server, usage_service_server, video_service_server, webhook_service_server,
};

use crate::{database::Database, media::MediaStore, metrics};

/// The interval between two probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The maximum duration of a probe. A store that takes longer counts as unavailable.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The stores that a service needs: the database, here `Jobs`, and the store of media files.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Needs {
    Nothing,
    Jobs,
    Media,
    JobsAndMedia,
}

/// The names that the health service knows. The empty name stands for the whole server.
pub(crate) const NAMES: [(&str, Needs); 10] = [
    ("", Needs::JobsAndMedia),
    (chat_service_server::SERVICE_NAME, Needs::Nothing),
    (response_service_server::SERVICE_NAME, Needs::Jobs),
    (image_service_server::SERVICE_NAME, Needs::Media),
    (video_service_server::SERVICE_NAME, Needs::JobsAndMedia),
    (webhook_service_server::SERVICE_NAME, Needs::Jobs),
    (usage_service_server::SERVICE_NAME, Needs::Jobs),
    (admin_service_server::SERVICE_NAME, Needs::Jobs),
    (model_service_server::SERVICE_NAME, Needs::Nothing),
    (media_service_server::SERVICE_NAME, Needs::Media),
];

/// Which of the stores can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stores {
    jobs: bool,
    media: bool,
}

impl Stores {
    /// Returns the status of a service that needs these stores.
    fn satisfy(self, needs: Needs) -> ServingStatus {
        let is_serving = match needs {
            Needs::Nothing => true,
            Needs::Jobs => self.jobs,
            Needs::Media => self.media,
            Needs::JobsAndMedia => self.jobs && self.media,
        };
        if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing }
    }
}

/// The health of a core. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    reporter: HealthReporter,
    /// The stores without which the server is not ready.
    server_needs: Needs,
    /// Whether a shutdown has begun, after which the state of the stores is not reported any more.
    is_shutting_down: Arc<Mutex<bool>>,
    stop: CancellationToken,
}

impl Health {
    /// Reports all services as serving, and starts to probe the stores. With a database that other nodes share, its failure does not make
    /// the server unready.
    pub(crate) async fn start(database: Database, media_store: MediaStore, tasks: &TaskTracker) -> Self {
        let health = Self {
            reporter: HealthReporter::new(),
            server_needs: if database.is_shared() { Needs::Nothing } else { Needs::JobsAndMedia },
            is_shutting_down: Arc::default(),
            stop: CancellationToken::new(),
        };
        health.report(Stores { jobs: true, media: true }).await;
        let probing = health.clone();
        tasks.spawn(async move {
            // Boxed because it holds the probes of both stores.
            let probes = Box::pin(probing.probe_forever(&database, &media_store));
            probing.stop.run_until_cancelled(probes).await;
        });
        health
    }

    /// Returns the gRPC health service.
    pub(crate) fn service(&self) -> HealthGrpc {
        HealthGrpc(Arc::new(HealthService::from_health_reporter(self.reporter.clone())))
    }

    /// Reports all services as not serving. Later probes do not change this.
    pub(crate) async fn set_not_ready(&self) {
        self.stop.cancel();
        *self.is_shutting_down.lock().await = true;
        for (name, _) in NAMES {
            self.reporter.set_service_status(name, ServingStatus::NotServing).await;
        }
    }

    /// Ends the streams that watch a name, after they got the last status. Otherwise they would keep the drain waiting until its
    /// deadline.
    pub(crate) async fn end_watches(&self) {
        for (name, _) in NAMES {
            self.reporter.clone().clear_service_status(name).await;
        }
    }

    /// Probes the stores at intervals; reports and logs changes.
    async fn probe_forever(&self, database: &Database, media_store: &MediaStore) {
        let mut ticks = interval(PROBE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = Stores { jobs: true, media: true };
        let mut writable = [true, true];
        loop {
            ticks.tick().await;
            let (jobs, media, jobs_writable, media_writable) = tokio::join!(
                bounded(database.probe_jobs()),
                bounded(media_store.probe()),
                bounded(database.probe_writable()),
                bounded(media_store.probe_writable()),
            );
            writable = report_writable(writable, [&jobs_writable, &media_writable]);
            for (store, was_available, state) in [("job", known.jobs, &jobs), ("media", known.media, &media)] {
                match state {
                    Err(error) if was_available => tracing::error!("the {store} store is unavailable: {error}"),
                    Ok(()) if !was_available => tracing::info!("the {store} store is available again"),
                    Ok(()) | Err(_) => {}
                }
            }
            let stores = Stores { jobs: jobs.is_ok(), media: media.is_ok() };
            // Every report is sent to all watchers, even without a change.
            if stores != known {
                self.report(stores).await;
            }
            known = stores;
            // If the database lacks the latest event at the next start, that process reports it.
            if stores.jobs
                && let Ok(Err(error)) = timeout(PROBE_TIMEOUT, database.save_sequence()).await
            {
                tracing::debug!("the number of the latest job event cannot be saved: {error}");
            }
        }
    }

    /// Reports the status of every service, unless a shutdown has begun.
    async fn report(&self, stores: Stores) {
        // Held during the report, so that it cannot overwrite that of a shutdown.
        let is_shutting_down = self.is_shutting_down.lock().await;
        if *is_shutting_down {
            return;
        }
        for (name, needs) in NAMES {
            let needs = if name.is_empty() { self.server_needs } else { needs };
            self.reporter.set_service_status(name, stores.satisfy(needs)).await;
        }
    }
}

/// Runs a probe for at most [`PROBE_TIMEOUT`], and returns the text of its error.
async fn bounded<E: ToString>(probe: impl Future<Output = Result<(), E>>) -> Result<(), String> {
    match timeout(PROBE_TIMEOUT, probe).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_elapsed) => Err("no response".to_owned()),
    }
}

/// Reports whether the stores can be written, and logs changes. Returns the new state.
fn report_writable(known: [bool; 2], probes: [&Result<(), String>; 2]) -> [bool; 2] {
    for ((store, was_writable), probe) in ["jobs", "media"].into_iter().zip(known).zip(probes) {
        metrics::storage_writable(store, probe.is_ok());
        match probe {
            Err(error) if was_writable => {
                tracing::error!("the {store} store is not writable: creates are refused, reads continue: {error}");
            }
            Ok(()) if !was_writable => tracing::info!("the {store} store is writable again"),
            Ok(()) | Err(_) => {}
        }
    }
    probes.map(Result::is_ok)
}

/// The gRPC health service of a core. Clones share it.
#[derive(Debug, Clone)]
pub struct HealthGrpc(Arc<HealthService>);

impl HealthGrpc {
    /// Returns whether the core can use its stores, and no shutdown has begun.
    pub async fn is_serving(&self) -> bool {
        let health = self.0.check(Request::new(HealthCheckRequest::default())).await;
        health.is_ok_and(|health| health.get_ref().status() == health_check_response::ServingStatus::Serving)
    }
}

#[tonic::async_trait]
impl HealthProtocol for HealthGrpc {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.0.check(request).await
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(self.0.watch(request).await?.map(StreamExt::boxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn status(health: &Health, service: &str) -> ServingStatus {
        let request = Request::new(HealthCheckRequest { service: service.to_owned() });
        match health.service().check(request).await.unwrap().into_inner().status {
            // `SERVING` in the protocol.
            1 => ServingStatus::Serving,
            _ => ServingStatus::NotServing,
        }
    }

    #[tokio::test]
    async fn each_service_is_reported_by_the_stores_it_needs() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("jobs.sqlite")).await.unwrap();
        let media = MediaStore::local(&directory.path().join("media"), database.clone()).await.unwrap();
        assert_eq!(database.probe_jobs().await.map_err(|e| e.to_string()), Ok(()));
        assert_eq!(media.probe().await, Ok(()));
        sqlx::query("DROP TABLE job_events").execute(database.writer()).await.unwrap();
        sqlx::query("DROP TABLE video_jobs").execute(database.writer()).await.unwrap();
        assert!(database.probe_jobs().await.is_err());
        assert_eq!(media.probe().await, Ok(()));

        let health = Health::start(database.clone(), media.clone(), &TaskTracker::new()).await;
        // Ends the probes, so that they do not report.
        health.stop.cancel();
        // Whether each service is reported as serving, in the order of `NAMES`.
        for (stores, expected) in [
            (Stores { jobs: false, media: true }, [false, true, false, true, false, false, false, false, true, true]),
            (Stores { jobs: true, media: false }, [false, true, true, false, false, true, true, true, true, false]),
        ] {
            health.report(stores).await;
            for ((name, _), is_serving) in NAMES.into_iter().zip(expected) {
                let is_reported_serving = status(&health, name).await == ServingStatus::Serving;
                assert_eq!(is_reported_serving, is_serving, "{name} {stores:?}");
            }
        }
        health.set_not_ready().await;
        health.report(Stores { jobs: true, media: true }).await;
        assert_eq!(status(&health, "triptych.v1.ChatService").await, ServingStatus::NotServing);
    }

    #[tokio::test]
    async fn removed_data_directory_makes_both_stores_unavailable() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let database = Database::open(&data.join("jobs.sqlite")).await.unwrap();
        let media = MediaStore::local(&data.join("media"), database.clone()).await.unwrap();
        std::fs::remove_dir_all(&data).unwrap();
        assert!(database.probe_jobs().await.unwrap_err().to_string().contains("removed or replaced"));
        assert!(media.probe().await.is_err());
        let key = crate::media::MediaKey::parse("a.png").unwrap();
        assert!(matches!(media.put(&key, vec![0; 4]).await, Err(crate::error::Error::Storage(_))));
        assert!(!data.exists(), "nothing is written beside the database that was removed");
        // A new file at the same path is not the database that is open.
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("jobs.sqlite"), "").unwrap();
        assert!(database.check_file().await.is_err());
    }
}
