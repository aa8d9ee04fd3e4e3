//! Tests of `triptych health`.

#![expect(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::{net::TcpListener, process::Output};

use tempfile::tempdir;

use crate::triptych_process::{TriptychProcess, command};

/// Runs `health` with these arguments and environment variables.
fn health(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let dir = tempdir().unwrap();
    command(dir.path(), environment).arg("health").args(arguments).output().unwrap()
}

/// Returns an address on which nothing listens.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn health_of_a_ready_process_exits_with_0_over_rest_and_grpc() {
    let dir = tempdir().unwrap();
    let server = TriptychProcess::start(dir.path(), &[]);
    let (rest, grpc) = (server.rest.unwrap().to_string(), server.grpc.unwrap().to_string());
    let (url, core) = (format!("http://{rest}"), format!("http://{grpc}"));
    // Without arguments the address is that of the settings.
    for (arguments, environment) in [
        (vec![], vec![("TRIPTYCH_REST_LISTEN", rest.as_str())]),
        (vec!["--url", &url], vec![]),
        (vec!["--core", &core], vec![]),
    ] {
        let output = health(&arguments, &environment);
        assert!(output.status.success() && output.stdout.is_empty(), "{arguments:?}: {output:?}");
    }
}

#[test]
fn health_of_a_gateway_without_its_core_exits_with_1_and_the_cause() {
    let dir = tempdir().unwrap();
    let core = format!("http://{}", free_address());
    let gateway = TriptychProcess::start_as(&["gateway", "--core", &core], dir.path(), &[]);
    let url = format!("http://{}", gateway.rest.unwrap());
    let output = health(&["--url", &url], &[]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains(&format!("{url}/readyz: status 503")) && error.contains("the core responds"), "{error}");
}

#[test]
fn health_of_a_process_that_does_not_listen_exits_with_1() {
    let address = free_address();
    let url = format!("http://{address}");
    for arguments in [["--url", &url], ["--core", &url]] {
        let output = health(&arguments, &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && error.contains(&address), "{arguments:?}: {error}");
    }
}
