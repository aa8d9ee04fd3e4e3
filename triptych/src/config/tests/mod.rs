//! All layers are passed as values: no test changes the environment or the working directory of the process.

use core_service::dialect::Dialect;
use secrecy::ExposeSecret as _;

use http_server::ThreadCount;

use super::*;

mod keys;
mod webhooks;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

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
    let is_core =
        |path: &str| !["rest", "log", "telemetry"].iter().chain(&EXECUTABLE).any(|section| is_within(path, section));
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
fn service_links_are_ignored_in_the_environment_only_and_never_hide_a_setting() {
    let link = [("TRIPTYCH_PORT", "tcp://10.0.0.1:8000"), ("TRIPTYCH_REST_SERVICE_HOST", "10.0.0.1")];
    let config = load("", &[], &link).unwrap();
    assert!(config.ignored().unwrap().ends_with(": TRIPTYCH_PORT, TRIPTYCH_REST_SERVICE_HOST"));
    assert!(load("", &[], &[]).unwrap().ignored().is_none());
    assert!(load_error("", &link, &[]).contains("TRIPTYCH_PORT in .env: unknown setting"));
    assert!(load_error("", &[], &[("TRIPTYCH_REST_PORT", "8000")]).contains("unknown setting"));
    let config = load("", &[], &[("TRIPTYCH_IMAGE_SERVICE_TYPE", "offline")]).unwrap();
    assert!(config.ignored().is_none());
}

#[test]
fn files_with_a_byte_order_mark_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".env");
    std::fs::write(&path, "\u{feff}CHAT_MODEL=m\r\nCHAT_API_KEY=sk-a$USER-1\r\n").unwrap();
    assert_eq!(dotenv::read(&path).unwrap(), variables(&[("CHAT_MODEL", "m"), ("CHAT_API_KEY", "sk-a$USER-1")]));
    let path = dir.path().join("triptych.toml");
    std::fs::write(&path, "\u{feff}[chat]\r\nmodel = 'm'\r\n").unwrap();
    let (_, text) = read(path.clone()).unwrap();
    assert_eq!(load(&text, &[], &[]).unwrap().core.chat.model, "m");
    std::fs::write(&path, b"\xff\xfea\0").unwrap();
    assert!(read(path).unwrap_err().to_string().ends_with("must be UTF-8; save the file in that encoding"));
    assert_eq!(dotenv::read(&dir.path().join("missing")).unwrap(), []);
}

#[test]
fn query_of_a_base_url_is_kept_and_not_displayed() {
    let url = "https://a.example/v1?api-version=1&key=sk-secret";
    let upstream = format!("[[chat.upstreams]]\nname = 'a'\nbase_url = '{url}'\nmodels = ['m']\n[chat]\nmodel = 'm'");
    for config in [load("", &[], &[("CHAT_BASE_URL", url)]), load(&upstream, &[], &[])] {
        let config = config.unwrap();
        let core = config.core.chat.configured_upstreams();
        assert_eq!(core[0].base_url.as_ref().unwrap().as_str(), url);
        let mut shown = masked(&config);
        crate::banner::write_providers(&mut shown, &config).unwrap();
        assert!(shown.contains("https://a.example/v1?(hidden)") && !shown.contains("sk-secret"), "{shown}");
    }
    let message = load_error("", &[], &[("CHAT_BASE_URL", "https://a.example/v1#part")]);
    assert!(message.contains("must not contain a fragment"), "{message}");
}

#[test]
fn url_of_the_chat_endpoint_is_understood_as_its_base() {
    for (url, base) in [
        ("https://a.example/v1/chat/completions", "https://a.example/v1"),
        ("https://a.example/v1/chat/completions/?api-version=1", "https://a.example/v1?api-version=1"),
        ("https://a.example/chat/completions", "https://a.example/"),
        ("https://a.example/v1/", "https://a.example/v1/"),
    ] {
        let upstream =
            format!("[[chat.upstreams]]\nname = 'a'\nbase_url = '{url}'\nmodels = ['m']\n[chat]\nmodel = 'm'");
        for config in [load("", &[], &[("CHAT_BASE_URL", url)]), load(&upstream, &[], &[])] {
            let config = config.unwrap();
            assert_eq!(config.core.chat.configured_upstreams()[0].base_url.as_ref().unwrap().as_str(), base);
        }
    }
}

#[test]
fn variables_of_openai_clients_are_ignored() {
    let config = load("", &[], &[("OPENAI_API_BASE", "http://127.0.0.1:8000/v1"), ("OPENAI_API_KEY", "x")]).unwrap();
    assert!(config.core.chat.base_url.is_none() && config.core.chat.api_key.is_none());
}

