//! What can go wrong in the core, and the one place where it becomes a `Status`.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use triptych_proto::v1::ErrorReason;

/// The domain of every `google.rpc.ErrorInfo` that leaves the core.
pub const DOMAIN: &str = "triptych";
/// The metadata of an `ErrorInfo` that says `maybe`: the upstream may have done, and billed, what was asked all the same.
pub const MAY_HAVE_EXECUTED: &str = "may_have_executed";

/// Why a call failed, as data. Each variant is one row of `docs/ERRORS.md`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller's request is wrong in one field. `field` is a path as the contract spells it: `messages[2].role`.
    #[error("{field}: {message}")]
    InvalidField {
        /// Path of the field, in the contract's spelling without the wrapping message's name.
        field: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// Callers have to show a key, and this one shows none, or none that is known.
    #[error("{}", if *shown { "the API key is not known here" } else { "an API key is needed: `Authorization: Bearer KEY`" })]
    InvalidApiKey {
        /// Whether there was one.
        shown: bool,
    },
    /// There is no such model; `similar` are the nearest served names.
    #[error("the model `{model}` does not exist{}", suggestion(similar))]
    ModelNotFound {
        /// The name asked for.
        model: String,
        /// Served names close to it, nearest first.
        similar: Vec<String>,
    },
    /// There is no clip of this id.
    #[error("there is no video `{0}`")]
    VideoNotFound(String),
    /// There is no medium under this key.
    #[error("there is no medium `{0}`")]
    MediaNotFound(String),
    /// A clip's bytes were asked for before, or without ever, existing.
    #[error("the video `{id}` is not ready: {why}")]
    VideoNotReady {
        /// The clip.
        id: String,
        /// Its state, in words.
        why: String,
    },
    /// A range begins at or beyond the end of a medium of `size` bytes.
    #[error("the range begins at or beyond the end; the medium has {size} bytes")]
    RangeNotSatisfiable {
        /// The medium's length in bytes.
        size: u64,
    },
    /// An idempotency key came again with another request.
    #[error("the idempotency key `{0}` was used before with a different request")]
    IdempotencyConflict(String),
    /// We are full.
    #[error("too many requests are under way")]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// We are going down.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// The job database or the media store failed. The text is for the log; callers read a plain sentence.
    #[error("storage: {0}")]
    Storage(String),
    /// A provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A defect of ours. The text is for the log; callers read a plain sentence.
    #[error("internal: {0}")]
    Internal(String),
}

/// How a provider failed, in the kinds that callers and retries can act on. Messages are redacted before they get here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It refused the request; `field` where it named one.
    #[error("{message}")]
    Refused {
        /// The provider's own words.
        message: String,
        /// The member it complained about.
        field: Option<String>,
    },
    /// It refused the content.
    #[error("{0}")]
    ContentPolicy(String),
    /// It paces us.
    #[error("{message}")]
    RateLimited {
        /// The provider's own words.
        message: String,
        /// When to come back, where it says so.
        retry_after: Option<Duration>,
    },
    /// Our own bound on the calls under way keeps us from asking it.
    #[error("too many requests are under way")]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// It rejects our key or our account.
    #[error("the provider rejects the configured credentials: {0}")]
    Credentials(String),
    /// It cannot do this at all.
    #[error("{0}")]
    NotSupported(String),
    /// It did not answer in time. It may have taken the request all the same.
    #[error("{0}")]
    Timeout(String),
    /// It could not be reached: the request surely never arrived.
    #[error("{0}")]
    Unreachable(String),
    /// It said that it cannot serve just now: the request surely was not taken.
    #[error("{message}")]
    Unavailable {
        /// The provider's own words.
        message: String,
        /// When to come back, where it says so.
        retry_after: Option<Duration>,
    },
    /// It broke, or the connection to it did, after the request had left. It may have taken the request all the same.
    #[error("{0}")]
    Broken(String),
    /// Its answer makes no sense.
    #[error("{0}")]
    Unreadable(String),
}

