//! Layers of settings over one another, and which layer each value came from.
//!
//! The defaults name every setting and its kind. So a setting that they lack is a mistake in whatever layer names it,
//! and the text of a variable is read as what the default is.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::ConfigError;

/// Variables that settings are known by beside their own. One may stand for several settings: a provider's key opens all
/// of its panels.
const CUSTOMARY: [(&str, &[&str]); 14] = [
    ("CHAT_BASE_URL", &["chat.base_url"]),
    ("CHAT_API_KEY", &["chat.api_key"]),
    ("CHAT_MODEL", &["chat.model"]),
    ("IMAGE_SERVICE_TYPE", &["image.service_type"]),
    ("IMAGE_BASE_URL", &["image.openai.base_url"]),
    ("IMAGE_API_KEY", &["image.openai.api_key"]),
    ("IMAGE_MODELS", &["image.openai.models"]),
    ("ARK_API_KEY", &["image.doubao.api_key"]),
    ("GEMINI_API_KEY", &["image.nano_banana.api_key"]),
    ("MJ_BASE_URL", &["image.midjourney.base_url"]),
    ("MJ_API_SECRET", &["image.midjourney.api_secret"]),
    ("DASHSCOPE_API_KEY", &["image.dashscope.api_key"]),
    ("VIDEO_SERVICE_TYPE", &["video.service_type"]),
    ("PUBLIC_BASE_URL", &["rest.public_base_url"]),
];

/// What our own variables begin with.
const PREFIX: &str = "TRIPTYCH_";

/// Names the configuration file, and so is no setting in it.
const FILE: &str = "TRIPTYCH_CONFIG";

/// Settings of these names are never shown, whatever section they are in.
const SECRET: [&str; 7] = ["api_key", "api_secret", "headers", "signing_key", "keys", "secret", "sha256"];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Compiled in.
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

/// All settings by their paths, with their origins.
#[derive(Clone)]
pub(crate) struct Layers {
    tree: Table,
    origins: BTreeMap<String, Origin>,
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown().map(|(path, value, _)| (path, value))).finish()
    }
}

impl Layers {
    /// The defaults under the file under `.env` under the environment.
    pub(crate) fn new(
        defaults: &str,
        file: Option<(PathBuf, String)>,
        dotenv: Vec<(String, String)>,
        environment: Vec<(String, String)>,
    ) -> Result<Self, ConfigError> {
        let tree = parse(Path::new("config.default.toml"), defaults)?;
        let origins = leaves(&tree).into_iter().map(|(path, _)| (path, Origin::Default)).collect();
        let mut layers = Self { tree, origins };
        if let Some((path, text)) = file {
            let tree = parse(&path, &text)?;
            layers.put_file(&path, &tree)?;
        }
        layers.put_variables(dotenv, Origin::DotEnv)?;
        layers.put_variables(environment, Origin::Environment)?;
        Ok(layers)
    }

    /// The settings as a tree.
    pub(crate) fn tree(&self) -> &Table {
        &self.tree
    }

    /// Every setting: path, value as shown to people (secrets masked), origin.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (String, String, &Origin)> {
        leaves(&self.tree).into_iter().map(|(path, value)| {
            let shown = mask(&path, value);
            let origin = self.origins.get(&path).unwrap_or(&Origin::Default);
            (path, shown, origin)
        })
    }

    /// The message about a setting that is wrong.
    pub(crate) fn complain(&self, key: &str, message: &str) -> ConfigError {
        // Lists of sections are too long to be repeated; the message names the one it means.
        let value = at(&self.tree, key).filter(|value| !sections(value));
        let value = value.map_or_else(String::new, |value| format!(" = {}", mask(key, value)));
        // An item of a list came with the list.
        let whole = key.split_once('[').map_or(key, |(list, _)| list);
        let origin = self.origins.get(whole).map_or_else(String::new, |origin| format!(" (from {origin})"));
        ConfigError(format!("{key}{value}{origin}: {message}"))
    }

    fn put_file(&mut self, path: &Path, tree: &Table) -> Result<(), ConfigError> {
        for (key, value) in leaves(tree) {
            let fail = |why: String| ConfigError(format!("{key} (from {}): {why}", path.display()));
            let Some(place) = at_mut(&mut self.tree, &key) else {
                let near = nearest(&key, self.origins.keys().map(String::as_str));
                return Err(fail(format!("there is no such setting{near}")));
            };
            if !place.same_type(value) {
                return Err(fail(format!("must be {}, as in {key} = {place}", kind(place))));
            }
            *place = value.clone();
            self.origins.insert(key, Origin::File(path.to_owned()));
        }
        Ok(())
    }

    fn put_variables(
        &mut self,
        variables: Vec<(String, String)>,
        origin: impl Fn(String) -> Origin,
    ) -> Result<(), ConfigError> {
        // The customary names first: where both are set, the longer one was chosen with more thought.
        let (customary, own): (Vec<_>, Vec<_>) =
            variables.into_iter().filter(|(name, _)| ours(name) && name != FILE).partition(|(name, _)| !own(name));
        for (name, text) in customary.into_iter().chain(own) {
            let origin = origin(name.clone());
            let known = self.origins.keys().map(|key| (variable(key), vec![key.clone()]));
            let customary =
                CUSTOMARY.map(|(name, keys)| (name.to_owned(), keys.iter().map(|&key| key.into()).collect()));
            let known: BTreeMap<_, Vec<String>> = known.chain(customary).collect();
            let Some(keys) = known.get(&name) else {
                let near = nearest(&name, known.keys().map(String::as_str).chain([FILE]));
                return Err(ConfigError(format!("{origin}: there is no such setting{near}")));
            };
            // Compose files and CI systems pass on what they do not have as an empty text.
            if text.is_empty() {
                continue;
            }
            for key in keys {
                self.put_variable(key, &text, &origin)?;
            }
        }
        Ok(())
    }

    fn put_variable(&mut self, key: &str, text: &str, origin: &Origin) -> Result<(), ConfigError> {
        let Some(place) = at_mut(&mut self.tree, key) else { return Ok(()) };
        let Some(value) = read_as(place, text) else {
            let shown = mask(key, &Value::String(text.to_owned()));
            return Err(ConfigError(format!("{key} = {shown} (from {origin}): must be {}", kind(place))));
        };
        *place = value;
        self.origins.insert(key.to_owned(), origin.clone());
        Ok(())
    }
}

