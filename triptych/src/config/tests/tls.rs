//! The settings of TLS, Unix sockets and the admin port.

use super::{load, load_error};

#[test]
fn certificate_and_key_are_set_together() {
    for (file, setting) in [
        (
            "[rest.tls]\ncertificate_file = 'a.pem'",
            "rest.tls.certificate_file = 'a.pem' (from triptych.toml): needs key_file",
        ),
        ("[grpc.tls]\nkey_file = 'a.key'", "grpc.tls.key_file = 'a.key' (from triptych.toml): needs certificate_file"),
        (
            "[grpc.tls]\nclient_ca_file = 'ca.pem'",
            "grpc.tls.client_ca_file = 'ca.pem' (from triptych.toml): needs certificate_file",
        ),
        (
            "[rest.core]\ncertificate_file = 'a.pem'",
            "rest.core.certificate_file = 'a.pem' (from triptych.toml): needs key_file",
        ),
    ] {
        let message = load_error(file, &[], &[]).replace('"', "'");
        assert!(message.starts_with(setting), "{message}");
    }
}

#[test]
fn files_are_read_from_variables() {
    let environment = [
        ("TRIPTYCH_GRPC_TLS_CERTIFICATE_FILE", "a.pem"),
        ("TRIPTYCH_GRPC_TLS_KEY_FILE", "a.key"),
        ("TRIPTYCH_GRPC_TLS_CLIENT_CA_FILE", "ca.pem"),
        ("TRIPTYCH_REST_CORE_CA_FILE", "core.pem"),
    ];
    let config = load("", &[], &environment).unwrap();
    let files = config.grpc_tls.files().unwrap();
    assert_eq!((files.certificate.to_str(), files.client_ca.unwrap().to_str()), (Some("a.pem"), Some("ca.pem")));
    assert_eq!(config.rest.tls.files(), None);
    assert_eq!(config.rest.core.files().ca.unwrap().to_str(), Some("core.pem"));
}

#[test]
fn admin_listen_opens_the_admin_port_and_must_be_an_address() {
    assert!(!load("", &[], &[]).unwrap().gateway.has_admin_port);
    let config = load("[admin]\nlisten = '127.0.0.1:9464'", &[], &[]).unwrap();
    assert!(config.gateway.has_admin_port && config.admin.listen.is_some());
    let message = load_error("[admin]\nlisten = '9464'", &[], &[]);
    assert!(message.contains("admin.listen") && message.contains("IP:PORT"), "{message}");
}

#[cfg(unix)]
#[test]
fn unix_sockets_are_addresses() {
    let file = "[rest]\nlisten = 'unix:/run/triptych/rest.sock'\n[grpc]\nlisten = 'unix:grpc.sock'";
    let config = load(file, &[], &[]).unwrap();
    assert_eq!(config.rest.listen.to_string(), "unix:/run/triptych/rest.sock");
    assert_eq!(config.core.grpc.listen.to_string(), "unix:grpc.sock");
}
