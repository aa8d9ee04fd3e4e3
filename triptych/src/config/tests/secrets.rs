//! Secrets: never displayed, neither in errors nor in the list of settings nor by `Debug`.

use super::{load, load_error, masked};

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
