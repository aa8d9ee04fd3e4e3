//! `triptych`: the core, the gateway, or both in one process.

mod admin;
mod admin_server;
mod backup;
mod banner;
mod certificates;
mod check;
mod cli;
mod config;
mod file_watch;
mod health;
mod help_files;
mod init;
mod log_filter;
mod log_format;
mod open_files;
mod output;
mod ports;
mod prices;
mod probe;
mod reload;
mod roles;
mod signals;
mod telemetry;
mod traces;

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser as _;

use crate::{
    cli::{Cli, Prices, Role},
    config::{Config, DEFAULT_FILE},
    output::Output,
    roles::Process,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the process waits at its end for the rest of its output to be read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let completed = match &cli.role {
        Some(Role::Check(arguments)) => Some(check(&cli, arguments.probe)),
        Some(Role::Init(init)) => {
            let path = init.path.as_deref().or(cli.config.as_deref());
            Some(init::write(path.unwrap_or(Path::new(DEFAULT_FILE))))
        }
        Some(Role::Backup(arguments)) => Some(backup::create(cli.config.as_deref(), arguments)),
        Some(Role::Restore(arguments)) => Some(backup::restore(cli.config.as_deref(), arguments)),
        Some(Role::Prices(Prices::Import(import))) => Some(prices::import(&import.file, import.only.as_deref())),
        Some(Role::Admin(admin)) => Some(admin::run(admin, cli.config.as_deref())),
        Some(Role::Health(arguments)) => Some(health::run(arguments, cli.config.as_deref())),
        Some(Role::Completions(arguments)) => Some(help_files::write_completions(arguments.shell)),
        Some(Role::Man) => Some(help_files::write_manual()),
        Some(Role::Serve | Role::Core | Role::Gateway(_)) | None => None,
    };
    if let Some(result) = completed {
        return match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("triptych: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let (stdout, stderr) = match streams() {
        Ok(streams) => streams,
        Err(error) => {
            eprintln!("triptych: cannot start the output threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let exit = match run(cli, &stdout, &stderr) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            stderr.send(format!("triptych: {error:#}\n").as_bytes());
            ExitCode::FAILURE
        }
    };
    let dropped = stderr.dropped();
    if dropped > 0 {
        stderr.send(format!("triptych: dropped {dropped} log lines, because standard error was not read\n").as_bytes());
    }
    stdout.flush(FLUSH_TIMEOUT);
    stderr.flush(FLUSH_TIMEOUT);
    exit
}

/// Starts the threads that write to standard output and standard error.
fn streams() -> std::io::Result<(Output, Output)> {
    Ok((Output::start("stdout", std::io::stdout())?, Output::start("stderr", std::io::stderr())?))
}

fn check(cli: &Cli, probe: bool) -> anyhow::Result<()> {
    let config = Config::load(cli.config.as_deref())?;
    if let Some(line) = config.ignored() {
        eprintln!("triptych: {line}");
    }
    if probe { probe::run(&config) } else { check::print(&config) }
}

fn run(cli: Cli, stdout: &Output, stderr: &Output) -> anyhow::Result<()> {
    open_files::raise_limit();
    let config = Config::load(cli.config.as_deref())?;
    // Before the first TLS client is created: rustls selects no provider by itself if dependencies enable several.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is already installed");
    }
    let log_filter = telemetry::start(&config.log, stderr)?;
    if let Some(line) = config.ignored() {
        tracing::info!("{line}");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let exporter = traces::start(&config.telemetry);
    let process = Process { config, file: cli.config, log_filter, stdout: stdout.clone() };
    let result = runtime.block_on(async {
        // Ends with the runtime.
        tokio::spawn(telemetry::report_dropped_lines(stderr.clone()));
        tokio::spawn(telemetry::upkeep_metrics());
        let result = match cli.role.unwrap_or_default() {
            // Boxed because they hold the core, with the settings of all providers.
            Role::Serve => Box::pin(roles::serve(process)).await,
            Role::Core => Box::pin(roles::core(process)).await,
            Role::Gateway(gateway) => Box::pin(roles::gateway(process, &gateway.core)).await,
            Role::Check(_)
            | Role::Init(_)
            | Role::Backup(_)
            | Role::Restore(_)
            | Role::Prices(_)
            | Role::Admin(_)
            | Role::Health(_)
            | Role::Completions(_)
            | Role::Man => Ok(()),
        };
        traces::flush(exporter).await;
        result
    });
    // Dropping the runtime would wait for an offline render. Its job is stored, and the next process starts the render again.
    runtime.shutdown_background();
    result
}
