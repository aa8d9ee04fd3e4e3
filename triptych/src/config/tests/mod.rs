//! Tests of the configuration. All layers are passed as values: no test changes the environment or the working directory
//! of the process.

use http_server::ThreadCount;
use secrecy::ExposeSecret as _;

use super::*;

mod errors;
mod keys;
mod pages;
mod providers;
mod secrets;
mod sources;
mod tls;
mod upstreams;
mod webhooks;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Loads a configuration from the text of `triptych.toml` (empty for no file), the variables of `.env`, and those of the
/// process, each with a higher precedence than the one before.
fn load(file: &str, dotenv: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = (!file.is_empty()).then(|| (PathBuf::from("triptych.toml"), file.to_owned()));
    Config::from_layers(file, variables(dotenv), variables(environment))
}

/// Returns every setting with its masked value, one per line.
fn masked(config: &Config) -> String {
    let lines: Vec<_> = config.layers.masked().map(|(path, value, _)| format!("{path} = {value}")).collect();
    lines.join("\n")
}

fn load_error(file: &str, dotenv: &[(&str, &str)], environment: &[(&str, &str)]) -> String {
    load(file, dotenv, environment).unwrap_err().to_string()
}

#[test]
fn default_file_equals_the_defaults_of_the_code() {
    let config = load("", &[], &[]).unwrap();
    assert_eq!(format!("{:?}", config.core), format!("{:?}", core_config::Settings::default()));
    assert_eq!(format!("{:?}", config.gateway), format!("{:?}", rest_gateway::Settings::default()));
    assert_eq!(config.threads.0, ThreadCount::PerCpu);
    assert_eq!(config.rest.listen.to_string(), "127.0.0.1:8000");
}

#[test]
fn every_core_setting_is_either_reloadable_or_fixed() {
    let config = load("", &[], &[]).unwrap();
    let paths: Vec<_> = config.layers.masked().map(|(path, ..)| path).collect();
    let fixed: Vec<_> = core_config::FixedSetting::all().map(core_config::FixedSetting::key).collect();
    for key in &fixed {
        assert!(paths.iter().any(|path| path == key), "{key} is not a setting");
    }
    let is_within = |path: &str, section: &str| {
        path.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let is_core = |path: &str| {
        !["rest", "grpc.tls", "admin", "log", "telemetry"]
            .iter()
            .chain(&EXECUTABLE)
            .any(|section| is_within(path, section))
    };
    for path in paths.iter().filter(|path| is_core(path)) {
        let is_reloadable = core_config::RELOADABLE.iter().any(|section| is_within(path, section));
        assert!(is_reloadable || fixed.contains(&path.as_str()), "{path} is in neither table");
    }
}

#[test]
fn environment_overrides_dotenv_overrides_file_overrides_defaults() {
    let file = "[chat]\nmodel = 'from-file'";
    let model = |file, dotenv, environment| load(file, dotenv, environment).unwrap().core.chat.model;
    assert_eq!(model("", &[], &[]), "qwen3-next-80b-a3b-instruct");
    assert_eq!(model(file, &[], &[]), "from-file");
    assert_eq!(model(file, &[("CHAT_MODEL", "from-dotenv")], &[]), "from-dotenv");
    assert_eq!(model(file, &[("CHAT_MODEL", "from-dotenv")], &[("CHAT_MODEL", "from-process")]), "from-process");
    assert_eq!(model("", &[], &[("CHAT_MODEL", "short"), ("TRIPTYCH_CHAT_MODEL", "long")]), "long");
    assert_eq!(model("", &[("TRIPTYCH_CHAT_MODEL", "dotenv")], &[("CHAT_MODEL", "process")]), "process");
}

#[test]
fn empty_variables_are_ignored() {
    let config = load("[chat]\nmodel = 'from-file'", &[], &[("CHAT_MODEL", ""), ("CHAT_BASE_URL", "")]).unwrap();
    assert_eq!(config.core.chat.model, "from-file");
    assert!(config.core.chat.base_url.is_none());
}

#[test]
fn values_of_every_type_are_read_from_variables() {
    let config = load(
        "",
        &[],
        &[
            ("TRIPTYCH_REST_LISTEN", "localhost:0"),
            ("TRIPTYCH_GRPC_LISTEN", "[::1]:7"),
            ("TRIPTYCH_DATA_DIR", "/tmp/elsewhere"),
            ("TRIPTYCH_OFFLINE_CHAT_TOKENS_PER_SECOND", "0"),
            ("TRIPTYCH_GRPC_REFLECTION", "false"),
            ("TRIPTYCH_JOBS_LEASE", "1m 30s"),
            ("CHAT_BASE_URL", "https://api.example.com/v1"),
            ("CHAT_API_KEY", "sk-1"),
            ("PUBLIC_BASE_URL", "https://media.example.com/"),
            ("TRIPTYCH_REST_CORS_ALLOW_ORIGINS", "https://a.example, https://b.example"),
            ("TRIPTYCH_LOG_FORMAT", "json"),
        ],
    )
    .unwrap();
    assert_eq!(config.rest.listen.to_string(), "127.0.0.1:0");
    assert_eq!(config.core.grpc.listen.to_string(), "[::1]:7");
    assert_eq!(config.core.data_dir, Path::new("/tmp/elsewhere"));
    assert_eq!(config.core.offline.chat_tokens_per_second, 0);
    assert!(!config.core.grpc.reflection);
    assert_eq!(config.core.jobs.lease, Duration::from_secs(90));
    assert_eq!(config.core.chat.base_url.unwrap().as_str(), "https://api.example.com/v1");
    assert_eq!(config.core.chat.api_key.unwrap().expose_secret(), "sk-1");
    assert_eq!(config.gateway.runtime.public_base_url.as_deref(), Some("https://media.example.com"));
    assert_eq!(config.core.media.public_base_url, config.gateway.runtime.public_base_url);
    assert_eq!(config.gateway.runtime.cors_allow_origins, ["https://a.example", "https://b.example"]);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn number_of_threads_is_read_from_file_and_variable() {
    let threads = |file: &str, environment: &[(&str, &str)]| load(file, &[], environment).unwrap().threads.0;
    assert_eq!(threads("threads = 2", &[]), ThreadCount::Fixed(2.try_into().unwrap()));
    assert_eq!(threads("threads = 'shared'", &[]), ThreadCount::Shared);
    assert_eq!(threads("threads = 2", &[("TRIPTYCH_THREADS", "shared")]), ThreadCount::Shared);
    assert!(load_error("threads = 0", &[], &[]).contains("1 to 1024"));
}
