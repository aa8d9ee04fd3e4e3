//! Bodies and queries of `/admin/v1`, converted to the messages of the core's protobuf API. The core validates the values.

use prost_types::{Duration, FieldMask, Timestamp};
use serde_json::Value;
use triptych_proto::v1::{self as pb, api_key::Priority, hold::State, resolve_hold_request::Resolution};

use crate::{
    error::GatewayError, json::as_integer, lists::read_page, members::Members, query::QueryParams, usd::parse_usd,
};

/// Members of a key, with their paths in the field mask of the protobuf API.
const MEMBERS: [(&str, &str); 5] = [
    ("team", "team"),
    ("admin", "admin"),
    ("on_disconnect", "on_disconnect"),
    ("priority", "priority"),
    ("expires_at", "expire_time"),
];

/// Members of the limits, with their paths in the field mask of the protobuf API.
const LIMITS: [(&str, &str); 8] = [
    ("models", "limits.models"),
    ("requests_per_minute", "limits.requests_per_minute"),
    ("tokens_per_minute", "limits.tokens_per_minute"),
    ("concurrent_calls", "limits.concurrent_calls"),
    ("jobs_in_flight", "limits.jobs_in_flight"),
    ("budget_per_day", "limits.budget_per_day_micros"),
    ("budget_per_month", "limits.budget_per_month_micros"),
    ("budget_total", "limits.budget_total_micros"),
];

/// Reads the body of a create request.
pub(super) fn create(members: &Members) -> Result<pb::CreateKeyRequest, GatewayError> {
    require_limits_within(members)?;
    Ok(pb::CreateKeyRequest {
        name: members.text("name")?.unwrap_or_default(),
        team: members.text("team")?.unwrap_or_default(),
        admin: members.boolean("admin")?.unwrap_or_default(),
        on_disconnect: members.text("on_disconnect")?,
        priority: priority(members)?.into(),
        limits: members.object("limits")?.as_ref().map(limits).transpose()?,
        expire_time: expire_time(members)?,
    })
}

/// Reads the body of an update of the key `name`. Members that are present change, also within `limits`; null removes a value.
pub(super) fn update(name: String, members: &Members) -> Result<pb::UpdateKeyRequest, GatewayError> {
    require_limits_within(members)?;
    let new_limits = members.object("limits")?;
    let mut paths: Vec<_> = MEMBERS.iter().filter(|(member, _)| members.has(member)).map(|(_, path)| *path).collect();
    match &new_limits {
        Some(limits) => paths.extend(LIMITS.iter().filter(|(member, _)| limits.has(member)).map(|(_, path)| path)),
        None if members.has("limits") => paths.push("limits"),
        None => {}
    }
    if paths.is_empty() {
        let message = "the body changes nothing: expected team, admin, on_disconnect, priority, expires_at, or a member of \
                       limits";
        return Err(GatewayError::invalid_request(message));
    }
    Ok(pb::UpdateKeyRequest {
        name,
        team: members.text("team")?.unwrap_or_default(),
        admin: members.boolean("admin")?.unwrap_or_default(),
        on_disconnect: members.text("on_disconnect")?,
        priority: priority(members)?.into(),
        limits: new_limits.as_ref().map(limits).transpose()?,
        expire_time: expire_time(members)?,
        update_mask: Some(FieldMask { paths: paths.into_iter().map(str::to_owned).collect() }),
    })
}

/// Reads the body of a rotation of the secret of the key `name`.
pub(super) fn rotate(name: String, members: &Members) -> Result<pb::RotateKeyRequest, GatewayError> {
    let overlap = members.integer("overlap_seconds")?.map(|seconds| Duration { seconds, nanos: 0 });
    Ok(pb::RotateKeyRequest { name, overlap })
}

/// Reads the body of a resolution of the hold `id`, money that is reserved until a cost is known: what was spent, as `cost` in US
/// dollars or as `cost_micros`, or `release` if nothing was.
pub(super) fn resolve(id: String, members: &Members) -> Result<pb::ResolveHoldRequest, GatewayError> {
    if members.has("cost") && members.has("cost_micros") {
        return Err(GatewayError::invalid("cost_micros", "cost_micros: excludes cost".to_owned()));
    }
    let cost = usd(members, "cost")?.or(members.integer("cost_micros")?).map(Resolution::CostMicros);
    let release = members.boolean("release")?.map(Resolution::Release);
    if cost.is_some() && release.is_some() {
        return Err(GatewayError::invalid("release", "release: excludes cost".to_owned()));
    }
    Ok(pb::ResolveHoldRequest { id, resolution: cost.or(release) })
}

