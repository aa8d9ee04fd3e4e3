//! Authentication of clients by API keys, for both APIs, REST and gRPC.
//!
//! The gateway has no keys: it passes the `authorization` header on, and asks the core to check it before it reads a body. Health,
//! reflection and media reads require no key: the key of a media file cannot be guessed, and links to it are followed by
//! browsers and players that send no credentials.
//!
//! Keys come from the configuration and from the store of keys that administrators create at run time (`admin`). The table of both is
//! replaced as a whole with each change.

mod caller;
mod definition;
mod owner;
mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use http::{HeaderValue, header::AUTHORIZATION};
use tonic::{Request, Status, metadata::MetadataMap};
use tracing::Span;
use triptych_telemetry::CallReport;

pub use self::{
    caller::{Caller, InFlightLimit},
    definition::{GeneratedSecret, KeyChange, KeyDefinition, SecretDigest, StoredKey},
    owner::{Owner, Owners},
};
use self::{
    definition::ConfiguredKey,
    table::{Overridden, Sources, Table},
};
use crate::{
    config::{self, MAX_SECRET_LENGTH, SettingError},
    digest::sha256,
    error::Error,
    ledger::Budget,
    live::Live,
    node_count::NodeCount,
};

/// The API keys that the core accepts. Clones share them. If there are none, not even revoked ones, no call requires a key.
///
/// Secrets are stored and looked up by digest, so that neither memory nor timing reveals them.
#[derive(Clone, Default)]
pub struct Keys {
    table: Live<Table>,
    /// What the table is built from. Stays locked until the new table is published, so that concurrent changes are published in order.
    sources: Arc<Mutex<Sources>>,
    /// The number of nodes (processes that share the database). Each permits an equal share of the limits.
    nodes: NodeCount,
}

/// A key, wherever it is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "records live as long as one call, and most are stored keys")]
pub enum KeyRecord {
    /// In the configuration.
    Configured(KeyDefinition),
    /// In the store.
    Stored(StoredKey),
}

impl KeyRecord {
    /// Returns the settings of the key.
    pub fn definition(&self) -> &KeyDefinition {
        match self {
            Self::Configured(definition) => definition,
            Self::Stored(key) => &key.definition,
        }
    }
}

impl Keys {
    /// Returns the keys of these settings.
    ///
    /// # Errors
    /// A key has no secret, or two keys have the same one.
    pub fn new(keys: &[config::Key], teams: &[config::Team]) -> Result<Self, SettingError> {
        let new = Self::default();
        new.replace(keys, teams)?;
        Ok(new)
    }

    /// Replaces the keys of the configuration, for all clones. A removed key is rejected from now on; calls in flight continue. Stored
    /// keys stay, except for those with a name or secret of the configuration, which are ignored and logged. Limits that stay the
    /// same keep their state.
    ///
    /// # Errors
    /// As for [`Keys::new`]; the keys then stay as they were.
    pub fn replace(&self, keys: &[config::Key], teams: &[config::Team]) -> Result<(), SettingError> {
        let mut configured: Vec<ConfiguredKey> = Vec::with_capacity(keys.len());
        let mut digests = HashSet::with_capacity(keys.len());
        for key in keys {
            let configured_key = ConfiguredKey::new(key)?;
            if !digests.insert(configured_key.digest) {
                return Err(key.error("has the secret of another key"));
            }
            configured.push(configured_key);
        }
        let mut sources = self.sources();
        sources.configured = configured;
        teams.clone_into(&mut sources.teams);
        self.publish(&sources);
        log_conflicts(&sources);
        Ok(())
    }

    /// Sets the stored keys, at start.
    pub(crate) fn load(&self, keys: Vec<StoredKey>) {
        let mut sources = self.sources();
        sources.stored = keys.into_iter().map(|key| (key.definition.name.clone(), key)).collect();
        self.publish(&sources);
        log_conflicts(&sources);
    }

    /// Applies a committed change of a stored key. Changes may arrive in any order: the newest revision of a key remains.
    pub(crate) fn apply(&self, key: &StoredKey) {
        self.apply_all([key]);
    }