impl ProviderError {
    /// A [`ProviderError::Unavailable`] that does not say for how long.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into(), retry_after: None }
    }

    /// When the provider wants to be asked again, where it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            Self::Overloaded { retry_after } => Some(*retry_after),
            Self::Refused { .. }
            | Self::ContentPolicy(_)
            | Self::Credentials(_)
            | Self::NotSupported(_)
            | Self::Timeout(_)
            | Self::Unreachable(_)
            | Self::Broken(_)
            | Self::Unreadable(_) => None,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
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
            | Self::Unreadable(_) => false,
        }
    }

    /// Whether the provider surely does nothing for the failed request, so that sending it again costs nothing twice.
    pub fn is_safe_to_retry(&self) -> bool {
        self.is_transient() && !self.may_have_executed()
    }

    /// Whether the provider may have done, and billed, what was asked all the same.
    pub fn may_have_executed(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::Broken(_) | Self::Unreadable(_) => true,
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

    /// The row of the error table this belongs to.
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::Refused { .. } => ErrorReason::UpstreamRefused,
            Self::ContentPolicy(_) => ErrorReason::ContentPolicyViolation,
            Self::RateLimited { .. } => ErrorReason::RateLimitExceeded,
            Self::Overloaded { .. } => ErrorReason::Overloaded,
            Self::Credentials(_) => ErrorReason::ProviderCredentials,
            Self::NotSupported(_) => ErrorReason::NotSupported,
            Self::Timeout(_) => ErrorReason::UpstreamTimeout,
            Self::Unreachable(_) | Self::Unavailable { .. } | Self::Broken(_) => ErrorReason::UpstreamUnavailable,
            Self::Unreadable(_) => ErrorReason::UpstreamUnreadable,
        }
    }
}

impl Error {
    /// An [`Error::InvalidField`].
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidField { field: field.into(), message: message.into() }
    }

    /// The row of the error table this belongs to.
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::InvalidField { .. } => ErrorReason::InvalidField,
            Self::InvalidApiKey { .. } => ErrorReason::InvalidApiKey,
            Self::ModelNotFound { .. } => ErrorReason::ModelNotFound,
            Self::VideoNotFound(_) => ErrorReason::VideoNotFound,
            Self::MediaNotFound(_) => ErrorReason::MediaNotFound,
            Self::VideoNotReady { .. } => ErrorReason::VideoNotReady,
            Self::RangeNotSatisfiable { .. } => ErrorReason::RangeNotSatisfiable,
            Self::IdempotencyConflict(_) => ErrorReason::IdempotencyConflict,
            Self::Overloaded { .. } => ErrorReason::Overloaded,
            Self::ShuttingDown => ErrorReason::ShuttingDown,
            Self::Storage(_) => ErrorReason::StorageUnavailable,
            Self::Provider(error) => error.reason(),
            Self::Internal(_) => ErrorReason::Internal,
        }
    }
}