/// Whether a variable of this name is meant for us. `OPENAI_API_BASE` and `OPENAI_API_KEY` are not: they are what
/// clients of ours are set up with, and in one shell they would make the server call itself.
pub(crate) fn ours(name: &str) -> bool {
    own(name) || CUSTOMARY.iter().any(|&(customary, _)| customary == name)
}

/// The configuration file that the environment, or else `.env`, names.
pub(crate) fn config_file(environment: &[(String, String)], dotenv: &[(String, String)]) -> Option<PathBuf> {
    let named = environment.iter().chain(dotenv).find(|(name, value)| name == FILE && !value.is_empty());
    named.map(|(_, value)| value.into())
}

/// The variable of a setting: `TRIPTYCH_GRPC_LISTEN` for `grpc.listen`.
pub(crate) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

fn own(name: &str) -> bool {
    name.starts_with(PREFIX)
}

fn parse(path: &Path, text: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| {
        // The error's own text quotes the line, which may hold a key.
        let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        ConfigError(format!("{}, line {line}: {}", path.display(), error.message()))
    })
}

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

fn at<'a>(tree: &'a Table, key: &str) -> Option<&'a Value> {
    let (first, rest) = key.split_once('.').unwrap_or((key, ""));
    let value = tree.get(first)?;
    if rest.is_empty() { Some(value) } else { at(value.as_table()?, rest) }
}

fn at_mut<'a>(tree: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    let (first, rest) = key.split_once('.').unwrap_or((key, ""));
    let value = tree.get_mut(first)?;
    match rest {
        "" if value.is_table() => None,
        "" => Some(value),
        rest => at_mut(value.as_table_mut()?, rest),
    }
}

fn read_as(like: &Value, text: &str) -> Option<Value> {
    let text = text.trim();
    Some(match like {
        Value::String(_) => Value::String(text.to_owned()),
        Value::Integer(_) => Value::Integer(text.parse().ok()?),
        Value::Float(_) => Value::Float(text.parse().ok()?),
        Value::Boolean(_) => Value::Boolean(text.parse().ok()?),
        Value::Array(_) => text.split(',').map(|part| Value::String(part.trim().to_owned())).collect::<Vec<_>>().into(),
        Value::Datetime(_) | Value::Table(_) => return None,
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text in quotes",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Datetime(_) => "a date",
        Value::Table(_) => "a section",
    }
}

/// Whether it is a list of sections, `[[chat.upstreams]]`.
fn sections(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.iter().any(Value::is_table))
}

fn hidden() -> Value {
    Value::String("(hidden)".to_owned())
}

/// A value without what must not be shown, however deep it lies.
fn masked(value: &Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.iter().map(masked).collect()),
        Value::Table(section) => {
            let member = |(name, value): (&String, &Value)| {
                let secret = is_secret(name) && value.as_str().is_none_or(|text| !text.is_empty());
                (name.clone(), if secret { hidden() } else { masked(value) })
            };
            Value::Table(section.iter().map(member).collect())
        }
        Value::String(text) if text.contains('@') => hidden(),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            value.clone()
        }
    }
}

fn is_secret(key: &str) -> bool {
    SECRET.contains(&key.rsplit('.').next().unwrap_or_default())
}

fn mask(key: &str, value: &Value) -> String {
    if let Some(list) = value.as_array().filter(|_| is_secret(key)) {
        // Its texts are secrets; its sections hide their own.
        let item = |item: &Value| if item.is_str() { hidden() } else { masked(item) };
        return Value::Array(list.iter().map(item).collect()).to_string();
    }
    if sections(value) {
        return masked(value).to_string();
    }
    match value.as_str() {
        // An address may hold a password.
        Some(text) if !text.is_empty() && (is_secret(key) || text.contains('@')) => "(hidden)".to_owned(),
        Some(_) | None => value.to_string(),
    }
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let ranked = known.map(|known| (strsim::jaro_winkler(name, known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    ranked
        .filter(|&(likeness, _)| likeness > 0.8)
        .map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"))
}
