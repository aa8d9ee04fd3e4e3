//! Certificates that are replaced while the process runs.

use std::{fs, io::Read as _};

use crate::{
    certificates::Authority,
    tls::{SETTINGS, directory, exchange, issue, send},
    triptych_process::{TriptychProcess, command},
};

#[test]
fn hangup_replaces_the_certificate_and_a_stream_continues() {
    let (old, new) = (Authority::new(), Authority::new());
    let dir = directory(&old);
    let mut settings = SETTINGS.to_vec();
    settings.push(("TRIPTYCH_OFFLINE_CHAT_TOKENS_PER_SECOND", "100"));
    let server = TriptychProcess::start(dir.path(), &settings);
    let rest = server.rest.unwrap();
    let body =
        r#"{"model":"offline-chat","stream":true,"messages":[{"role":"user","content":"Write a creative story"}]}"#;
    let mut stream = send(rest, &old, "POST", "/v1/chat/completions", body);
    stream.read_exact(&mut [0; 1]).unwrap();

    issue(&new, dir.path(), "server");
    server.signal("HUP");
    server.wait_for_log("read rest.tls.certificate_file again; valid until 4096");
    assert!(exchange(rest, &new, "GET", "/healthz", "").starts_with("HTTP/1.1 200"));
    assert_eq!(exchange(rest, &old, "GET", "/healthz", ""), "");
    let mut rest_of_stream = String::new();
    stream.read_to_string(&mut rest_of_stream).unwrap();
    assert!(rest_of_stream.contains("data: [DONE]"), "{rest_of_stream}");
}

#[test]
fn unusable_files_keep_the_last_certificate_and_are_reported() {
    let authority = Authority::new();
    let dir = directory(&authority);
    // TLS at the REST port alone.
    let server = TriptychProcess::start(dir.path(), &SETTINGS[..2]);
    let rest = server.rest.unwrap();
    let metrics = || exchange(rest, &authority, "GET", "/metrics", "");
    // 4096-01-01, the end of the certificates of `Authority`.
    let expiry = format!("triptych_tls_certificate_expiry_timestamp_seconds{{place=\"rest\"}} {}", 67_090_118_400_u64);
    for line in ["triptych_tls_certificate_reload_success{place=\"rest\"} 1", expiry.as_str()] {
        assert!(metrics().contains(line), "{line} is missing in {}", metrics());
    }

    let key = fs::read(dir.path().join("server.key")).unwrap();
    issue(&authority, dir.path(), "server");
    fs::write(dir.path().join("server.key"), key).unwrap();
    server.signal("HUP");
    server.wait_for_log("rest.tls.key_file = \"server.key\"");
    for line in [
        "triptych_tls_certificate_reload_success{place=\"rest\"} 0",
        "triptych_tls_certificate_reload_total{place=\"rest\",result=\"failed\"} 1",
    ] {
        assert!(metrics().contains(line), "{line} is missing in {}", metrics());
    }
    let output = command(dir.path(), &SETTINGS).arg("check").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not belong to the certificate"));
}

#[test]
fn invalid_configuration_keeps_the_certificate_files_of_the_last_valid_one() {
    let (old, new) = (Authority::new(), Authority::new());
    let dir = directory(&old);
    let configuration = dir.path().join("triptych.toml");
    let files = |name: &str| format!("[rest.tls]\ncertificate_file = \"{name}.pem\"\nkey_file = \"{name}.key\"\n");
    fs::write(&configuration, files("server")).unwrap();
    issue(&new, dir.path(), "other");
    let server = TriptychProcess::start(dir.path(), &[]);
    fs::write(&configuration, files("other")).unwrap();
    server.signal("HUP");
    server.wait_for_log("reloaded the configuration");
    server.wait_for_log("read rest.tls.certificate_file again");
    fs::write(&configuration, "invalid = true").unwrap();
    server.signal("HUP");
    server.wait_for_log("nothing has changed");
    // A second reload, after which the first one is complete.
    server.signal("HUP");
    server.wait_for_log("nothing has changed");
    assert!(exchange(server.rest.unwrap(), &new, "GET", "/healthz", "").starts_with("HTTP/1.1 200"));
}

#[test]
fn changed_certificate_file_is_applied_without_a_signal_even_beside_an_invalid_configuration() {
    let (old, new) = (Authority::new(), Authority::new());
    let dir = directory(&old);
    let mut settings = SETTINGS[..2].to_vec();
    settings.push(("TRIPTYCH_RELOAD_ON_CHANGE", "true"));
    let server = TriptychProcess::start(dir.path(), &settings);
    // The files are watched once requests are served.
    assert!(exchange(server.rest.unwrap(), &old, "GET", "/metrics", "").contains("triptych_config_reload_success 1"));
    fs::write(dir.path().join("triptych.toml"), "invalid = true").unwrap();
    server.wait_for_log("nothing has changed");
    issue(&new, dir.path(), "server");
    server.wait_for_log("have changed");
    server.wait_for_log("read rest.tls.certificate_file again");
    assert!(exchange(server.rest.unwrap(), &new, "GET", "/healthz", "").starts_with("HTTP/1.1 200"));
}
