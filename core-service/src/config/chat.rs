//! The settings of the chat service: upstreams, and routing between them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use super::{
    de::{chat_base_url, secret},
    error::SettingError,
    guard::GuardSettings,
};
use crate::{dialect::Dialect, name_pattern, on_disconnect::OnDisconnect};

/// The `[chat]` settings: upstreams and routing.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chat {
    /// The base URL of an OpenAI-compatible upstream. `None`: only the built-in engine serves chat.
    #[serde(deserialize_with = "chat_base_url")]
    pub base_url: Option<Url>,
    /// The API key of the upstream; `None` if it requires none.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The OpenAI dialect of the upstream. `None`, written `auto`: derived from the URL.
    #[serde(deserialize_with = "dialect")]
    pub dialect: Option<Dialect>,
    /// The default model. Its public name is also the upstream's name.
    pub model: String,
    /// Further models of the upstream. A name with `*` is a pattern: requests for matching names are passed through to the upstream.
    pub models: Vec<String>,
    /// The timeout for connecting to an upstream.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// The timeout for the first byte of a response.
    #[serde(with = "humantime_serde")]
    pub first_byte_timeout: Duration,
    /// The timeout between two reads of a response body.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// The timeout of a whole call, including the end of a stream. Zero: no limit.
    #[serde(with = "humantime_serde")]
    pub total_timeout: Duration,
    /// What happens to a call when its client disconnects, unless the key or the call sets it.
    pub on_disconnect: OnDisconnect,
    /// Several upstreams, instead of `base_url`.
    pub upstreams: Vec<Upstream>,
    /// Rules for single models.
    pub routes: Vec<RouteRule>,
    /// Settings of the routing between upstreams.
    pub routing: Routing,
}

/// One of several upstreams.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// The name in logs and in the `x-triptych-attempts` header: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// The base URL, including `/v1`.
    #[serde(deserialize_with = "chat_base_url")]
    pub base_url: Option<Url>,
    /// The API key; `None` if the upstream requires none.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The environment variable with the API key, as an alternative. Resolved by the executable.
    pub api_key_env: String,
    /// Headers that are sent with every request.
    #[serde(deserialize_with = "headers")]
    pub headers: HeaderMap,
    /// The OpenAI dialect. `None`: `chat.dialect`.
    #[serde(deserialize_with = "dialect")]
    pub dialect: Option<Dialect>,
    /// The public names of the models that the upstream serves. A name with `*` is a pattern: requests for matching names are passed
    /// through to the upstream.
    pub models: Vec<String>,
    /// The upstream's own names of models, by public name, where they differ.
    pub rename: BTreeMap<String, String>,
    /// The share of calls among upstreams with the same priority.
    pub weight: u32,
    /// Upstreams with a lower number are tried first.
    pub priority: u32,
    /// How many calls may be in flight. 0: no limit.
    pub max_in_flight: usize,
    /// How many calls may wait for one of the `max_in_flight` permits.
    #[serde(rename = "queue")]
    pub queue_limit: usize,
    /// The timeout for connecting. `None`: `chat.connect_timeout`.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Option<Duration>,
    /// The timeout for the first byte of a response. `None`: `chat.first_byte_timeout`.
    #[serde(with = "humantime_serde")]
    pub first_byte_timeout: Option<Duration>,
    /// The timeout between two reads of a response body. `None`: `chat.idle_timeout`.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Option<Duration>,
    /// The timeout of a whole call; zero: no limit. `None`: `chat.total_timeout`.
    #[serde(with = "humantime_serde")]
    pub total_timeout: Option<Duration>,
}

/// A rule for one public model name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteRule {
    /// The public name.
    pub model: String,
    /// Further public names of the model.
    pub aliases: Vec<String>,
    /// Models whose upstreams serve the call, in this order, if none of the model's own upstreams can.
    pub fallbacks: Vec<String>,
    /// The policy that selects an upstream. `None`: `chat.routing.policy`.
    pub policy: Option<BalancingPolicy>,
}

/// A policy that selects one of several upstreams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BalancingPolicy {
    /// Random, in proportion to the weights.
    #[default]
    Weighted,
    /// The upstream with the fewest calls in flight relative to its weight.
    LeastInFlight,
    /// The upstream with the lowest recent time to first token.
    FirstToken,
}

/// Settings of the routing between upstreams.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routing {
    /// The policy that selects an upstream.
    pub policy: BalancingPolicy,
    /// How many retries a call gets after the first attempt at each upstream.
    pub retries: u32,
    /// Whether calls that the upstream may already have executed are also retried.
    pub retry_unsafe: bool,
    /// How many consecutive failures open the circuit breaker of a model at an upstream.
    #[serde(rename = "failures")]
    pub failure_threshold: u32,
    /// How long the circuit breaker stays open.
    #[serde(with = "humantime_serde")]
    pub cooldown: Duration,
    /// How many calls may be in flight over all upstreams. 0: no limit.
    pub max_in_flight: usize,
    /// How many calls may wait for one of the `max_in_flight` permits.
    #[serde(rename = "queue")]
    pub queue_limit: usize,
}

