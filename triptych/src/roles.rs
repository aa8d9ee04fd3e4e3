//! The roles of the process: core and gateway together, the core alone, the gateway alone.
//!
//! Each role binds its addresses first, so that an address in use fails immediately, then opens the core, prints the start-up
//! banner, serves, drains and closes.

use std::{net::SocketAddr, path::PathBuf, pin::pin, sync::Arc};

use anyhow::Context as _;
use core_service::Core;
use http_server::ConnectionThreads;
use rest_gateway::{
    Gateway,
    core_client::{ConnectOptions, CoreServices, KeyCheck},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    banner::{Banner, CoreLocation},
    config::{Config, variable},
    log_filter::LogFilter,
    metrics_server,
    output::Output,
    reload::Reload,
    signals::{self, Requests},
};

/// The configuration and the standard output of the process.
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
    let rest = bind(&config, "rest.listen", config.rest.listen).await?;
    let grpc = bind(&config, "grpc.listen", config.core.grpc.listen).await?;
    let threads = start_threads(&config)?;
    let core = open(&config).await?;
    let banner = Banner {
        config: &config,
        core: CoreLocation::InProcess,
        rest: Some(rest.local_addr()?),
        grpc: Some(grpc.local_addr()?),
        lost_events: core.lost_events(),
        stored_keys: core.keys().stored(),
    };
    print_banner(&stdout, &banner);
    metrics_server::start(&config, Some(core.catalog().clone())).await?;
    let gateway = Gateway::new(in_process(&core), config.gateway.clone());
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
    let reload = Reload::new(&config, file, log_filter);
    let reload = reload.run(reloads, Some(&core), Some(&gateway));
    let (grpc, ()) = run_with_signal_tasks(servers, shutdown, reload).await;
    core.close().await;
    Ok(grpc?)
}

/// Runs the core alone.
pub(crate) async fn core(process: Process) -> anyhow::Result<()> {
    let Process { config, file, log_filter, stdout } = process;
    let Requests { not_ready, stop, reloads } = signals::handle(config.shutdown_delay)?;
    let grpc = bind(&config, "grpc.listen", config.core.grpc.listen).await?;
    let threads = start_threads(&config)?;
    let core = open(&config).await?;
    let grpc_address = Some(grpc.local_addr()?);
    print_banner(
        &stdout,
        &Banner {
            config: &config,
            core: CoreLocation::InProcess,
            rest: None,
            grpc: grpc_address,
            lost_events: core.lost_events(),
            stored_keys: core.keys().stored(),
        },
    );
    metrics_server::start(&config, Some(core.catalog().clone())).await?;
    let server = core_service::serve(grpc, &core, &threads, stop.cancelled_owned());
    let shutdown = async {
        not_ready.cancelled().await;
        core.set_not_ready().await;
    };
    let reload = Reload::new(&config, file, log_filter);
    let result = run_with_signal_tasks(server, shutdown, reload.run(reloads, Some(&core), None)).await;
    core.close().await;
    Ok(result?)
}

/// Runs the gateway alone, in front of the core at `url`.
pub(crate) async fn gateway(process: Process, url: &str) -> anyhow::Result<()> {
    let Process { config, file, log_filter, stdout } = process;
    let Requests { not_ready, stop, reloads } = signals::handle(config.shutdown_delay)?;
    let rest = bind(&config, "rest.listen", config.rest.listen).await?;
    let options = ConnectOptions { max_message_bytes: config.core.grpc.max_message_bytes, ..ConnectOptions::default() };
    let threads = start_threads(&config)?;
    let core = CoreServices::connect(url, options)
        .with_context(|| format!("--core {url}: must be a URL, for example http://127.0.0.1:50051"))?;
    let rest_address = Some(rest.local_addr()?);
    print_banner(
        &stdout,
        &Banner {
            config: &config,
            core: CoreLocation::Remote(url),
            rest: rest_address,
            grpc: None,
            lost_events: None,
            stored_keys: 0,
        },
    );
    metrics_server::start(&config, None).await?;
    let gateway = Gateway::new(core, config.gateway.clone());
    let server = gateway.serve(rest, &threads, stop.cancelled_owned());
    let shutdown = async {
        not_ready.cancelled().await;
        gateway.set_not_ready();
    };
    let reload = Reload::new(&config, file, log_filter);
    run_with_signal_tasks(server, shutdown, reload.run(reloads, None, Some(&gateway))).await;
    Ok(())
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

async fn bind(config: &Config, key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let message =
            format!("cannot listen: {error}; set another address in {}, or port 0 for a free port", variable(key));
        config.layers.config_error(key, &message).into()
    })
}

/// Starts the threads that serve the connections of both ports.
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
    Arc::new(move |authorization| keys.check(authorization))
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
