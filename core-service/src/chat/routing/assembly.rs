//! The catalog's entries for the connected upstreams.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    BreakerSettings, Gate, RetrySettings, Routed, Target,
    policy::{FirstToken, LeastInFlight, Policy, Weighted},
};
use crate::{
    catalog::Entry,
    chat::{ChatProvider, providers::openai::OpenAiChat},
    config::{self, Chat},
    upstream::{Limits, SetupError},
};

/// An upstream, set up once however many models it serves.
struct Peer<'a> {
    upstream: &'a config::Upstream,
    provider: Arc<dyn ChatProvider>,
    gate: Arc<Gate>,
    total: Option<Duration>,
}

/// One entry for each public name, the default first; none where no upstream is connected. The settings are valid.
pub fn entries(chat: &Chat) -> Result<Vec<Entry<dyn ChatProvider>>, SetupError> {
    let upstreams = chat.connected();
    if upstreams.is_empty() {
        return Ok(Vec::new());
    }
    let mut peers = Vec::with_capacity(upstreams.len());
    for upstream in &*upstreams {
        // What has no address was refused before.
        let Some(base) = upstream.base_url.clone() else { continue };
        let limits = Limits {
            connect: upstream.connect_timeout.unwrap_or(chat.connect_timeout),
            first_byte: upstream.first_byte_timeout.unwrap_or(chat.first_byte_timeout),
            idle: upstream.idle_timeout.unwrap_or(chat.idle_timeout),
        };
        let provider = OpenAiChat::new(base, upstream.api_key.clone(), limits)?.with_headers(&upstream.headers);
        let provider: Arc<dyn ChatProvider> = match upstream.dialect.or(chat.dialect) {
            Some(dialect) => Arc::new(provider.speaking(dialect)),
            None => Arc::new(provider),
        };
        let total = Some(upstream.total_timeout.unwrap_or(chat.total_timeout)).filter(|total| !total.is_zero());
        let gate = Arc::new(Gate::new(upstream.max_in_flight, upstream.queue));
        peers.push(Peer { upstream, provider, gate, total });
    }
    let config::Routing { policy, retries, retry_unsafe, failures, cooldown, max_in_flight, queue } = chat.routing;
    let breaker = BreakerSettings { failures, cooldown };
    let total = Arc::new(Gate::new(max_in_flight, queue));
    let routes: HashMap<_, _> = chat.routes.iter().map(|route| (&route.model, route)).collect();
    let mut names = vec![&chat.model];
    for name in upstreams.iter().flat_map(|upstream| &upstream.models) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let entry = |name: &String| {
        let route = routes.get(name);
        let mut targets = targets(name, &peers, breaker);
        for fallback in route.iter().flat_map(|route| &route.fallbacks) {
            let behind = targets.iter().map(|target| target.priority.saturating_add(1)).max().unwrap_or_default();
            let more = self::targets(fallback, &peers, breaker).into_iter();
            targets.extend(more.map(|target| Target { priority: target.priority.saturating_add(behind), ..target }));
        }
        let policy: Arc<dyn Policy> = match route.and_then(|route| route.policy).unwrap_or(policy) {
            config::Policy::Weighted => Arc::new(Weighted),
            config::Policy::LeastInFlight => Arc::new(LeastInFlight),
            config::Policy::FirstToken => Arc::new(FirstToken),
        };
        let retry = RetrySettings { retries, retry_unsafe };
        Entry {
            id: name.clone(),
            upstream: name.clone(),
            owned_by: "upstream".to_owned(),
            provider_id: "upstream".to_owned(),
            aliases: route.map(|route| route.aliases.clone()).unwrap_or_default(),
            capabilities: &["stream", "tools", "json_schema"],
            hidden: false,
            provider: Arc::new(Routed::new(targets, policy, retry, total.clone())) as Arc<dyn ChatProvider>,
        }
    };
    Ok(names.into_iter().map(entry).collect())
}

fn targets(model: &String, peers: &[Peer<'_>], breaker: BreakerSettings) -> Vec<Target> {
    let serving = peers.iter().filter(|peer| peer.upstream.models.contains(model));
    let target = |Peer { upstream, provider, gate, total }: &Peer<'_>| {
        let theirs = upstream.rename.get(model).unwrap_or(model);
        let target = Target::new(&upstream.name, theirs, provider.clone(), gate.clone(), breaker);
        Target { weight: upstream.weight, priority: upstream.priority, total: *total, ..target }
    };
    serving.map(target).collect()
}
