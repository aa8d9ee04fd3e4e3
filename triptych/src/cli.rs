//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::admin::arguments::Admin;

/// One gateway to chat, image and video generation, with an OpenAI-compatible REST API and a typed gRPC API.
///
/// Without configuration, the built-in mock engines serve all requests: no API key and no network is required.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    /// The role of the process [default: serve]
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
    /// The configuration file [default: ./triptych.toml if it exists] [env: TRIPTYCH_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// A role of the process.
#[derive(Debug, Clone, Default, Subcommand)]
pub(crate) enum Role {
    /// Run the core and the gateway in one process
    #[default]
    Serve,
    /// Run the core alone: gRPC API, video jobs, media store
    Core,
    /// Run the gateway alone: REST API in front of a remote core
    Gateway(Gateway),
    /// Validate the configuration and print it with the origin of each setting
    Check(Check),
    /// Write a configuration file with all settings as comments
    Init(Init),
    /// Copy the data directory into a new directory, while the service runs or not
    Backup(Backup),
    /// Make a data directory of a backup
    Restore(Restore),
    /// Prices of models
    #[command(subcommand)]
    Prices(Prices),
    /// Administer a running server over its gRPC API: API keys, the check of the ledger
    #[command(subcommand)]
    Admin(Admin),
    /// Ask a running process whether it is ready, for health checks of containers
    Health(Health),
    /// Write a shell completion script to standard output
    Completions(Completions),
    /// Write the manual page to standard output
    Man,
}

/// The arguments of `backup`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Backup {
    /// The directory of the backup, which must not exist
    #[arg(value_name = "DIR")]
    pub(crate) target: PathBuf,
    /// The data directory to copy [default: the setting data_dir]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Copy media files, instead of making hard links where the file system allows it
    #[arg(long)]
    pub(crate) copy: bool,
}

/// The arguments of `restore`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Restore {
    /// The directory of the backup
    #[arg(value_name = "DIR")]
    pub(crate) backup: PathBuf,
    /// The new data directory, which must be empty or not exist [default: the setting data_dir]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Submit the jobs that were queued: only if the service was stopped before the backup was made, and has not run since.
    /// Otherwise they may have been submitted after the backup, and would be billed a second time
    #[arg(long)]
    pub(crate) resume_queued: bool,
}

/// The arguments of `health`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Health {
    /// The URL of a process with the REST API [default: that of admin.listen, else of rest.listen]; without a path: /readyz
    #[arg(long, value_name = "URL", conflicts_with = "core")]
    pub(crate) url: Option<String>,
    /// Instead of the REST API, ask the core at this URL by the gRPC health protocol, for example http://127.0.0.1:50051
    #[allow(rustdoc::bare_urls, reason = "--help prints this text")]
    #[arg(long, value_name = "URL")]
    pub(crate) core: Option<String>,
}

/// The arguments of `completions`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// What to do with prices.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Prices {
    /// Convert LiteLLM's model_prices_and_context_window.json to the setting `prices`, on standard output
    Import(Import),
}

/// The arguments of `prices import`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Import {
    /// The JSON file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Only models whose name matches, with or without the provider in front; `*` stands for any characters
    #[arg(long, value_name = "PATTERN")]
    pub(crate) only: Option<String>,
}

/// The arguments of `check`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Check {
    /// Instead of printing it, ask every configured upstream and provider whether it answers and accepts the key
    #[arg(long)]
    pub(crate) probe: bool,
}

/// The arguments of `init`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Init {
    /// The file, which must not exist [default: that of --config, or ./triptych.toml]
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
}

/// The arguments of the gateway.
#[derive(Debug, Clone, Args)]
pub(crate) struct Gateway {
    /// The URL of the core, for example http://core.internal:50051, https://core.internal:50051 or unix:/run/triptych/grpc.sock
    #[allow(rustdoc::bare_urls, reason = "--help prints this text")]
    #[arg(long, value_name = "URL")]
    pub(crate) core: String,
}

const EXAMPLES: &str = "\
Examples:
  triptych                                     core and gateway, offline; REST on 127.0.0.1:8000, gRPC on
                                               127.0.0.1:50051
  CHAT_BASE_URL=https://api.example.com/v1 CHAT_API_KEY=... triptych
                                               the same, with an upstream for chat
  TRIPTYCH_REST_LISTEN=0.0.0.0:8000 triptych   reachable from other machines
  triptych core                                the core alone
  triptych gateway --core http://10.0.0.5:50051
                                               the gateway alone
  triptych init                                write a commented ./triptych.toml
  triptych prices import prices.json --only 'openai/*'
                                               prices for the configuration, from LiteLLM's price file
  triptych backup /backup/2026-11-28           a copy of the data directory, while the service runs
  triptych restore /backup/2026-11-28          a data directory from a backup; the service must be stopped
  triptych check                               the resulting configuration, and the origin of each setting
  triptych check --probe                       whether the configured upstreams and providers answer
  TRIPTYCH_ADMIN_KEY=... triptych admin keys create alice --budget-per-month 100
                                               create an API key while the server runs
  triptych health                              whether the process with this configuration is ready

