//! Authentication of clients by API keys, for both APIs.
//!
//! The gateway passes the `authorization` header on without checking it, so only the core has to know the keys. Health,
//! reflection and media reads require no key: the key of a media file cannot be guessed, and links to it are followed by
//! browsers and players that send no credentials.

use std::{collections::HashMap, fmt, sync::Arc};

use http::{HeaderValue, header::AUTHORIZATION};
use tonic::{Request, Status, metadata::MetadataMap};
use tracing::Span;
use triptych_telemetry::CallReport;

use crate::{
    config::{self, AccountLimits, MAX_SECRET_LENGTH, SettingError},
    digest::{Sha256Digest, sha256},
    error::Error,
    ledger::{Budget, Payer},
    limits::{self, Admission, Limiter},
    live::Live,
    on_disconnect::OnDisconnect,
};

/// The API keys that the core accepts. Clones share them. If there are none, no call requires a key.
///
/// Secrets are stored and looked up by digest, so that neither memory nor timing reveals them.
#[derive(Clone, Default)]
pub struct Keys(Live<HashMap<Sha256Digest, Caller>>);

/// The client that makes a call. Cheap to clone. The default is the anonymous caller, who exists only without API keys.
#[derive(Debug, Clone, Default)]
pub struct Caller(Option<Arc<KeyInfo>>);

/// The part of an API key that calls need.
#[derive(Debug, Default)]
struct KeyInfo {
    name: String,
    on_disconnect: Option<OnDisconnect>,
    admin: bool,
    /// Those of the client and of its team, as far as they have limits.
    limiters: Vec<Arc<Limiter>>,
    in_flight: Vec<InFlightLimit>,
    payer: Payer,
}

/// A limit of the videos that are not final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlightLimit {
    /// The key or team: "key `alice`".
    pub subject: String,
    /// The owners whose videos count.
    pub owners: Vec<Owner>,
    /// The most videos, at least 1.
    pub limit: u32,
}

/// The owner of jobs, media and idempotency keys: the name of the caller's API key, or the empty name where no key is
/// required.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// Returns the owner with this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Returns the name; empty for the anonymous owner.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The owners whose jobs and media files a call may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Owners {
    /// All: the caller is an administrator, or no keys are configured.
    #[default]
    All,
    /// Those of one owner. All others do not exist for the call.
    Only(Owner),
}

impl Owners {
    /// Returns whether the owner is one of them.
    pub fn include(&self, owner: &Owner) -> bool {
        self.only().is_none_or(|only| only == owner)
    }

    /// Returns the only owner, if there is one.
    pub fn only(&self) -> Option<&Owner> {
        match self {
            Self::All => None,
            Self::Only(owner) => Some(owner),
        }
    }
}

impl Keys {
    /// Returns the keys of these settings.
    ///
    /// # Errors
    /// A key has no secret, or two keys have the same one.
    pub fn new(keys: &[config::Key], teams: &[config::Team]) -> Result<Self, SettingError> {
        Ok(Self(Live::new(callers(keys, teams, &HashMap::new())?)))
    }

    /// Replaces the keys, for all clones. A removed key is rejected from now on; calls in flight continue. Limits that stay the same
    /// keep their state.
    ///
    /// # Errors
    /// As for [`Keys::new`]; the keys then stay as they were.
    pub fn replace(&self, keys: &[config::Key], teams: &[config::Team]) -> Result<(), SettingError> {
        let callers = callers(keys, teams, &self.0.load())?;
        self.0.store(callers);
        Ok(())
    }

    /// Returns the budgets of all keys and teams, ordered by their subject.
    pub(crate) fn budgets(&self) -> Vec<Budget> {
        let callers = self.0.load();
        let mut budgets: Vec<_> = callers.values().flat_map(|caller| &caller.payer().budgets).cloned().collect();
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
        }
        Ok(caller)
    }

    /// Checks the value of the `authorization` header of a request whose message has not been read.
    ///
    /// # Errors
    /// UNAUTHENTICATED if keys are required and there is no valid one.
    pub fn check(&self, authorization: Option<&[u8]>) -> Result<(), Status> {
        Ok(self.find(authorization).map(drop)?)
    }

    /// Authenticates the caller by the `authorization` metadata.
    pub(crate) fn authenticate(&self, metadata: &MetadataMap) -> Result<Caller, Error> {
        let caller = self.find(metadata.as_ref().get(AUTHORIZATION).map(HeaderValue::as_bytes))?;
        // Not in `check`, which precedes this in the same span: log formats print a field once for each record.
        if let Some(name) = caller.name() {
            Span::current().record("caller", name);
        }
        Ok(caller)
    }

    fn find(&self, authorization: Option<&[u8]>) -> Result<Caller, Error> {
        let callers = self.0.load();
        if callers.is_empty() {
            return Ok(Caller::default());
        }
        let secret = authorization.and_then(bearer);
        let secret = secret.ok_or(Error::InvalidApiKey { present: false })?;
        let known = (secret.len() <= MAX_SECRET_LENGTH).then(|| callers.get(&sha256(secret))).flatten();
        let caller = known.ok_or(Error::InvalidApiKey { present: true })?;
        Ok(caller.clone())
    }
}

