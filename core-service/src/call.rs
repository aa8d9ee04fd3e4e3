//! What every call to a provider carries, whatever it asks for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::stream::BoxStream;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;

use crate::error::{Error, ProviderError};

/// A stream of results from a provider. Dropping it stops the provider's work.
pub type Chunks<T> = BoxStream<'static, Result<T, ProviderError>>;

/// One call to a provider: what is asked, under which upstream name, and until when an answer is worth having.
///
/// Dropping the future or the stream that a provider returned for a call ends the call.
#[derive(Debug, Clone)]
pub struct Call<R> {
    /// The upstream's name of the model.
    pub model: String,
    /// What is asked.
    pub request: R,
    /// When the caller stops waiting. `None`: only the provider's own limits hold.
    pub deadline: Option<Instant>,
    /// Follows the call through logs and to the upstream.
    pub request_id: String,
    /// The caller's idempotency key; empty where there is none.
    pub idempotency_key: String,
}

/// The metadata key, and HTTP header, that names a request.
pub const REQUEST_ID: &str = "x-request-id";

/// The id under which a request is logged: the caller's where it is sane, else a new one.
pub fn request_id(metadata: &MetadataMap) -> String {
    metadata
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()))
        .map_or_else(|| format!("req_{}", uuid::Uuid::new_v4().simple()), str::to_owned)
}

/// When the caller stops waiting, from the `grpc-timeout` of the protocol.
///
/// Read here and not in the transport, so that it holds for calls within the process as well.
pub fn deadline(metadata: &MetadataMap) -> Option<Instant> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    let timeout = match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    };
    Instant::now().checked_add(timeout)
}

/// Checks a caller's idempotency key; the empty one is none.
pub fn check_idempotency_key(key: &str) -> Result<(), Error> {
    if key.len() <= 255 && key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Ok(());
    }
    Err(Error::invalid("idempotency_key", "must be 1 to 255 printable ASCII characters"))
}

/// Seconds since 1970.
pub fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}
