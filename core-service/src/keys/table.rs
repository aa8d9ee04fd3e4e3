//! The look-up table of secrets, built from the keys of the configuration and of the store.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

use super::{
    caller::{Caller, InFlightLimit, KeyInfo},
    definition::{ConfiguredKey, KeyDefinition, StoredKey},
    owner::Owner,
};
use crate::{
    config::{AccountLimits, Team},
    digest::Sha256Digest,
    ledger::{Budget, Payer},
    limits::Limiter,
    node_count::NodeCount,
};

/// The keys and teams that the table is built from.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) configured: Vec<ConfiguredKey>,
    pub(super) teams: Vec<Team>,
    /// By name, with those that were revoked.
    pub(super) stored: BTreeMap<String, StoredKey>,
}

/// The callers by the digests of their secrets.
#[derive(Default)]
pub(super) struct Table {
    entries: HashMap<Sha256Digest, Entry>,
    /// Whether calls need a key. True also if all keys were revoked: revoking the last one must not open the server to everybody.
    pub(super) requires_key: bool,
}

struct Entry {
    caller: Caller,
    /// When the secret becomes invalid. `None`: never.
    valid_until: Option<SystemTime>,
}

/// A stored key that the configuration overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overridden {
    pub(super) name: String,
    /// What it has in common with a key of the configuration: `name` or `secret`.
    pub(super) shared: &'static str,
}

impl Sources {
    /// Returns whether the configuration has a key of this name.
    pub(super) fn is_configured(&self, name: &str) -> bool {
        self.configured.iter().any(|key| key.definition.name == name)
    }

    /// Returns the stored keys that are not used because of the configuration.
    pub(super) fn overridden(&self) -> Vec<Overridden> {
        let (names, digests) = (self.names(), self.digests());
        let shared = |key: &StoredKey| {
            let mut secrets = key.secret.iter().chain(key.previous_secret.iter().map(|(secret, _)| secret));
            if names.contains(key.definition.name.as_str()) {
                Some("name")
            } else {
                secrets.any(|secret| digests.contains(&secret.digest)).then_some("secret")
            }
        };
        let usable = self.stored.values().filter(|key| key.revoked_at.is_none());
        usable
            .filter_map(|key| shared(key).map(|shared| Overridden { name: key.definition.name.clone(), shared }))
            .collect()
    }

    fn names(&self) -> HashSet<&str> {
        self.configured.iter().map(|key| key.definition.name.as_str()).collect()
    }

    fn digests(&self) -> HashSet<Sha256Digest> {
        self.configured.iter().map(|key| key.digest).collect()
    }

    /// Returns every valid secret with its key and the end of its validity; those of the configuration last, so that they replace
    /// others.
    fn secrets(&self) -> Vec<(Sha256Digest, &KeyDefinition, Option<SystemTime>)> {
        let names = self.names();
        let mut secrets = Vec::new();
        for key in self.stored.values().filter(|key| !names.contains(key.definition.name.as_str())) {
            if let Some((secret, until)) = &key.previous_secret {
                let until = key.expires_at.map_or(*until, |expires_at| expires_at.min(*until));
                secrets.push((secret.digest, &key.definition, Some(until)));
            }
            secrets.extend(key.secret.as_ref().map(|secret| (secret.digest, &key.definition, key.expires_at)));
        }
        secrets.extend(self.configured.iter().map(|key| (key.digest, &key.definition, None)));
        secrets
    }
}

impl Table {
    /// Builds the table. Limiters of `earlier` whose limits stay the same are reused.
    pub(super) fn build(sources: &Sources, earlier: &Self, nodes: &NodeCount) -> Self {
        let secrets = sources.secrets();
        let mut callers = Callers {
            limiters: earlier.limiters().map(|limiter| (limiter.subject().to_owned(), limiter.clone())).collect(),
            teams: sources.teams.iter().map(|team| (team.name.as_str(), team)).collect(),
            members: members(&secrets),
            built: HashMap::new(),
            nodes,
        };
        let mut entries = HashMap::with_capacity(secrets.len());
        for (digest, key, valid_until) in secrets {
            entries.insert(digest, Entry { caller: callers.caller(key), valid_until });
        }
        let requires_key = !(sources.configured.is_empty() && sources.stored.is_empty());
        Self { entries, requires_key }
    }

