//! A video job: the request, its state, and when it is due for the next step of the runner.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use triptych_telemetry::CallReport;
use uuid::{Builder, Uuid};

use super::{
    charge::Charge,
    parameters::VideoParameters,
    provider::{PROVIDER_TIMEOUT, UpstreamTask},
    state::{Event, IllegalTransition, JobState},
    time::Timestamp,
};
use crate::{
    context::{RequestContext, TraceContext},
    idempotency::{Fingerprint, Key},
    keys::{Caller, Owner},
    priority::Priority,
};

/// How long after its begin a submission can still receive a response: the timeout of the provider call, and a margin for a slow database.
pub(super) const SUBMISSION_TIME: Duration = Duration::from_secs(PROVIDER_TIMEOUT.as_secs() + 30);

/// The id of a job: opaque to callers, sortable by creation time, and not guessable: the media files of a job are named by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId(String);

impl JobId {
    const PREFIX: &'static str = "video_";

    /// Creates an id, a UUID of version 7 after the prefix: the time in units of 1/4096 ms, and 62 random bits.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(now.as_millis()).unwrap_or_default();
        let fraction = (u64::from(now.subsec_nanos() % 1_000_000) << 12) / 1_000_000;
        // The second half of a version 4 id is random but for the bits of the variant, which are at the same place here.
        let mut rest = [0; 10];
        rest[..2].copy_from_slice(&fraction.to_be_bytes()[6..]);
        rest[2..].copy_from_slice(&Uuid::new_v4().into_bytes()[8..]);
        let uuid = Builder::from_unix_timestamp_millis(millis, &rest).into_uuid();
        Self(format!("{}{}", Self::PREFIX, uuid.simple()))
    }

    /// Parses an id in exactly the form that [`new`](Self::new) creates; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(Self::PREFIX)?;
        let uuid = Uuid::try_parse(digits).ok().filter(|uuid| uuid.get_version_num() == 7)?;
        (digits == uuid.simple().to_string()).then(|| Self(text.to_owned()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The request of a job: which model to use, and with which parameters. Immutable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRequest {
    /// The provider's stable id in the catalog.
    #[serde(alias = "provider")]
    pub provider_id: String,
    /// The public model name.
    pub model: String,
    /// The upstream's name of the model. Stored as `upstream`.
    #[serde(rename = "upstream")]
    pub upstream_model: String,
    /// The parameters.
    #[serde(flatten)]
    pub parameters: VideoParameters,
    /// The job whose video this one remixes.
    pub remixed_from: Option<JobId>,
    /// The job whose video an edit or an extension starts from. `None` also in jobs from before it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_video: Option<JobId>,
    /// By how many seconds an extension was requested to continue its source, if the request said so. The parameters may have the
    /// duration of the whole video instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_seconds: Option<u32>,
}

/// Where a job came from: the context of the call that created it, as far as it outlives the call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobOrigin {
    /// The request id of the call.
    pub request_id: String,
    /// Its W3C `traceparent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Its W3C `tracestate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

impl JobOrigin {
    /// Keeps what outlives the call.
    pub fn new(context: &RequestContext) -> Self {
        let TraceContext { parent, state } = &context.trace;
        let text = |value: &tonic::metadata::MetadataValue<_>| value.to_str().ok().map(str::to_owned);
        Self {
            request_id: context.request_id.clone(),
            traceparent: parent.as_ref().and_then(text),
            tracestate: state.as_ref().and_then(text),
        }
    }
}

/// The idempotency key of a job, unique among the jobs of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobKey {
    /// The key.
    pub key: Key,
    /// A digest of the request, which tells different requests under the same key apart.
    pub fingerprint: Fingerprint,
    /// When the key is free again. `None`: when the job is deleted.
    pub expires_at: Option<Timestamp>,
}

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The id.
    pub id: JobId,
    /// Who created it.
    pub owner: Owner,
    /// The request.
    pub request: JobRequest,
    /// The call that created it.
    pub origin: JobOrigin,
    /// The priority that the caller's API key had when the job was created.
    pub priority: Priority,
    /// The state.
    pub state: JobState,
    /// Grows by one with every change that a caller can see. A write is refused unless it is based on the newest revision.
    pub revision: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it reached a final state.
    pub completed_at: Option<Timestamp>,
    /// When it is removed with its media. `None`: never.
    pub expires_at: Option<Timestamp>,
    /// When it fails unless it is final by then. Set again at the first submission: waiting in the queue does not count.
    pub deadline_at: Timestamp,
    /// When the next step is due. `None`: never.
    pub due_at: Option<Timestamp>,
    /// The number of submissions so far.
    pub submissions: u32,
    /// The consecutive failures of the current step; of a final job, those of its clean-up.
    pub failures: u32,
    /// A render that a final job no longer needs and that still has to be stopped at the provider.
    pub abandoned: Option<UpstreamTask>,
    /// A tombstone: deleted by its caller, invisible, and kept only until provider and media store are cleaned up.
    pub deleted: bool,
    /// The idempotency key.
    pub key: Option<JobKey>,
    /// What it costs. `None` in jobs from before there were prices.
    pub charge: Option<Charge>,
}