#[test]
fn an_invalid_value_is_reported_with_key_origin_and_rule() {
    type Variables<'a> = &'a [(&'a str, &'a str)];
    #[rustfmt::skip]
    let table: [(&str, Variables<'_>, Variables<'_>, &[&str]); 16] = [
        ("[jobs]\nlease = '30 parsecs'", &[], &[], &["jobs.lease = ", "30 parsecs", "(from triptych.toml)"]),
        ("[jobs]\nlease = 30", &[], &[], &["jobs.lease", "triptych.toml", "a quoted string", "\"15s\""]),
        ("[jobs]\nleese = '30s'", &[], &[], &["jobs.leese", "triptych.toml", "did you mean jobs.lease?"]),
        ("[jobs", &[], &[], &["triptych.toml, line 1"]),
        ("", &[], &[("TRIPTYCH_GRPC_LISTEN", "50051")], &["grpc.listen = \"50051\"", "TRIPTYCH_GRPC_LISTEN", "IP:PORT"]),
        ("", &[("TRIPTYCH_JOBS_CONCURRENCY", "many")], &[], &["jobs.concurrency = \"many\"", "TRIPTYCH_JOBS_CONCURRENCY in .env", "an integer"]),
        ("", &[], &[("TRIPTYCH_JOBS_CONCURRENCY", "0")], &["jobs.concurrency = 0", "1 to 256"]),
        ("", &[], &[("TRIPTYCH_MEDIA_RETENTION", "5s")], &["media.retention = \"5s\"", "at least 1m"]),
        ("", &[], &[("TRIPTYCH_MEDIA_QUOTA_BYTES", "1000")], &["media.quota_bytes = 1000", "64 MiB"]),
        ("", &[], &[("TRIPTYCH_MEDIA_LINK_TTL", "0s")], &["media.link_ttl", "at least 1s"]),
        ("", &[], &[("TRIPTYCH_GRPC_REFLEXION", "true")], &["TRIPTYCH_GRPC_REFLEXION", "did you mean TRIPTYCH_GRPC_REFLECTION?"]),
        ("", &[], &[("CHAT_BASE_URL", "api.example.com")], &["chat.base_url = \"api.example.com\"", "CHAT_BASE_URL", "http or https"]),
        ("", &[], &[("IMAGE_SERVICE_TYPE", "dashscope")], &["image.service_type = \"dashscope\"", "IMAGE_SERVICE_TYPE", "DASHSCOPE_API_KEY"]),
        ("[image.dashscope]\ntasks = ['wan*t2i']", &[], &[], &["image.dashscope.tasks", "triptych.toml", "at the end of a name"]),
        ("", &[], &[("VIDEO_SERVICE_TYPE", "sorra")], &["video.service_type = \"sorra\"", "VIDEO_SERVICE_TYPE", "`offline`", "`veo`"]),
        ("", &[], &[("TRIPTYCH_LOG_FILTER", "info,=?")], &["log.filter", "TRIPTYCH_LOG_FILTER", "warn,core_service=debug"]),
    ];
    for (file, dotenv, environment, expected) in table {
        let message = load_error(file, dotenv, environment);
        for part in expected {
            assert!(message.contains(part), "`{message}` lacks `{part}`");
        }
    }
}

#[test]
fn secrets_are_masked_in_errors_and_output() {
    let secret = "sk-\u{fc}mlaut-secret";
    let message = load_error("", &[], &[("CHAT_API_KEY", secret)]);
    assert!(message.contains("chat.api_key = (hidden)") && !message.contains("secret"), "{message}");
    let message = load_error("[chat]\napi_key = 'sk-secret\nmodel = 'm'", &[], &[]);
    assert!(message.contains("line 2") && !message.contains("secret"), "{message}");
    let message = load_error("", &[], &[("CHAT_BASE_URL", "https://me:secret@example.com")]);
    assert!(message.contains("chat.base_url") && !message.contains("secret"), "{message}");

    let config = load("", &[], &[("CHAT_API_KEY", "sk-secret")]).unwrap();
    let shown: Vec<_> =
        config.layers.masked().map(|(path, value, origin)| format!("{path} = {value} # {origin}")).collect();
    assert!(shown.contains(&"chat.api_key = (hidden) # environment variable CHAT_API_KEY".to_owned()), "{shown:?}");
    assert!(!format!("{config:?}").contains("sk-secret"));
}

