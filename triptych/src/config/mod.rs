//! The configuration of the executable: the settings of the core and of the gateway, and the origin of each value.

mod admin;
mod document;
mod dotenv;
mod error;
mod layers;
mod log;
mod mask;
mod rest;
mod service_links;
mod telemetry;
mod text;
mod threads;
mod tls;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use core_service::{
    config::{self as core_config, SettingError},
    keys::Keys,
};
use http_server::ListenAddress;
use rest_gateway::LinkSigner;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use toml::{Table, Value};

pub(crate) use self::{
    admin::Admin,
    error::ConfigError,
    layers::{ADMIN_KEY, Layers, variable},
    log::{Log, LogFormat},
    mask::hide_query,
    rest::{Pages, Rest},
    telemetry::Telemetry,
    threads::Threads,
    tls::{ServerTls, core_setting, server_setting},
};

/// The commented defaults, compiled in.
pub(crate) const DEFAULTS: &str = include_str!("../../config.default.toml");

/// The configuration file that is read if no other one is given.
pub(crate) const DEFAULT_FILE: &str = "triptych.toml";

/// The settings outside of sections that the executable reads; the core reads the others.
const EXECUTABLE: [&str; 3] = ["reload_on_change", "shutdown_delay", "threads"];

#[derive(Deserialize)]
struct Executable {
    threads: Threads,
    reload_on_change: bool,
    #[serde(with = "humantime_serde")]
    shutdown_delay: Duration,
}

/// The configuration of the process.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The threads that serve connections.
    pub(crate) threads: Threads,
    /// The settings of the core.
    pub(crate) core: core_config::Settings,
    /// The settings of `[rest]` that the executable reads.
    pub(crate) rest: Rest,
    /// TLS of the gRPC port.
    pub(crate) grpc_tls: ServerTls,
    /// The admin port.
    pub(crate) admin: Admin,
    /// The settings of the gateway.
    pub(crate) gateway: rest_gateway::Settings,
    /// The settings of logging.
    pub(crate) log: Log,
    /// The settings of telemetry.
    pub(crate) telemetry: Telemetry,
    /// How long the process serves on, but reports that it is not ready, before it drains.
    pub(crate) shutdown_delay: Duration,
    /// Whether a change of the configuration files reloads them.
    pub(crate) reload_on_change: bool,
    /// The origin of each value, for messages.
    pub(crate) layers: Layers,
}