/// Builds the callers of these keys. Limiters of `earlier` are reused.
fn callers(
    keys: &[config::Key],
    teams: &[config::Team],
    earlier: &HashMap<Sha256Digest, Caller>,
) -> Result<HashMap<Sha256Digest, Caller>, SettingError> {
    let mut limiters: Vec<Arc<Limiter>> = earlier.values().flat_map(Caller::limiters).cloned().collect();
    let mut limiter = |subject: String, settings: &AccountLimits| {
        let existing = limiters.iter().find(|limiter| limiter.is_for(&subject, settings)).cloned();
        let limiter = existing.or_else(|| Limiter::new(subject, settings));
        limiters.extend(limiter.clone());
        limiter
    };
    let mut callers = HashMap::with_capacity(keys.len());
    for key in keys {
        let mut accounts = vec![(format!("key `{}`", key.name), &key.limits, vec![Owner::new(&key.name)])];
        let team = teams.iter().find(|team| team.name == key.team);
        if let Some(team) = team {
            let members = keys.iter().filter(|other| other.team == key.team).map(|key| Owner::new(&key.name));
            accounts.push((format!("team `{}`", team.name), &team.limits, members.collect()));
        }
        let mut info = KeyInfo {
            name: key.name.clone(),
            on_disconnect: key.on_disconnect,
            admin: key.admin,
            limiters: Vec::new(),
            in_flight: Vec::new(),
            payer: payer(key, team),
        };
        for (subject, limits, owners) in accounts {
            info.limiters.extend(limiter(subject.clone(), limits));
            if limits.jobs_in_flight > 0 {
                info.in_flight.push(InFlightLimit { subject, owners, limit: limits.jobs_in_flight });
            }
        }
        if callers.insert(key.digest()?, Caller(Some(Arc::new(info)))).is_some() {
            return Err(key.error("has the secret of another key"));
        }
    }
    Ok(callers)
}

/// Returns who pays for the calls of a key.
fn payer(key: &config::Key, team: Option<&config::Team>) -> Payer {
    let of_team = team.and_then(|team| Budget::new("team", &team.name, &team.limits));
    let budgets = Budget::new("key", &key.name, &key.limits).into_iter().chain(of_team);
    Payer::new(&key.name, &key.team, budgets.collect())
}

impl Caller {
    /// Returns a caller with this name and no settings of its own; the empty name is the anonymous caller.
    pub(crate) fn named(name: &str) -> Self {
        let payer = Payer::new(name, "", Vec::new());
        let info = KeyInfo { name: name.to_owned(), payer, ..KeyInfo::default() };
        Self((!name.is_empty()).then(|| Arc::new(info)))
    }

    /// Returns the name of the caller's key; `None` for the anonymous caller.
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|key| key.name.as_str())
    }

    /// Returns the owner of what this caller creates.
    pub fn owner(&self) -> Owner {
        self.name().map(Owner::new).unwrap_or_default()
    }

    /// Returns the owners whose jobs and media files the caller may use: all for an administrator and for the anonymous
    /// caller, otherwise the caller itself.
    pub fn owners(&self) -> Owners {
        match &self.0 {
            Some(key) if !key.admin => Owners::Only(Owner::new(&key.name)),
            Some(_) | None => Owners::All,
        }
    }

    /// Returns whether the caller has the key of an administrator.
    pub fn is_admin(&self) -> bool {
        self.0.as_ref().is_some_and(|key| key.admin)
    }

    /// Returns what happens to the caller's calls after a disconnect, if the key sets it.
    pub fn on_disconnect(&self) -> Option<OnDisconnect> {
        self.0.as_ref()?.on_disconnect
    }

    fn limiters(&self) -> &[Arc<Limiter>] {
        self.0.as_ref().map_or(&[], |key| &key.limiters)
    }

    /// Returns whether the caller may call the model with this name.
    pub fn may_call(&self, model: &str) -> bool {
        self.limiters().iter().all(|limiter| limiter.permits(model))
    }

    /// Checks that the caller may call the model with this name.
    ///
    /// # Errors
    /// [`Error::ModelNotAllowed`].
    pub fn check_model(&self, model: &str) -> Result<(), Error> {
        self.limiters().iter().try_for_each(|limiter| limiter.check_model(model))
    }

    /// Returns the limits of videos in flight.
    pub(crate) fn in_flight_limits(&self) -> &[InFlightLimit] {
        self.0.as_ref().map_or(&[], |key| &key.in_flight)
    }

    /// Returns who pays for the caller's calls.
    pub(crate) fn payer(&self) -> &Payer {
        static ANONYMOUS: Payer = Payer::ANONYMOUS;
        self.0.as_ref().map_or(&ANONYMOUS, |key| &key.payer)
    }

    /// Admits a call of a model; see [`limits::admit`].
    ///
    /// # Errors
    /// Those of [`limits::admit`].
    pub fn admit(&self, model: &str, estimated_tokens: impl FnOnce() -> u32) -> Result<Admission, Error> {
        limits::admit(self.limiters(), model, estimated_tokens)
    }

    /// Attaches an authenticated caller to its request, so that [`Keys::caller`] does not authenticate again.
    pub(crate) fn attach(self, request: &mut http::Extensions) {
        if self.0.is_some() {
            request.insert(self);
        }
    }
}

impl PartialEq for Caller {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
            && self.is_admin() == other.is_admin()
            && self.on_disconnect() == other.on_disconnect()
    }
}

impl Eq for Caller {}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.load().values().filter_map(Caller::name)).finish()
    }
}

/// Returns the credentials of the scheme `Bearer`, which is case-insensitive (RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, secret) = value.split_at_checked(7)?;
    let secret = secret.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !secret.is_empty()).then_some(secret)
}

#[cfg(test)]
mod tests;
