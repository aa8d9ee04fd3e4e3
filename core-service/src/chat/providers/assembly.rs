//! Assembles the catalog's chat models from the settings.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{offline, openai::OpenAiChat};
use crate::{
    chat::{
        ChatProvider,
        routing::{
            Routed, Target,
            policy::{FirstToken, LeastInFlight, Policy, Weighted},
        },
    },
    config::{self, Chat, Settings},
    discovery::DiscoveredModels,
    models::Entry,
    name_pattern,
    prices::UPSTREAM_PROVIDER_ID,
    upstream::{BreakerSettings, ConcurrencyLimit, RetrySettings, SetupError, Timeouts},
};

/// Model names that existing programs request by default. Only the built-in engine serves them: at an upstream they may
/// stand for other models, and cost money.
const WELL_KNOWN_MODELS: [&str; 4] = ["gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo"];

/// The client of an upstream, shared by all of its models.
struct UpstreamClient<'a> {
    upstream: &'a config::Upstream,
    provider: Arc<OpenAiChat>,
    limit: Arc<ConcurrencyLimit>,
    total_timeout: Option<Duration>,
}

/// The chat models.
#[derive(Default)]
pub(crate) struct ChatModels {
    /// The models with a name, the default first.
    pub(crate) entries: Vec<Entry<dyn ChatProvider>>,
    /// The models that are passed through; their names are patterns.
    pub(crate) patterns: Vec<Entry<dyn ChatProvider>>,
    /// The model lists of the upstreams that have patterns.
    pub(crate) discovered: Vec<DiscoveredModels>,
}

/// Returns all chat models: those of the configured upstreams, and the built-in engine. The settings must be valid. With
/// patterns, must be called within a tokio runtime.
///
/// # Errors
/// An upstream that cannot be set up.
pub(crate) fn models(settings: &Settings) -> Result<ChatModels, SetupError> {
    let tokens_per_second = settings.offline.chat_tokens_per_second;
    let mut models = upstream_models(&settings.chat)?;
    if models.entries.is_empty() {
        let model = &settings.chat.model;
        let aliases: Vec<_> = WELL_KNOWN_MODELS.into_iter().filter(|name| name != model).collect();
        models.entries = offline::entries(tokens_per_second, &[(model, &aliases)]);
    } else {
        models.entries.extend(offline::entries(tokens_per_second, &[]));
    }
    Ok(models)
}