impl Job {
    /// Creates a job that is due at once and must be final within `deadline`.
    pub fn new(id: JobId, owner: Owner, request: JobRequest, now: Timestamp, deadline: Duration) -> Self {
        Self {
            id,
            owner,
            request,
            origin: JobOrigin::default(),
            priority: Priority::default(),
            state: JobState::Queued,
            revision: 1,
            created_at: now,
            completed_at: None,
            expires_at: None,
            deadline_at: now.after(deadline),
            due_at: Some(now),
            submissions: 0,
            failures: 0,
            abandoned: None,
            deleted: false,
            key: None,
            charge: None,
        }
    }

    /// Returns the job with its charge settled, if its state determines the cost. The stores apply this to every change.
    #[must_use]
    pub(super) fn with_charge_settled(self) -> Self {
        let Some(charge) = &self.charge else { return self };
        let charge = charge.after(&self.state, &self.request.parameters, self.abandoned.is_none());
        Self { charge: Some(charge), ..self }
    }

    /// Returns the context for provider calls of this job. Its idempotency key is the job's id.
    pub fn context(&self, deadline: Option<Instant>) -> RequestContext {
        let JobOrigin { request_id, traceparent, tracestate } = &self.origin;
        let parse = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
        // Jobs from before the origin was stored have no request id.
        let request_id = if request_id.is_empty() { self.id.as_str() } else { request_id };
        RequestContext {
            report: CallReport::default(),
            request_id: request_id.to_owned(),
            deadline,
            caller: Caller::of_job(&self.owner, self.priority),
            idempotency_key: self.id.to_string(),
            sdk_retries: None,
            trace: TraceContext { parent: parse(traceparent), state: parse(tracestate) },
        }
    }

    /// Returns the job after the event, due at once. For a final state the caller sets when the job is due.
    pub fn after(&self, event: Event, now: Timestamp) -> Result<Self, IllegalTransition> {
        let state = self.state.clone().apply(event)?;
        let mut next = self.clone();
        if !state.looks_like(&self.state) {
            next.revision += 1;
        }
        next.state = state;
        if next.state.is_final() {
            next.completed_at = Some(now);
        }
        next.due_at = Some(now);
        Ok(next)
    }