impl Default for Chat {
    fn default() -> Self {
        Self {
            base_url: None,
            api_key: None,
            dialect: None,
            model: "qwen3-next-80b-a3b-instruct".to_owned(),
            models: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_mins(10),
            idle_timeout: Duration::from_mins(1),
            total_timeout: Duration::from_hours(1),
            on_disconnect: OnDisconnect::Cancel,
            upstreams: Vec::new(),
            routes: Vec::new(),
            routing: Routing::default(),
        }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            name: String::new(),
            base_url: None,
            api_key: None,
            api_key_env: String::new(),
            headers: HeaderMap::new(),
            dialect: None,
            models: Vec::new(),
            rename: BTreeMap::new(),
            weight: 1,
            priority: 0,
            max_in_flight: 0,
            queue_limit: 0,
            connect_timeout: None,
            first_byte_timeout: None,
            idle_timeout: None,
            total_timeout: None,
        }
    }
}

impl Default for Routing {
    fn default() -> Self {
        let GuardSettings { retries, failure_threshold, cooldown, max_in_flight, queue_limit } =
            GuardSettings::default();
        Self {
            policy: BalancingPolicy::Weighted,
            retries,
            retry_unsafe: false,
            failure_threshold,
            cooldown,
            max_in_flight,
            queue_limit,
        }
    }
}

impl Upstream {
    /// Returns whether the upstream serves the model with this name, as one of its models or because it matches a pattern.
    pub(crate) fn serves(&self, model: &str) -> bool {
        self.models.iter().any(|known| name_pattern::matches(known, model))
    }

    /// Returns those of `upstreams` that serve a model: all that list or rename it, otherwise all with the first pattern that it
    /// matches.
    pub(crate) fn serving<'a>(upstreams: &'a [Self], model: &str) -> impl Iterator<Item = &'a Self> {
        let has = |upstream: &Self, name: &str| {
            upstream.models.iter().any(|known| known == name) || upstream.rename.contains_key(name)
        };
        let is_named = upstreams.iter().any(|upstream| has(upstream, model));
        let mut patterns = upstreams.iter().flat_map(Self::patterns);
        let pattern = patterns.find(|pattern| !is_named && name_pattern::matches(pattern, model));
        let name = pattern.map_or(model, String::as_str).to_owned();
        upstreams.iter().filter(move |upstream| has(upstream, &name))
    }

    /// Returns the patterns of the models that are passed through.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &String> {
        self.models.iter().filter(|name| name_pattern::is_pattern(name))
    }
}

/// The name of the upstream of `chat.base_url`.
const SINGLE_UPSTREAM: &str = "upstream";

const MODEL: &str = "chat.model";
const MODELS: &str = "chat.models";
const UPSTREAMS: &str = "chat.upstreams";
const ROUTES: &str = "chat.routes";

impl Chat {
    /// Returns the listed upstreams, otherwise the one of `base_url`, otherwise none.
    pub fn configured_upstreams(&self) -> Cow<'_, [Upstream]> {
        if self.base_url.is_none() || !self.upstreams.is_empty() {
            return Cow::Borrowed(&self.upstreams);
        }
        let single = Upstream {
            name: SINGLE_UPSTREAM.to_owned(),
            base_url: self.base_url.clone(),
            api_key: self.api_key.clone(),
            models: std::iter::once(&self.model).chain(&self.models).cloned().collect(),
            ..Upstream::default()
        };
        Cow::Owned(vec![single])
    }

    /// Returns the name of the setting that adds a model, with its environment variable.
    pub(crate) fn models_setting(&self) -> &'static str {
        if !self.upstreams.is_empty() {
            "`models` of an upstream in chat.upstreams"
        } else if self.base_url.is_some() {
            "chat.models (TRIPTYCH_CHAT_MODELS)"
        } else {
            "chat.base_url and chat.model (CHAT_BASE_URL, CHAT_MODEL)"
        }
    }

    pub(super) fn validate(&self) -> Result<(), SettingError> {
        let error = |key, message| Err(SettingError::new(key, message));
        SettingError::require_nonzero([
            ("chat.connect_timeout", self.connect_timeout),
            ("chat.first_byte_timeout", self.first_byte_timeout),
            ("chat.idle_timeout", self.idle_timeout),
        ])?;
        if self.model.trim().is_empty() || name_pattern::is_pattern(&self.model) {
            return error(MODEL, "must be the name of a model, without `*`");
        }
        if self.models.iter().any(|model| model.trim().is_empty()) {
            return error(MODELS, "must be a list of names, none of them empty");
        }
        if self.base_url.is_none() && !self.models.is_empty() {
            return error(MODELS, "requires an upstream; set chat.base_url");
        }
        if self.routing.failure_threshold == 0 {
            return error("chat.routing.failures", "must be at least 1");
        }
        if self.routing.retries > 10 {
            return error("chat.routing.retries", "must be 0 to 10");
        }
        let connected = self.configured_upstreams();
        if connected.is_empty() {
            if self.routes.is_empty() {
                return Ok(());
            }
            return error(ROUTES, "requires an upstream; set chat.base_url or chat.upstreams");
        }
        let is_served = |model: &String| {
            !name_pattern::is_pattern(model) && connected.iter().any(|upstream| upstream.serves(model))
        };
        if !self.upstreams.is_empty() {
            if self.base_url.is_some() {
                return error(UPSTREAMS, "cannot be combined with chat.base_url; remove one of the two");
            }
            validate_upstreams(&self.upstreams).map_err(|message| SettingError::new(UPSTREAMS, message))?;
            if !is_served(&self.model) {
                return error(MODEL, "is served by none of chat.upstreams; set one of their models");
            }
        }
        validate_routes(&self.routes, is_served).map_err(|message| SettingError::new(ROUTES, message))
    }
}

