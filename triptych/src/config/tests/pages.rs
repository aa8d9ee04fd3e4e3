//! Whether the pages for browsers are served.

use super::{load, load_error};

#[test]
fn auto_serves_the_pages_on_loopback_addresses_or_with_keys() {
    let key = ("TRIPTYCH_KEYS", "team-a:a-secret-of-16-characters");
    for (listen, pages, has_key, expected) in [
        ("127.0.0.1:8000", "auto", false, true),
        ("[::1]:8000", "auto", false, true),
        ("0.0.0.0:8000", "auto", false, false),
        ("10.0.0.7:8000", "auto", false, false),
        ("0.0.0.0:8000", "auto", true, true),
        ("0.0.0.0:8000", "on", false, true),
        ("127.0.0.1:8000", "off", true, false),
        ("unix:/run/rest.sock", "auto", false, true),
    ] {
        let mut environment = vec![("TRIPTYCH_REST_LISTEN", listen), ("TRIPTYCH_REST_PAGES", pages)];
        environment.extend(has_key.then_some(key));
        let config = load("", &[], &environment).unwrap();
        assert_eq!(config.gateway.runtime.pages, expected, "{listen} {pages} {has_key}");
        assert_eq!(config.serves_pages(&"127.0.0.1:1".parse().unwrap()), pages != "off", "{listen} {pages} {has_key}");
    }
}

#[test]
fn another_word_is_refused_with_the_accepted_ones() {
    let error = load_error("[rest]\npages = 'yes'", &[], &[]);
    assert!(error.contains("rest.pages") && error.contains("auto") && error.contains("off"), "{error}");
}