#[test]
fn the_signing_key_reaches_the_gateway_and_is_masked() {
    let key = "0123456789abcdef-secret";
    let config = load("", &[], &[("TRIPTYCH_MEDIA_SIGNING_KEY", key), ("TRIPTYCH_MEDIA_LINK_TTL", "2h")]).unwrap();
    assert!(format!("{:?}", config.gateway.runtime.link_signer).contains("7200s"));
    let shown = masked(&config);
    assert!(shown.contains("media.signing_key = (hidden)"), "{shown}");
    assert!(!format!("{config:?}{shown}").contains("-secret"));
    let message = load_error("", &[], &[("TRIPTYCH_MEDIA_SIGNING_KEY", "secret")]);
    assert!(message.contains("at least 16") && !message.contains("secret"), "{message}");
    assert!(load("", &[], &[]).unwrap().gateway.runtime.link_signer.is_none());
}

#[test]
fn an_image_provider_requires_its_key_or_url() {
    let openai = [("IMAGE_SERVICE_TYPE", "openai")];
    let message = load_error("", &[], &openai);
    for part in ["image.service_type = \"openai\"", "IMAGE_API_KEY", "IMAGE_BASE_URL"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let message = load_error("", &[], &[("IMAGE_SERVICE_TYPE", "nano_banana")]);
    for part in ["image.service_type = \"nano_banana\"", "GEMINI_API_KEY"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let own = [("IMAGE_SERVICE_TYPE", "nano_banana"), ("GEMINI_API_KEY", "k")];
    assert!(load("", &[], &own).is_ok());
    let message = load_error("", &[], &[("IMAGE_SERVICE_TYPE", "doubao")]);
    for part in ["image.service_type = \"doubao\"", "ARK_API_KEY"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let own = [("IMAGE_SERVICE_TYPE", "doubao"), ("ARK_API_KEY", "k")];
    assert_eq!(load("", &[], &own).unwrap().core.image.service_type, core_config::ImageServiceType::Doubao);
    let message = load_error("", &[], &[("IMAGE_SERVICE_TYPE", "midjourney"), ("MJ_API_SECRET", "s")]);
    for part in ["image.service_type = \"midjourney\"", "MJ_BASE_URL"] {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let own = [("IMAGE_SERVICE_TYPE", "midjourney"), ("MJ_BASE_URL", "http://127.0.0.1:8080/mj")];
    assert!(load("", &[], &own).is_ok());
    let message = load_error("", &[], &[("IMAGE_SERVICE_TYPE", "dashscope")]);
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
    let core_config::Image { doubao, nano_banana, midjourney, dashscope, .. } = &config.core.image;
    let read = [&doubao.api_key, &nano_banana.api_key, &midjourney.api_secret, &dashscope.api_key];
    assert_eq!(read.map(|key| key.as_ref().unwrap().expose_secret()), ["k1", "k2", "k3", "k4"]);
    let shown = masked(&config);
    assert!(shown.contains("image.midjourney.api_secret = (hidden)"), "{shown}");
}

#[test]
fn a_video_provider_requires_its_key_or_url() {
    for (service_type, variables) in [
        ("openai", &["VIDEO_API_KEY", "VIDEO_BASE_URL"][..]),
        ("fal", &["FAL_KEY"]),
        ("gemini", &["GEMINI_API_KEY"]),
        ("midjourney", &["MJ_BASE_URL"]),
        ("runway", &["RUNWAYML_API_SECRET"]),
        ("seedance", &["ARK_API_KEY"]),
        ("kling", &["KLING_API_KEY"]),
        ("minimax", &["MINIMAX_API_KEY"]),
        ("vidu", &["VIDU_API_KEY"]),
        ("wan", &["DASHSCOPE_API_KEY"]),
        ("xai", &["XAI_API_KEY"]),
    ] {
        let message = load_error("", &[], &[("VIDEO_SERVICE_TYPE", service_type)]);
        assert!(message.contains(&format!("video.service_type = \"{service_type}\"")), "{message}");
        for variable in variables {
            assert!(message.contains(variable), "`{message}` lacks `{variable}`");
            let set = [("VIDEO_SERVICE_TYPE", service_type), (variable, "http://127.0.0.1:1/v1")];
            assert!(load("", &[], &set).is_ok(), "{variable}");
        }
    }
    let veo = load("", &[], &[("VIDEO_SERVICE_TYPE", "veo"), ("GEMINI_API_KEY", "k")]).unwrap();
    assert_eq!(veo.core.video.service_type, core_config::VideoServiceType::Gemini);
    let variables =
        [("ARK_API_KEY", "k1"), ("VIDEO_API_KEY", "k2"), ("VIDEO_MODELS", "mine, other"), ("IMAGE_API_KEY", "k3")];
    let config = load("", &[], &variables).unwrap();
    let core_config::Video { openai, seedance, .. } = &config.core.video;
    let read =
        [&config.core.image.doubao.api_key, &seedance.api_key, &openai.api_key, &config.core.image.openai.api_key];
    assert_eq!(read.map(|key| key.as_ref().unwrap().expose_secret()), ["k1", "k1", "k2", "k3"]);
    assert_eq!(openai.models, ["mine", "other"]);
    let mut shown = masked(&config);
    assert!(shown.contains("video.openai.api_key = (hidden)"), "{shown}");
    crate::banner::write_providers(&mut shown, &config).unwrap();
    let lines = [
        "  video  offline: built-in mock engine; select another provider with VIDEO_SERVICE_TYPE",
        "         connected to OpenAI for mine, other",
        "         connected to Volcengine Ark for doubao-seedance-1-5-pro-251215, ",
    ];
    assert!(lines.iter().all(|line| shown.contains(line)), "{shown}");
}

#[test]
fn vertex_ai_requires_the_key_of_a_service_account() {
    let message = load_error("", &[], &[("VIDEO_SERVICE_TYPE", "vertex")]);
    for part in
        ["video.service_type = \"vertex\"", "GOOGLE_APPLICATION_CREDENTIALS", "TRIPTYCH_VIDEO_VERTEX_CREDENTIALS"]
    {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
    let user = r#"{"type":"authorized_user","client_secret":"s3cret"}"#;
    let message = load_error("", &[], &[("TRIPTYCH_VIDEO_VERTEX_CREDENTIALS", user)]);
    for part in ["video.vertex.credentials = (hidden)", "`type` must be \"service_account\""] {
        assert!(message.contains(part) && !message.contains("s3cret"), "`{message}` lacks `{part}`");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.json").display().to_string();
    let message = load_error("", &[], &[("GOOGLE_APPLICATION_CREDENTIALS", &path)]);
    assert!(message.contains("video.vertex.credentials_file") && message.contains(&path), "{message}");
    let places = [("GOOGLE_CLOUD_PROJECT", "mine"), ("GOOGLE_CLOUD_LOCATION", "europe-west4")];
    let vertex = load("", &[], &places).unwrap().core.video.vertex;
    assert_eq!(
        (vertex.project.as_str(), vertex.location.as_str(), vertex.is_configured()),
        ("mine", "europe-west4", false)
    );
    let message = load_error("[video.vertex]\nlocation = 'US'", &[], &[]);
    assert!(message.contains("video.vertex.location"), "{message}");
}

#[test]
fn an_invalid_video_setting_is_rejected() {
    for (file, expected) in [
        ("[video.openai]\npoll_interval = '99ms'", "at least 100ms"),
        ("[video.runway]\nmodels = ['gen4.5', ' ']", "none of them empty"),
        ("[video.seedance]\npoll_interval = '0s'", "at least 100ms"),
        ("[video.seedance]\nmax_resolution = '8k'", "`1080p`"),
        ("[video.seedance]\nmodels = []", "at least one name"),
        ("[video.kling]\naccess_key = 'a'", "KLING_SECRET_KEY"),
        ("[video.kling]\nsecret_key = 'a'", "KLING_ACCESS_KEY"),
        ("[video]\nidle_timeout = '0s'", "greater than zero"),
        ("[video.routing]\nfailures = 0", "at least 1"),
    ] {
        let message = load_error(file, &[], &[]);
        assert!(message.contains(expected) && message.contains("video."), "`{message}` lacks `{expected}`");
    }
}

#[test]
fn the_config_file_variable_of_the_process_overrides_dotenv() {
    let file = |environment, dotenv| layers::config_file(&variables(environment), &variables(dotenv));
    assert_eq!(file(&[], &[]), None);
    assert_eq!(file(&[], &[("TRIPTYCH_CONFIG", "b")]), Some("b".into()));
    assert_eq!(file(&[("TRIPTYCH_CONFIG", "a")], &[("TRIPTYCH_CONFIG", "b")]), Some("a".into()));
    assert!(load("", &[], &[("TRIPTYCH_CONFIG", "a")]).is_ok());
}

#[test]
fn dotenv_errors_name_the_variable_without_its_value() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".env");
    assert_eq!(dotenv::read(&path), Ok(vec![]));
    std::fs::write(&path, "# mine\nCHAT_MODEL=\"a b\"\nexport CHAT_API_KEY=x\n").unwrap();
    assert_eq!(dotenv::read(&path), Ok(variables(&[("CHAT_MODEL", "a b"), ("CHAT_API_KEY", "x")])));
    std::fs::write(&path, "CHAT_API_KEY='secret\n").unwrap();
    let message = dotenv::read(&path).unwrap_err().to_string();
    assert!(message.contains("`CHAT_API_KEY`") && !message.contains("secret"), "{message}");
}

const TWO_UPSTREAMS: &str = r#"
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
fn api_key_env_of_upstreams_is_resolved_and_keys_are_masked() {
    let mut config = load(TWO_UPSTREAMS, &[], &[]).unwrap();
    let unset = config.resolve_secrets(|_| None).unwrap_err().to_string();
    assert!(unset.contains("`far`") && unset.contains("FAR_KEY"), "{unset}");
    config.resolve_secrets(|name| (name == "FAR_KEY").then(|| "sk-far-secret".to_owned())).unwrap();
    let [near, far] = config.core.chat.upstreams.as_slice() else { panic!("{:?}", config.core.chat) };
    assert_eq!((near.weight, near.priority, near.first_byte_timeout), (1, 0, None));
    assert_eq!((far.priority, far.first_byte_timeout), (1, Some(Duration::from_secs(20))));
    assert_eq!((near.total_timeout, far.total_timeout), (None, Some(Duration::ZERO)));
    assert_eq!((near.dialect, far.dialect), (None, Some(Dialect::Deepseek)));
    assert_eq!(far.headers["x-title"], "a-secret");
    assert_eq!(far.api_key.as_ref().unwrap().expose_secret(), "sk-far-secret");
    let shown = masked(&config);
    assert!(shown.contains("near") && shown.contains("(hidden)") && !shown.contains("-secret"), "{shown}");
    assert!(!format!("{config:?}").contains("-secret"), "{config:?}");
}

#[test]
fn invalid_upstream_or_route_is_rejected_without_revealing_keys() {
    let table = [
        ("chat.model = \"fast\"", "chat.model = \"slow\"", "served by none of chat.upstreams"),
        ("name = \"far\"", "name = \"near\"", "name `near` is used twice"),
        ("name = \"far\"", "name = \"so far\"", "name `so far`: must consist of letters"),
        ("models = [\"fast\"]", "models = []", "`near` requires models"),
        ("priority = 1", "weight = 0", "`far`: weight must be at least 1"),
        ("priority = 1", "rename = { slow = \"s\" }", "`far` renames `slow`"),
        ("first_byte_timeout = \"20s\"", "first_byte_timeout = \"0s\"", "`far`: timeouts must be greater than zero"),
        ("fallbacks = [\"deep\"]", "fallbacks = [\"fast\"]", "its own fallback"),
        ("fallbacks = [\"deep\"]", "fallbacks = [\"dep\"]", "`dep` is served by no upstream"),
        ("priority = 1", "prioritee = 1", "unknown field `prioritee`"),
        ("X-Title", "\"so wrong\"", "`so wrong` is not a valid header name"),
        ("X-Title", "Authorization", "header `authorization` cannot be set"),
        ("\"a-secret\"", "\"a\\nsecret\"", "header `x-title` must be printable"),
        ("deepseek", "deepsea", "must be `auto`, `openai`, `dashscope`, `deepseek` or `ollama`"),
    ];
    for (valid, invalid, expected) in table {
        let message = load_error(&TWO_UPSTREAMS.replacen(valid, invalid, 1), &[], &[]);
        assert!(message.contains(expected) && !message.contains("secret"), "`{message}` lacks `{expected}`");
    }
    let none = load_error("[[chat.routes]]\nmodel = 'm'", &[], &[]);
    assert!(none.contains("requires an upstream"), "{none}");
    let both = load_error(TWO_UPSTREAMS, &[], &[("CHAT_BASE_URL", "http://127.0.0.1:3/v1")]);
    assert!(both.contains("remove one of the two"), "{both}");
}

#[test]
fn number_of_threads_is_read_from_file_and_variable() {
    let threads = |file: &str, environment: &[(&str, &str)]| load(file, &[], environment).unwrap().threads.0;
    assert_eq!(threads("threads = 2", &[]), ThreadCount::Fixed(2.try_into().unwrap()));
    assert_eq!(threads("threads = 'shared'", &[]), ThreadCount::Shared);
    assert_eq!(threads("threads = 2", &[("TRIPTYCH_THREADS", "shared")]), ThreadCount::Shared);
    assert!(load_error("threads = 0", &[], &[]).contains("1 to 1024"));
}

#[test]
fn memory_of_all_bodies_below_that_of_one_is_refused() {
    let message = load_error("[rest]\nbody_memory_bytes = 1000", &[], &[]);
    assert!(message.contains("must be at least rest.body_limit_bytes"), "{message}");
}
