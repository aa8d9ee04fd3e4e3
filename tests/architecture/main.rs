//! Tests of the rules of `docs/ARCHITECTURE.md` that the compiler does not check: they read manifests and source files as
//! text.
//!
//! The paths and names of the project are in the constants below; a test whose subject has moved fails and says so.

#![allow(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

mod cycles;
mod modules;
mod source;
mod use_tree;

use std::{fs, path::Path};

use source::{contains, production_tokens, read, root, rust_files};

/// The crates of the workspace, and the root file of each.
const CRATES: [(&str, &str); 10] = [
    ("http-server", "http-server/src/lib.rs"),
    ("core-service", "core-service/src/lib.rs"),
    ("rest-gateway", "rest-gateway/src/lib.rs"),
    ("openai-dialect", "openai-dialect/src/lib.rs"),
    ("triptych", "triptych/src/main.rs"),
    ("triptych-telemetry", "telemetry/src/lib.rs"),
    ("triptych-proto", "proto/lib.rs"),
    ("offline-chat", "offline-engines/chat/src/lib.rs"),
    ("offline-image", "offline-engines/image/src/lib.rs"),
    ("offline-video", "offline-engines/video/src/lib.rs"),
];

/// Dependencies that a manifest must not have: the gateway and the core know each other only by the contract, the dialect
/// converts without I/O, and the built-in engines are synchronous libraries.
const FORBIDDEN_DEPENDENCIES: [(&str, &[&str]); 6] = [
    ("rest-gateway/Cargo.toml", &["core-service", "reqwest", "sqlx"]),
    ("core-service/Cargo.toml", &["rest-gateway", "axum"]),
    ("openai-dialect/Cargo.toml", &["tokio", "tonic"]),
    ("offline-engines/chat/Cargo.toml", ENGINES_FORBID),
    ("offline-engines/image/Cargo.toml", ENGINES_FORBID),
    ("offline-engines/video/Cargo.toml", ENGINES_FORBID),
];
const ENGINES_FORBID: &[&str] = &["triptych-proto", "core-service", "tonic", "tokio", "reqwest"];

/// The state machine of video jobs, and a function that this file must have; without it, the state machine has moved.
const JOB_STATE_MACHINE: (&str, &str) = ("core-service/src/video/state/mod.rs", "fn apply(");

/// The one place in the core that makes gRPC statuses, and a call that this file must have; without it, the place has moved.
const STATUS_MAPPING: (&str, &str) = ("core-service/src/status/mod.rs", "with_error_details");

/// Calls that make a gRPC status, as tokens that no other code of the core contains.
const STATUS_CONSTRUCTORS: [&str; 6] = [
    "with_error_details",
    "with_details",
    "Status::new(",
    "Status::internal(",
    "Status::invalid_argument(",
    "Status::not_found(",
];

/// Returns the text before the first `.`, space or `=` of each line of a manifest: its keys, among them its dependencies.
fn manifest_keys(manifest: &str) -> Vec<String> {
    let lines = read(manifest);
    lines.lines().filter_map(|line| line.split_once(['.', ' ', '='])).map(|(name, _)| name.to_owned()).collect()
}

/// Reads the production code of a file, which must contain `landmark`.
fn code_with_landmark((path, landmark): (&str, &str)) -> Vec<String> {
    let code = production_tokens(&read(path));
    assert!(contains(&code, landmark), "{path} has no `{landmark}`: it has moved, and this test must follow it");
    code
}

#[test]
fn gateway_and_core_depend_on_the_contract_and_not_on_each_other() {
    for manifest in ["rest-gateway/Cargo.toml", "core-service/Cargo.toml"] {
        assert!(manifest_keys(manifest).contains(&"triptych-proto".to_owned()), "{manifest} lacks triptych-proto");
    }
    for (manifest, forbidden) in FORBIDDEN_DEPENDENCIES {
        let keys = manifest_keys(manifest);
        let found: Vec<_> = forbidden.iter().filter(|name| keys.contains(&(**name).to_owned())).collect();
        assert!(found.is_empty(), "{manifest} depends on {found:?}");
    }
}

#[test]
fn job_state_machine_has_no_clock_and_no_io() {
    let code = code_with_landmark(JOB_STATE_MACHINE);
    for impure in [".await", "async", "SystemTime::now", "Instant::now"] {
        assert!(!contains(&code, impure), "{} contains `{impure}`", JOB_STATE_MACHINE.0);
    }
}

#[test]
fn core_makes_grpc_statuses_in_one_place() {
    code_with_landmark(STATUS_MAPPING);
    for path in rust_files(&root().join("core-service/src")) {
        let is_test = path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
        if is_test || path.ends_with(STATUS_MAPPING.0) {
            continue;
        }
        let code = production_tokens(&fs::read_to_string(&path).unwrap());
        let found = STATUS_CONSTRUCTORS.iter().find(|constructor| contains(&code, constructor));
        assert!(found.is_none(), "{} calls `{}`; {} does that", path.display(), found.unwrap(), STATUS_MAPPING.0);
    }
}

#[test]
fn lock_file_has_ring_and_no_second_tls_library() {
    // A second one would lengthen the build, and rustls would need a choice between the two at run time.
    let lock = read("Cargo.lock");
    assert!(lock.contains("name = \"ring\""));
    for banned in ["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{banned}\"")), "Cargo.lock has {banned}");
    }
}

/// Runs a search for cycles over every crate, and fails with all that are found.
fn assert_no_cycles(find: impl Fn(&modules::Imports) -> Vec<String>) {
    let mut found = Vec::new();
    for (name, root_file) in CRATES {
        let root_file = root().join(root_file);
        let directory = root_file.parent().unwrap();
        let read = |path: &Path| fs::read_to_string(directory.join(path)).ok();
        let imports = modules::imports(root_file.file_name().unwrap().to_str().unwrap(), read);
        found.extend(find(&imports).iter().map(|cycle| format!("{name}: {cycle}")));
    }
    assert!(found.is_empty(), "imports must not form cycles:\n{}", found.concat());
}

#[test]
fn files_of_a_crate_import_without_cycles() {
    assert_no_cycles(cycles::between_files);
}

#[test]
fn folders_of_a_crate_import_without_cycles() {
    assert_no_cycles(cycles::between_folders);
}
