//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// One door to chat, image and video generation: the OpenAI REST API and typed gRPC over one core.
///
/// Without any configuration the built-in offline engines answer: no key, no network.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    /// What to run; without it: serve
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
    /// The configuration file; without it ./triptych.toml, where there is one [env: TRIPTYCH_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What a process is.
#[derive(Debug, Clone, Default, Subcommand)]
pub(crate) enum Role {
    /// Run the core and the gateway in one process
    #[default]
    Serve,
    /// Run the core alone: gRPC, jobs, media
    Core,
    /// Run the gateway alone, in front of a core elsewhere
    Gateway(Gateway),
    /// Check the configuration and show what results from it; binds nothing
    Check,
}

/// Where the gateway finds its core.
#[derive(Debug, Clone, Args)]
pub(crate) struct Gateway {
    /// The core's address, for instance http://core.internal:50051
    #[allow(rustdoc::bare_urls, reason = "what stands here is what --help prints")]
    #[arg(long, value_name = "URL")]
    pub(crate) core: String,
}

const EXAMPLES: &str = "\
Examples:
  triptych                                     all in one, offline, REST on 127.0.0.1:8000, gRPC on 127.0.0.1:50051
  CHAT_BASE_URL=https://api.example.com/v1 CHAT_API_KEY=... triptych
                                               the same, chats answered by that upstream
  TRIPTYCH_REST_LISTEN=0.0.0.0:8000 triptych   reachable from other machines
  triptych core                                the core alone
  triptych gateway --core http://10.0.0.5:50051
  triptych check                               what would run, and which setting came from where

Variables (also read from ./.env):
  CHAT_BASE_URL, CHAT_API_KEY, CHAT_MODEL      an OpenAI-compatible chat upstream
  IMAGE_SERVICE_TYPE, VIDEO_SERVICE_TYPE       who makes pictures and clips
  PUBLIC_BASE_URL                              what links to media begin with, where a proxy stands in front
  TRIPTYCH_REST_LISTEN, TRIPTYCH_GRPC_LISTEN   where to listen; port 0 picks a free one
  TRIPTYCH_DATA_DIR                            where jobs and media are kept
  TRIPTYCH_LOG_FILTER, TRIPTYCH_LOG_FORMAT     what is logged and how (text, json)
  TRIPTYCH_<SECTION>_<KEY>                     any other setting of the configuration file

Exit status: 0 after a clean stop, 1 when starting or running failed, 2 for a wrong command line,
130 when a second signal cut the stop short.";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Role};

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_role_everything_is_served() {
        let cli = Cli::parse_from(["triptych", "--config", "a.toml"]);
        assert!(matches!(cli.role.unwrap_or_default(), Role::Serve));
        assert_eq!(cli.config.as_deref(), Some(std::path::Path::new("a.toml")));
    }

    #[test]
    fn the_file_may_be_named_behind_the_role() {
        let cli = Cli::parse_from(["triptych", "check", "--config", "a.toml"]);
        assert!(matches!(cli.role, Some(Role::Check)) && cli.config.is_some());
    }

    #[test]
    fn a_gateway_without_a_core_is_refused() {
        assert!(Cli::try_parse_from(["triptych", "gateway"]).is_err());
    }
}