impl Config {
    /// Reads the configuration file, `.env` and the environment of the process.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let dotenv = dotenv::read(Path::new(".env"))?;
        // Variables of other programs need not be UTF-8; only recognized ones are read.
        let process = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let mut environment = Vec::new();
        for (name, value) in process.filter(|(name, _)| layers::is_recognized(name)) {
            let value = value.into_string().map_err(|_| ConfigError(format!("{name}: must be valid UTF-8")))?;
            environment.push((name, value));
        }
        let path = file.map(Path::to_owned).or_else(|| layers::config_file(&environment, &dotenv));
        let file = match path {
            Some(path) => Some(read(path)?),
            None if Path::new(DEFAULT_FILE).is_file() => Some(read(DEFAULT_FILE.into())?),
            None => None,
        };
        let lookup = |name: &str| {
            std::env::var(name).ok().or_else(|| Some(dotenv.iter().find(|(known, _)| known == name)?.1.clone()))
        };
        let mut config = Self::from_layers(file, dotenv.clone(), environment)?;
        config.resolve_secrets(lookup)?;
        Ok(config)
    }

    /// Returns the files that [`load`](Self::load) reads, whether they exist or not.
    pub(crate) fn files(file: Option<&Path>) -> Vec<PathBuf> {
        let dotenv = dotenv::read(Path::new(".env")).unwrap_or_default();
        let process =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let environment: Vec<_> = process.filter(|(name, _)| layers::is_recognized(name)).collect();
        let path = file.map(Path::to_owned).or_else(|| layers::config_file(&environment, &dotenv));
        vec![path.unwrap_or_else(|| DEFAULT_FILE.into()), ".env".into()]
    }

    /// Combines the layers, weakest first, and validates the result.
    pub(crate) fn from_layers(
        file: Option<(PathBuf, String)>,
        dotenv: Vec<(String, String)>,
        environment: Vec<(String, String)>,
    ) -> Result<Self, ConfigError> {
        let layers = Layers::new(DEFAULTS, file, dotenv, environment)?;
        let mut tree = layers.tree().clone();
        let mut gateway = take_section(&mut tree, "rest");
        let rest: Table = rest::NAMES.iter().filter_map(|&key| Some((key.to_owned(), gateway.remove(key)?))).collect();
        let log = take_section(&mut tree, "log");
        let telemetry = take_section(&mut tree, "telemetry");
        let admin = take_section(&mut tree, "admin");
        let grpc_tls = match tree.get_mut("grpc") {
            Some(Value::Table(grpc)) => take_section(grpc, "tls"),
            Some(_) | None => Table::new(),
        };
        let executable: Table =
            EXECUTABLE.iter().filter_map(|&key| Some((key.to_owned(), tree.remove(key)?))).collect();
        let Executable { shutdown_delay, threads, reload_on_change } = deserialize(executable, "", &layers)?;
        let rest: Rest = deserialize(rest, "rest.", &layers)?;
        let mut core: core_config::Settings = deserialize(tree, "", &layers)?;
        core.media.public_base_url.clone_from(&rest.public_base_url);
        let signer = |key: &SecretString| LinkSigner::new(key.expose_secret().as_bytes(), core.media.link_ttl);
        let mut gateway: rest_gateway::Settings = deserialize(gateway, "rest.", &layers)?;
        if gateway.body_memory_bytes < gateway.runtime.body_limit_bytes {
            return Err(layers.config_error("rest.body_memory_bytes", "must be at least rest.body_limit_bytes"));
        }
        gateway.runtime.public_base_url.clone_from(&rest.public_base_url);
        gateway.runtime.link_signer = core.media.signing_key.as_ref().map(signer);
        gateway.runtime.pages = serves_pages(&rest, &core.keys, &rest.listen);
        let log = deserialize(log, "log.", &layers)?;
        let telemetry = deserialize(telemetry, "telemetry.", &layers)?;
        let admin: Admin = deserialize(admin, "admin.", &layers)?;
        gateway.has_admin_port = admin.listen.is_some();
        let grpc_tls: ServerTls = deserialize(grpc_tls, "grpc.tls.", &layers)?;
        for (section, valid) in
            [("rest.tls", rest.tls.validate()), ("grpc.tls", grpc_tls.validate()), ("rest.core", rest.core.validate())]
        {
            valid.map_err(|(name, rule)| layers.config_error(&format!("{section}.{name}"), rule))?;
        }
        let config = Self {
            threads,
            core,
            rest,
            grpc_tls,
            admin,
            gateway,
            log,
            telemetry,
            shutdown_delay,
            reload_on_change,
            layers,
        };
        config.core.validate().map_err(|error| config.setting_error(&error))?;
        config.log.parse_filter().map_err(|message| config.layers.config_error("log.filter", &message))?;
        Ok(config)
    }

    /// Returns whether the pages for browsers are served, if the REST server listens on `address`. A reload cannot change the
    /// address.
    pub(crate) fn serves_pages(&self, address: &ListenAddress) -> bool {
        serves_pages(&self.rest, &self.core.keys, address)
    }

    /// Returns a line for the operator if environment variables with the prefix of the settings were ignored.
    pub(crate) fn ignored(&self) -> Option<String> {
        let names = self.layers.service_links();
        (!names.is_empty()).then(|| {
            format!("ignored environment variables that describe services and are not settings: {}", names.join(", "))
        })
    }

    /// Resolves the secrets that are stored in variables of their own, and validates the keys of clients and upstreams.
    fn resolve_secrets(&mut self, lookup: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        for key in self.core.keys.iter_mut().filter(|key| !key.secret_env.is_empty()) {
            let core_config::Key { name, secret_env, .. } = &*key;
            let error = |message| ConfigError(format!("keys: `{name}` has secret_env = \"{secret_env}\", {message}"));
            if key.secret.is_some() {
                return Err(error("and also secret; remove one of the two"));
            }
            key.secret = Some(resolve(&lookup, secret_env).map_err(error)?);
        }
        for endpoint in self.core.webhooks.endpoints.iter_mut().filter(|endpoint| !endpoint.secret_env.is_empty()) {
            let core_config::ConfiguredEndpoint { url, secret_env, .. } = &*endpoint;
            let url = url.as_ref().map(|url| hide_query(url.as_str())).unwrap_or_default();
            let error = |message| {
                ConfigError(format!("webhooks.endpoints: `{url}` has secret_env = \"{secret_env}\", {message}"))
            };
            if endpoint.secret.is_some() {
                return Err(error("and also secret; remove one of the two"));
            }
            endpoint.secret = Some(resolve(&lookup, secret_env).map_err(error)?);
        }
        let validated = self.core.validate().and_then(|()| Keys::new(&self.core.keys, &self.core.teams).map(drop));
        validated.map_err(|error| self.setting_error(&error))?;
        for upstream in self.core.chat.upstreams.iter_mut().filter(|upstream| !upstream.api_key_env.is_empty()) {
            let core_config::Upstream { name, api_key_env, .. } = &*upstream;
            let error = |message| {
                ConfigError(format!("chat.upstreams: `{name}` has api_key_env = \"{api_key_env}\", {message}"))
            };
            if upstream.api_key.is_some() {
                return Err(error("and also api_key; remove one of the two"));
            }
            upstream.api_key = Some(resolve(&lookup, api_key_env).map_err(error)?);
        }
        Ok(())
    }

    fn setting_error(&self, error: &SettingError) -> ConfigError {
        self.layers.config_error(error.key, &error.message)
    }
}

fn serves_pages(rest: &Rest, keys: &[core_config::Key], address: &ListenAddress) -> bool {
    match rest.pages {
        Pages::Auto => address.tcp().is_none_or(|address| address.ip().is_loopback()) || !keys.is_empty(),
        Pages::On => true,
        Pages::Off => false,
    }
}

/// Returns the secret in a variable.
fn resolve(lookup: impl Fn(&str) -> Option<String>, variable: &str) -> Result<SecretString, &'static str> {
    let secret = lookup(variable).filter(|secret| !secret.is_empty()).ok_or("which is not set in the environment")?;
    if secret.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        return Err("whose value must consist of printable ASCII characters");
    }
    Ok(secret.into())
}

fn read(path: PathBuf) -> Result<(PathBuf, String), ConfigError> {
    let text = text::read(&path);
    text.map_err(|error| ConfigError(format!("{}: {error}", path.display()))).map(|text| (path, text))
}

fn take_section(tree: &mut Table, name: &str) -> Table {
    match tree.remove(name) {
        Some(Value::Table(section)) => section,
        // Unreachable: it is a table in the defaults, and no layer can change a type.
        Some(_) | None => Table::new(),
    }
}

fn deserialize<T: DeserializeOwned>(tree: Table, prefix: &str, layers: &Layers) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(Value::Table(tree)).map_err(|error| {
        let key = format!("{prefix}{}", error.path());
        layers.config_error(&key, error.inner().message())
    })
}

#[cfg(test)]
mod tests;
