//! The caller of a request, as its API key describes it.

use std::sync::Arc;

use http::HeaderMap;
use triptych_telemetry::{CallReport, DefaultHeaders};

use super::owner::{Owner, Owners};
use crate::{
    error::Error,
    ledger::Payer,
    limits::{self, Admission, Limiter},
    on_disconnect::OnDisconnect,
    priority::Priority,
    rate_limits::{self, RateLimits},
};

/// The client that makes a call. Cheap to clone. The default is the anonymous caller, who exists only if no API
/// keys are configured.
#[derive(Debug, Clone, Default)]
pub struct Caller(Option<Arc<KeyInfo>>);

/// The part of an API key that calls need.
#[derive(Debug, Default)]
pub(super) struct KeyInfo {
    pub(super) name: String,
    pub(super) on_disconnect: Option<OnDisconnect>,
    pub(super) priority: Priority,
    pub(super) admin: bool,
    /// The limiters of the key and of its team, as far as these have limits.
    pub(super) limiters: Vec<Arc<Limiter>>,
    pub(super) in_flight: Vec<InFlightLimit>,
    pub(super) payer: Payer,
}

/// A limit of the videos that are not final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlightLimit {
    /// The key or team: "key `alice`".
    pub subject: String,
    /// The owners whose videos count.
    pub owners: Arc<[Owner]>,
    /// The most videos, at least 1.
    pub limit: u32,
}

impl Caller {
    /// Returns the caller with this key.
    pub(super) fn with_key(key: KeyInfo) -> Self {
        Self(Some(Arc::new(key)))
    }

    /// Returns a caller with this name and no settings of its own; the empty name is the anonymous caller.
    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Self::of_job(&Owner::new(name), Priority::default())
    }

    /// Returns the caller of a job's calls to its provider: the owner, with the priority of the job and no other settings.
    pub(crate) fn of_job(owner: &Owner, priority: Priority) -> Self {
        let name = owner.as_str().to_owned();
        // Without a team and budgets.
        let payer = Payer::new(&name, "", Vec::new());
        let info = (!name.is_empty()).then(|| Arc::new(KeyInfo { name, priority, payer, ..KeyInfo::default() }));
        Self(info)
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

    /// Returns the policy for the caller's calls whose client disconnects, if the key sets it.
    pub fn on_disconnect(&self) -> Option<OnDisconnect> {
        self.0.as_ref()?.on_disconnect
    }

    /// Returns the priority of the caller's calls and jobs; `Normal` for the anonymous caller.
    pub fn priority(&self) -> Priority {
        self.0.as_ref().map_or(Priority::Normal, |key| key.priority)
    }

    pub(super) fn limiters(&self) -> &[Arc<Limiter>] {
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

    /// Lets the response to a call have the state of the caller's rate limits, also if the call fails or is not counted.
    pub(crate) fn report_rate_limits(&self, report: &CallReport) {
        if let Some(key) = self.0.as_ref().filter(|key| limits::have_rates(&key.limiters)) {
            report.set_default_headers(Arc::clone(key) as Arc<dyn DefaultHeaders>);
        }
    }

    /// Attaches an authenticated caller to its request, so that [`Keys::caller`](super::Keys::caller) does not
    /// authenticate again.
    pub(crate) fn attach(self, request: &mut http::Extensions) {
        if self.0.is_some() {
            request.insert(self);
        }
    }
}

impl DefaultHeaders for KeyInfo {
    /// Adds the state of the rate limits that an admitted call has not added: as of now, without counting anything.
    fn add_missing(&self, headers: &mut HeaderMap) {
        let (has_requests, has_tokens) = rate_limits::are_in(headers);
        if has_requests && has_tokens {
            return;
        }
        let RateLimits { requests, tokens } = limits::peek(&self.limiters);
        let missing =
            RateLimits { requests: requests.filter(|_| !has_requests), tokens: tokens.filter(|_| !has_tokens) };
        missing.write_headers(headers);
    }
}

impl PartialEq for Caller {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
            && self.is_admin() == other.is_admin()
            && self.on_disconnect() == other.on_disconnect()
            && self.priority() == other.priority()
    }
}

impl Eq for Caller {}
