//! The errors of the core and of its providers, as data. `status` maps them to gRPC statuses.

pub(crate) mod codes;
mod provider;

use std::{borrow::Cow, time::Duration};

use triptych_proto::v1::{ErrorReason, Modality};

pub use self::provider::{ProviderError, UpstreamDetails};
use crate::{budget_period::BudgetPeriod, served_models::ServedModels, usd::Usd};

/// The reason why a call failed. Each variant has a row in `docs/ERRORS.md`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field of the request is invalid.
    #[error("{field}: {message}")]
    InvalidField {
        /// The path of the field in the gRPC request, without the name of the message around it: `messages[2].role`.
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
    /// No response has this id.
    #[error("response `{}` does not exist, was deleted or has expired", echo(.0))]
    ResponseNotFound(String),
    /// A request continues a response that does not exist. The message begins as that of OpenAI's API, which clients match.
    #[error("Previous response with id '{}' not found.{why}", echo(id))]
    PreviousResponseNotFound {
        /// The id in the request.
        id: String,
        /// A further sentence, with a space before it; or empty.
        why: String,
    },
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
    /// As many calls are in flight as a configured or built-in limit allows.
    #[error("too many requests are in flight; retry later")]
    Overloaded {
        /// How long the client should wait before a retry.
        retry_after: Duration,
    },
    /// A limit of the server is reached, which the text names.
    #[error("{0}; retry later")]
    LimitReached(&'static str),
    /// The request message was not received in time.
    #[error("timed out waiting for the request message")]
    RequestTimeout,
    /// As many jobs are queued as a setting allows.
    #[error(
        "{limit} {what} are queued, the most that the setting `{setting}` allows; retry when some of them have started"
    )]
    QueueFull {
        /// What is queued: "videos" or "responses".
        what: &'static str,
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
        /// The defect of the row.
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
    /// The amount that was spent in the period.
    pub spent: Usd,
    /// The amount that is reserved for calls and jobs in progress.
    pub reserved: Usd,
    /// The most that the call may cost.
    pub needed: Usd,
}

impl From<BudgetExceeded> for Error {
    fn from(exceeded: BudgetExceeded) -> Self {
        Self::BudgetExceeded(Box::new(exceeded))
    }
}

impl Error {
    /// Returns an [`Error::InvalidField`].
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidField { field: field.into(), message: message.into() }
    }

    /// Returns the reason in the gRPC API (`error.proto`).
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
            Self::ResponseNotFound(_) => ErrorReason::ResponseNotFound,
            Self::PreviousResponseNotFound { .. } => ErrorReason::PreviousResponseNotFound,
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
