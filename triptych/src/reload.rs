//! Reload of the configuration and of certificates at run time, which a SIGHUP or a change of their files requests.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use core_service::Core;
use rest_gateway::Gateway;
use tokio::sync::mpsc::Receiver;

use crate::{
    certificates::Certificates,
    config::{Config, ServerTls},
    file_watch::FileWatch,
    log_filter::LogFilter,
};

/// Counts reloads by their result: `applied` or `failed`.
const TOTAL: &str = "triptych_config_reload_total";
/// 1 if the last reload was applied, and 0 if it failed.
const APPLIED: &str = "triptych_config_reload_success";
/// The time of the last reload that was applied, or of the start, in seconds since 1970.
const TIMESTAMP: &str = "triptych_config_reload_success_timestamp_seconds";

/// Reloads the configuration of a running process.
#[derive(Debug)]
pub(crate) struct Reload<'a> {
    /// The configuration at start.
    running: &'a Config,
    /// The configuration file of the command line.
    file: Option<PathBuf>,
    /// The log filter, which is replaced.
    log_filter: LogFilter,
    /// The certificates, which are read again.
    certificates: Certificates,
}

impl<'a> Reload<'a> {
    /// Prepares reloads. The configuration at start counts as applied in metrics.
    pub(crate) fn new(
        running: &'a Config,
        file: Option<PathBuf>,
        log_filter: LogFilter,
        certificates: Certificates,
    ) -> Self {
        report_applied();
        Self { running, file, log_filter, certificates }
    }

    /// Reloads the configuration and the certificates for each request and, with `reload_on_change`, each change of their files.
    /// Runs until no more requests can come.
    pub(crate) async fn run(mut self, mut requests: Receiver<()>, core: Option<&Core>, gateway: Option<&Gateway>) {
        let mut watch = if self.running.reload_on_change { Some(FileWatch::new(self.files()).await) } else { None };
        loop {
            let change = async {
                match &mut watch {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                request = requests.recv() => if request.is_none() { return },
                () = change => tracing::info!("the files of the configuration or of certificates have changed"),
            }
            if let Some(watch) = &mut watch {
                watch.accept().await;
            }
            // Boxed, as the configuration is: both are large.
            let result = Box::pin(self.reload(core, gateway)).await;
            metrics::counter!(TOTAL, "result" => if result.is_ok() { "applied" } else { "failed" }).increment(1);
            if result.is_ok() {
                report_applied();
            } else {
                report_failed();
            }
            match &result {
                Ok((_, fixed)) if fixed.is_empty() => tracing::info!("reloaded the configuration"),
                Ok((_, fixed)) => {
                    tracing::warn!(
                        "reloaded the configuration; changes of these settings need a restart: {}",
                        fixed.join(", ")
                    );
                }
                Err(error) => tracing::error!("the configuration was not reloaded, nothing has changed: {error:#}"),
            }
            // Certificates are renewed independently of the configuration: while it is invalid, from the files of the last valid one.
            let config = result.map(|(config, _)| config);
            if let Ok(config) = &config {
                self.certificates.configure(config);
            }
            let config = config.as_deref().unwrap_or(self.running);
            if let Some(watch) = &mut watch {
                watch.follow(self.files()).await;
            }
            self.certificates.reload(config).await;
        }
    }

    /// Returns the files of the configuration and of the certificates.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Config::files(self.file.as_deref());
        files.extend(self.certificates.paths());
        files
    }

    /// Reads and applies the configuration. Returns it, and the changed settings that need a restart.
    async fn reload(
        &self,
        core: Option<&Core>,
        gateway: Option<&Gateway>,
    ) -> anyhow::Result<(Box<Config>, Vec<&'static str>)> {
        let file = self.file.clone();
        let mut config = tokio::task::spawn_blocking(move || Config::load(file.as_deref()).map(Box::new)).await??;
        let filter = config.log.parse_filter().map_err(anyhow::Error::msg)?;
        let fixed = apply(&mut config, self.running, core, gateway)?;
        self.log_filter.replace(filter)?;
        Ok((config, fixed))
    }
}