    /// Returns the caller with this secret. The clock is read only for a secret that becomes invalid at some time.
    pub(super) fn find(&self, digest: &Sha256Digest, now: impl FnOnce() -> SystemTime) -> Option<&Caller> {
        let Entry { caller, valid_until } = self.entries.get(digest)?;
        valid_until.is_none_or(|until| now() < until).then_some(caller)
    }

    pub(super) fn callers(&self) -> impl Iterator<Item = &Caller> {
        self.entries.values().map(|entry| &entry.caller)
    }

    /// Returns the callers whose secrets are valid at this time.
    pub(super) fn valid_callers(&self, now: SystemTime) -> impl Iterator<Item = &Caller> {
        let is_valid = move |entry: &&Entry| entry.valid_until.is_none_or(|until| now < until);
        self.entries.values().filter(is_valid).map(|entry| &entry.caller)
    }

    fn limiters(&self) -> impl Iterator<Item = &Arc<Limiter>> {
        self.callers().flat_map(Caller::limiters)
    }
}

/// Returns the owners in each team, each once.
fn members<'a>(secrets: &[(Sha256Digest, &'a KeyDefinition, Option<SystemTime>)]) -> HashMap<&'a str, Arc<[Owner]>> {
    let mut names: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for (_, key, _) in secrets {
        names.entry(&key.team).or_default().insert(&key.name);
    }
    names.into_iter().map(|(team, names)| (team, names.into_iter().map(Owner::new).collect())).collect()
}

/// Builds callers that share limiters.
struct Callers<'a> {
    /// By subject.
    limiters: HashMap<String, Arc<Limiter>>,
    teams: HashMap<&'a str, &'a Team>,
    /// The owners in each team, which all of its keys share.
    members: HashMap<&'a str, Arc<[Owner]>>,
    /// By name. Keys of one name have the same team and limits, and can differ in the rest.
    built: HashMap<&'a str, (&'a KeyDefinition, Caller)>,
    nodes: &'a NodeCount,
}

impl<'a> Callers<'a> {
    fn caller(&mut self, key: &'a KeyDefinition) -> Caller {
        if let Some((_, caller)) = self.built.get(key.name.as_str()).filter(|(earlier, _)| *earlier == key) {
            return caller.clone();
        }
        let mut info = KeyInfo {
            name: key.name.clone(),
            on_disconnect: key.on_disconnect,
            priority: key.priority,
            admin: key.admin,
            limiters: Vec::new(),
            in_flight: Vec::new(),
            payer: self.payer(key),
        };
        self.limit(&mut info, format!("key `{}`", key.name), &key.limits, || Arc::from([Owner::new(&key.name)]));
        if let Some(team) = self.teams.get(key.team.as_str()).copied() {
            let members = self.members.get(key.team.as_str()).cloned().unwrap_or_default();
            self.limit(&mut info, format!("team `{}`", team.name), &team.limits, || members);
        }
        let caller = Caller::with_key(info);
        self.built.insert(&key.name, (key, caller.clone()));
        caller
    }

    /// Adds the limits of a key or team.
    fn limit(
        &mut self,
        info: &mut KeyInfo,
        subject: String,
        limits: &AccountLimits,
        owners: impl FnOnce() -> Arc<[Owner]>,
    ) {
        let existing = self.limiters.get(&subject).filter(|limiter| limiter.is_for(&subject, limits)).cloned();
        let limiter = existing.or_else(|| Limiter::new(subject.clone(), limits, self.nodes.clone()));
        if let Some(limiter) = limiter {
            self.limiters.insert(subject.clone(), Arc::clone(&limiter));
            info.limiters.push(limiter);
        }
        if limits.jobs_in_flight > 0 {
            info.in_flight.push(InFlightLimit { subject, owners: owners(), limit: limits.jobs_in_flight });
        }
    }

    /// Returns who pays for the calls of a key.
    fn payer(&self, key: &KeyDefinition) -> Payer {
        let team = self.teams.get(key.team.as_str());
        let of_team = team.and_then(|team| Budget::new("team", &team.name, &team.limits));
        let budgets = Budget::new("key", &key.name, &key.limits).into_iter().chain(of_team);
        Payer::new(&key.name, &key.team, budgets.collect())
    }
}
