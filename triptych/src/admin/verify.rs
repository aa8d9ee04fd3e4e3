//! `triptych admin verify`: the check of the ledger against itself.

use std::io::Write as _;

use core_service::{usd::Usd, verify_ledger};
use triptych_proto::v1 as pb;

use super::connection::AdminClient;
use crate::config::Config;

/// Checks the ledger of a running server.
///
/// # Errors
/// The server cannot be reached or refuses the call; the ledger is not consistent.
pub(super) async fn online(client: &AdminClient) -> anyhow::Result<()> {
    let reply = client.service.verify_ledger(client.call(pb::VerifyLedgerRequest {})).await;
    let reply = reply.map_err(|status| client.error(&status))?.into_inner();
    report(reply.discrepancies.iter().map(|discrepancy| {
        let pb::LedgerDiscrepancy { subject, stored_micros, sum_micros } = discrepancy;
        let (stored, sum) = (Usd::from_micros(*stored_micros), Usd::from_micros(*sum_micros));
        format!("{subject}: {stored} USD, but the rows sum up to {sum} USD")
    }))
}

/// Checks the ledger in the database of the configuration.
///
/// # Errors
/// A process uses the directory; it has no database, or that cannot be opened; the ledger is not consistent.
pub(super) async fn offline(config: &Config) -> anyhow::Result<()> {
    let discrepancies = verify_ledger(&config.core).await?;
    report(discrepancies.iter().map(ToString::to_string))
}

fn report(lines: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut differences = 0;
    for line in lines {
        writeln!(out, "{line}")?;
        differences += 1;
    }
    anyhow::ensure!(differences == 0, "the ledger is not consistent: {differences} sums differ from their rows");
    writeln!(out, "The ledger is consistent.")?;
    Ok(())
}
