//! The layers as values: no test touches the process's environment or working directory.

use std::time::Duration;

use core_service::chat::dialect::Dialect;
use secrecy::ExposeSecret as _;

use super::*;

mod keys;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn load(file: &str, dotenv: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = (!file.is_empty()).then(|| (PathBuf::from("triptych.toml"), file.to_owned()));
    Config::from_layers(file, variables(dotenv), variables(environment))
}

fn refusal(file: &str, dotenv: &[(&str, &str)], environment: &[(&str, &str)]) -> String {
    load(file, dotenv, environment).unwrap_err().to_string()
}

#[test]
fn the_commented_defaults_are_the_defaults_of_the_code() {
    let config = load("", &[], &[]).unwrap();
    assert_eq!(format!("{:?}", config.core), format!("{:?}", core::Settings::default()));
    // The one default that is the machine's to say.
    let mut gateway = rest_gateway::Settings::default();
    gateway.server.threads = config.gateway.server.threads;
    assert_eq!(format!("{:?}", config.gateway), format!("{gateway:?}"));
    assert_eq!(config.rest.listen.to_string(), "127.0.0.1:8000");
}

#[test]
fn each_layer_wins_over_the_one_below_it() {
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
fn an_empty_variable_counts_as_not_set() {
    let config = load("[chat]\nmodel = 'from-file'", &[], &[("CHAT_MODEL", ""), ("CHAT_BASE_URL", "")]).unwrap();
    assert_eq!(config.core.chat.model, "from-file");
    assert!(config.core.chat.base_url.is_none());
}

#[test]
fn every_kind_of_value_can_come_from_a_variable() {
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
    assert_eq!(config.gateway.runtime.cors_allow_origins, ["https://a.example", "https://b.example"]);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn what_clients_are_set_up_with_is_not_read() {
    let config = load("", &[], &[("OPENAI_API_BASE", "http://127.0.0.1:8000/v1"), ("OPENAI_API_KEY", "x")]).unwrap();
    assert!(config.core.chat.base_url.is_none() && config.core.chat.api_key.is_none());
}

#[test]
fn a_wrong_value_is_named_with_its_key_its_origin_and_what_would_be_right() {
    type Variables<'a> = &'a [(&'a str, &'a str)];
    #[rustfmt::skip]
    let table: [(&str, Variables<'_>, Variables<'_>, &[&str]); 16] = [
        ("[jobs]\nlease = '30 parsecs'", &[], &[], &["jobs.lease = ", "30 parsecs", "(from triptych.toml)"]),
        ("[jobs]\nlease = 30", &[], &[], &["jobs.lease", "triptych.toml", "a text in quotes", "\"15s\""]),
        ("[jobs]\nleese = '30s'", &[], &[], &["jobs.leese", "triptych.toml", "did you mean jobs.lease?"]),
        ("[jobs", &[], &[], &["triptych.toml, line 1"]),
        ("", &[], &[("TRIPTYCH_GRPC_LISTEN", "50051")], &["grpc.listen = \"50051\"", "TRIPTYCH_GRPC_LISTEN", "IP:PORT"]),
        ("", &[("TRIPTYCH_JOBS_WORKERS", "many")], &[], &["jobs.workers = \"many\"", "TRIPTYCH_JOBS_WORKERS in .env", "a whole number"]),
        ("", &[], &[("TRIPTYCH_JOBS_WORKERS", "0")], &["jobs.workers = 0", "1 to 256"]),
        ("", &[], &[("TRIPTYCH_MEDIA_RETENTION", "5s")], &["media.retention = \"5s\"", "at least 1m"]),
        ("", &[], &[("TRIPTYCH_MEDIA_QUOTA_BYTES", "1000")], &["media.quota_bytes = 1000", "64 MiB"]),
        ("", &[], &[("TRIPTYCH_MEDIA_LINK_TTL", "0s")], &["media.link_ttl", "at least 1s"]),
        ("", &[], &[("TRIPTYCH_GRPC_REFLEXION", "true")], &["TRIPTYCH_GRPC_REFLEXION", "did you mean TRIPTYCH_GRPC_REFLECTION?"]),
        ("", &[], &[("CHAT_BASE_URL", "api.example.com")], &["chat.base_url = \"api.example.com\"", "CHAT_BASE_URL", "http or https"]),
        ("", &[], &[("IMAGE_SERVICE_TYPE", "dashscope")], &["image.service_type = \"dashscope\"", "IMAGE_SERVICE_TYPE", "DASHSCOPE_API_KEY"]),
        ("[image.dashscope]\ntasks = ['wan*t2i']", &[], &[], &["image.dashscope.tasks", "triptych.toml", "at the end"]),
        ("", &[], &[("VIDEO_SERVICE_TYPE", "sorra")], &["video.service_type = \"sorra\"", "VIDEO_SERVICE_TYPE", "`offline`", "`veo`"]),
        ("", &[], &[("TRIPTYCH_LOG_FILTER", "info,=?")], &["log.filter", "TRIPTYCH_LOG_FILTER", "warn,core_service=debug"]),
    ];
    for (file, dotenv, environment, expected) in table {
        let message = refusal(file, dotenv, environment);
        for part in expected {
            assert!(message.contains(part), "`{message}` lacks `{part}`");
        }
    }
}

#[test]
fn a_key_is_never_shown() {
    let secret = "sk-\u{fc}mlaut-secret";
    let message = refusal("", &[], &[("CHAT_API_KEY", secret)]);
    assert!(message.contains("chat.api_key = (hidden)") && !message.contains("secret"), "{message}");
    let message = refusal("[chat]\napi_key = 'sk-secret\nmodel = 'm'", &[], &[]);
    assert!(message.contains("line 2") && !message.contains("secret"), "{message}");
    let message = refusal("", &[], &[("CHAT_BASE_URL", "https://me:secret@example.com")]);
    assert!(message.contains("chat.base_url") && !message.contains("secret"), "{message}");

    let config = load("", &[], &[("CHAT_API_KEY", "sk-secret")]).unwrap();
    let shown: Vec<_> =
        config.layers.shown().map(|(path, value, origin)| format!("{path} = {value} # {origin}")).collect();
    assert!(shown.contains(&"chat.api_key = (hidden) # environment variable CHAT_API_KEY".to_owned()), "{shown:?}");
    assert!(!format!("{config:?}").contains("sk-secret"));
}

#[test]
fn the_key_that_signs_links_reaches_the_gateway_and_nobody_who_reads_along() {
    let key = "0123456789abcdef-secret";
    let config = load("", &[], &[("TRIPTYCH_MEDIA_SIGNING_KEY", key), ("TRIPTYCH_MEDIA_LINK_TTL", "2h")]).unwrap();
    assert!(format!("{:?}", config.gateway.runtime.link_signer).contains("7200s"));
    let shown: Vec<_> = config.layers.shown().map(|(path, value, _)| format!("{path} = {value}")).collect();
    assert!(shown.contains(&"media.signing_key = (hidden)".to_owned()), "{shown:?}");
    assert!(!format!("{config:?}{shown:?}").contains("-secret"));
    let message = refusal("", &[], &[("TRIPTYCH_MEDIA_SIGNING_KEY", "secret")]);
    assert!(message.contains("at least 16") && !message.contains("secret"), "{message}");
    assert!(load("", &[], &[]).unwrap().gateway.runtime.link_signer.is_none());
}

#[test]
fn a_provider_is_chosen_by_a_name_and_its_key() {
    let openai = [("IMAGE_SERVICE_TYPE", "openai")];
    let message = refusal("", &[], &openai);
    for part in ["image.service_type = \"openai\"", "IMAGE_API_KEY", "IMAGE_BASE_URL"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let message = refusal("", &[], &[("IMAGE_SERVICE_TYPE", "nano_banana")]);
    for part in ["image.service_type = \"nano_banana\"", "GEMINI_API_KEY"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let own = [("IMAGE_SERVICE_TYPE", "nano_banana"), ("GEMINI_API_KEY", "k")];
    assert!(load("", &[], &own).is_ok());
    let message = refusal("", &[], &[("IMAGE_SERVICE_TYPE", "doubao")]);
    for part in ["image.service_type = \"doubao\"", "ARK_API_KEY"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let own = [("IMAGE_SERVICE_TYPE", "doubao"), ("ARK_API_KEY", "k")];
    assert_eq!(load("", &[], &own).unwrap().core.image.service_type, core::ImageServiceType::Doubao);
    let message = refusal("", &[], &[("IMAGE_SERVICE_TYPE", "midjourney"), ("MJ_API_SECRET", "s")]);
    for part in ["image.service_type = \"midjourney\"", "MJ_BASE_URL"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let own = [("IMAGE_SERVICE_TYPE", "midjourney"), ("MJ_BASE_URL", "http://127.0.0.1:8080/mj")];
    assert!(load("", &[], &own).is_ok());
    let message = refusal("", &[], &[("IMAGE_SERVICE_TYPE", "dashscope")]);
    for part in ["image.service_type = \"dashscope\"", "DASHSCOPE_API_KEY"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let own = [("IMAGE_SERVICE_TYPE", "dashscope"), ("DASHSCOPE_API_KEY", "k")];
    assert!(load("", &[], &own).is_ok());
    let with_key = [("IMAGE_API_KEY", "sk-secret"), ("IMAGE_MODELS", "mine, other")];
    let config = load("", &[], &with_key).unwrap();
    assert_eq!(config.core.image.openai.models, ["mine", "other"]);
    let keys = [("ARK_API_KEY", "k1"), ("GEMINI_API_KEY", "k2"), ("MJ_API_SECRET", "k3"), ("DASHSCOPE_API_KEY", "k4")];
    let config = load("", &[], &keys).unwrap();
    let core::Image { doubao, nano_banana, midjourney, dashscope, .. } = &config.core.image;
    let read = [&doubao.api_key, &nano_banana.api_key, &midjourney.api_secret, &dashscope.api_key];
    assert_eq!(read.map(|key| key.as_ref().unwrap().expose_secret()), ["k1", "k2", "k3", "k4"]);
    let shown: Vec<_> = config.layers.shown().map(|(path, value, _)| format!("{path} = {value}")).collect();
    assert!(shown.contains(&"image.midjourney.api_secret = (hidden)".to_owned()), "{shown:?}");
}

#[test]
fn the_file_is_named_by_the_process_before_dotenv() {
    let named = |environment, dotenv| layers::config_file(&variables(environment), &variables(dotenv));
    assert_eq!(named(&[], &[]), None);
    assert_eq!(named(&[], &[("TRIPTYCH_CONFIG", "b")]), Some("b".into()));
    assert_eq!(named(&[("TRIPTYCH_CONFIG", "a")], &[("TRIPTYCH_CONFIG", "b")]), Some("a".into()));
    assert!(load("", &[], &[("TRIPTYCH_CONFIG", "a")]).is_ok());
}

#[test]
fn a_dotenv_file_is_read_and_its_mistakes_named_without_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".env");
    assert_eq!(dotenv(&path), Ok(vec![]));
    std::fs::write(&path, "# mine\nCHAT_MODEL=\"a b\"\nexport CHAT_API_KEY=x\n").unwrap();
    assert_eq!(dotenv(&path), Ok(variables(&[("CHAT_MODEL", "a b"), ("CHAT_API_KEY", "x")])));
    std::fs::write(&path, "CHAT_API_KEY='secret\n").unwrap();
    let message = dotenv(&path).unwrap_err().to_string();
    assert!(message.contains("`CHAT_API_KEY`") && !message.contains("secret"), "{message}");
}

const TWO: &str = r#"
chat.model = "fast"
[[chat.upstreams]]
name = "near"
base_url = "http://127.0.0.1:1/v1"
api_key = "sk-near-secret"
models = ["fast"]
[[chat.upstreams]]
name = "far"
base_url = "http://127.0.0.1:2/v1"
api_key_env = "FAR_KEY"
headers = { X-Title = "a-secret" }
dialect = "deepseek"
models = ["fast", "deep"]
priority = 1
first_byte_timeout = "20s"
total_timeout = "0s"
[[chat.routes]]
model = "fast"
aliases = ["quick"]
fallbacks = ["deep"]
policy = "first_token"
"#;

#[test]
fn several_upstreams_are_read_their_keys_looked_up_and_never_shown() {
    let mut config = load(TWO, &[], &[]).unwrap();
    let missing = config.look_up(|_| None).unwrap_err().to_string();
    assert!(missing.contains("`far`") && missing.contains("FAR_KEY"), "{missing}");
    config.look_up(|name| (name == "FAR_KEY").then(|| "sk-far-secret".to_owned())).unwrap();
    let [near, far] = config.core.chat.upstreams.as_slice() else { panic!("{:?}", config.core.chat) };
    assert_eq!((near.weight, near.priority, near.first_byte_timeout), (1, 0, None));
    assert_eq!((far.priority, far.first_byte_timeout), (1, Some(Duration::from_secs(20))));
    assert_eq!((near.total_timeout, far.total_timeout), (None, Some(Duration::ZERO)));
    assert_eq!((near.dialect, far.dialect), (None, Some(Dialect::Deepseek)));
    assert_eq!(far.headers["x-title"], "a-secret");
    assert_eq!(far.api_key.as_ref().unwrap().expose_secret(), "sk-far-secret");
    let shown: Vec<_> = config.layers.shown().map(|(path, value, _)| format!("{path} = {value}")).collect();
    let shown = shown.join("\n");
    assert!(shown.contains("near") && shown.contains("(hidden)") && !shown.contains("-secret"), "{shown}");
    assert!(!format!("{config:?}").contains("-secret"), "{config:?}");
}

#[test]
fn a_mistake_among_several_upstreams_is_named_without_their_keys() {
    let table = [
        ("chat.model = \"fast\"", "chat.model = \"slow\"", "served by none of chat.upstreams"),
        ("name = \"far\"", "name = \"near\"", "two have the name `near`"),
        ("name = \"far\"", "name = \"so far\"", "`so far` must be letters"),
        ("models = [\"fast\"]", "models = []", "`near` needs models"),
        ("priority = 1", "weight = 0", "`far` needs a weight"),
        ("priority = 1", "rename = { slow = \"s\" }", "`far` renames `slow`"),
        ("first_byte_timeout = \"20s\"", "first_byte_timeout = \"0s\"", "`far` has a timeout of nothing"),
        ("fallbacks = [\"deep\"]", "fallbacks = [\"fast\"]", "its own fallback"),
        ("fallbacks = [\"deep\"]", "fallbacks = [\"dep\"]", "`dep` is served by no upstream"),
        ("priority = 1", "prioritee = 1", "unknown field `prioritee`"),
        ("X-Title", "\"so wrong\"", "`so wrong` is no name of a header"),
        ("X-Title", "Authorization", "`authorization` cannot be set"),
        ("\"a-secret\"", "\"a\\nsecret\"", "`x-title` must be printable"),
        ("deepseek", "deepsea", "must be `auto`, `openai`, `dashscope`, `deepseek` or `ollama`"),
    ];
    for (right, wrong, expected) in table {
        let message = refusal(&TWO.replacen(right, wrong, 1), &[], &[]);
        assert!(message.contains(expected) && !message.contains("secret"), "`{message}` lacks `{expected}`");
    }
    let none = refusal("[[chat.routes]]\nmodel = 'm'", &[], &[]);
    assert!(none.contains("needs an upstream"), "{none}");
    let both = refusal(TWO, &[], &[("CHAT_BASE_URL", "http://127.0.0.1:3/v1")]);
    assert!(both.contains("the one or the other"), "{both}");
}
