//! The sources of settings: the files `.env` and `triptych.toml`, their path, and variables that are not settings.

use super::{dotenv, layers, load, load_error, read, variables};

#[test]
fn service_links_are_ignored_in_the_environment_only_and_never_hide_a_setting() {
    // As Kubernetes sets them for a service named `triptych`.
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
fn variables_of_openai_clients_are_ignored() {
    let config = load("", &[], &[("OPENAI_API_BASE", "http://127.0.0.1:8000/v1"), ("OPENAI_API_KEY", "x")]).unwrap();
    assert!(config.core.chat.base_url.is_none() && config.core.chat.api_key.is_none());
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