/// Reports that the configuration in the files is the one that applies, from now on.
fn report_applied() {
    metrics::gauge!(APPLIED).set(1.0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    metrics::gauge!(TIMESTAMP).set(since.as_secs_f64());
}

/// Reports that the configuration in the files is invalid, so that an earlier one applies.
fn report_failed() {
    metrics::gauge!(APPLIED).set(0.0);
}

/// Applies the settings that can change at run time, and returns the changed ones that need a restart.
fn apply(
    config: &mut Config,
    running: &Config,
    core: Option<&Core>,
    gateway: Option<&Gateway>,
) -> anyhow::Result<Vec<&'static str>> {
    let mut fixed = Vec::new();
    if let Some(core) = core {
        fixed.extend(core.reload(&config.core)?.into_iter().map(core_service::config::FixedSetting::key));
        fixed.extend(is_toggled(&config.grpc_tls, &running.grpc_tls).then_some("grpc.tls"));
    }
    if let Some(gateway) = gateway {
        // Made from media.signing_key and media.link_ttl, whose changes need a restart.
        config.gateway.runtime.link_signer.clone_from(&running.gateway.runtime.link_signer);
        config.gateway.runtime.pages = config.serves_pages(&running.rest.listen);
        gateway.reload(config.gateway.runtime.clone());
        fixed.extend((config.rest.listen != running.rest.listen).then_some("rest.listen"));
        fixed.extend(is_toggled(&config.rest.tls, &running.rest.tls).then_some("rest.tls"));
        let (new, old) = (server_settings(&config.gateway), server_settings(&running.gateway));
        fixed.extend(new.into_iter().zip(old).filter(|(new, old)| new != old).map(|((name, _), _)| name));
    }
    fixed.extend((config.admin != running.admin).then_some("admin.listen"));
    fixed.extend((config.threads != running.threads).then_some("threads"));
    fixed.extend((config.shutdown_delay != running.shutdown_delay).then_some("shutdown_delay"));
    let endpoint = |config: &Config| config.telemetry.otlp_endpoint.clone();
    fixed.extend((endpoint(config) != endpoint(running)).then_some("telemetry.otlp_endpoint"));
    fixed.extend((config.reload_on_change != running.reload_on_change).then_some("reload_on_change"));
    fixed.extend((config.log.format != running.log.format).then_some("log.format"));
    Ok(fixed)
}

/// Returns the settings of the gateway that cannot change at run time, with their values.
fn server_settings(gateway: &rest_gateway::Settings) -> [(&'static str, String); 9] {
    let rest_gateway::Settings { server, drain, body_memory_bytes, has_admin_port: _, runtime: _ } = gateway;
    let http_server::ServerSettings {
        api: _,
        head_limit_bytes,
        header_timeout,
        idle_timeout,
        write_timeout,
        max_connections,
        max_connections_per_peer,
        max_requests,
        // These have no setting in [rest].
        max_streams: _,
        max_connection_age: _,
        max_connection_age_grace: _,
    } = server;
    [
        ("rest.body_memory_bytes", body_memory_bytes.to_string()),
        ("rest.drain", format!("{drain:?}")),
        ("rest.head_limit_bytes", head_limit_bytes.to_string()),
        ("rest.header_timeout", format!("{header_timeout:?}")),
        ("rest.idle_timeout", format!("{idle_timeout:?}")),
        ("rest.write_timeout", format!("{write_timeout:?}")),
        ("rest.max_connections", max_connections.to_string()),
        ("rest.max_connections_per_peer", max_connections_per_peer.to_string()),
        ("rest.max_requests", max_requests.to_string()),
    ]
}

/// Returns whether one of two versions of the settings of a server has TLS, and the other one has not.
fn is_toggled(one: &ServerTls, other: &ServerTls) -> bool {
    one.files().is_some() != other.files().is_some()
}

#[cfg(test)]
mod tests {
    use rest_gateway::Settings;

    use super::server_settings;

    #[test]
    fn each_changed_server_setting_is_named() {
        let default = server_settings(&Settings::default());
        for (name, _) in &default {
            let member = name.strip_prefix("rest.").unwrap();
            let value = if member.ends_with("timeout") || member == "drain" { r#""77s""# } else { "77" };
            let changed: Settings = serde_json::from_str(&format!(r#"{{"{member}": {value}}}"#)).unwrap();
            let differing: Vec<_> =
                server_settings(&changed).into_iter().zip(&default).filter(|(new, old)| new != *old).collect();
            assert!(matches!(&*differing, [((changed, _), _)] if changed == name), "{name}: {differing:?}");
        }
    }
}
