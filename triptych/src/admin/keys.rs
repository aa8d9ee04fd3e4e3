//! `triptych admin keys`: API keys that are created while the server runs. Secrets are printed alone on standard output, so that a
//! shell can read them into a variable.

use std::{io::Write as _, time::SystemTime};

use anyhow::Context as _;
use core_service::usd::Usd;
use triptych_proto::{
    time::from_unix_seconds,
    v1::{self as pb, api_key::Origin},
};

use super::{
    arguments::{Create, Rotate},
    connection::AdminClient,
};

/// The keys of a page, the most that the server returns.
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
