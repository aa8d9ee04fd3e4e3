//! Checks the API key of a request before its body is read, so that clients without a key cannot fill the memory. Only
//! the core, the gRPC service behind the gateway, knows the keys.

use http::{HeaderMap, HeaderValue, header, request::Parts};
use tokio::time::{Duration, timeout};
use tonic::{Code, metadata::MetadataMap};
use triptych_proto::v1 as pb;
use triptych_telemetry::CallReport;

use crate::{app::App, error::GatewayError, headers::X_REQUEST_ID, request_state::RequestState};

/// With a remote core, a body of at most this length is read without a check, which saves a call: the core checks the
/// key with the call for which the body is read.
const MAX_UNCHECKED_BYTES: u64 = 64 << 10;

/// Maximum time of the check by a remote core.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks the API key of a request whose body has not been read. The call to the core checks it again.
///
/// # Errors
/// 401 `invalid_api_key`.
pub(crate) async fn check(parts: &Parts, app: &App) -> Result<(), GatewayError> {
    let authorization = parts.headers.get(header::AUTHORIZATION);
    let state = parts.extensions.get::<RequestState>();
    if let Some(check) = &app.core.key_check {
        let discarded = CallReport::default();
        let report = state.map_or(&discarded, |state| &state.report);
        return check(authorization.map(HeaderValue::as_bytes), report).map_err(GatewayError::from);
    }
    if is_short(&parts.headers) {
        return Ok(());
    }
    let mut metadata = MetadataMap::new();
    if let Some(RequestState { id, .. }) = state {
        metadata.as_mut().insert(X_REQUEST_ID, id.clone());
    }
    if let Some(authorization) = authorization {
        metadata.as_mut().insert(header::AUTHORIZATION, authorization.clone());
    }
    // The cheapest call that requires a key.
    let request = pb::ListModelsRequest { page_size: 1, ..pb::ListModelsRequest::default() };
    let call = tonic::Request::from_parts(metadata, tonic::Extensions::default(), request);
    match timeout(CHECK_TIMEOUT, app.core.model.list_models(call)).await {
        Ok(Err(status)) if status.code() == Code::Unauthenticated => Err(status.into()),
        // The call for which the body is read reports any other failure.
        Ok(Ok(_) | Err(_)) | Err(_) => Ok(()),
    }
}

/// Returns whether the body is at most [`MAX_UNCHECKED_BYTES`] long. A compressed one may be longer than it declares.
fn is_short(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    !headers.contains_key(header::CONTENT_ENCODING) && length.is_some_and(|length| length <= MAX_UNCHECKED_BYTES)
}
