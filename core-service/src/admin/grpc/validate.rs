//! Validation of the requests of the administration service.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use triptych_proto::v1::{self as pb, api_key};

use crate::{
    config::{AccountLimits, is_name},
    error::Error,
    keys::Keys,
    on_disconnect::OnDisconnect,
    priority::Priority,
    usd::Usd,
};

/// How long the previous secret of a key can stay valid after a rotation.
const MAX_OVERLAP: Duration = Duration::from_hours(7 * 24);
/// The most models in the limits of a key. Each call compares its model with all of them.
const MAX_MODELS: usize = 100;
/// The longest name or pattern of a model, in bytes.
const MAX_MODEL_BYTES: usize = 256;

/// Validates the name of a new key.
pub(super) fn name(name: &str) -> Result<(), Error> {
    if is_name(name) {
        return Ok(());
    }
    Err(Error::invalid("name", "must have 1 to 64 letters, digits, `.`, `_`, `-`"))
}

/// Validates a team; the empty name is none.
pub(super) fn team(name: &str, keys: &Keys) -> Result<(), Error> {
    if name.is_empty() || keys.has_team(name) {
        return Ok(());
    }
    Err(Error::invalid("team", "must be a team of the setting `teams`; add it there, or leave the team out"))
}

/// Parses the policy for calls whose client disconnects.
pub(super) fn on_disconnect(text: &str) -> Result<OnDisconnect, Error> {
    text.parse().map_err(|error: crate::on_disconnect::ParseError| Error::invalid("on_disconnect", error.to_string()))
}

/// Converts the number of a priority, which may be from a later version of the gRPC API.
pub(super) fn priority(number: i32) -> Result<Priority, Error> {
    match api_key::Priority::try_from(number) {
        Ok(api_key::Priority::Low) => Ok(Priority::Low),
        Ok(api_key::Priority::Unspecified | api_key::Priority::Normal) => Ok(Priority::Normal),
        Ok(api_key::Priority::High) => Ok(Priority::High),
        Err(_) => {
            let message = format!("must be PRIORITY_LOW, PRIORITY_NORMAL or PRIORITY_HIGH, not {number}");
            Err(Error::invalid("priority", message))
        }
    }
}

/// Converts the time at which a key expires, rounded down to milliseconds.
pub(super) fn expire_time(time: prost_types::Timestamp) -> Result<SystemTime, Error> {
    let since = SystemTime::try_from(time).ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    // A larger number of milliseconds could not be stored.
    let millis =
        since.and_then(|since| i64::try_from(since.as_millis()).ok()).and_then(|millis| u64::try_from(millis).ok());
    let time = millis.and_then(|millis| UNIX_EPOCH.checked_add(Duration::from_millis(millis)));
    time.ok_or_else(|| Error::invalid("expire_time", "must be a time after 1970"))
}

/// Validates limits.
pub(super) fn limits(limits: pb::KeyLimits) -> Result<AccountLimits, Error> {
    let pb::KeyLimits {
        models,
        requests_per_minute,
        tokens_per_minute,
        concurrent_calls,
        jobs_in_flight,
        budget_per_day_micros,
        budget_per_month_micros,
        budget_total_micros,
    } = limits;
    if models.len() > MAX_MODELS {
        return Err(Error::invalid(
            "limits.models",
            format!("must have at most {MAX_MODELS} names, not {}", models.len()),
        ));
    }
    if let Some(index) = models.iter().position(|model| !(1..=MAX_MODEL_BYTES).contains(&model.len())) {
        let message = format!("must have 1 to {MAX_MODEL_BYTES} bytes");
        return Err(Error::invalid(format!("limits.models[{index}]"), message));
    }
    Ok(AccountLimits {
        models,
        requests_per_minute,
        tokens_per_minute,
        concurrent_calls,
        jobs_in_flight,
        budget_per_day: budget("limits.budget_per_day_micros", budget_per_day_micros)?,
        budget_per_month: budget("limits.budget_per_month_micros", budget_per_month_micros)?,
        budget_total: budget("limits.budget_total_micros", budget_total_micros)?,
    })
}

fn budget(field: &str, micros: Option<i64>) -> Result<Option<Usd>, Error> {
    micros.map(|micros| amount(field, micros)).transpose()
}

/// Validates an amount of money.
pub(super) fn amount(field: &str, micros: i64) -> Result<Usd, Error> {
    if micros >= 0 {
        return Ok(Usd::from_micros(micros));
    }
    Err(Error::invalid(field, format!("must not be negative; it is {micros}")))
}

/// Validates how long the previous secret stays valid after a rotation.
pub(super) fn overlap(overlap: Option<&prost_types::Duration>) -> Result<Duration, Error> {
    let Some(overlap) = overlap else { return Ok(Duration::ZERO) };
    let overlap = Duration::try_from(*overlap).ok().filter(|overlap| *overlap <= MAX_OVERLAP);
    // Stored in milliseconds.
    let overlap = overlap.map(|overlap| Duration::new(overlap.as_secs(), overlap.subsec_millis() * 1_000_000));
    overlap.ok_or_else(|| Error::invalid("overlap", "must be zero to 7 days (604800 seconds)"))
}
