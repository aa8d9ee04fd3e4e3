//! The roles of the process: core and gateway together, the core alone, the gateway alone.
//!
//! Each role binds its addresses first, so that an address in use fails immediately, then opens the core, prints the start-up
//! text, serves, drains and closes.

use std::{io::Write as _, net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use core_service::Core;
use http_server::ConnectionThreads;
use rest_gateway::{
    Gateway,
    core_client::{ConnectOptions, CoreServices},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    banner::{Banner, CoreLocation},
    config::{Config, variable},
    signals,
};

/// Runs the core and the gateway in one process.
pub(crate) async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = signals::stop()?;
    let rest = bind(&config, "rest.listen", config.rest.listen).await?;
    let grpc = bind(&config, "grpc.listen", config.core.grpc.listen).await?;
    let core = open(&config).await?;
    print_banner(&Banner {
        config: &config,
        core: CoreLocation::InProcess,
        rest: Some(rest.local_addr()?),
        grpc: Some(grpc.local_addr()?),
    });
    let gateway = Gateway::new(in_process(&core), config.gateway.clone());
    let threads = start_threads(&config)?;
    let (grpc, ()) = tokio::join!(
        stop_siblings(&stop, core_service::serve(grpc, &core, &threads, stop.clone().cancelled_owned())),
        stop_siblings(&stop, gateway.serve(rest, &threads, stop.clone().cancelled_owned())),
    );
    core.close().await;
    Ok(grpc?)
}

/// Runs the core alone.
pub(crate) async fn core(config: Config) -> anyhow::Result<()> {
    let stop = signals::stop()?;
    let grpc = bind(&config, "grpc.listen", config.core.grpc.listen).await?;
    let core = open(&config).await?;
    let grpc_address = Some(grpc.local_addr()?);
    print_banner(&Banner { config: &config, core: CoreLocation::InProcess, rest: None, grpc: grpc_address });
    let served = core_service::serve(grpc, &core, &start_threads(&config)?, stop.cancelled_owned()).await;
    core.close().await;
    Ok(served?)
}

/// Runs the gateway alone, in front of the core at `url`.
pub(crate) async fn gateway(config: Config, url: &str) -> anyhow::Result<()> {
    let stop = signals::stop()?;
    let rest = bind(&config, "rest.listen", config.rest.listen).await?;
    let options = ConnectOptions { max_message_bytes: config.core.grpc.max_message_bytes, ..ConnectOptions::default() };
    let core = CoreServices::connect(url, options)
        .with_context(|| format!("--core {url}: must be a URL, for example http://127.0.0.1:50051"))?;
    let rest_address = Some(rest.local_addr()?);
    print_banner(&Banner { config: &config, core: CoreLocation::Remote(url), rest: rest_address, grpc: None });
    let threads = start_threads(&config)?;
    Gateway::new(core, config.gateway).serve(rest, &threads, stop.cancelled_owned()).await;
    Ok(())
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
        model: Arc::clone(&services.model) as _,
        media: Arc::clone(&services.media) as _,
    }
}

fn print_banner(banner: &Banner<'_>) {
    // A closed standard output does not prevent serving.
    let _ = write!(std::io::stdout().lock(), "{banner}");
    let _ = std::io::stdout().flush();
    for (server, address) in banner.exposed() {
        tracing::warn!(
            "{server} listens on {address}, which other machines can reach, and {}",
            banner.exposure_warning()
        );
    }
}