    /// Applies committed changes of several stored keys.
    pub(crate) fn apply_all<'k>(&self, keys: impl IntoIterator<Item = &'k StoredKey>) {
        let mut sources = self.sources();
        let mut has_changed = false;
        for key in keys {
            let name = &key.definition.name;
            if sources.stored.get(name).is_none_or(|known| known.revision < key.revision) {
                sources.stored.insert(name.clone(), key.clone());
                has_changed = true;
            }
        }
        if has_changed {
            self.publish(&sources);
        }
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, sources: &Sources) {
        self.table.store(Table::build(sources, &self.table.load(), &self.nodes));
    }

    /// Returns the key with this name; that of the configuration if the store has one of this name too.
    pub(crate) fn record(&self, name: &str) -> Option<KeyRecord> {
        let sources = self.sources();
        let configured = sources.configured.iter().find(|key| key.definition.name == name);
        configured
            .map(|key| KeyRecord::Configured(key.definition.clone()))
            .or_else(|| sources.stored.get(name).cloned().map(KeyRecord::Stored))
    }

    /// Returns all keys in the order of their names, also those that were revoked. Of several with one name, the first of the
    /// configuration is returned.
    pub(crate) fn records(&self) -> Vec<KeyRecord> {
        let sources = self.sources();
        let mut records: BTreeMap<&str, KeyRecord> =
            sources.stored.iter().map(|(name, key)| (name.as_str(), KeyRecord::Stored(key.clone()))).collect();
        for key in sources.configured.iter().rev() {
            records.insert(&key.definition.name, KeyRecord::Configured(key.definition.clone()));
        }
        records.into_values().collect()
    }

    /// Returns whether the configuration has a team of this name.
    pub(crate) fn has_team(&self, name: &str) -> bool {
        self.sources().teams.iter().any(|team| team.name == name)
    }

    /// Returns whether the configuration has a key of this name.
    pub(crate) fn is_configured(&self, name: &str) -> bool {
        self.sources().is_configured(name)
    }

    /// Returns the number of stored keys, also of those that were revoked.
    pub fn stored(&self) -> usize {
        self.sources().stored.len()
    }

    /// Returns the number of nodes among which limits are divided.
    pub(crate) fn nodes(&self) -> &NodeCount {
        &self.nodes
    }

    /// Returns whether calls require a key.
    pub fn are_required(&self) -> bool {
        self.table.load().requires_key
    }

    /// Returns the budgets of all keys that are not revoked and of all teams, also of those without a key, ordered by their subject.
    pub(crate) fn budgets(&self) -> Vec<Budget> {
        let table = self.table.load();
        let mut budgets: Vec<_> = table.callers().flat_map(|caller| &caller.payer().budgets).cloned().collect();
        let sources = self.sources();
        budgets.extend(sources.teams.iter().filter_map(|team| Budget::new("team", &team.name, &team.limits)));
        drop(sources);
        budgets.sort_by(|a, b| a.subject.cmp(&b.subject));
        // Several keys can have one name, and one team.
        budgets.dedup_by(|a, b| a.subject == b.subject);
        budgets
    }

    /// Authenticates the caller of a request, and records its name in the current span and in the report of the call.
    ///
    /// # Errors
    /// [`Error::InvalidApiKey`] if keys are required and the request has no valid one.
    pub fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Error> {
        // The gRPC server authenticates before it reads the message and attaches the caller to the request.
        let authenticated = request.extensions().get::<Caller>();
        let caller =
            authenticated.map_or_else(|| self.authenticate(request.metadata()), |caller| Ok(caller.clone()))?;
        if let (Some(name), Some(report)) = (caller.name(), request.extensions().get::<CallReport>()) {
            report.set_caller(name);
            caller.report_rate_limits(report);
        }
        Ok(caller)
    }

    /// Returns the caller on whose behalf stored work of this owner continues. This is the key with the owner's name; if several keys
    /// have that name, an admin key is preferred. If the server requires no keys, it is the anonymous caller for every owner.
    ///
    /// # Errors
    /// [`Error::InvalidApiKey`] if keys are required and no valid one has the name.
    pub(crate) fn caller_of(&self, owner: &Owner) -> Result<Caller, Error> {
        let table = self.table.load();
        if !table.requires_key {
            return Ok(Caller::default());
        }
        let of_owner = |caller: &&Caller| caller.name() == Some(owner.as_str());
        let callers = table.valid_callers(SystemTime::now()).filter(of_owner);
        let caller = callers.max_by_key(|caller| (caller.is_admin(), caller.priority()));
        caller.cloned().ok_or(Error::InvalidApiKey { present: !owner.as_str().is_empty() })
    }

    /// Checks the value of the `authorization` header of a request whose message has not been read.
    ///
    /// # Errors
    /// UNAUTHENTICATED if keys are required and there is no valid one.
    pub fn check(&self, authorization: Option<&[u8]>, report: &CallReport) -> Result<(), Status> {
        self.find(authorization)?.report_rate_limits(report);
        Ok(())
    }

    /// Authenticates the caller by the `authorization` metadata.
    pub(crate) fn authenticate(&self, metadata: &MetadataMap) -> Result<Caller, Error> {
        let caller = self.find(metadata.as_ref().get(AUTHORIZATION).map(HeaderValue::as_bytes))?;
        // Not in `check`, which precedes this in the same span: log formats print a field as often as it was recorded.
        if let Some(name) = caller.name() {
            Span::current().record("caller", name);
        }
        Ok(caller)
    }

    fn find(&self, authorization: Option<&[u8]>) -> Result<Caller, Error> {
        self.find_at(authorization, SystemTime::now)
    }

    fn find_at(&self, authorization: Option<&[u8]>, now: impl FnOnce() -> SystemTime) -> Result<Caller, Error> {
        let table = self.table.load();
        if !table.requires_key {
            return Ok(Caller::default());
        }
        let secret = authorization.and_then(bearer);
        let secret = secret.ok_or(Error::InvalidApiKey { present: false })?;
        let known = (secret.len() <= MAX_SECRET_LENGTH).then(|| table.find(&sha256(secret), now)).flatten();
        let caller = known.ok_or(Error::InvalidApiKey { present: true })?;
        Ok(caller.clone())
    }
}

/// Warns of stored keys that the configuration overrides, and of those whose team it does not have.
fn log_conflicts(sources: &Sources) {
    for Overridden { name, shared } in sources.overridden() {
        tracing::warn!(
            "the stored API key `{name}` is not used, because a key in the setting `keys` has the same {shared}; remove the key in the \
             setting to use the stored one"
        );
    }
    let teams: HashSet<_> = sources.teams.iter().map(|team| team.name.as_str()).collect();
    for StoredKey { definition, .. } in sources.stored.values().filter(|key| key.revoked_at.is_none()) {
        let KeyDefinition { name, team, .. } = definition;
        if !team.is_empty() && !teams.contains(team.as_str()) {
            tracing::warn!(
                "the stored API key `{name}` belongs to the team `{team}`, which is not in the setting `teams`: it has the limits \
                 of the key alone"
            );
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.table.load().callers().filter_map(Caller::name)).finish()
    }
}

/// Returns the credentials of the scheme `Bearer`, which is case-insensitive (RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, secret) = value.split_at_checked(7)?;
    let secret = secret.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !secret.is_empty()).then_some(secret)
}
