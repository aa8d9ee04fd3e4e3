//! Reload of the configuration at run time, which a SIGHUP requests.

use std::path::PathBuf;

use core_service::Core;
use rest_gateway::Gateway;
use tokio::sync::mpsc::Receiver;

use crate::config::Config;

/// Reloads the configuration for each request. Runs until no more requests can come.
pub(crate) async fn run(
    mut requests: Receiver<()>,
    running: &Config,
    file: Option<PathBuf>,
    core: Option<&Core>,
    gateway: Option<&Gateway>,
) {
    while requests.recv().await.is_some() {
        let file = file.clone();
        let loaded = tokio::task::spawn_blocking(move || Config::load(file.as_deref())).await;
        let applied = match loaded {
            Ok(Ok(config)) => apply(config, running, core, gateway),
            Ok(Err(error)) => Err(error.into()),
            Err(error) => Err(error.into()),
        };
        match applied {
            Ok(fixed) if fixed.is_empty() => tracing::info!("reloaded the configuration"),
            Ok(fixed) => {
                tracing::warn!(
                    "reloaded the configuration; changes of these settings need a restart: {}",
                    fixed.join(", ")
                );
            }
            Err(error) => tracing::error!("the configuration was not reloaded, nothing has changed: {error:#}"),
        }
    }
}

/// Applies the settings that can change at run time, and returns the changed ones that need a restart.
fn apply(
    mut config: Config,
    running: &Config,
    core: Option<&Core>,
    gateway: Option<&Gateway>,
) -> anyhow::Result<Vec<&'static str>> {
    let mut fixed = Vec::new();
    if let Some(core) = core {
        fixed.extend(core.reload(&config.core)?.into_iter().map(core_service::config::FixedSetting::key));
    }
    if let Some(gateway) = gateway {
        // Follows media.signing_key and media.link_ttl, which are fixed.
        config.gateway.runtime.link_signer.clone_from(&running.gateway.runtime.link_signer);
        gateway.reload(config.gateway.runtime.clone());
        fixed.extend((config.rest.listen != running.rest.listen).then_some("rest.listen"));
        let server = |config: &Config| {
            let rest_gateway::Settings { server, drain, body_memory_bytes, runtime: _ } = &config.gateway;
            format!("{server:?} {drain:?} {body_memory_bytes}")
        };
        fixed.extend((server(&config) != server(running)).then_some("the server settings of [rest]"));
    }
    fixed.extend((config.threads != running.threads).then_some("threads"));
    fixed.extend((config.shutdown_delay != running.shutdown_delay).then_some("shutdown_delay"));
    fixed.extend((format!("{:?}", config.log) != format!("{:?}", running.log)).then_some("[log]"));
    fixed.extend((format!("{:?}", config.telemetry) != format!("{:?}", running.telemetry)).then_some("[telemetry]"));
    Ok(fixed)
}
