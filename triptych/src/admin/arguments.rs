//! The command line of `triptych admin`.

use std::time::Duration;

use clap::{Args, Subcommand};
use core_service::{priority::Priority, usd::Usd};

use crate::config::ADMIN_KEY;

/// What to do as an administrator.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Admin {
    /// Compare the sums that budgets use with the entries behind them; exit status 1 if they differ
    Verify(Verify),
    /// API keys that are created while the server runs
    #[command(subcommand)]
    Keys(Keys),
}

/// The server, and the key of an administrator.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// The gRPC address of the server, for example http://core.internal:50051 [default: that of the configuration]
    #[allow(rustdoc::bare_urls, reason = "--help prints this text")]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The environment variable with the key of an administrator
    #[arg(long, value_name = "NAME", default_value = ADMIN_KEY)]
    pub(crate) key_env: String,
}

/// The arguments of `admin verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Read the data directory of the configuration, which no process may use; migrates its database to this version
    #[arg(long, conflicts_with = "url")]
    pub(crate) offline: bool,
}

/// What to do with keys.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Keys {
    /// Create a key, and print its secret, which is not displayed again
    Create(Create),
    /// Change a key; what is not set stays as it is
    Update(Update),
    /// List the keys of the configuration and of the server
    List(List),
    /// Replace the secret of a key, and print the new one
    Rotate(Rotate),
    /// Revoke a key for ever; its name stays taken
    Revoke(Revoke),
}

/// The arguments of `admin keys create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Create {
    /// The name, which is the owner of what the key creates
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// A team of the setting `teams`
    #[arg(long)]
    pub(crate) team: Option<String>,
    /// Make it the key of an administrator
    #[arg(long)]
    pub(crate) admin: bool,
    /// Which of its calls and videos that wait for an upstream are served first: low, normal or high
    #[arg(long, value_name = "PRIORITY", default_value_t)]
    pub(crate) priority: Priority,
    /// A model that may be called, or several; `*` stands for any characters [default: all]
    #[arg(long = "model", value_name = "PATTERN")]
    pub(crate) models: Vec<String>,
    /// Chat and image requests and new videos per minute [default: no limit]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) requests_per_minute: u32,
    /// Tokens of chat calls per minute [default: no limit]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) tokens_per_minute: u32,
    /// Calls in flight [default: no limit]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) concurrent_calls: u32,
    /// Videos that are not final [default: no limit]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) jobs_in_flight: u32,
    /// US dollars per day, for example 12.50 [default: no limit]
    #[arg(long, value_name = "USD", value_parser = usd)]
    pub(crate) budget_per_day: Option<Usd>,
    /// US dollars per calendar month [default: no limit]
    #[arg(long, value_name = "USD", value_parser = usd)]
    pub(crate) budget_per_month: Option<Usd>,
    /// US dollars in all [default: no limit]
    #[arg(long, value_name = "USD", value_parser = usd)]
    pub(crate) budget_total: Option<Usd>,
    /// How long the key is valid, for example 90d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) expires_in: Option<Duration>,
}

/// The arguments of `admin keys update`, one of them at least. The REST and gRPC APIs change the other values.
#[derive(Debug, Clone, Args)]
pub(crate) struct Update {
    /// The name of the key
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Which of its calls, and of its videos from now on, that wait for an upstream are served first: low, normal or high
    #[arg(long, value_name = "PRIORITY")]
    pub(crate) priority: Option<Priority>,
    /// A model that may be called, or several; `*` stands for any characters
    #[arg(long = "model", value_name = "PATTERN")]
    pub(crate) models: Vec<String>,
    /// Chat and image requests and new videos per minute; 0: no limit
    #[arg(long, value_name = "N")]
    pub(crate) requests_per_minute: Option<u32>,
    /// Tokens of chat calls per minute; 0: no limit
    #[arg(long, value_name = "N")]
    pub(crate) tokens_per_minute: Option<u32>,
    /// Calls in flight; 0: no limit
    #[arg(long, value_name = "N")]
    pub(crate) concurrent_calls: Option<u32>,
    /// Videos that are not final; 0: no limit
    #[arg(long, value_name = "N")]
    pub(crate) jobs_in_flight: Option<u32>,
    /// US dollars per day, for example 12.50
    #[arg(long, value_name = "USD", value_parser = usd)]
    pub(crate) budget_per_day: Option<Usd>,
    /// US dollars per calendar month
    #[arg(long, value_name = "USD", value_parser = usd)]
    pub(crate) budget_per_month: Option<Usd>,
    /// US dollars in all
    #[arg(long, value_name = "USD", value_parser = usd)]
    pub(crate) budget_total: Option<Usd>,
}

/// The arguments of `admin keys list`.
#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Include keys that were revoked
    #[arg(long)]
    pub(crate) revoked: bool,
}

/// The arguments of `admin keys rotate`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Rotate {
    /// The name of the key
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// How long the present secret stays valid, up to 7d [default: not at all]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) overlap: Option<Duration>,
}

/// The arguments of `admin keys revoke`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Revoke {
    /// The name of the key
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

fn usd(text: &str) -> Result<Usd, String> {
    Usd::parse(text).ok_or_else(|| "expected US dollars with up to six decimals, for example 12.50".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime_serde::re::humantime::parse_duration(text);
    parsed.map_err(|error| format!("{error}; expected a duration such as 30s, 24h or 90d"))
}
