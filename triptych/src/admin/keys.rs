//! `triptych admin keys`: API keys that are created while the server runs. Secrets are printed alone on standard output, so that a
//! shell can read them into a variable.

use std::{io::Write as _, time::SystemTime};

use anyhow::Context as _;
use core_service::{priority::Priority, usd::Usd};
use triptych_proto::{
    time::from_unix_seconds,
    v1::{
        self as pb,
        api_key::{self, Origin},
    },
};

use super::{
    arguments::{Create, Rotate, Update},
    connection::AdminClient,
};

/// The number of keys per page: the maximum that the server allows.
const PAGE: u32 = 100;

/// Creates a key and prints its secret.
pub(super) async fn create(client: &AdminClient, create: &Create) -> anyhow::Result<()> {
    let expire_time = match create.expires_in {
        Some(duration) => Some(SystemTime::now().checked_add(duration).context("--expires-in is too long")?.into()),
        None => None,
    };
    let request = pb::CreateKeyRequest {
        name: create.name.clone(),
        team: create.team.clone().unwrap_or_default(),
        admin: create.admin,
        on_disconnect: None,
        priority: priority(create.priority).into(),
        limits: Some(pb::KeyLimits {
            models: create.models.clone(),
            requests_per_minute: create.requests_per_minute,
            tokens_per_minute: create.tokens_per_minute,
            concurrent_calls: create.concurrent_calls,
            jobs_in_flight: create.jobs_in_flight,
            budget_per_day_micros: create.budget_per_day.map(Usd::micros),
            budget_per_month_micros: create.budget_per_month.map(Usd::micros),
            budget_total_micros: create.budget_total.map(Usd::micros),
        }),
        expire_time,
    };
    let reply = client.service.create_key(client.call(request)).await;
    print_secret(&reply.map_err(|status| client.error(&status))?.into_inner().secret)
}

/// Changes what the command line sets.
pub(super) async fn update(client: &AdminClient, update: &Update) -> anyhow::Result<()> {
    let paths = [
        ("priority", update.priority.is_some()),
        ("limits.models", !update.models.is_empty()),
        ("limits.requests_per_minute", update.requests_per_minute.is_some()),
        ("limits.tokens_per_minute", update.tokens_per_minute.is_some()),
        ("limits.concurrent_calls", update.concurrent_calls.is_some()),
        ("limits.jobs_in_flight", update.jobs_in_flight.is_some()),
        ("limits.budget_per_day_micros", update.budget_per_day.is_some()),
        ("limits.budget_per_month_micros", update.budget_per_month.is_some()),
        ("limits.budget_total_micros", update.budget_total.is_some()),
    ];
    let paths: Vec<_> = paths.into_iter().filter(|(_, is_set)| *is_set).map(|(path, _)| path.to_owned()).collect();
    anyhow::ensure!(!paths.is_empty(), "nothing to change: expected --priority, --model, or a limit or budget");
    let request = pb::UpdateKeyRequest {
        name: update.name.clone(),
        priority: priority(update.priority.unwrap_or_default()).into(),
        limits: Some(pb::KeyLimits {
            models: update.models.clone(),
            requests_per_minute: update.requests_per_minute.unwrap_or_default(),
            tokens_per_minute: update.tokens_per_minute.unwrap_or_default(),
            concurrent_calls: update.concurrent_calls.unwrap_or_default(),
            jobs_in_flight: update.jobs_in_flight.unwrap_or_default(),
            budget_per_day_micros: update.budget_per_day.map(Usd::micros),
            budget_per_month_micros: update.budget_per_month.map(Usd::micros),
            budget_total_micros: update.budget_total.map(Usd::micros),
        }),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..pb::UpdateKeyRequest::default()
    };
    let reply = client.service.update_key(client.call(request)).await;
    let key = reply.map_err(|status| client.error(&status))?.into_inner().key.unwrap_or_default();
    writeln!(std::io::stdout().lock(), "{}", line(&key))?;
    Ok(())
}

fn priority(priority: Priority) -> api_key::Priority {
    match priority {
        Priority::Low => api_key::Priority::Low,
        Priority::Normal => api_key::Priority::Normal,
        Priority::High => api_key::Priority::High,
    }
}

/// Replaces the secret of a key and prints the new one.
pub(super) async fn rotate(client: &AdminClient, rotate: &Rotate) -> anyhow::Result<()> {
    let overlap = rotate.overlap.map(prost_types::Duration::try_from).transpose().context("--overlap is too long")?;
    let request = pb::RotateKeyRequest { name: rotate.name.clone(), overlap };
    let reply = client.service.rotate_key(client.call(request)).await;
    print_secret(&reply.map_err(|status| client.error(&status))?.into_inner().secret)
}

/// Revokes a key.
pub(super) async fn revoke(client: &AdminClient, name: &str) -> anyhow::Result<()> {
    let request = pb::RevokeKeyRequest { name: name.to_owned() };
    let reply = client.service.revoke_key(client.call(request)).await;
    reply.map_err(|status| client.error(&status))?;
    writeln!(std::io::stdout().lock(), "Revoked the key {name}.")?;
    Ok(())
}

/// Prints one line for each key.
pub(super) async fn list(client: &AdminClient, include_revoked: bool) -> anyhow::Result<()> {
    let mut page_token = String::new();
    loop {
        let request = pb::ListKeysRequest { page_size: Some(PAGE), page_token, include_revoked };
        let reply = client.service.list_keys(client.call(request)).await;
        let reply = reply.map_err(|status| client.error(&status))?.into_inner();
        let mut out = std::io::stdout().lock();
        for key in &reply.keys {
            writeln!(out, "{}", line(key))?;
        }
        page_token = reply.next_page_token;
        if page_token.is_empty() {
            return Ok(());
        }
    }
}

/// Describes a key: its name, its origin, and what is not the default.
fn line(key: &pb::ApiKey) -> String {
    let origin = match key.origin() {
        Origin::Configuration => "configuration",
        Origin::Stored | Origin::Unspecified => "stored",
    };
    let mut parts = vec![format!("{:<24}  {origin:<13}", key.name)];
    parts.extend(key.admin.then(|| "admin".to_owned()));
    parts.extend((!key.team.is_empty()).then(|| format!("team {}", key.team)));
    match key.priority() {
        api_key::Priority::Low => parts.push("priority low".to_owned()),
        api_key::Priority::Normal | api_key::Priority::Unspecified => {}
        api_key::Priority::High => parts.push("priority high".to_owned()),
    }
    parts.extend((!key.secret_hint.is_empty()).then(|| format!("secret ...{}", key.secret_hint)));
    let limits = key.limits.clone().unwrap_or_default();
    for (period, micros) in [
        ("day", limits.budget_per_day_micros),
        ("month", limits.budget_per_month_micros),
        ("total", limits.budget_total_micros),
    ] {
        parts.extend(
            micros
                .map(|micros| format!("{} USD per {period}", Usd::from_micros(micros)).replace("per total", "in all")),
        );
    }
    for (what, time) in [("expires", &key.expire_time), ("revoked", &key.revoke_time)] {
        parts.extend(time.as_ref().map(|time| format!("{what} {}", from_unix_seconds(time.seconds))));
    }
    parts.join("  ").trim_end().to_owned()
}

fn print_secret(secret: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{secret}")?;
    Ok(())
}
