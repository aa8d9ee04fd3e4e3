//! The configuration of the executable: the core's settings, the gateway's, and where they all came from.

mod layers;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use core_service::{config as core, keys::Keys};
use rest_gateway::LinkSigner;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use toml::{Table, Value};
use url::Url;

pub(crate) use self::layers::{Layers, variable};

/// The commented defaults, compiled in.
pub(crate) const DEFAULTS: &str = include_str!("../../config.default.toml");

/// What the process was started with.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The core.
    pub(crate) core: core::Settings,
    /// Where the gateway listens.
    pub(crate) rest: Rest,
    /// The gateway.
    pub(crate) gateway: rest_gateway::Settings,
    /// Logging.
    pub(crate) log: Log,
    /// Where each value came from, for messages.
    pub(crate) layers: Layers,
}

/// What the executable itself needs to know of `[rest]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rest {
    /// Where the gateway listens; port 0 picks one.
    #[serde(deserialize_with = "core::listen")]
    pub(crate) listen: SocketAddr,
    /// What links begin with, no slash at the end.
    #[serde(deserialize_with = "origin")]
    pub(crate) public_base_url: Option<String>,
}

/// Logging.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    /// Directives of the filter.
    pub(crate) filter: String,
    /// For people or for machines.
    pub(crate) format: LogFormat,
}

/// For whom logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// People.
    Text,
    /// Machines.
    Json,
}

/// The keys of `[rest]` that are read here; the others are the gateway's.
const OWN: [&str; 2] = ["listen", "public_base_url"];

/// Why there is no configuration. One sentence that says what to change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigError(pub(crate) String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads all layers from the process's surroundings.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let dotenv = dotenv(Path::new(".env"))?;
        // Other programs' variables need not be text; only ours are looked at.
        let process = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let mut environment = Vec::new();
        for (name, value) in process.filter(|(name, _)| layers::ours(name)) {
            let value = value.into_string().map_err(|_| ConfigError(format!("{name}: must be valid UTF-8")))?;
            environment.push((name, value));
        }
        let named = file.map(Path::to_owned).or_else(|| layers::config_file(&environment, &dotenv));
        let file = match named {
            Some(path) => Some(read(path)?),
            None if Path::new("triptych.toml").is_file() => Some(read("triptych.toml".into())?),
            None => None,
        };
        let lookup = |name: &str| {
            std::env::var(name).ok().or_else(|| Some(dotenv.iter().find(|(known, _)| known == name)?.1.clone()))
        };
        let mut config = Self::from_layers(file, dotenv.clone(), environment)?;
        config.look_up(lookup)?;
        Ok(config)
    }

    /// Looks up what is kept in variables of its own, callers' keys and upstreams', and validates them.
    fn look_up(&mut self, lookup: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        for key in self.core.keys.iter_mut().filter(|key| !key.secret_env.is_empty()) {
            let core::Key { name, secret_env, .. } = &*key;
            let fail = |why| ConfigError(format!("keys: `{name}` has secret_env = \"{secret_env}\", {why}"));
            if key.secret.is_some() {
                return Err(fail("and a secret besides; keep one of the two"));
            }
            key.secret = Some(looked_up(&lookup, secret_env).map_err(fail)?);
        }
        let sound = self.core.validate().and_then(|()| Keys::new(&self.core.keys).map(drop));
        sound.map_err(|core::Invalid { key, message }| self.layers.complain(key, &message))?;
        for upstream in self.core.chat.upstreams.iter_mut().filter(|upstream| !upstream.api_key_env.is_empty()) {
            let core::Upstream { name, api_key_env, .. } = &*upstream;
            let fail =
                |why| ConfigError(format!("chat.upstreams: `{name}` has api_key_env = \"{api_key_env}\", {why}"));
            if upstream.api_key.is_some() {
                return Err(fail("and an api_key besides; keep one of the two"));
            }
            upstream.api_key = Some(looked_up(&lookup, api_key_env).map_err(fail)?);
        }
        Ok(())
    }

    /// Puts the layers over one another, weakest first, and validates the result.
    pub(crate) fn from_layers(
        file: Option<(PathBuf, String)>,
        dotenv: Vec<(String, String)>,
        environment: Vec<(String, String)>,
    ) -> Result<Self, ConfigError> {
        let layers = Layers::new(DEFAULTS, file, dotenv, environment)?;
        let mut tree = layers.tree().clone();
        let mut rest = section(&mut tree, "rest");
        let own: Table = OWN.iter().filter_map(|&key| Some((key.to_owned(), rest.remove(key)?))).collect();
        let log = section(&mut tree, "log");
        let own: Rest = typed(own, "rest.", &layers)?;
        let core: core::Settings = typed(tree, "", &layers)?;
        let signer = |key: &SecretString| LinkSigner::new(key.expose_secret().as_bytes(), core.media.link_ttl);
        let mut gateway: rest_gateway::Settings = typed(rest, "rest.", &layers)?;
        gateway.runtime.public_base_url.clone_from(&own.public_base_url);
        gateway.runtime.link_signer = core.media.signing_key.as_ref().map(signer);
        let config = Self { rest: own, gateway, log: typed(log, "log.", &layers)?, core, layers };
        config.core.validate().map_err(|core::Invalid { key, message }| config.layers.complain(key, &message))?;
        crate::telemetry::filter(&config.log).map_err(|error| config.layers.complain("log.filter", &error))?;
        Ok(config)
    }
}

/// The secret that a variable holds, or why there is none.
fn looked_up(lookup: impl Fn(&str) -> Option<String>, variable: &str) -> Result<SecretString, &'static str> {
    let secret = lookup(variable).filter(|secret| !secret.is_empty()).ok_or("which is not set in the environment")?;
    if secret.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        return Err("which holds more than printable ASCII characters");
    }
    Ok(secret.into())
}

/// The variables of a `.env` file, which need not exist. The process's own environment stays as it is.
fn dotenv(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let fail = |error: dotenvy::Error| {
        // Only the name: what stands behind it may be a key.
        let why = if let dotenvy::Error::LineParse(line, _) = &error {
            let name = line.split('=').next().unwrap_or_default().trim();
            format!("the line of `{name}` cannot be read; it must be NAME=value")
        } else {
            error.to_string()
        };
        ConfigError(format!("{}: {why}", path.display()))
    };
    match dotenvy::from_path_iter(path) {
        Ok(lines) => lines.collect::<Result<_, _>>().map_err(fail),
        Err(error) if error.not_found() => Ok(Vec::new()),
        Err(error) => Err(fail(error)),
    }
}

fn read(path: PathBuf) -> Result<(PathBuf, String), ConfigError> {
    let text = std::fs::read_to_string(&path);
    text.map_err(|error| ConfigError(format!("{}: {error}", path.display()))).map(|text| (path, text))
}

fn section(tree: &mut Table, name: &str) -> Table {
    match tree.remove(name) {
        Some(Value::Table(section)) => section,
        // Cannot be: the defaults have it as a table, and no layer may change a kind.
        Some(_) | None => Table::new(),
    }
}

fn typed<T: DeserializeOwned>(tree: Table, prefix: &str, layers: &Layers) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(Value::Table(tree)).map_err(|error| {
        let key = format!("{prefix}{}", error.path());
        layers.complain(&key, error.inner().message())
    })
}

fn origin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(&text).ok();
    match url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()) {
        Some(url) => Ok(Some(url.as_str().trim_end_matches('/').to_owned())),
        None => Err(D::Error::custom("must be an http or https address, for instance https://ai.example.org")),
    }
}

#[cfg(test)]
mod tests;
