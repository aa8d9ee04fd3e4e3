//! The chat upstreams, and how calls are spread over them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use super::{Chat, Invalid, base_url, dialect, secret};
use crate::{chat::dialect::Dialect, upstream::GuardSettings};

/// One of several upstreams.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// What callers and logs may learn of it: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// Its address, up to and including the `/v1`.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// Its key, where it asks for one.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The environment variable that holds its key, instead. Whoever reads the settings looks it up.
    pub api_key_env: String,
    /// What goes with every request to it.
    #[serde(deserialize_with = "headers")]
    pub headers: HeaderMap,
    /// Whose reading of OpenAI's API it has; absent: `chat.dialect`.
    #[serde(deserialize_with = "dialect")]
    pub dialect: Option<Dialect>,
    /// The public names of the models it serves.
    pub models: Vec<String>,
    /// Its own names of them, where they differ from the public ones.
    pub rename: BTreeMap<String, String>,
    /// Its share of the calls among upstreams of one priority.
    pub weight: u32,
    /// Lower ones are served first.
    pub priority: u32,
    /// How many calls it answers at once; 0: no bound.
    pub max_in_flight: usize,
    /// How many callers may wait for one of these places.
    pub queue: usize,
    /// How long connecting may take; absent: `chat.connect_timeout`.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Option<Duration>,
    /// How long it may think before the first byte of its answer; absent: `chat.first_byte_timeout`.
    #[serde(with = "humantime_serde")]
    pub first_byte_timeout: Option<Duration>,
    /// The longest silence within an answer; absent: `chat.idle_timeout`.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Option<Duration>,
    /// How long a call may take in all, zero: no bound; absent: `chat.total_timeout`.
    #[serde(with = "humantime_serde")]
    pub total_timeout: Option<Duration>,
}

/// What is special about one public model name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteRule {
    /// The public name.
    pub model: String,
    /// Other public names of it.
    pub aliases: Vec<String>,
    /// Models whose upstreams serve it when none of its own can, in this order.
    pub fallbacks: Vec<String>,
    /// How its upstream is chosen; absent: `chat.routing.policy`.
    pub policy: Option<Policy>,
}

/// How one of several upstreams is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// By chance, in proportion to the weights.
    #[default]
    Weighted,
    /// Where the least is under way.
    LeastInFlight,
    /// Where the first token came soonest of late.
    FirstToken,
}

/// How calls are spread over several upstreams.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routing {
    /// How one of several upstreams is chosen.
    pub policy: Policy,
    /// Tries beyond the first of each upstream.
    pub retries: u32,
    /// Whether failures are tried again after which the upstream may be at work all the same.
    pub retry_unsafe: bool,
    /// After this many failures in a row an upstream's model rests.
    pub failures: u32,
    /// How long it rests.
    #[serde(with = "humantime_serde")]
    pub cooldown: Duration,
    /// How many calls are under way at once over all upstreams; 0: no bound.
    pub max_in_flight: usize,
    /// How many callers may wait for one of these places.
    pub queue: usize,
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
            queue: 0,
            connect_timeout: None,
            first_byte_timeout: None,
            idle_timeout: None,
            total_timeout: None,
        }
    }
}

impl Default for Routing {
    fn default() -> Self {
        let GuardSettings { retries, failures, cooldown, max_in_flight, queue } = GuardSettings::default();
        Self { policy: Policy::Weighted, retries, retry_unsafe: false, failures, cooldown, max_in_flight, queue }
    }
}

/// What the upstream of `chat.base_url` is called.
const LONE: &str = "upstream";

impl Chat {
    /// The upstreams: those listed, else the one that `base_url` names, else none.
    pub fn connected(&self) -> Cow<'_, [Upstream]> {
        if self.base_url.is_none() || !self.upstreams.is_empty() {
            return Cow::Borrowed(&self.upstreams);
        }
        let lone = Upstream {
            name: LONE.to_owned(),
            base_url: self.base_url.clone(),
            api_key: self.api_key.clone(),
            models: std::iter::once(&self.model).chain(&self.models).cloned().collect(),
            ..Upstream::default()
        };
        Cow::Owned(vec![lone])
    }
}

