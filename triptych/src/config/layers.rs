//! Layers of settings, and the layer that each value comes from.
//!
//! The defaults contain every setting. A setting that they lack is an error in the layer that sets it, and the text of a
//! variable is parsed as the type of the default.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{error::ConfigError, mask::mask, service_links::is_service_link};

/// Short names of variables, beside the systematic ones. A name can stand for several settings, for example if services share
/// the key of a provider.
const SHORT_NAMES: [(&str, &[&str]); 28] = [
    ("CHAT_BASE_URL", &["chat.base_url"]),
    ("CHAT_API_KEY", &["chat.api_key"]),
    ("CHAT_MODEL", &["chat.model"]),
    ("IMAGE_SERVICE_TYPE", &["image.service_type"]),
    ("IMAGE_BASE_URL", &["image.openai.base_url"]),
    ("IMAGE_API_KEY", &["image.openai.api_key"]),
    ("IMAGE_MODELS", &["image.openai.models"]),
    ("ARK_API_KEY", &["image.doubao.api_key", "video.seedance.api_key"]),
    ("GEMINI_API_KEY", &["image.nano_banana.api_key", "video.gemini.api_key"]),
    ("MJ_BASE_URL", &["image.midjourney.base_url", "video.midjourney.base_url"]),
    ("MJ_API_SECRET", &["image.midjourney.api_secret", "video.midjourney.api_secret"]),
    ("DASHSCOPE_API_KEY", &["image.dashscope.api_key", "video.wan.api_key"]),
    ("KLING_API_KEY", &["video.kling.api_key"]),
    ("KLING_ACCESS_KEY", &["video.kling.access_key"]),
    ("KLING_SECRET_KEY", &["video.kling.secret_key"]),
    ("MINIMAX_API_KEY", &["video.minimax.api_key"]),
    ("VIDU_API_KEY", &["video.vidu.api_key"]),
    ("VIDEO_SERVICE_TYPE", &["video.service_type"]),
    ("VIDEO_BASE_URL", &["video.openai.base_url"]),
    ("VIDEO_API_KEY", &["video.openai.api_key"]),
    ("VIDEO_MODELS", &["video.openai.models"]),
    ("FAL_KEY", &["video.fal.api_key"]),
    ("GOOGLE_APPLICATION_CREDENTIALS", &["video.vertex.credentials_file"]),
    ("GOOGLE_CLOUD_PROJECT", &["video.vertex.project"]),
    ("GOOGLE_CLOUD_LOCATION", &["video.vertex.location"]),
    ("XAI_API_KEY", &["video.xai.api_key"]),
    ("RUNWAYML_API_SECRET", &["video.runway.api_key"]),
    ("PUBLIC_BASE_URL", &["rest.public_base_url"]),
];

/// The prefix of the systematic names.
const PREFIX: &str = "TRIPTYCH_";

/// The variable with the path of the configuration file, which is not a setting.
const CONFIG_FILE: &str = "TRIPTYCH_CONFIG";

/// The variable with the key for `triptych admin`, which is not a setting either.
pub(crate) const ADMIN_KEY: &str = "TRIPTYCH_ADMIN_KEY";

/// The Jaro-Winkler similarity, 0 to 1, above which a known name is suggested.
const MIN_SIMILARITY: f64 = 0.8;

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The built-in defaults.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// A variable in `.env`.
    DotEnv(String),
    /// A variable of the process.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::DotEnv(name) => write!(f, "{name} in .env"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// All settings by path, with their origins.
#[derive(Clone)]
pub(crate) struct Layers {
    tree: Table,
    origins: BTreeMap<String, Origin>,
    /// The names of the variables that were ignored as service links, which Kubernetes and Docker set.
    service_links: Vec<String>,
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.masked().map(|(path, value, _)| (path, value))).finish()
    }
}

