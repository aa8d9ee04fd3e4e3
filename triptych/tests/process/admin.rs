//! `triptych admin` against a running server, and against its data after it has stopped.

#![allow(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::process::Output;

use tempfile::tempdir;

use crate::triptych_process::{TriptychProcess, command};

const KEYS: (&str, &str) = ("TRIPTYCH_KEYS", "root+admin:secret-of-root-00001,carol:secret-of-carol-0001");

fn admin(dir: &std::path::Path, key: &str, arguments: &[&str]) -> Output {
    command(dir, &[("TRIPTYCH_ADMIN_KEY", key)]).arg("admin").args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn admin_commands_create_keys_and_verify_the_ledger() {
    let dir = tempdir().unwrap();
    let server = TriptychProcess::start(dir.path(), &[KEYS]);
    let url = format!("http://{}", server.grpc.unwrap());
    let run = |key: &str, arguments: &[&str]| admin(dir.path(), key, &[arguments, &["--url", &url]].concat());
    let root = "secret-of-root-00001";

    let create = ["keys", "create", "alice", "--budget-per-month", "100", "--expires-in", "90d", "--priority", "low"];
    let created = run(root, &create);
    let secret = stdout(&created).trim().to_owned();
    assert!(secret.starts_with("sk-trp-") && secret.len() == 71, "{secret}");
    // The new key is not that of an administrator.
    let refused = run(&secret, &["verify"]);
    assert!(stderr(&refused).contains("`alice` is not the key of an administrator"), "{refused:?}");
    let rotated = run(root, &["keys", "rotate", "alice", "--overlap", "1h"]);
    assert_ne!(stdout(&rotated).trim(), secret);
    let listed = run(root, &["keys", "list"]);
    let listed = stdout(&listed);
    for part in
        ["alice", "stored", "100.00 USD per month", "expires 20", "priority low", "carol", "configuration", "admin"]
    {
        assert!(listed.contains(part), "{part} is missing in {listed}");
    }
    assert!(!listed.contains(&secret), "{listed}");
    let updated = run(root, &["keys", "update", "alice", "--priority", "high", "--budget-total", "5"]);
    for part in ["alice", "100.00 USD per month", "5.00 USD in all", "priority high"] {
        assert!(stdout(&updated).contains(part), "{part} is missing in {updated:?}");
    }
    assert!(stderr(&run(root, &["keys", "update", "alice"])).contains("--priority"));
    stdout(&run(root, &["keys", "revoke", "alice"]));
    let listed = run(root, &["keys", "list"]);
    assert!(!stdout(&listed).contains("alice"), "{listed:?}");
    assert!(stderr(&run(root, &["keys", "create", "alice"])).contains("revoked"));

    assert_eq!(stdout(&run(root, &["verify"])), "The ledger is consistent.\n");
    let in_use = admin(dir.path(), "", &["verify", "--offline"]);
    assert!(stderr(&in_use).contains("another process is using the directory"), "{in_use:?}");
    let without_key = command(dir.path(), &[]).args(["admin", "verify", "--url", &url]).output().unwrap();
    assert!(stderr(&without_key).contains("TRIPTYCH_ADMIN_KEY"), "{without_key:?}");

    drop(server);
    assert_eq!(stdout(&admin(dir.path(), "", &["verify", "--offline"])), "The ledger is consistent.\n");
    let unreachable = run(root, &["verify"]);
    assert!(stderr(&unreachable).contains(&url), "{unreachable:?}");
    let elsewhere = tempdir().unwrap();
    let missing = admin(elsewhere.path(), "", &["verify", "--offline"]);
    assert!(stderr(&missing).contains("cannot read the database"), "{missing:?}");
    assert!(!elsewhere.path().join("data").exists(), "a check creates nothing");
}
