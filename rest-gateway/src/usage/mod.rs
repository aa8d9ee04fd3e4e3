//! `/v1/usage` and `/v1/budgets`: what calls have used and cost, and the budgets of API keys and teams.

mod csv;
mod query;
mod wire;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, header};
use serde_json::json;
use triptych_proto::v1 as pb;

use self::query::Format;
use crate::{app::App, context::RequestContext, error::GatewayError, metadata::with_metadata, query::QueryParams};

/// `GET /v1/usage`: the usage and cost of calls, summed per group, as JSON or CSV.
pub(crate) async fn list(
    State(app): State<App>,
    context: RequestContext,
    headers: HeaderMap,
    query: QueryParams,
) -> Result<Response, GatewayError> {
    let format = query::format(&query, &headers)?;
    let mut request = query::read(&query)?;
    // A file with a part of the rows would be taken for the whole.
    let must_be_complete = format == Format::Csv && request.max_rows.is_none();
    if must_be_complete {
        request.max_rows = Some(query::MAX_ROWS);
    }
    let (metadata, usage, _) = app.core.usage.list_usage(context.call(request)).await?.into_parts();
    if must_be_complete && usage.truncated {
        let message = format!("the usage has more than {} rows; request fewer days", query::MAX_ROWS);
        return Err(GatewayError::invalid("start_date", message));
    }
    let response = match format {
        Format::Json => Json(wire::UsageList::new(&usage)).into_response(),
        Format::Csv => {
            let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
            let disposition = HeaderValue::from_static("attachment; filename=\"usage.csv\"");
            let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)];
            (headers, csv::write(&usage.rows)).into_response()
        }
    };
    Ok(with_metadata(response, metadata))
}

/// `GET /v1/budgets`.
pub(crate) async fn budgets(State(app): State<App>, context: RequestContext) -> Result<Response, GatewayError> {
    let call = context.call(pb::ListBudgetsRequest {});
    let (metadata, reply, _) = app.core.usage.list_budgets(call).await?.into_parts();
    let budgets: Vec<_> = reply.budgets.iter().map(wire::Budget::new).collect();
    Ok(with_metadata(Json(json!({"object": "list", "data": budgets})).into_response(), metadata))
}

#[cfg(test)]
mod tests;