impl Layers {
    /// Applies the file, then `.env`, then the environment to the defaults.
    pub(crate) fn new(
        defaults: &str,
        file: Option<(PathBuf, String)>,
        dotenv: Vec<(String, String)>,
        environment: Vec<(String, String)>,
    ) -> Result<Self, ConfigError> {
        let tree = parse(Path::new("config.default.toml"), defaults)?;
        let origins = leaves(&tree).into_iter().map(|(path, _)| (path, Origin::Default)).collect();
        let mut layers = Self { tree, origins, service_links: Vec::new() };
        if let Some((path, text)) = file {
            let tree = parse(&path, &text)?;
            layers.apply_file(&path, &tree)?;
        }
        layers.apply_variables(dotenv, Origin::DotEnv)?;
        layers.apply_variables(environment, Origin::Environment)?;
        Ok(layers)
    }

    /// Returns the settings as a tree.
    pub(crate) fn tree(&self) -> &Table {
        &self.tree
    }

    /// Returns the names of the environment variables that were ignored because they are service links.
    pub(crate) fn service_links(&self) -> &[String] {
        &self.service_links
    }

    /// Returns every setting: path, value with masked secrets, origin.
    pub(crate) fn masked(&self) -> impl Iterator<Item = (String, String, &Origin)> {
        leaves(&self.tree).into_iter().map(|(path, value)| {
            let masked = mask(&path, value);
            let origin = self.origin(&path);
            (path, masked, origin)
        })
    }

    /// Returns the origin of a setting.
    pub(super) fn origin(&self, path: &str) -> &Origin {
        self.origins.get(path).unwrap_or(&Origin::Default)
    }

    /// Returns an error about a setting: path, masked value, origin, message.
    pub(crate) fn config_error(&self, key: &str, message: &str) -> ConfigError {
        // Lists of sections are too long to repeat; the message names the section.
        let value = get(&self.tree, key).filter(|value| !is_section_list(value));
        let value = value.map_or_else(String::new, |value| format!(" = {}", mask(key, value)));
        // Origins are recorded per list, not per item.
        let setting = key.split_once('[').map_or(key, |(list, _)| list);
        let origin = self.origins.get(setting).map_or_else(String::new, |origin| format!(" (from {origin})"));
        ConfigError(format!("{key}{value}{origin}: {message}"))
    }

    fn apply_file(&mut self, path: &Path, tree: &Table) -> Result<(), ConfigError> {
        for (key, value) in leaves(tree) {
            let error = |message: String| ConfigError(format!("{key} (from {}): {message}", path.display()));
            let Some(current) = get_mut(&mut self.tree, &key) else {
                let suggestion = suggestion(&key, self.origins.keys().map(String::as_str));
                return Err(error(format!("unknown setting{suggestion}")));
            };
            // `threads` is a word or a number. Its default is a text, so a number in the file becomes a text, as in a variable.
            let count = value.as_integer().filter(|_| key == "threads").map(|count| Value::String(count.to_string()));
            let value = count.as_ref().unwrap_or(value);
            if !current.same_type(value) {
                return Err(error(format!("must be {}, for example {key} = {current}", type_name(current))));
            }
            *current = value.clone();
            self.origins.insert(key, Origin::File(path.to_owned()));
        }
        Ok(())
    }

    fn apply_variables(
        &mut self,
        variables: Vec<(String, String)>,
        origin: impl Fn(String) -> Origin,
    ) -> Result<(), ConfigError> {
        // Short names first: if both names of a setting are set, the systematic one wins.
        let (short, systematic): (Vec<_>, Vec<_>) = variables
            .into_iter()
            .filter(|(name, _)| is_recognized(name) && name != CONFIG_FILE && name != ADMIN_KEY)
            .partition(|(name, _)| !has_prefix(name));
        for (name, text) in short.into_iter().chain(systematic) {
            let origin = origin(name.clone());
            let known = self.origins.keys().map(|key| (variable(key), vec![key.clone()]));
            let short = SHORT_NAMES.map(|(name, keys)| (name.to_owned(), keys.iter().map(|&key| key.into()).collect()));
            let known: BTreeMap<_, Vec<String>> = known.chain(short).collect();
            let Some(keys) = known.get(&name) else {
                if matches!(origin, Origin::Environment(_)) && is_service_link(&name, &text) {
                    self.service_links.push(name);
                    continue;
                }
                let suggestion = suggestion(&name, known.keys().map(String::as_str).chain([CONFIG_FILE]));
                return Err(ConfigError(format!("{origin}: unknown setting{suggestion}")));
            };
            // Compose files and CI systems pass unset variables on as empty ones.
            if text.is_empty() {
                continue;
            }
            for key in keys {
                self.apply_variable(key, &text, &origin)?;
            }
        }
        Ok(())
    }