Environment variables (also read from ./.env):
  CHAT_BASE_URL, CHAT_API_KEY, CHAT_MODEL      an OpenAI-compatible chat upstream
  IMAGE_SERVICE_TYPE, VIDEO_SERVICE_TYPE       the default provider of images and videos
  PUBLIC_BASE_URL                              the base URL of media links, if there is a proxy in front
  TRIPTYCH_REST_LISTEN, TRIPTYCH_GRPC_LISTEN   the addresses to listen on; port 0 selects a free port
  TRIPTYCH_DATA_DIR                            the directory of jobs and media
  TRIPTYCH_KEYS                                the API keys of clients, as name:secret (name+admin:secret), separated by commas
  TRIPTYCH_LOG_FILTER, TRIPTYCH_LOG_FORMAT     the log filter and format (text, json)
  TRIPTYCH_<SECTION>_<KEY>                     any other setting of the configuration file

SIGHUP reloads the configuration. SIGTERM, SIGINT and SIGQUIT shut down gracefully.

Exit status: 0 after a graceful shutdown, 1 after an error, 2 for an invalid command line, 130 after a second signal
during the shutdown.";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Prices, Role};
    use crate::admin::arguments::{Admin, Keys};

    #[test]
    fn the_definition_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_default_role_is_serve() {
        let cli = Cli::parse_from(["triptych", "--config", "a.toml"]);
        assert!(matches!(cli.role.unwrap_or_default(), Role::Serve));
        assert_eq!(cli.config.as_deref(), Some(std::path::Path::new("a.toml")));
    }

    #[test]
    fn the_config_option_is_accepted_after_the_role() {
        let cli = Cli::parse_from(["triptych", "check", "--config", "a.toml"]);
        assert!(matches!(cli.role, Some(Role::Check(_))) && cli.config.is_some());
    }

    #[test]
    fn init_accepts_a_path() {
        let cli = Cli::parse_from(["triptych", "init", "a.toml"]);
        assert!(matches!(cli.role, Some(Role::Init(init)) if init.path.is_some()));
    }

    #[test]
    fn backup_and_restore_accept_a_data_directory() {
        let cli = Cli::parse_from(["triptych", "backup", "b", "--data-dir", "d", "--copy"]);
        assert!(matches!(cli.role, Some(Role::Backup(backup)) if backup.copy && backup.data_dir.is_some()));
        let cli = Cli::parse_from(["triptych", "restore", "b", "--resume-queued"]);
        assert!(matches!(cli.role, Some(Role::Restore(restore)) if restore.resume_queued));
        assert!(Cli::try_parse_from(["triptych", "backup"]).is_err());
    }

    #[test]
    fn prices_import_accepts_a_pattern() {
        let cli = Cli::parse_from(["triptych", "prices", "import", "a.json", "--only", "gpt-*"]);
        let Some(Role::Prices(Prices::Import(import))) = cli.role else { panic!("{cli:?}") };
        assert_eq!((import.file.to_str(), import.only.as_deref()), (Some("a.json"), Some("gpt-*")));
        assert!(Cli::try_parse_from(["triptych", "prices", "import"]).is_err());
    }

    #[test]
    fn admin_commands_accept_the_connection_after_the_name() {
        let line = ["triptych", "admin", "keys", "create", "a", "--url", "http://h:1", "--budget-total", "12.50"];
        let Some(Role::Admin(Admin::Keys(Keys::Create(create)))) = Cli::parse_from(line).role else { panic!() };
        assert_eq!((create.name.as_str(), create.connection.url.as_deref()), ("a", Some("http://h:1")));
        assert_eq!(create.budget_total.map(core_service::usd::Usd::micros), Some(12_500_000));
        assert_eq!(create.connection.key_env, "TRIPTYCH_ADMIN_KEY");
        assert_eq!(create.priority, core_service::priority::Priority::Normal);
        for wrong in [
            ["create", "a", "--budget-total", "-1"],
            ["create", "a", "--priority", "urgent"],
            ["rotate", "a", "--overlap", "soon"],
        ] {
            assert!(Cli::try_parse_from(["triptych", "admin", "keys"].into_iter().chain(wrong)).is_err());
        }
        assert!(Cli::try_parse_from(["triptych", "admin", "verify", "--offline", "--url", "http://h:1"]).is_err());
    }

    #[test]
    fn gateway_without_a_core_url_is_rejected() {
        assert!(Cli::try_parse_from(["triptych", "gateway"]).is_err());
    }
}