/// The gRPC code of a reason: the left half of the error table.
pub fn code(reason: ErrorReason) -> Code {
    match reason {
        ErrorReason::InvalidField | ErrorReason::UpstreamRefused | ErrorReason::ContentPolicyViolation => {
            Code::InvalidArgument
        }
        ErrorReason::VideoNotReady => Code::FailedPrecondition,
        ErrorReason::InvalidApiKey => Code::Unauthenticated,
        ErrorReason::ModelNotAllowed => Code::PermissionDenied,
        ErrorReason::ModelNotFound | ErrorReason::VideoNotFound | ErrorReason::MediaNotFound => Code::NotFound,
        ErrorReason::RangeNotSatisfiable => Code::OutOfRange,
        ErrorReason::IdempotencyConflict => Code::AlreadyExists,
        ErrorReason::Overloaded | ErrorReason::RateLimitExceeded => Code::ResourceExhausted,
        ErrorReason::NotSupported => Code::Unimplemented,
        ErrorReason::UpstreamUnavailable | ErrorReason::StorageUnavailable | ErrorReason::ShuttingDown => {
            Code::Unavailable
        }
        ErrorReason::UpstreamTimeout => Code::DeadlineExceeded,
        ErrorReason::ProviderCredentials
        | ErrorReason::UpstreamUnreadable
        | ErrorReason::Internal
        | ErrorReason::Unspecified => Code::Internal,
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let reason = error.reason();
        let name = reason.as_str_name().trim_start_matches("ERROR_REASON_");
        let taken = matches!(&error, Error::Provider(error) if error.may_have_executed());
        let metadata: HashMap<_, _> =
            taken.then(|| (MAY_HAVE_EXECUTED.to_owned(), "true".to_owned())).into_iter().collect();
        let mut details = ErrorDetails::with_error_info(name, DOMAIN, metadata);
        match &error {
            Error::InvalidField { field, message } => {
                details.add_bad_request_violation(field, message);
            }
            Error::ModelNotFound { .. } => {
                details.add_bad_request_violation("model", error.to_string());
            }
            Error::Overloaded { retry_after } => {
                details.set_retry_info(Some(*retry_after));
            }
            Error::ShuttingDown => {
                details.set_retry_info(Some(Duration::from_secs(1)));
            }
            Error::Storage(text) | Error::Internal(text) => tracing::error!(reason = name, "{text}"),
            Error::Provider(error) => {
                log(name, error);
                if let ProviderError::Refused { message, field: Some(field) } = error {
                    details.add_bad_request_violation(field, message);
                }
                // Who is paced and not told for how long is told something.
                let paced = matches!(error, ProviderError::RateLimited { .. }).then_some(Duration::from_secs(1));
                if let Some(wait) = error.retry_after().or(paced) {
                    details.set_retry_info(Some(wait));
                }
            }
            Error::InvalidApiKey { .. }
            | Error::VideoNotFound(_)
            | Error::MediaNotFound(_)
            | Error::VideoNotReady { .. }
            | Error::RangeNotSatisfiable { .. }
            | Error::IdempotencyConflict(_) => {}
        }
        Status::with_error_details(code(reason), told(&error), details)
    }
}

/// The provider's own words, for the operator; some are told to the caller as well.
fn log(reason: &str, error: &ProviderError) {
    match error {
        // Nobody but the operator can mend it.
        ProviderError::Credentials(_) => tracing::error!(reason, %error, "a provider does not accept us"),
        ProviderError::Unreadable(_) => tracing::warn!(reason, %error, "a provider's answer makes no sense"),
        // Our own bound.
        ProviderError::Overloaded { .. } => {}
        ProviderError::Refused { .. }
        | ProviderError::ContentPolicy(_)
        | ProviderError::RateLimited { .. }
        | ProviderError::NotSupported(_)
        | ProviderError::Timeout(_)
        | ProviderError::Unreachable(_)
        | ProviderError::Unavailable { .. }
        | ProviderError::Broken(_) => tracing::info!(reason, %error, "a provider failed"),
    }
}

/// What the caller reads. Our own defects are told whole in the log only.
fn told(error: &Error) -> String {
    match error {
        Error::Storage(_) => "the storage behind this service is not available just now".to_owned(),
        Error::Internal(_) => {
            "this is a defect of the service; its log has the details under this request's id".to_owned()
        }
        Error::InvalidField { .. }
        | Error::InvalidApiKey { .. }
        | Error::ModelNotFound { .. }
        | Error::VideoNotFound(_)
        | Error::MediaNotFound(_)
        | Error::VideoNotReady { .. }
        | Error::RangeNotSatisfiable { .. }
        | Error::IdempotencyConflict(_)
        | Error::Overloaded { .. }
        | Error::ShuttingDown
        | Error::Provider(_) => error.to_string(),
    }
}

fn suggestion(similar: &[String]) -> String {
    match similar {
        [] => String::new(),
        names => {
            format!("; did you mean {}?", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "))
        }
    }
}
