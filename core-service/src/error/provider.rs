//! The failures of providers, and the members of their errors.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use triptych_proto::v1::ErrorReason;

/// The failure of a provider, classified by how clients and retries can react. Messages contain no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ProviderError {
    /// The provider refused the request.
    #[error("{message}")]
    Refused {
        /// The provider's message.
        message: String,
        /// The field that the provider named, if any.
        field: Option<String>,
    },
    /// The provider refused the content of the request or of its response.
    #[error("{0}")]
    ContentPolicy(String),
    /// The provider limits the request rate.
    #[error("{message}")]
    RateLimited {
        /// The provider's message.
        message: String,
        /// The delay that the provider requested, if any.
        retry_after: Option<Duration>,
    },
    /// The configured limit of calls in flight is reached; the request was not sent.
    #[error("too many requests are in flight; retry later")]
    Overloaded {
        /// How long the client should wait before a retry.
        retry_after: Duration,
    },
    /// The provider rejects the operator's key or account.
    #[error("the provider rejects the configured credentials: {0}")]
    Credentials(String),
    /// The provider does not support the request.
    #[error("{0}")]
    NotSupported(String),
    /// A timeout or the deadline was exceeded. The provider may have executed the request.
    #[error("{0}")]
    Timeout(String),
    /// The provider could not be reached; the request was not sent.
    #[error("{0}")]
    Unreachable(String),
    /// The provider is temporarily unavailable and did not execute the request.
    #[error("{message}")]
    Unavailable {
        /// The provider's message.
        message: String,
        /// The delay that the provider requested, if any.
        retry_after: Option<Duration>,
    },
    /// The provider or the connection to it failed after the request was sent. The provider may have executed the request.
    #[error("{0}")]
    Broken(String),
    /// The provider's response cannot be interpreted. The provider may have executed the request.
    #[error("{0}")]
    Unreadable(String),
    /// A link to a finished result is no longer valid. The provider has executed the request and may return a new link.
    #[error("{0}")]
    LinkExpired(String),
    /// One of the other failures, with the members of the provider's error.
    #[error("{error}")]
    Reported {
        /// The failure.
        error: Box<ProviderError>,
        /// The members.
        details: Box<UpstreamDetails>,
    },
}

/// The members of an upstream's error other than its message, unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamDetails {
    /// The member `code`, for example `context_length_exceeded`; empty if absent.
    pub code: String,
    /// The member `type`; empty if absent.
    pub kind: String,
    /// The member `param`; empty if absent.
    pub param: String,
    /// All further members, as the text of a JSON object. Empty without any.
    pub members_json: String,
    /// The status of the HTTP response, for the log. `None` for an error within a successful response.
    #[serde(default)]
    pub status: Option<u16>,
}

impl UpstreamDetails {
    fn is_empty(&self) -> bool {
        [&self.code, &self.kind, &self.param, &self.members_json].into_iter().all(String::is_empty)
    }
}

impl ProviderError {
    /// Returns a [`ProviderError::Unavailable`] without a requested delay.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into(), retry_after: None }
    }

    /// Adds the members of the provider's error, unless there are none or they concern the operator only.
    #[must_use]
    pub fn with_upstream_details(self, details: UpstreamDetails) -> Self {
        if details.is_empty() || matches!(self, Self::Credentials(_)) {
            return self;
        }
        Self::Reported { error: Box::new(self), details: Box::new(details) }
    }

    /// Returns the failure without the members of the provider's error.
    pub fn failure(&self) -> &Self {
        if let Self::Reported { error, .. } = self { error.failure() } else { self }
    }

    /// Replaces the failure and keeps the members of the provider's error.
    #[must_use]
    pub fn map_failure(self, replace: impl FnOnce(Self) -> Self) -> Self {
        if let Self::Reported { error, details } = self {
            return error.map_failure(replace).with_upstream_details(*details);
        }
        replace(self)
    }

    /// Returns the members of the provider's error, if it has any.
    pub fn details(&self) -> Option<&UpstreamDetails> {
        if let Self::Reported { details, .. } = self { Some(details) } else { None }
    }

    /// Returns the requested delay before a retry, if any.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Reported { error, .. } => error.retry_after(),
            Self::RateLimited { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            Self::Overloaded { retry_after } => Some(*retry_after),
            Self::Refused { .. }
            | Self::ContentPolicy(_)
            | Self::Credentials(_)
            | Self::NotSupported(_)
            | Self::Timeout(_)
            | Self::Unreachable(_)
            | Self::Broken(_)
            | Self::LinkExpired(_)
            | Self::Unreadable(_) => None,
        }
    }

    /// Returns whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Reported { error, .. } => error.is_transient(),
            Self::RateLimited { .. }
            | Self::Overloaded { .. }
            | Self::Timeout(_)
            | Self::Unreachable(_)
            | Self::Unavailable { .. }
            | Self::Broken(_) => true,
            Self::Refused { .. }
            | Self::ContentPolicy(_)
            | Self::Credentials(_)
            | Self::NotSupported(_)
            | Self::LinkExpired(_)
            | Self::Unreadable(_) => false,
        }
    }

    /// Returns whether a retry may succeed and cannot be billed twice, because the failed request was not executed.
    pub fn is_safe_to_retry(&self) -> bool {
        self.is_transient() && !self.may_have_executed()
    }

    /// Returns whether the provider may have executed, and billed, the failed request.
    pub fn may_have_executed(&self) -> bool {
        match self {
            Self::Reported { error, .. } => error.may_have_executed(),
            Self::Timeout(_) | Self::Broken(_) | Self::LinkExpired(_) | Self::Unreadable(_) => true,
            Self::Refused { .. }
            | Self::ContentPolicy(_)
            | Self::RateLimited { .. }
            | Self::Overloaded { .. }
            | Self::Credentials(_)
            | Self::NotSupported(_)
            | Self::Unreachable(_)
            | Self::Unavailable { .. } => false,
        }
    }

    /// Returns the reason in the gRPC API (`error.proto`).
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::Reported { error, .. } => error.reason(),
            Self::Refused { .. } => ErrorReason::UpstreamRefused,
            Self::ContentPolicy(_) => ErrorReason::ContentPolicyViolation,
            Self::RateLimited { .. } => ErrorReason::RateLimitExceeded,
            Self::Overloaded { .. } => ErrorReason::Overloaded,
            Self::Credentials(_) => ErrorReason::ProviderCredentials,
            Self::NotSupported(_) => ErrorReason::NotSupported,
            Self::Timeout(_) => ErrorReason::UpstreamTimeout,
            Self::Unreachable(_) | Self::Unavailable { .. } | Self::Broken(_) => ErrorReason::UpstreamUnavailable,
            Self::LinkExpired(_) | Self::Unreadable(_) => ErrorReason::UpstreamUnreadable,
        }
    }
}
