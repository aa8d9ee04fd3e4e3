//! Pages of lists, in the form of OpenAI's lists.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;
use tonic::metadata::MetadataMap;

use crate::{error::GatewayError, metadata::with_metadata, query::QueryParams};

/// Reads the query of a list: size and token of the page.
///
/// # Errors
/// `limit` is not an integer. The core checks its bounds.
pub(crate) fn read_page(query: &QueryParams) -> Result<(Option<u32>, String), GatewayError> {
    let size = query.get("limit").map(|text| {
        let error = || GatewayError::invalid("limit", format!("limit \"{text}\": expected an integer, 1 to 100"));
        text.parse().map_err(|_| error())
    });
    Ok((size.transpose()?, query.get("after").unwrap_or_default().to_owned()))
}

/// Returns a page. Clients get the next one with the id of the last item as `after`; of the core's `next_page_token`, only whether
/// there is one matters.
pub(crate) fn page<T: Serialize>(
    items: &[T],
    id: fn(&T) -> &str,
    next_page_token: &str,
    metadata: MetadataMap,
) -> Response {
    let list = json!({
        "object": "list",
        "first_id": items.first().map(id),
        "last_id": items.last().map(id),
        "has_more": !next_page_token.is_empty(),
        "data": items,
    });
    with_metadata(Json(list).into_response(), metadata)
}
