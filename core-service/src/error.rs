//! The errors of the core and of its providers, as data. `status` maps them to gRPC statuses.

use std::{borrow::Cow, time::Duration};

use triptych_proto::v1::{ErrorReason, Modality};

use crate::{budget_period::BudgetPeriod, rate_limits::RateLimits, served_models::ServedModels, usd::Usd};

/// The reason why a call failed. Each variant has a row in `docs/ERRORS.md`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field of the request is invalid.
    #[error("{field}: {message}")]
    InvalidField {
        /// The path of the field in the contract, without the name of the message around it: `messages[2].role`.
        field: String,
        /// The rule that the value breaks, and how to satisfy it.
        message: String,
    },
    /// API keys are required, and the call has no valid one. The messages are those of OpenAI's API, which clients match.
    #[error("{}", if *present {
        "Incorrect API key provided; check the `Authorization` header"
    } else {
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth \
         (i.e. Authorization: Bearer YOUR_KEY)"
    })]
    InvalidApiKey {
        /// Whether the call has a key.
        present: bool,
    },
    /// The model does not exist, or not in the modality of the call.
    #[error("model `{}` {}", echo(model), served_at(*modality).unwrap_or_else(|| format!("does not exist{served}")))]
    ModelNotFound {
        /// The requested name.
        model: String,
        /// The served models.
        served: Box<ServedModels>,
        /// The modality that has the model; unspecified if none has.
        modality: Modality,
    },
    /// The caller's key or team may not use the model.
    #[error(
        "the {subject} may not use the model `{model}`; GET /v1/models (ModelService.ListModels) lists those that it may use"
    )]
    ModelNotAllowed {
        /// The model's own name.
        model: String,
        /// The key or team.
        subject: String,
    },
    /// The caller's key or team has used up one of its limits.
    #[error(transparent)]
    LimitExceeded(Box<LimitExceeded>),
    /// A budget of the caller's key or team has not enough left.
    #[error(transparent)]
    BudgetExceeded(Box<BudgetExceeded>),
    /// The caller's key or team has a budget, and the model has no price.
    #[error(
        "the model `{model}` has no price, and the {subject} has a budget; the operator can add one to the setting `prices`"
    )]
    Unpriced {
        /// The public name of the model.
        model: String,
        /// The key or team.
        subject: String,
    },
    /// No video has this id.
    #[error("video `{}` does not exist or was deleted", echo(.0))]
    VideoNotFound(String),
    /// No media file has this key.
    #[error("media file `{}` does not exist or was removed", echo(.0))]
    MediaNotFound(String),
    /// No webhook endpoint has this id.
    #[error("webhook endpoint `{}` does not exist or was deleted", echo(.0))]
    WebhookEndpointNotFound(String),
    /// No webhook delivery has this id.
    #[error("webhook delivery `{}` does not exist or was removed", echo(.0))]
    WebhookDeliveryNotFound(String),
    /// No API key has this name.
    #[error("API key `{}` does not exist", echo(.0))]
    KeyNotFound(String),
    /// An API key has this name, or had it until it was revoked.
    #[error("the name `{name}` is taken by {taken_by}; choose another name")]
    KeyExists {
        /// The name.
        name: String,
        /// The key that has it.
        taken_by: &'static str,
    },
    /// No money is reserved under this id.
    #[error("hold `{}` does not exist or has ended", echo(.0))]
    HoldNotFound(String),
    /// The files of the video do not exist yet, or never will.
    #[error("video `{id}` is not ready: {why}")]
    VideoNotReady {
        /// The id of the video.
        id: String,
        /// The state of the video, as text.
        why: String,
    },
    /// A range starts at or beyond the end of a media file.
    #[error("range: must start before the end of the file, which has {size} bytes")]
    RangeNotSatisfiable {
        /// The length of the file in bytes.
        size: u64,
    },
    /// An idempotency key was used before with a different request.
    #[error("idempotency key `{}` was used before with a different request; send a new key", echo(.0))]
    IdempotencyConflict(String),
    /// The core has reached a configured or built-in limit.
    #[error("too many requests are in flight; retry later")]
    Overloaded {
        /// How long the client should wait before a retry.
        retry_after: Duration,
    },
    /// A limit of the server is reached.
    #[error("{0}; retry later")]
    LimitReached(&'static str),
    /// The request message was not received in time.
    #[error("timed out waiting for the request message")]
    RequestTimeout,
    /// As many video jobs are queued as a setting allows.
    #[error(
        "{limit} videos are queued, the most that the setting `{setting}` allows; retry when some of them have started"
    )]
    QueueFull {
        /// The path of the setting.
        setting: &'static str,
        /// Its value.
        limit: u32,
    },
    /// The caller may not do this.
    #[error("{0}")]
    PermissionDenied(String),
    /// The row of a video cannot be read. The cause is logged; clients get the id.
    #[error("the stored video `{id}` cannot be read: {why}")]
    VideoUnreadable {
        /// The id of the video.
        id: String,
        /// What is wrong with the row.
        why: String,
    },
    /// The server is shutting down.
    #[error("the server is shutting down; retry the request")]
    ShuttingDown,
    /// The database or the media store failed. The text is logged; clients get a general message.
    #[error("storage: {0}")]
    Storage(String),
    /// The disk of the database or of the media store is full or read-only. The text is logged; clients get a general message.
    #[error("storage cannot be written: {0}")]
    StorageNotWritable(String),
    /// A provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A defect of Triptych. The text is logged; clients get a general message.
    #[error("internal: {0}")]
    Internal(String),
}

