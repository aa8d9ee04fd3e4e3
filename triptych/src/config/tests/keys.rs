//! The API keys of clients: the forms of the setting, and the masking of secrets.

use core_service::on_disconnect::OnDisconnect;

use super::{load, load_error, masked};

const SHORT: &str = r#"keys = ["short:0123456789-secret"]"#;
const SECTIONS: &str = r#"
[[keys]]
name = "team-a"
secret = "0123456789-secret-a"
on_disconnect = "continue"
[[keys]]
name = "team-b"
secret_env = "TEAM_B_KEY"
[[keys]]
name = "team-c"
sha256 = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f"
"#;

#[test]
fn keys_are_read_from_texts_sections_and_one_variable() {
    let config = load(SHORT, &[], &[]).unwrap();
    assert_eq!(config.core.keys[0].name, "short");
    assert!(masked(&config).contains("keys = [\"(hidden)\"]"), "{}", masked(&config));
    let variable = [("TRIPTYCH_KEYS", "a:0123456789-secret-a, b:0123456789-secret-b")];
    let config = load(SHORT, &[], &variable).unwrap();
    assert_eq!(config.core.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(!format!("{config:?}{}", masked(&config)).contains("0123456789"), "{config:?}");
}

#[test]
fn secret_env_is_resolved_and_secrets_are_masked() {
    let mut config = load(SECTIONS, &[], &[]).unwrap();
    let unset = config.resolve_secrets(|_| None).unwrap_err().to_string();
    assert!(unset.contains("`team-b`") && unset.contains("TEAM_B_KEY"), "{unset}");
    config.resolve_secrets(|name| (name == "TEAM_B_KEY").then(|| "0123456789-secret-b".to_owned())).unwrap();
    assert_eq!(config.core.keys[0].on_disconnect, Some(OnDisconnect::Continue));
    let text = format!("{config:?}\n{}", masked(&config));
    assert!(text.contains("team-a") && text.contains("TEAM_B_KEY"), "{text}");
    assert!(!text.contains("0123456789-secret") && !text.contains("9f9f5111"), "{text}");
}

#[test]
fn an_invalid_key_is_an_error_that_does_not_contain_the_secret() {
    let short = load_error("", &[], &[("TRIPTYCH_KEYS", "a:secret")]);
    assert!(short.contains("TRIPTYCH_KEYS") && short.contains("16 to 512 characters"), "{short}");
    let nameless = load_error("", &[], &[("TRIPTYCH_KEYS", "0123456789-secret")]);
    assert!(
        nameless.contains("keys[0] (from environment variable TRIPTYCH_KEYS)")
            && nameless.contains("must be `name:secret`"),
        "{nameless}"
    );
    let member = load_error("[[keys]]\nname = 'a'\nsecrets = '0123456789-secret'", &[], &[]);
    assert!(member.contains("unknown field `secrets`"), "{member}");
    for message in [short, nameless, member] {
        assert!(!message.contains("a:secret") && !message.contains("-secret"), "{message}");
    }
    let mut config = load(SECTIONS, &[], &[]).unwrap();
    let duplicate = config.resolve_secrets(|_| Some("0123456789-secret-a".to_owned())).unwrap_err().to_string();
    assert!(
        duplicate.contains("`team-b` has the secret of another key") && !duplicate.contains("secret-a"),
        "{duplicate}"
    );
    let mut config = load(SECTIONS, &[], &[]).unwrap();
    let short = config.resolve_secrets(|_| Some("guessable".to_owned())).unwrap_err().to_string();
    assert!(short.contains("`team-b` must have a secret of 16") && !short.contains("guessable"), "{short}");
}