fn validate_upstreams(upstreams: &[Upstream]) -> Result<(), String> {
    let mut names = HashSet::new();
    for upstream in upstreams {
        let Upstream { name, models, .. } = upstream;
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(format!("name `{name}`: must consist of letters, digits, `.`, `_` and `-`"));
        }
        if !names.insert(name) {
            return Err(format!("name `{name}` is used twice; rename one of the two"));
        }
        if upstream.base_url.is_none() {
            return Err(format!("`{name}` requires base_url, for example \"https://api.example.com/v1\""));
        }
        if models.is_empty() || models.iter().any(|model| model.trim().is_empty()) {
            return Err(format!("`{name}` requires models: the public names it serves, none of them empty"));
        }
        if let Some((_, model)) = models.iter().enumerate().find(|(at, model)| models[..*at].contains(model)) {
            return Err(format!("`{name}` lists model `{model}` twice; remove one of the two"));
        }
        if let Some(model) =
            upstream.rename.keys().find(|model| name_pattern::is_pattern(model) || !upstream.serves(model))
        {
            return Err(format!("`{name}` renames `{model}`, which is not in its models"));
        }
        if upstream.weight == 0 {
            return Err(format!("`{name}`: weight must be at least 1"));
        }
        let timeouts = [upstream.connect_timeout, upstream.first_byte_timeout, upstream.idle_timeout];
        if timeouts.into_iter().flatten().any(|timeout| timeout.is_zero()) {
            return Err(format!("`{name}`: timeouts must be greater than zero, for example \"30s\""));
        }
    }
    Ok(())
}

fn validate_routes(routes: &[RouteRule], is_served: impl Fn(&String) -> bool) -> Result<(), String> {
    let mut seen = HashSet::new();
    for RouteRule { model, aliases, fallbacks, policy: _ } in routes {
        if let Some(model) = std::iter::once(model).chain(fallbacks).find(|model| !is_served(model)) {
            return Err(format!("model `{model}` is served by no upstream; set a model of one of them"));
        }
        if !seen.insert(model) {
            return Err(format!("model `{model}` has two routes; merge them"));
        }
        if fallbacks.contains(model) {
            return Err(format!("model `{model}` cannot be its own fallback"));
        }
        if aliases.iter().any(|alias| alias.trim().is_empty()) {
            return Err(format!("model `{model}` has an empty alias; remove it"));
        }
    }
    Ok(())
}

/// Headers that the client of the upstream sets. `authorization` is among them because only `api_key` is redacted in error
/// messages.
const RESERVED_HEADERS: [HeaderName; 10] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Deserializes headers by their names; rejects [`RESERVED_HEADERS`].
fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderMap, D::Error> {
    let parse = |(name, value): (String, String)| {
        let name: HeaderName =
            name.parse().map_err(|_| D::Error::custom(format!("`{name}` is not a valid header name")))?;
        if RESERVED_HEADERS.contains(&name) {
            return Err(D::Error::custom(format!("header `{name}` cannot be set")));
        }
        let mut value: HeaderValue = value
            .parse()
            .map_err(|_| D::Error::custom(format!("header `{name}` must be printable characters on one line")))?;
        // The value may be a key: `HeaderMap` then hides it in its debug output.
        value.set_sensitive(true);
        Ok((name, value))
    };
    BTreeMap::<String, String>::deserialize(deserializer)?.into_iter().map(parse).collect()
}

/// Deserializes the name of a dialect; `auto` and the empty text are `None`.
fn dialect<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Dialect>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" | "auto" => Ok(None),
        "openai" => Ok(Some(Dialect::Openai)),
        "dashscope" => Ok(Some(Dialect::Dashscope)),
        "deepseek" => Ok(Some(Dialect::Deepseek)),
        "ollama" => Ok(Some(Dialect::Ollama)),
        _ => Err(D::Error::custom("must be `auto`, `openai`, `dashscope`, `deepseek` or `ollama`")),
    }
}