/// Reads the query of a list of keys.
pub(super) fn list_keys(query: &QueryParams) -> Result<pb::ListKeysRequest, GatewayError> {
    let include_revoked = match query.get("include_revoked") {
        None | Some("false") => false,
        Some("true") => true,
        Some(text) => {
            let message = format!("include_revoked \"{text}\": expected `true` or `false`");
            return Err(GatewayError::invalid("include_revoked", message));
        }
    };
    let (page_size, page_token) = read_page(query)?;
    Ok(pb::ListKeysRequest { page_size, page_token, include_revoked })
}

/// Reads the query of a list of holds.
pub(super) fn list_holds(query: &QueryParams) -> Result<pb::ListHoldsRequest, GatewayError> {
    let state = match query.get("state") {
        None => State::Unspecified,
        Some("calls") => State::Calls,
        Some("in_progress") => State::InProgress,
        Some("stopping") => State::Stopping,
        Some("outcome_unknown") => State::OutcomeUnknown,
        Some(word) => {
            let message = format!("state \"{word}\": expected `calls`, `in_progress`, `stopping` or `outcome_unknown`");
            return Err(GatewayError::invalid("state", message));
        }
    };
    let (page_size, page_token) = read_page(query)?;
    Ok(pb::ListHoldsRequest { page_size, page_token, state: state.into() })
}

/// Returns the priority; unspecified if it is absent or null.
fn priority(members: &Members) -> Result<Priority, GatewayError> {
    let priority = members.member("priority", "`low`, `normal` or `high`", |value| match value.as_str()? {
        "low" => Some(Priority::Low),
        "normal" => Some(Priority::Normal),
        "high" => Some(Priority::High),
        _ => None,
    });
    Ok(priority?.unwrap_or(Priority::Unspecified))
}

fn expire_time(members: &Members) -> Result<Option<Timestamp>, GatewayError> {
    Ok(members.integer("expires_at")?.map(|seconds| Timestamp { seconds, nanos: 0 }))
}

/// Refuses limits that are beside `limits` instead of within it: the key would lack the budget
/// that its administrator meant to set.
fn require_limits_within(members: &Members) -> Result<(), GatewayError> {
    match LIMITS.iter().find(|(member, _)| members.has(member)) {
        None => Ok(()),
        Some((member, _)) => Err(GatewayError::invalid(
            *member,
            format!("{member}: belongs into limits, for example {{\"limits\": {{\"{member}\": ...}}}}"),
        )),
    }
}

fn limits(members: &Members) -> Result<pb::KeyLimits, GatewayError> {
    members.require_known(&LIMITS.map(|(member, _)| member))?;
    let count = |name: &str| members.unsigned(name).map(Option::unwrap_or_default);
    Ok(pb::KeyLimits {
        models: members.texts("models")?,
        requests_per_minute: count("requests_per_minute")?,
        tokens_per_minute: count("tokens_per_minute")?,
        concurrent_calls: count("concurrent_calls")?,
        jobs_in_flight: count("jobs_in_flight")?,
        budget_per_day_micros: usd(members, "budget_per_day")?,
        budget_per_month_micros: usd(members, "budget_per_month")?,
        budget_total_micros: usd(members, "budget_total")?,
    })
}

/// Returns a member that is an amount of US dollars, in millionths.
fn usd(members: &Members, name: &str) -> Result<Option<i64>, GatewayError> {
    let expected = "an amount of US dollars: a text with up to six decimals, such as \"12.50\", or an integer";
    members.member(name, expected, |value| match value {
        Value::String(text) => parse_usd(text),
        // Integers are exact; a fraction such as 0.1 is not, and has to be a text.
        Value::Number(_) => as_integer(value).and_then(|dollars| parse_usd(&dollars.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}
