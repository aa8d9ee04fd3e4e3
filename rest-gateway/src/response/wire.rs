//! Reads the members and query parameters that the gateway itself needs, and wraps the JSON texts of the core into responses.

use axum::{body::Body, response::Response};
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, Value};
use triptych_proto::v1 as pb;

use crate::{
    error::GatewayError,
    json::{self, JsonBody},
    query::QueryParams,
};

/// Returns the text of a request, and whether it asks for a stream.
pub(super) fn read(body: &JsonBody) -> Result<(String, bool), GatewayError> {
    #[derive(Deserialize)]
    struct Members {
        stream: Option<Value>,
    }
    let is_streamed = match serde_json::from_slice::<Members>(body.as_bytes()) {
        Ok(Members { stream }) => stream == Some(Value::Bool(true)),
        Err(error) if error.is_data() => return Err(GatewayError::invalid_json("the body must be a JSON object")),
        Err(error) => return Err(json::syntax_error(&error)),
    };
    // `JsonBody` is valid UTF-8.
    let text = String::from_utf8(body.as_bytes().to_vec()).map_err(|_| GatewayError::internal())?;
    Ok((text, is_streamed))
}

/// Reads the query parameter `stream`.
pub(super) fn is_streamed(query: &QueryParams) -> Result<bool, GatewayError> {
    match query.get("stream") {
        None | Some("" | "false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(text) => Err(GatewayError::invalid("stream", format!("stream \"{text}\": expected true or false"))),
    }
}

/// Reads the query parameter `starting_after`.
pub(super) fn starting_after(query: &QueryParams) -> Result<Option<u64>, GatewayError> {
    let number = query.get("starting_after").map(|text| {
        let message = || format!("starting_after \"{text}\": expected the sequence_number of an event");
        text.parse().map_err(|_| GatewayError::invalid("starting_after", message()))
    });
    number.transpose()
}

/// Reads the query parameter `order`.
pub(super) fn order(query: &QueryParams) -> Result<pb::ItemOrder, GatewayError> {
    match query.get("order") {
        None | Some("desc") => Ok(pb::ItemOrder::Descending),
        Some("asc") => Ok(pb::ItemOrder::Ascending),
        Some(text) => Err(GatewayError::invalid("order", format!("order \"{text}\": expected asc or desc"))),
    }
}

/// Returns a response with this JSON.
pub(super) fn document(json: String) -> Response {
    let mut response = Response::new(Body::from(json));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns a page of items.
pub(super) fn items(page: &pb::ListInputItemsResponse) -> Result<Response, GatewayError> {
    #[derive(Deserialize)]
    struct Item {
        id: String,
    }
    #[derive(Serialize)]
    struct Page<'a> {
        object: &'static str,
        data: Vec<&'a RawValue>,
        first_id: Option<String>,
        last_id: Option<String>,
        has_more: bool,
    }
    let id = |json: &String| serde_json::from_str(json).ok().map(|Item { id }| id);
    let (first, last) = (page.items_json.first(), page.items_json.last());
    let data = page.items_json.iter().map(|json| serde_json::from_str(json)).collect::<Result<_, _>>();
    let page = Page {
        object: "list",
        data: data.map_err(|_| GatewayError::internal())?,
        first_id: first.and_then(id),
        last_id: last.and_then(id),
        has_more: !page.next_page_token.is_empty(),
    };
    Ok(document(serde_json::to_string(&page).map_err(|_| GatewayError::internal())?))
}
