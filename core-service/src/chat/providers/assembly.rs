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
    models::Entry,
    upstream::{BreakerSettings, ConcurrencyLimit, Limits, RetrySettings, SetupError},
};

/// Model names that existing programs request by default. Only the built-in engine serves them: at an upstream they may
/// stand for other models, and cost money.
const WELL_KNOWN_MODELS: [&str; 4] = ["gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo"];

/// The client of an upstream, shared by all of its models.
struct UpstreamClient<'a> {
    upstream: &'a config::Upstream,
    provider: Arc<dyn ChatProvider>,
    limit: Arc<ConcurrencyLimit>,
    total_timeout: Option<Duration>,
}

/// Returns all chat models, the default first: those of the configured upstreams, and the built-in engine. The settings must
/// be valid.
///
/// # Errors
/// An upstream that cannot be set up.
pub(crate) fn entries(settings: &Settings) -> Result<Vec<Entry<dyn ChatProvider>>, SetupError> {
    let tokens_per_second = settings.offline.chat_tokens_per_second;
    let configured = upstream_entries(&settings.chat)?;
    if configured.is_empty() {
        let model = &settings.chat.model;
        let aliases: Vec<_> = WELL_KNOWN_MODELS.into_iter().filter(|name| name != model).collect();
        return Ok(offline::entries(tokens_per_second, &[(model, &aliases)]));
    }
    Ok(configured.into_iter().chain(offline::entries(tokens_per_second, &[])).collect())
}

/// Returns the models of the configured upstreams, the default first; none without an upstream.
fn upstream_entries(chat: &Chat) -> Result<Vec<Entry<dyn ChatProvider>>, SetupError> {
    let upstreams = chat.configured_upstreams();
    if upstreams.is_empty() {
        return Ok(Vec::new());
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
        let limits = Limits {
            connect: upstream.connect_timeout.unwrap_or(chat.connect_timeout),
            first_byte: upstream.first_byte_timeout.unwrap_or(chat.first_byte_timeout),
            idle: upstream.idle_timeout.unwrap_or(chat.idle_timeout),
        };
        let provider = OpenAiChat::new(base, upstream.api_key.clone(), limits)?.with_headers(&upstream.headers);
        let provider: Arc<dyn ChatProvider> = match upstream.dialect.or(chat.dialect) {
            Some(dialect) => Arc::new(provider.with_dialect(dialect)),
            None => Arc::new(provider),
        };
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
    let mut names = vec![&chat.model];
    for name in upstreams.iter().flat_map(|upstream| &upstream.models) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let entry = |name: &String| {
        let rule = rules.get(name);
        let mut targets = targets(name, &clients, breaker);
        for fallback in rule.iter().flat_map(|rule| &rule.fallbacks) {
            let offset = targets.iter().map(|target| target.priority.saturating_add(1)).max().unwrap_or_default();
            let mut fallbacks = self::targets(fallback, &clients, breaker);
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
            owned_by: "upstream".to_owned(),
            provider_id: "upstream".to_owned(),
            aliases: rule.map(|rule| rule.aliases.clone()).unwrap_or_default(),
            capabilities: vec!["stream", "tools", "json_schema"],
            hidden: false,
            provider: Arc::new(Routed::new(targets, policy, retry, shared_limit.clone())) as Arc<dyn ChatProvider>,
        }
    };
    Ok(names.into_iter().map(entry).collect())
}

/// Returns the targets of a model, one for each upstream that serves it.
fn targets(model: &String, clients: &[UpstreamClient<'_>], breaker: BreakerSettings) -> Vec<Target> {
    let serving = clients.iter().filter(|client| client.upstream.models.contains(model));
    let target = |UpstreamClient { upstream, provider, limit, total_timeout }: &UpstreamClient<'_>| {
        let upstream_model = upstream.rename.get(model).unwrap_or(model);
        let mut target = Target::new(&upstream.name, upstream_model, provider.clone(), limit.clone(), breaker);
        (target.weight, target.priority, target.total_timeout) = (upstream.weight, upstream.priority, *total_timeout);
        target
    };
    serving.map(target).collect()
}
