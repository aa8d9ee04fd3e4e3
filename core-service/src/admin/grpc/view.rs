//! Conversion into the messages of the gRPC API, which contain neither secrets nor their digests.

use std::time::SystemTime;

use triptych_proto::v1::{
    self as pb,
    api_key::{self, Origin},
    hold::State,
};

use crate::{
    config::AccountLimits,
    keys::{KeyDefinition, KeyRecord, StoredKey},
    ledger::{Discrepancy, HoldState, OpenHold},
    priority::Priority,
    usd::Usd,
    video::time::Timestamp,
};

/// Returns the message of a key.
pub(super) fn record(record: KeyRecord) -> pb::ApiKey {
    match record {
        KeyRecord::Configured(definition) => key(definition, Origin::Configuration),
        KeyRecord::Stored(key) => stored(key),
    }
}

/// Returns the message of a stored key.
pub(super) fn stored(stored: StoredKey) -> pb::ApiKey {
    // Clients change keys by a field mask: they need no `revision`, by which the store detects concurrent changes.
    let StoredKey { definition, revision: _, secret, previous_secret, expires_at, created, updated, revoked_at } =
        stored;
    let previous_until = previous_secret.map(|(_, until)| until).filter(|until| SystemTime::now() < *until);
    pb::ApiKey {
        expire_time: expires_at.map(Into::into),
        previous_secret_expire_time: previous_until.map(Into::into),
        secret_hint: secret.map(|secret| secret.hint).unwrap_or_default(),
        create_time: Some(created.at.into()),
        created_by: created.by,
        update_time: Some(updated.at.into()),
        updated_by: updated.by,
        revoke_time: revoked_at.map(Into::into),
        ..key(definition, Origin::Stored)
    }
}

fn key(definition: KeyDefinition, origin: Origin) -> pb::ApiKey {
    let KeyDefinition { name, team, admin, on_disconnect, priority, limits } = definition;
    pb::ApiKey {
        name,
        origin: origin.into(),
        team,
        admin,
        on_disconnect: on_disconnect.map(|policy| policy.to_string()),
        priority: match priority {
            Priority::Low => api_key::Priority::Low,
            Priority::Normal => api_key::Priority::Normal,
            Priority::High => api_key::Priority::High,
        }
        .into(),
        limits: Some(key_limits(limits)),
        ..pb::ApiKey::default()
    }
}

fn key_limits(limits: AccountLimits) -> pb::KeyLimits {
    let AccountLimits {
        models,
        requests_per_minute,
        tokens_per_minute,
        concurrent_calls,
        jobs_in_flight,
        budget_per_day,
        budget_per_month,
        budget_total,
    } = limits;
    pb::KeyLimits {
        models,
        requests_per_minute,
        tokens_per_minute,
        concurrent_calls,
        jobs_in_flight,
        budget_per_day_micros: budget_per_day.map(Usd::micros),
        budget_per_month_micros: budget_per_month.map(Usd::micros),
        budget_total_micros: budget_total.map(Usd::micros),
    }
}

/// Returns the message of a difference between a stored amount and the sum of its entries in the ledger.
pub(super) fn discrepancy(discrepancy: Discrepancy) -> pb::LedgerDiscrepancy {
    let Discrepancy { what, stored, sum } = discrepancy;
    pb::LedgerDiscrepancy { subject: what, stored_micros: stored.micros(), sum_micros: sum.micros() }
}

/// Returns the message of a hold: an amount that is reserved for a video, or for the calls of a key.
pub(super) fn hold(hold: OpenHold) -> pb::Hold {
    let OpenHold { item, state, key, team, amount, created_at } = hold;
    let (state, is_video) = match state {
        HoldState::Calls => (State::Calls, false),
        HoldState::InProgress => (State::InProgress, true),
        HoldState::Stopping => (State::Stopping, true),
        HoldState::OutcomeUnknown => (State::OutcomeUnknown, true),
    };
    pb::Hold {
        video_id: if is_video { item.clone() } else { String::new() },
        id: item,
        state: state.into(),
        key,
        team,
        amount_micros: amount.micros(),
        create_time: Some(Timestamp(created_at).into()),
    }
}
