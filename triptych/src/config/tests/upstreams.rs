//! The upstreams of chat: `chat.base_url`, `[[chat.upstreams]]` and `[[chat.routes]]`.

use std::time::Duration;

use core_service::dialect::Dialect;
use secrecy::ExposeSecret as _;

use super::{load, load_error, masked};

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
fn default_model_and_models_of_routes_may_match_a_pattern() {
    let file =
        TWO_UPSTREAMS.replace("models = [\"fast\", \"deep\"]", "models = [\"de*\"]\nrename = { deep = \"d-1\" }");
    let file = file.replace("models = [\"fast\"]", "models = [\"f*\"]");
    assert!(load(&file, &[], &[]).is_ok());
    assert!(load(&file.replace("deep = \"d-1\"", "slow = \"d-1\""), &[], &[]).is_err());
}

#[test]
fn invalid_upstream_or_route_is_rejected_without_revealing_keys() {
    // A part of `TWO_UPSTREAMS`, its invalid replacement, and a part of the message.
    let table = [
        ("chat.model = \"fast\"", "chat.model = \"slow\"", "served by none of chat.upstreams"),
        ("chat.model = \"fast\"", "chat.model = \"f*\"", "must be the name of a model, without `*`"),
        ("fallbacks = [\"deep\"]", "fallbacks = [\"d*\"]", "`d*` is served by no upstream"),
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