/// Returns the models of the configured upstreams; none without an upstream.
fn upstream_models(chat: &Chat) -> Result<ChatModels, SetupError> {
    let upstreams = chat.configured_upstreams();
    if upstreams.is_empty() {
        return Ok(ChatModels::default());
    }
    let mut clients = Vec::with_capacity(upstreams.len());
    for upstream in &*upstreams {
        // Validation rejects an upstream without an address.
        let Some(base) = upstream.base_url.clone() else { continue };
        if base.path() == "/" {
            tracing::warn!(
                upstream = upstream.name,
                "the base URL has no path; if calls fail with 404, add the one of the API, which is usually /v1"
            );
        }
        let timeouts = Timeouts {
            connect: upstream.connect_timeout.unwrap_or(chat.connect_timeout),
            first_byte: upstream.first_byte_timeout.unwrap_or(chat.first_byte_timeout),
            idle: upstream.idle_timeout.unwrap_or(chat.idle_timeout),
        };
        let provider = OpenAiChat::new(base, upstream.api_key.clone(), timeouts)?.with_headers(&upstream.headers);
        let provider = Arc::new(match upstream.dialect.or(chat.dialect) {
            Some(dialect) => provider.with_dialect(dialect),
            None => provider,
        });
        let total_timeout = Some(upstream.total_timeout.unwrap_or(chat.total_timeout)).filter(|total| !total.is_zero());
        let limit = Arc::new(ConcurrencyLimit::new(upstream.max_in_flight, upstream.queue_limit));
        clients.push(UpstreamClient { upstream, provider, limit, total_timeout });
    }
    let config::Routing { policy, retries, retry_unsafe, failure_threshold, cooldown, max_in_flight, queue_limit } =
        chat.routing;
    let breaker = BreakerSettings { failure_threshold, cooldown };
    let retry = RetrySettings { retries, retry_unsafe };
    let shared_limit = Arc::new(ConcurrencyLimit::new(max_in_flight, queue_limit));
    let rules: HashMap<_, _> = chat.routes.iter().map(|rule| (&rule.model, rule)).collect();
    // Renamed models and those with a rule need entries of their own, even if they match a pattern.
    let configured = upstreams.iter().flat_map(|upstream| upstream.models.iter().chain(upstream.rename.keys()));
    let mut names = vec![&chat.model];
    for name in
        configured.chain(chat.routes.iter().flat_map(|rule| std::iter::once(&rule.model).chain(&rule.fallbacks)))
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let (patterns, names): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name_pattern::is_pattern(name));
    let entry = |name: &String| {
        let rule = rules.get(name);
        let mut targets = targets(name, &upstreams, &clients, breaker);
        for fallback in rule.iter().flat_map(|rule| &rule.fallbacks) {
            // The targets of a fallback come after all targets before them, in the order of their own priorities.
            let offset = targets.iter().map(|target| target.priority.saturating_add(1)).max().unwrap_or_default();
            let mut fallbacks = self::targets(fallback, &upstreams, &clients, breaker);
            for target in &mut fallbacks {
                target.priority = target.priority.saturating_add(offset);
            }
            targets.append(&mut fallbacks);
        }
        let policy: Arc<dyn Policy> = match rule.and_then(|rule| rule.policy).unwrap_or(policy) {
            config::BalancingPolicy::Weighted => Arc::new(Weighted),
            config::BalancingPolicy::LeastInFlight => Arc::new(LeastInFlight),
            config::BalancingPolicy::FirstToken => Arc::new(FirstToken),
        };
        Entry {
            id: name.clone(),
            upstream_model: name.clone(),
            owned_by: UPSTREAM_PROVIDER_ID.to_owned(),
            provider_id: UPSTREAM_PROVIDER_ID.to_owned(),
            aliases: rule.map(|rule| rule.aliases.clone()).unwrap_or_default(),
            capabilities: vec!["stream", "tools", "json_schema"],
            hidden: false,
            passed_by: None,
            provider: Arc::new(Routed::new(targets, policy, retry, shared_limit.clone())) as Arc<dyn ChatProvider>,
        }
    };
    Ok(ChatModels {
        entries: names.into_iter().map(entry).collect(),
        patterns: patterns.into_iter().map(entry).collect(),
        discovered: clients.iter().filter_map(discovery).collect(),
    })
}

/// Starts to read the list of models of an upstream with patterns.
fn discovery(UpstreamClient { upstream, provider, .. }: &UpstreamClient<'_>) -> Option<DiscoveredModels> {
    let patterns: Vec<_> = upstream.patterns().cloned().collect();
    if patterns.is_empty() {
        return None;
    }
    let provider = Arc::clone(provider);
    let list = move || {
        let provider = Arc::clone(&provider);
        async move { provider.models().await }
    };
    let is_kept = move |name: &str| patterns.iter().any(|pattern| name_pattern::matches(pattern, name));
    Some(DiscoveredModels::start(upstream.name.clone(), list, is_kept))
}

/// Returns the targets of a model: one for each upstream that lists or renames it, or, if there is none, one for each upstream with
/// the first pattern that it matches.
fn targets(
    model: &String,
    upstreams: &[config::Upstream],
    clients: &[UpstreamClient<'_>],
    breaker: BreakerSettings,
) -> Vec<Target> {
    let serving: Vec<_> = config::Upstream::serving(upstreams, model).map(|upstream| &upstream.name).collect();
    let serving = clients.iter().filter(|client| serving.contains(&&client.upstream.name));
    let target = |UpstreamClient { upstream, provider, limit, total_timeout }: &UpstreamClient<'_>| {
        let upstream_model = upstream.rename.get(model).unwrap_or(model);
        let mut target = Target::new(&upstream.name, upstream_model, provider.clone(), limit.clone(), breaker);
        (target.weight, target.priority, target.total_timeout) = (upstream.weight, upstream.priority, *total_timeout);
        target
    };
    serving.map(target).collect()
}
