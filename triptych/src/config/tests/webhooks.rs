//! The endpoints of webhooks: secrets in variables, and the masking of secrets.

use super::{load, masked};

const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

fn file() -> String {
    format!(
        "[webhooks]\ncallback_secret = '{SECRET}'\nretry_delays = ['1s', '1m']\n\
         [[webhooks.endpoints]]\nurl = 'https://a.example/hook?key=k1'\nsecret = '{SECRET}'\nprevious_secret = '{SECRET}'\n\
         [[webhooks.endpoints]]\nurl = 'https://b.example/hook?key=k1'\nsecret_env = 'HOOK_SECRET'"
    )
}

#[test]
fn secret_env_of_endpoints_is_resolved_and_secrets_are_masked() {
    let mut config = load(&file(), &[], &[]).unwrap();
    let unset = config.resolve_secrets(|_| None).unwrap_err().to_string();
    assert!(
        unset.contains("`https://b.example/hook?(hidden)` has secret_env = \"HOOK_SECRET\", which is not"),
        "{unset}"
    );
    let mut config = load(&file(), &[], &[]).unwrap();
    let invalid = config.resolve_secrets(|_| Some("guessable".to_owned())).unwrap_err().to_string();
    assert!(invalid.contains("must be `whsec_`") && !invalid.contains("guessable"), "{invalid}");
    let mut config = load(&file(), &[], &[]).unwrap();
    config.resolve_secrets(|name| (name == "HOOK_SECRET").then(|| SECRET.to_owned())).unwrap();
    assert!(config.core.webhooks.endpoints.iter().all(|endpoint| endpoint.secret.is_some()));
    assert_eq!(config.core.webhooks.retry_delays.len(), 2);
    let text = format!("{config:?}\n{}", masked(&config));
    assert!(text.contains("a.example") && text.contains("HOOK_SECRET"), "{text}");
    assert!(!text.contains("MDEyMzQ1") && !text.contains("k1"), "{text}");
}