    /// Returns whether a caller has cancelled or deleted the job.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.deleted || matches!(self.state, JobState::Cancelled { .. })
    }

    /// Returns the same job, due at `due`. Callers see no change.
    #[must_use]
    pub fn with_due(&self, due: Option<Timestamp>) -> Self {
        Self { due_at: due, ..self.clone() }
    }

    /// Returns the cancelled job, with a render in progress marked for cancellation at the provider.
    ///
    /// # Errors
    /// The job is final.
    pub fn cancelled(&self, now: Timestamp, retention: Option<Duration>) -> Result<Self, IllegalTransition> {
        let mut next = self.after(Event::Cancelled, now)?;
        next.abandoned = self.state.active_task().cloned();
        next.failures = 0;
        next.expires_at = retention.map(|kept| now.after(kept));
        next.due_at = next.due_when_final();
        Ok(next)
    }

    /// Returns the tombstone of the job: invisible, its idempotency key free again, due for removal at once.
    #[must_use]
    pub fn tombstoned(&self, now: Timestamp, retention: Option<Duration>) -> Self {
        let mut next = self.cancelled(now, retention).unwrap_or_else(|_| self.clone());
        next.revision = self.revision + 1;
        next.deleted = true;
        next.key = None;
        next.due_at = Some(now);
        next
    }

    /// Returns when a final job is due: at once while a render has to be stopped; when the response to its submission can no
    /// longer arrive; otherwise when it expires.
    pub fn due_when_final(&self) -> Option<Timestamp> {
        match self.state.unresolved_submission() {
            _ if self.abandoned.is_some() => self.completed_at,
            Some(since) => Some(since.after(SUBMISSION_TIME)),
            None => self.expires_at,
        }
    }

    /// Returns the final job with a render that a submission started after all, due at once so that the render is stopped. The submission
    /// no longer counts as unresolved.
    #[must_use]
    pub fn with_abandoned(&self, task: UpstreamTask, now: Timestamp) -> Self {
        let revision = self.revision + 1;
        let state = self.state.clone().cleaned_up(false);
        Self { abandoned: Some(task), due_at: Some(now), revision, failures: 0, state, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::Operation;

    #[test]
    fn ids_start_with_the_time_and_end_with_62_random_bits() {
        let ids: Vec<_> = (0..1000).map(|_| JobId::new()).collect();
        let numbers = ids.iter().map(|id| u128::from_str_radix(&id.as_str()[JobId::PREFIX.len()..], 16).unwrap());
        let (times, rest): (Vec<_>, Vec<_>) = numbers.map(|number| (number >> 64, number & ((1 << 62) - 1))).unzip();
        assert!(times.is_sorted(), "{ids:?}");
        let (ones, zeros) = rest.iter().fold((0, 0), |(ones, zeros), bits| (ones | bits, zeros | !bits));
        assert_eq!((ones, zeros & ((1 << 62) - 1)), ((1 << 62) - 1, (1 << 62) - 1), "a bit never changes");
    }

    #[test]
    fn parse_accepts_only_ids_in_the_created_form() {
        let id = JobId::new();
        assert_eq!(JobId::parse(id.as_str()), Some(id.clone()));
        let digits = &id.as_str()["video_".len()..];
        let v4 = format!("video_{}", Uuid::new_v4().simple());
        let (upper, dashed) = (format!("video_{}", digits.to_uppercase()), Uuid::now_v7().to_string());
        for text in
            ["", "video_", digits, &upper, &dashed, &v4, "video_../../etc", &format!("{id}0"), &format!("{id} ")]
        {
            assert_eq!(JobId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn stored_request_with_the_old_member_provider_is_readable() {
        let old = r#"{"provider":"offline","model":"m","upstream":"u","prompt":"p","width":320,"height":180,"seconds":2,
                      "seed":null,"reference":null,"user":"","extra_json":"","remixed_from":null}"#;
        let request: JobRequest = serde_json::from_str(old).unwrap();
        assert_eq!((request.provider_id.as_str(), request.parameters.seconds), ("offline", 2));
        assert_eq!((request.upstream_model.as_str(), request.parameters.operation), ("u", Operation::Generate));
    }

    #[test]
    fn provider_calls_carry_the_request_id_owner_priority_and_trace_of_the_create() {
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = RequestContext {
            request_id: "req_1".to_owned(),
            trace: TraceContext { parent: traceparent.parse().ok(), state: None },
            ..RequestContext::default()
        };
        let request = crate::video::testing::request();
        let mut job = Job::new(JobId::new(), Owner::new("alice"), request, Timestamp(0), Duration::ZERO);
        job.origin = JobOrigin::new(&context);
        job.priority = Priority::High;
        let call = job.context(None);
        assert_eq!(call.caller.priority(), Priority::High);
        assert_eq!((call.request_id.as_str(), call.caller.owner()), ("req_1", Owner::new("alice")));
        assert_eq!(call.trace, context.trace);
        assert_eq!(call.idempotency_key, job.id.as_str());
    }
}
