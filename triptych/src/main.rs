//! `triptych`: the core, the gateway, or both in one process.

mod banner;
mod check;
mod cli;
mod config;
mod roles;
mod signals;
mod telemetry;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use crate::{
    cli::{Cli, Role},
    config::Config,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("triptych: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let config = Config::load(cli.config.as_deref())?;
    let role = cli.role.unwrap_or_default();
    if let Role::Check = role {
        if let Some(line) = config.ignored() {
            eprintln!("triptych: {line}");
        }
        return check::print(&config);
    }
    // Before the first TLS client is created: rustls selects no provider by itself if dependencies enable several.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is already installed");
    }
    telemetry::start(&config.log)?;
    if let Some(line) = config.ignored() {
        tracing::info!("{line}");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let result = runtime.block_on(async {
        match role {
            Role::Serve => roles::serve(config).await,
            Role::Core => roles::core(config).await,
            Role::Gateway(gateway) => roles::gateway(config, &gateway.core).await,
            Role::Check => Ok(()),
        }
    });
    // Dropping the runtime would wait for an offline render. Its job is stored, and the next process starts the render again.
    runtime.shutdown_background();
    result
}
