//! `triptych check --probe`: asks the configured upstreams and providers whether they answer.

use std::{
    fmt::{self, Write as _},
    io::Write as _,
};

use anyhow::Context as _;
use core_service::probe::{Probe, ProbeResult, probe};

use crate::config::Config;

/// Prints one line for each upstream and provider to standard output.
///
/// # Errors
/// One of them cannot be used.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let probes = runtime.block_on(probe(&config.core));
    // A name that is still being resolved would delay the exit.
    runtime.shutdown_background();
    std::io::stdout().lock().write_all(report(&probes)?.as_bytes())?;
    let failed = probes.iter().filter(|probe| matches!(probe.result, ProbeResult::Failed(_))).count();
    anyhow::ensure!(failed == 0, "{failed} of {} upstreams and providers cannot be used", probes.len());
    Ok(())
}

fn report(probes: &[Probe]) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for Probe { name, address, result } in probes {
        let (result, detail) = match result {
            ProbeResult::Ok(detail) => ("ok", detail.clone()),
            ProbeResult::NotProbed(reason) => ("not probed", format!("connected; {reason}")),
            ProbeResult::Failed(cause) => ("failed", cause.clone()),
        };
        // A message of an upstream may have several lines.
        let detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
        writeln!(text, "{result:<10}  {name} ({address}): {detail}")?;
    }
    if probes.is_empty() {
        writeln!(text, "No upstream or provider is configured; the built-in mock engines serve all requests.")?;
    }
    Ok(text)
}
