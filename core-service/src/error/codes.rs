//! Error codes of video jobs and responses that failed in the background, where no call returns an [`Error`](super::Error). Their
//! other codes are the reasons of errors in lower case. `docs/jobs.md` describes them for clients.

/// Whether the provider executes the request is unknown, because its response was lost. A repetition could be billed twice.
pub(crate) const OUTCOME_UNKNOWN: &str = "outcome_unknown";

/// The provider no longer knows the render, which it had accepted.
pub(crate) const UPSTREAM_LOST: &str = "upstream_lost";

/// The render was cancelled at the provider, not by the client.
pub(crate) const UPSTREAM_CANCELLED: &str = "upstream_cancelled";

/// The provider of the job is no longer configured.
pub(crate) const PROVIDER_GONE: &str = "provider_gone";

/// The job has reached its deadline, `jobs.deadline`.
pub(crate) const DEADLINE_EXCEEDED: &str = "deadline_exceeded";