/// Headers that the client of an upstream writes itself; the key, so that it can be taken out of what is told.
const OWN: [HeaderName; 10] = [
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

fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderMap, D::Error> {
    let read = |(name, value): (String, String)| {
        let name: HeaderName =
            name.parse().map_err(|_| D::Error::custom(format!("`{name}` is no name of a header")))?;
        if OWN.contains(&name) {
            return Err(D::Error::custom(format!("`{name}` cannot be set")));
        }
        let mut value: HeaderValue = value
            .parse()
            .map_err(|_| D::Error::custom(format!("`{name}` must be printable characters on one line")))?;
        // It may be a key; logs do not show it.
        value.set_sensitive(true);
        Ok((name, value))
    };
    BTreeMap::<String, String>::deserialize(deserializer)?.into_iter().map(read).collect()
}

const UPSTREAMS: &str = "chat.upstreams";
const ROUTES: &str = "chat.routes";

/// Whether the upstreams, the routes and the default model make sense together.
pub(super) fn validate(chat: &Chat) -> Result<(), Invalid> {
    if chat.routing.failures == 0 {
        return wrong("chat.routing.failures", "must be at least 1".to_owned());
    }
    if chat.routing.retries > 10 {
        return wrong("chat.routing.retries", "must be 0 to 10".to_owned());
    }
    let connected = chat.connected();
    if connected.is_empty() {
        if chat.routes.is_empty() {
            return Ok(());
        }
        return wrong(ROUTES, "needs an upstream, and there is none; set chat.base_url or chat.upstreams".to_owned());
    }
    let served = |model: &String| connected.iter().any(|upstream| upstream.models.contains(model));
    if !chat.upstreams.is_empty() {
        if chat.base_url.is_some() {
            return wrong(UPSTREAMS, "stands beside chat.base_url; set the one or the other".to_owned());
        }
        upstreams(&chat.upstreams)?;
        if !served(&chat.model) {
            return wrong("chat.model", "is served by none of chat.upstreams; name one of their models".to_owned());
        }
    }
    routes(&chat.routes, served)
}

fn wrong(key: &'static str, message: String) -> Result<(), Invalid> {
    Err(Invalid { key, message })
}

fn upstreams(upstreams: &[Upstream]) -> Result<(), Invalid> {
    let mut names = HashSet::new();
    for upstream in upstreams {
        let name = &upstream.name;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return wrong(UPSTREAMS, format!("the name `{name}` must be letters, digits, `.`, `_` and `-`"));
        }
        if !names.insert(name) {
            return wrong(UPSTREAMS, format!("two have the name `{name}`"));
        }
        if upstream.base_url.is_none() {
            return wrong(UPSTREAMS, format!("`{name}` needs a base_url, for instance https://api.example.com/v1"));
        }
        if upstream.models.is_empty() || upstream.models.iter().any(|model| model.trim().is_empty()) {
            return wrong(UPSTREAMS, format!("`{name}` needs models: the public names it serves, none of them empty"));
        }
        if let Some(twice) =
            upstream.models.iter().enumerate().find(|(at, model)| upstream.models[..*at].contains(model))
        {
            return wrong(UPSTREAMS, format!("`{name}` names the model `{}` twice", twice.1));
        }
        if let Some(model) = upstream.rename.keys().find(|model| !upstream.models.contains(model)) {
            return wrong(UPSTREAMS, format!("`{name}` renames `{model}`, which is not among its models"));
        }
        if upstream.weight == 0 {
            return wrong(UPSTREAMS, format!("`{name}` needs a weight of at least 1"));
        }
        let limits = [upstream.connect_timeout, upstream.first_byte_timeout, upstream.idle_timeout];
        if limits.into_iter().flatten().any(|limit| limit.is_zero()) {
            return wrong(UPSTREAMS, format!("`{name}` has a timeout of nothing; write for instance 30s"));
        }
    }
    Ok(())
}

fn routes(routes: &[RouteRule], served: impl Fn(&String) -> bool) -> Result<(), Invalid> {
    let mut seen = HashSet::new();
    for route in routes {
        if let Some(model) = std::iter::once(&route.model).chain(&route.fallbacks).find(|model| !served(model)) {
            return wrong(ROUTES, format!("the model `{model}` is served by no upstream"));
        }
        if !seen.insert(&route.model) {
            return wrong(ROUTES, format!("two are for the model `{}`", route.model));
        }
        if route.fallbacks.contains(&route.model) {
            return wrong(ROUTES, format!("the model `{}` cannot be its own fallback", route.model));
        }
        if route.aliases.iter().any(|alias| alias.trim().is_empty()) {
            return wrong(ROUTES, format!("the model `{}` has an empty alias", route.model));
        }
    }
    Ok(())
}