/// A limit of a key or team that is used up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {subject} has reached its limit `{limit}` of {value}; retry later")]
pub struct LimitExceeded {
    /// The key or team: "key `alice`".
    pub subject: String,
    /// The name of the limit in the settings.
    pub limit: &'static str,
    /// Its value.
    pub value: u32,
    /// When a retry can succeed.
    pub retry_after: Duration,
    /// The state of the rate limits.
    pub state: RateLimits,
}

/// A budget that has not enough left for a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {subject} has a `{}` of {limit} USD, of which {spent} USD are spent and {reserved} USD reserved; this call may cost \
     {needed} USD",
    period.setting()
)]
pub struct BudgetExceeded {
    /// The key or team: "key `alice`".
    pub subject: String,
    /// The time to which the budget applies.
    pub period: BudgetPeriod,
    /// The budget.
    pub limit: Usd,
    /// What was spent in the period.
    pub spent: Usd,
    /// What is reserved for calls and jobs in progress.
    pub reserved: Usd,
    /// What the call may cost at most.
    pub needed: Usd,
}

impl From<BudgetExceeded> for Error {
    fn from(exceeded: BudgetExceeded) -> Self {
        Self::BudgetExceeded(Box::new(exceeded))
    }
}

/// The failure of a provider, classified by how clients and retries can react. Messages contain no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamDetails {
    /// The member `code`, for example `context_length_exceeded`; empty if absent.
    pub code: String,
    /// The member `type`; empty if absent.
    pub kind: String,
    /// The member `param`; empty if absent.
    pub param: String,
    /// All further members, as the text of a JSON object. Empty without any.
    pub members_json: String,
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

    /// Returns the reason in the contract.
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

impl Error {
    /// Returns an [`Error::InvalidField`].
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidField { field: field.into(), message: message.into() }
    }

    /// Returns the reason in the contract.
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::InvalidField { .. } => ErrorReason::InvalidField,
            Self::InvalidApiKey { .. } => ErrorReason::InvalidApiKey,
            Self::ModelNotFound { .. } => ErrorReason::ModelNotFound,
            Self::ModelNotAllowed { .. } => ErrorReason::ModelNotAllowed,
            Self::LimitExceeded(_) => ErrorReason::RateLimitExceeded,
            Self::BudgetExceeded(_) => ErrorReason::BudgetExceeded,
            Self::Unpriced { .. } => ErrorReason::ModelNotPriced,
            Self::VideoNotFound(_) => ErrorReason::VideoNotFound,
            Self::MediaNotFound(_) => ErrorReason::MediaNotFound,
            Self::WebhookEndpointNotFound(_) => ErrorReason::WebhookEndpointNotFound,
            Self::WebhookDeliveryNotFound(_) => ErrorReason::WebhookDeliveryNotFound,
            Self::KeyNotFound(_) => ErrorReason::KeyNotFound,
            Self::KeyExists { .. } => ErrorReason::KeyExists,
            Self::HoldNotFound(_) => ErrorReason::HoldNotFound,
            Self::VideoNotReady { .. } => ErrorReason::VideoNotReady,
            Self::RangeNotSatisfiable { .. } => ErrorReason::RangeNotSatisfiable,
            Self::IdempotencyConflict(_) => ErrorReason::IdempotencyConflict,
            Self::Overloaded { .. } | Self::LimitReached(_) | Self::QueueFull { .. } => ErrorReason::Overloaded,
            Self::RequestTimeout => ErrorReason::RequestTimeout,
            Self::PermissionDenied(_) => ErrorReason::PermissionDenied,
            Self::ShuttingDown => ErrorReason::ShuttingDown,
            Self::Storage(_) => ErrorReason::StorageUnavailable,
            Self::StorageNotWritable(_) => ErrorReason::StorageNotWritable,
            Self::Provider(error) => error.reason(),
            Self::VideoUnreadable { .. } | Self::Internal(_) => ErrorReason::Internal,
        }
    }
}

/// The number of characters after which text from a caller is cut in messages.
const MAX_ECHO: usize = 100;

/// Returns text from a caller for a message: cut after 100 characters.
pub(crate) fn echo(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_ECHO) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Returns the end of a [`Error::ModelNotFound`] message for a model that another modality has.
fn served_at(modality: Modality) -> Option<String> {
    let (kind, service) = match modality {
        Modality::Unspecified => return None,
        Modality::Chat => ("a chat model; it is served at POST /v1/chat/completions", "ChatService"),
        Modality::Image => {
            ("an image model; it is served at POST /v1/images/generations and /v1/images/edits", "ImageService")
        }
        Modality::Video => ("a video model; it is served at POST /v1/videos", "VideoService"),
    };
    Some(format!("is {kind} ({service} over gRPC)"))
}