    fn apply_variable(&mut self, key: &str, text: &str, origin: &Origin) -> Result<(), ConfigError> {
        let Some(current) = get_mut(&mut self.tree, key) else { return Ok(()) };
        let Some(value) = parse_as(current, text) else {
            let masked = mask(key, &Value::String(text.to_owned()));
            return Err(ConfigError(format!("{key} = {masked} (from {origin}): must be {}", type_name(current))));
        };
        *current = value;
        self.origins.insert(key.to_owned(), origin.clone());
        Ok(())
    }
}

/// Returns whether a variable is a setting. `OPENAI_API_BASE` and `OPENAI_API_KEY` are deliberately not: they configure clients
/// of Triptych, and in a shared shell they would make the server call itself.
pub(crate) fn is_recognized(name: &str) -> bool {
    has_prefix(name) || SHORT_NAMES.iter().any(|&(short, _)| short == name)
}

/// Returns the path of the configuration file from the environment, otherwise from `.env`.
pub(crate) fn config_file(environment: &[(String, String)], dotenv: &[(String, String)]) -> Option<PathBuf> {
    let variable = environment.iter().chain(dotenv).find(|(name, value)| name == CONFIG_FILE && !value.is_empty());
    variable.map(|(_, value)| value.into())
}

/// Returns the systematic variable of a setting: `TRIPTYCH_GRPC_LISTEN` for `grpc.listen`.
pub(crate) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

fn has_prefix(name: &str) -> bool {
    name.starts_with(PREFIX)
}

fn parse(path: &Path, text: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| {
        // The error's own display quotes the line, which may contain a key.
        let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        ConfigError(format!("{}, line {line}: {}", path.display(), error.message()))
    })
}

/// Returns all values that are not tables, by path.
fn leaves(tree: &Table) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (name, value) in tree {
        match value.as_table() {
            Some(section) => {
                found.extend(leaves(section).into_iter().map(|(path, leaf)| (format!("{name}.{path}"), leaf)));
            }
            None => found.push((name.clone(), value)),
        }
    }
    found
}

fn get<'a>(tree: &'a Table, key: &str) -> Option<&'a Value> {
    let (first, rest) = key.split_once('.').unwrap_or((key, ""));
    let value = tree.get(first)?;
    if rest.is_empty() { Some(value) } else { get(value.as_table()?, rest) }
}

/// Returns the value at this path, unless it is a table.
fn get_mut<'a>(tree: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    let (first, rest) = key.split_once('.').unwrap_or((key, ""));
    let value = tree.get_mut(first)?;
    match rest {
        "" if value.is_table() => None,
        "" => Some(value),
        rest => get_mut(value.as_table_mut()?, rest),
    }
}

/// Parses the text of a variable as the type of `like`.
fn parse_as(like: &Value, text: &str) -> Option<Value> {
    let text = text.trim();
    Some(match like {
        Value::String(_) => Value::String(text.to_owned()),
        Value::Integer(_) => Value::Integer(text.parse().ok()?),
        Value::Float(_) => Value::Float(text.parse().ok()?),
        Value::Boolean(_) => Value::Boolean(text.to_lowercase().parse().ok()?),
        Value::Array(_) => text.split(',').map(|part| Value::String(part.trim().to_owned())).collect::<Vec<_>>().into(),
        Value::Datetime(_) | Value::Table(_) => return None,
    })
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a quoted string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Datetime(_) => "a date",
        Value::Table(_) => "a section",
    }
}

/// Returns whether the value is a list of sections, for example `[[chat.upstreams]]`.
pub(super) fn is_section_list(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.iter().any(Value::is_table))
}

/// Returns the end of an error message with the most similar known name, if one is similar enough.
fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let ranked = known.map(|known| (strsim::jaro_winkler(name, known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    ranked
        .filter(|&(similarity, _)| similarity > MIN_SIMILARITY)
        .map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"))
}
