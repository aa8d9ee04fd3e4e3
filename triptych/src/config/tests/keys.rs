//! Callers' keys, which come in three ways and are shown in none.

use core_service::chat::on_disconnect::OnDisconnect;

use super::{super::*, load, refusal};

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

fn shown(config: &Config) -> String {
    let lines: Vec<_> = config.layers.shown().map(|(path, value, _)| format!("{path} = {value}")).collect();
    lines.join("\n")
}

#[test]
fn keys_are_sections_or_texts_and_may_be_one_variable() {
    let config = load(SHORT, &[], &[]).unwrap();
    assert_eq!(config.core.keys[0].name, "short");
    assert!(shown(&config).contains("keys = [\"(hidden)\"]"), "{}", shown(&config));
    let variable = [("TRIPTYCH_KEYS", "a:0123456789-secret-a, b:0123456789-secret-b")];
    let config = load(SHORT, &[], &variable).unwrap();
    assert_eq!(config.core.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(!format!("{config:?}{}", shown(&config)).contains("0123456789"), "{config:?}");
}

#[test]
fn a_secret_is_looked_up_in_its_variable_and_shown_nowhere() {
    let mut config = load(SECTIONS, &[], &[]).unwrap();
    let missing = config.look_up(|_| None).unwrap_err().to_string();
    assert!(missing.contains("`team-b`") && missing.contains("TEAM_B_KEY"), "{missing}");
    config.look_up(|name| (name == "TEAM_B_KEY").then(|| "0123456789-secret-b".to_owned())).unwrap();
    assert_eq!(config.core.keys[0].on_disconnect, Some(OnDisconnect::Continue));
    let text = format!("{config:?}\n{}", shown(&config));
    assert!(text.contains("team-a") && text.contains("TEAM_B_KEY"), "{text}");
    assert!(!text.contains("0123456789-secret") && !text.contains("9f9f5111"), "{text}");
}

#[test]
fn a_wrong_key_stops_the_start_and_stays_hidden() {
    let short = refusal("", &[], &[("TRIPTYCH_KEYS", "a:secret")]);
    assert!(short.contains("TRIPTYCH_KEYS") && short.contains("16 to 512 characters"), "{short}");
    let nameless = refusal("", &[], &[("TRIPTYCH_KEYS", "0123456789-secret")]);
    assert!(
        nameless.contains("keys[0] (from environment variable TRIPTYCH_KEYS)")
            && nameless.contains("must be `name:secret`"),
        "{nameless}"
    );
    let member = refusal("[[keys]]\nname = 'a'\nsecrets = '0123456789-secret'", &[], &[]);
    assert!(member.contains("unknown field `secrets`"), "{member}");
    for message in [short, nameless, member] {
        assert!(!message.contains("a:secret") && !message.contains("-secret"), "{message}");
    }
    let mut config = load(SECTIONS, &[], &[]).unwrap();
    let clash = config.look_up(|_| Some("0123456789-secret-a".to_owned())).unwrap_err().to_string();
    assert!(clash.contains("`team-b` has the secret of another key") && !clash.contains("secret-a"), "{clash}");
    let mut config = load(SECTIONS, &[], &[]).unwrap();
    let short = config.look_up(|_| Some("guessable".to_owned())).unwrap_err().to_string();
    assert!(short.contains("`team-b` must have a secret of 16") && !short.contains("guessable"), "{short}");
}
