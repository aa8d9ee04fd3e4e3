//! OpenAI's chat JSON, which the crate `openai-dialect` reads and writes.

use axum::{body::Body, response::Response};
use http::{HeaderValue, header};
use openai_dialect::chat::{Request, read_request, write_response};
use triptych_proto::v1 as pb;

use crate::{error::GatewayError, json::JsonBody};

/// Initial capacity of a response body, in bytes; a typical reply fits.
const REPLY_CAPACITY: usize = 1024;

/// Parses a request.
pub(super) fn read(body: &JsonBody) -> Result<Request, GatewayError> {
    read_request(body.as_bytes()).map_err(|error| match error.path.as_str() {
        "" => GatewayError::invalid_json(format!("the body {}", error.message)),
        path => GatewayError::invalid(path, error.message),
    })
}

/// Returns the response for a reply that is not streamed.
pub(super) fn response(reply: &pb::CreateChatResponse) -> Response {
    let mut body = Vec::with_capacity(REPLY_CAPACITY);
    write_response(&mut body, reply);
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
