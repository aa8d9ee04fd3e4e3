//! The roles of the process: core and gateway together, the core alone, the gateway alone.
//!
//! Each role binds its addresses first, so that an address in use fails immediately, then opens the core, prints the start-up
//! banner, serves, drains and closes.

use std::{path::PathBuf, pin::pin, sync::Arc};

use anyhow::Context as _;
use core_service::Core;
use http_server::{BoundListener, ConnectionThreads};
use rest_gateway::{
    Gateway,
    core_client::{ConnectOptions, CoreServices, KeyCheck},
};
use tokio_util::sync::CancellationToken;

use crate::{
    admin_server::{AdminRoutes, AdminServer},
    banner::{Banner, CoreLocation},
    certificates::Certificates,
    config::Config,
    log_filter::LogFilter,
    output::Output,
    ports,
    reload::Reload,
    signals::{self, Requests},
};

/// What each role needs from the start of the process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) config: Config,
    /// The configuration file of the command line, which a reload reads again.
    pub(crate) file: Option<PathBuf>,
    /// The log filter, which a reload replaces.
    pub(crate) log_filter: LogFilter,
    /// Where the start-up banner is written.
    pub(crate) stdout: Output,
}

/// Runs the core and the gateway in one process.
pub(crate) async fn serve(process: Process) -> anyhow::Result<()> {
    let Process { config, file, log_filter, stdout } = process;
    let Requests { not_ready, stop, reloads } = signals::handle(config.shutdown_delay)?;
    let mut certificates = Certificates::default();
    let rest = ports::rest(&config, &mut certificates).await?;
    let grpc = ports::grpc(&config, &mut certificates).await?;
    let admin = ports::admin(&config).await?;
    let threads = start_threads(&config)?;
    let core = open(&config).await?;
    let banner = Banner {
        config: &config,
        core: CoreLocation::InProcess,
        rest: Some(ports::server(&rest, &config.rest.tls)?),
        grpc: Some(ports::server(&grpc, &config.grpc_tls)?),
        admin: admin.as_ref().map(BoundListener::address).transpose()?,
        // Job events that an earlier process stored and that are missing now: the database was lost or replaced by an older copy.
        lost_events: core.lost_events(),
        stored_keys: core.keys().stored(),
    };
    print_banner(&stdout, &banner);
    let gateway = Gateway::new(in_process(&core), config.gateway.clone());
    let routes = AdminRoutes::Gateway(gateway.admin_router());
    let admin = admin.map(|listener| AdminServer::start(listener, Some(core.catalog().clone()), routes)).transpose()?;
    let servers = async {
        tokio::join!(
            stop_siblings(&stop, core_service::serve(grpc, &core, &threads, stop.clone().cancelled_owned())),
            stop_siblings(&stop, gateway.serve(rest, &threads, stop.clone().cancelled_owned())),
        )
    };
    let shutdown = async {
        not_ready.cancelled().await;
        gateway.set_not_ready();
        core.set_not_ready().await;
    };
    let reload = Reload::new(&config, file, log_filter, certificates);
    let reload = reload.run(reloads, Some(&core), Some(&gateway));
    let (grpc, ()) = run_with_signal_tasks(servers, shutdown, reload).await;
    core.close().await;
    close(admin).await;
    Ok(grpc?)
}

/// Runs the core alone.
pub(crate) async fn core(process: Process) -> anyhow::Result<()> {
    let Process { config, file, log_filter, stdout } = process;
    let Requests { not_ready, stop, reloads } = signals::handle(config.shutdown_delay)?;
    let mut certificates = Certificates::default();
    let grpc = ports::grpc(&config, &mut certificates).await?;
    let admin = ports::admin(&config).await?;
    let threads = start_threads(&config)?;
    let core = open(&config).await?;
    let banner = Banner {
        config: &config,
        core: CoreLocation::InProcess,
        rest: None,
        grpc: Some(ports::server(&grpc, &config.grpc_tls)?),
        admin: admin.as_ref().map(BoundListener::address).transpose()?,
        lost_events: core.lost_events(),
        stored_keys: core.keys().stored(),
    };
    print_banner(&stdout, &banner);
    let routes = AdminRoutes::Core(core.health_service());
    let admin = admin.map(|listener| AdminServer::start(listener, Some(core.catalog().clone()), routes)).transpose()?;
    let server = core_service::serve(grpc, &core, &threads, stop.cancelled_owned());
    let shutdown = async {
        not_ready.cancelled().await;
        core.set_not_ready().await;
    };
    let reload = Reload::new(&config, file, log_filter, certificates);
    let result = run_with_signal_tasks(server, shutdown, reload.run(reloads, Some(&core), None)).await;
    core.close().await;
    close(admin).await;
    Ok(result?)
}

