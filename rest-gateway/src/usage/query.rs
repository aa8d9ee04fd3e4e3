//! The query of `/v1/usage`, converted to the message of the core's protobuf API.

use http::{HeaderMap, header};
use triptych_proto::v1 as pb;

use crate::{error::GatewayError, query::QueryParams};

/// The most rows of a response, as in the core.
pub(super) const MAX_ROWS: u32 = 10_000;

/// The format of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
}

/// Returns the format: that of the parameter `format`, otherwise CSV if the client accepts it by name.
pub(super) fn format(query: &QueryParams, headers: &HeaderMap) -> Result<Format, GatewayError> {
    let accepts_csv = || {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut types = accepted.flat_map(|value| value.split(',')).filter_map(|range| range.split(';').next());
        types.any(|range| range.trim().eq_ignore_ascii_case("text/csv"))
    };
    match query.get("format") {
        Some("json") => Ok(Format::Json),
        Some("csv") => Ok(Format::Csv),
        None => Ok(if accepts_csv() { Format::Csv } else { Format::Json }),
        Some(word) => Err(GatewayError::invalid("format", format!("format \"{word}\": expected `json` or `csv`"))),
    }
}

/// Reads the query, except for the format. The core validates the days.
pub(super) fn read(query: &QueryParams) -> Result<pb::ListUsageRequest, GatewayError> {
    let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
    let limit = |text: &str| {
        let limit = text.parse().ok().filter(|limit| (1..=MAX_ROWS).contains(limit));
        limit.ok_or_else(|| {
            GatewayError::invalid("limit", format!("limit \"{text}\": expected an integer, 1 to {MAX_ROWS}"))
        })
    };
    let groups = query.get("group_by").unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty());
    Ok(pb::ListUsageRequest {
        first_day: text("start_date"),
        last_day: text("end_date"),
        group_by: groups.map(|word| group(word).map(i32::from)).collect::<Result<_, _>>()?,
        // `key=` selects the calls without an API key; without the parameter, those of all keys are returned.
        key: query.get("key").map(str::to_owned),
        model: text("model"),
        max_rows: query.get("limit").map(limit).transpose()?,
    })
}

fn group(word: &str) -> Result<pb::UsageGroup, GatewayError> {
    match word {
        "key" => Ok(pb::UsageGroup::Key),
        "team" => Ok(pb::UsageGroup::Team),
        "model" => Ok(pb::UsageGroup::Model),
        "day" => Ok(pb::UsageGroup::Day),
        _ => {
            let message = format!("group_by \"{word}\": expected `key`, `team`, `model` or `day`, separated by commas");
            Err(GatewayError::invalid("group_by", message))
        }
    }
}
