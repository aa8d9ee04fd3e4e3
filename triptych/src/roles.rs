//! What a process can be: everything, the core alone, the gateway alone.
//!
//! The order is the same in all of them: bind, so that a taken port fails at once; open; tell; serve; drain; close.

use std::{io::Write as _, net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use core_service::Core;
use rest_gateway::{
    Gateway,
    core_client::{ConnectOptions, CoreServices},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    banner::{Banner, Panels},
    config::{Config, variable},
    signals,
};

/// The core and the gateway in one process.
pub(crate) async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = signals::stop()?;
    let rest = bind(&config, "rest.listen", config.rest.listen).await?;
    let grpc = bind(&config, "grpc.listen", config.core.grpc.listen).await?;
    let core = open(&config).await?;
    tell(&Banner {
        config: &config,
        panels: Panels::Here,
        rest: Some(rest.local_addr()?),
        grpc: Some(grpc.local_addr()?),
    });
    let gateway = Gateway::new(port(&core), config.gateway.clone());
    let (grpc, rest) = tokio::join!(
        whole(&stop, core_service::serve(grpc, &core, stop.clone().cancelled_owned())),
        whole(&stop, gateway.serve(rest, stop.clone().cancelled_owned())),
    );
    core.close().await;
    grpc?;
    rest.context("the REST server failed")
}

/// The core alone.
pub(crate) async fn core(config: Config) -> anyhow::Result<()> {
    let stop = signals::stop()?;
    let grpc = bind(&config, "grpc.listen", config.core.grpc.listen).await?;
    let core = open(&config).await?;
    tell(&Banner { config: &config, panels: Panels::Here, rest: None, grpc: Some(grpc.local_addr()?) });
    let served = core_service::serve(grpc, &core, stop.cancelled_owned()).await;
    core.close().await;
    Ok(served?)
}

/// The gateway alone.
pub(crate) async fn gateway(config: Config, core: &str) -> anyhow::Result<()> {
    let stop = signals::stop()?;
    let rest = bind(&config, "rest.listen", config.rest.listen).await?;
    let options = ConnectOptions { max_message_bytes: config.core.grpc.max_message_bytes, ..ConnectOptions::default() };
    let port = CoreServices::connect(core, options)
        .with_context(|| format!("--core {core}: must be an address such as http://127.0.0.1:50051"))?;
    tell(&Banner { config: &config, panels: Panels::At(core), rest: Some(rest.local_addr()?), grpc: None });
    let served = Gateway::new(port, config.gateway).serve(rest, stop.cancelled_owned()).await;
    served.context("the REST server failed")
}

/// One server of several: when it ends, for whatever reason, the others are stopped as well.
async fn whole<T>(stop: &CancellationToken, server: impl Future<Output = T>) -> T {
    let ended = server.await;
    stop.cancel();
    ended
}

async fn bind(config: &Config, key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let message =
            format!("cannot listen there: {error}; {} chooses another address, and port 0 a free one", variable(key));
        config.layers.complain(key, &message).into()
    })
}

async fn open(config: &Config) -> anyhow::Result<Core> {
    Core::open(&config.core).await.context("the core cannot start")
}

/// The gateway's port, with the core's own services behind it.
fn port(core: &Core) -> CoreServices {
    let services = core.services();
    CoreServices {
        chat: Arc::clone(&services.chat) as _,
        image: Arc::clone(&services.image) as _,
        video: Arc::clone(&services.video) as _,
        model: Arc::clone(&services.model) as _,
        media: Arc::clone(&services.media) as _,
    }
}

fn tell(banner: &Banner<'_>) {
    // A reader that has gone away is no reason to stop serving.
    let _ = write!(std::io::stdout().lock(), "{banner}");
    let _ = std::io::stdout().flush();
    for (door, address) in banner.exposed() {
        tracing::warn!("{door} listens beyond this machine, on {address}, and {}", banner.worry());
    }
}