/// Runs the gateway alone, in front of the core at `url`.
pub(crate) async fn gateway(process: Process, url: &str) -> anyhow::Result<()> {
    let Process { config, file, log_filter, stdout } = process;
    let Requests { not_ready, stop, reloads } = signals::handle(config.shutdown_delay)?;
    let mut certificates = Certificates::default();
    let rest = ports::rest(&config, &mut certificates).await?;
    let admin = ports::admin(&config).await?;
    let tls = if url.starts_with("https:") { Some(certificates.core(&config)?) } else { None };
    let max_message_bytes = config.core.grpc.max_message_bytes;
    let options = ConnectOptions { max_message_bytes, tls, ..ConnectOptions::default() };
    let threads = start_threads(&config)?;
    let core = CoreServices::connect(url, options).with_context(|| {
        format!(
            "--core {url}: must be http://HOST:PORT, https://HOST:PORT or unix:PATH, for example http://127.0.0.1:50051"
        )
    })?;
    let banner = Banner {
        config: &config,
        core: CoreLocation::Remote(url),
        rest: Some(ports::server(&rest, &config.rest.tls)?),
        grpc: None,
        admin: admin.as_ref().map(BoundListener::address).transpose()?,
        lost_events: None,
        stored_keys: 0,
    };
    print_banner(&stdout, &banner);
    let gateway = Gateway::new(core, config.gateway.clone());
    let routes = AdminRoutes::Gateway(gateway.admin_router());
    let admin = admin.map(|listener| AdminServer::start(listener, None, routes)).transpose()?;
    let server = gateway.serve(rest, &threads, stop.cancelled_owned());
    let shutdown = async {
        not_ready.cancelled().await;
        gateway.set_not_ready();
    };
    let reload = Reload::new(&config, file, log_filter, certificates);
    run_with_signal_tasks(server, shutdown, reload.run(reloads, None, Some(&gateway))).await;
    close(admin).await;
    Ok(())
}

/// Ends the admin server, if there is one.
async fn close(admin: Option<AdminServer>) {
    if let Some(admin) = admin {
        admin.close().await;
    }
}

/// Runs the servers to their end, and meanwhile the shutdown and reload tasks.
async fn run_with_signal_tasks<T>(
    servers: impl Future<Output = T>,
    shutdown: impl Future<Output = ()>,
    reload: impl Future<Output = ()>,
) -> T {
    let mut servers = pin!(servers);
    tokio::select! {
        served = &mut servers => return served,
        ((), ()) = async { tokio::join!(shutdown, reload) } => {}
    }
    servers.await
}

/// Runs one of several servers. When it ends, for any reason, the others are stopped.
async fn stop_siblings<T>(stop: &CancellationToken, server: impl Future<Output = T>) -> T {
    let result = server.await;
    stop.cancel();
    result
}

/// Starts the threads that serve the connections of the REST and gRPC ports. The admin port has its own.
fn start_threads(config: &Config) -> anyhow::Result<ConnectionThreads> {
    ConnectionThreads::start(config.threads.0).context("cannot start the connection threads")
}

async fn open(config: &Config) -> anyhow::Result<Core> {
    Core::open(&config.core).await.context("the core cannot start")
}

/// Returns the core for the gateway: direct calls of the services, without a network connection.
fn in_process(core: &Core) -> CoreServices {
    let services = core.services();
    CoreServices {
        chat: Arc::clone(&services.chat) as _,
        response: Arc::clone(&services.response) as _,
        image: Arc::clone(&services.image) as _,
        video: Arc::clone(&services.video) as _,
        webhook: Arc::clone(&services.webhook) as _,
        usage: Arc::clone(&services.usage) as _,
        admin: Arc::clone(&services.admin) as _,
        model: Arc::clone(&services.model) as _,
        media: Arc::clone(&services.media) as _,
        key_check: Some(key_check(core)),
        health: Arc::new(core.health_service()),
    }
}

fn key_check(core: &Core) -> KeyCheck {
    let keys = core.keys().clone();
    Arc::new(move |authorization, report| keys.check(authorization, report))
}

fn print_banner(stdout: &Output, banner: &Banner<'_>) {
    stdout.send(banner.to_string().as_bytes());
    for (server, address) in banner.exposed() {
        tracing::warn!(
            "{server} listens on {address}, which other machines can reach, and {}",
            banner.exposure_warning()
        );
    }
    if let Some(reason) = banner.pages_off() {
        tracing::info!("the pages for browsers are not served: {reason}");
    }
}
