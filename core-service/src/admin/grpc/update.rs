//! The field mask of `UpdateKey`.

use triptych_proto::v1 as pb;

use super::validate;
use crate::{error::Error, keys::StoredKey};

/// Applies the fields of a request that its mask names.
///
/// # Errors
/// [`Error::InvalidField`] for an empty mask, an unknown path, or an invalid value.
pub(super) fn apply(
    key: &mut StoredKey,
    request: &pb::UpdateKeyRequest,
    check_team: impl Fn(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    let pb::UpdateKeyRequest { name: _, team, admin, on_disconnect, priority, limits, expire_time, update_mask } =
        request;
    let paths = update_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
    if paths.is_empty() {
        return Err(Error::invalid("update_mask", format!("is required: one or more of {}", known_paths())));
    }
    let definition = &mut key.definition;
    let new_limits = validate::limits(limits.clone().unwrap_or_default())?;
    for (index, path) in paths.iter().enumerate() {
        match path.as_str() {
            "team" => {
                check_team(team)?;
                definition.team.clone_from(team);
            }
            "admin" => definition.admin = *admin,
            "on_disconnect" => {
                definition.on_disconnect = on_disconnect.as_deref().map(validate::on_disconnect).transpose()?;
            }
            "priority" => definition.priority = validate::priority(*priority)?,
            "expire_time" => key.expires_at = expire_time.map(validate::expire_time).transpose()?,
            "limits" => definition.limits = new_limits.clone(),
            "limits.models" => definition.limits.models.clone_from(&new_limits.models),
            "limits.requests_per_minute" => definition.limits.requests_per_minute = new_limits.requests_per_minute,
            "limits.tokens_per_minute" => definition.limits.tokens_per_minute = new_limits.tokens_per_minute,
            "limits.concurrent_calls" => definition.limits.concurrent_calls = new_limits.concurrent_calls,
            "limits.jobs_in_flight" => definition.limits.jobs_in_flight = new_limits.jobs_in_flight,
            "limits.budget_per_day_micros" => definition.limits.budget_per_day = new_limits.budget_per_day,
            "limits.budget_per_month_micros" => definition.limits.budget_per_month = new_limits.budget_per_month,
            "limits.budget_total_micros" => definition.limits.budget_total = new_limits.budget_total,
            _ => {
                let message = format!("must be one of {}", known_paths());
                return Err(Error::invalid(format!("update_mask.paths[{index}]"), message));
            }
        }
    }
    Ok(())
}

fn known_paths() -> String {
    let limits = [
        "models",
        "requests_per_minute",
        "tokens_per_minute",
        "concurrent_calls",
        "jobs_in_flight",
        "budget_per_day_micros",
        "budget_per_month_micros",
        "budget_total_micros",
    ];
    let limits = limits.map(|limit| format!("`limits.{limit}`")).join(", ");
    format!("`team`, `admin`, `on_disconnect`, `priority`, `expire_time`, `limits`, {limits}")
}
