//! The invariants of the architecture that no compiler holds.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names on the left of a manifest's lines, which is where dependencies stand.
fn names(manifest: &str) -> Vec<String> {
    let lines = text(manifest);
    lines.lines().filter_map(|line| line.split_once(['.', ' ', '='])).map(|(name, _)| name.to_owned()).collect()
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = directories.iter().flat_map(|directory| sources(directory));
    files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")).chain(below).collect()
}

/// The lines of a file before its tests, comments left out.
fn code(path: &Path) -> String {
    let whole = fs::read_to_string(path).unwrap();
    let code = whole.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_halves_know_the_contract_and_not_each_other() {
    assert!(names("rest-gateway/Cargo.toml").contains(&"triptych-proto".to_owned()));
    assert!(names("core-service/Cargo.toml").contains(&"triptych-proto".to_owned()));
    for (manifest, stranger) in [
        ("rest-gateway/Cargo.toml", "core-service"),
        ("rest-gateway/Cargo.toml", "reqwest"),
        ("rest-gateway/Cargo.toml", "sqlx"),
        ("core-service/Cargo.toml", "rest-gateway"),
        ("core-service/Cargo.toml", "axum"),
        ("openai-dialect/Cargo.toml", "tokio"),
        ("openai-dialect/Cargo.toml", "tonic"),
    ] {
        assert!(!names(manifest).contains(&stranger.to_owned()), "{manifest} names {stranger}");
    }
}

#[test]
fn offline_engines_know_nothing_of_the_service_around_them() {
    for engine in ["chat", "image", "video"] {
        let manifest = format!("offline-engines/{engine}/Cargo.toml");
        for stranger in ["triptych-proto", "core-service", "tonic", "tokio", "reqwest"] {
            assert!(!names(&manifest).contains(&stranger.to_owned()), "{manifest} names {stranger}");
        }
    }
}

#[test]
fn the_law_of_video_jobs_is_pure() {
    let law = code(&root().join("core-service/src/video/state.rs"));
    assert!(law.contains("fn apply("), "the law has moved; so must this test");
    for impure in [".await", "async ", "SystemTime::now", "Instant::now"] {
        assert!(!law.contains(impure), "state.rs holds `{impure}`");
    }
}

#[test]
fn a_failure_of_the_core_becomes_a_status_in_one_place() {
    let here = root().join("core-service/src/status.rs");
    assert!(code(&here).contains("with_error_details"), "the place has moved; so must this test");
    let own_words = [
        "with_error_details",
        "with_details",
        "Status::new(",
        "Status::internal(",
        "Status::invalid_argument(",
        "Status::not_found(",
    ];
    for path in sources(&root().join("core-service/src")).into_iter().filter(|path| *path != here) {
        if path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs") {
            continue;
        }
        let code = code(&path);
        let found = own_words.iter().find(|word| code.contains(**word));
        assert!(found.is_none(), "{} says `{}`", path.display(), found.unwrap());
    }
}

#[test]
fn the_locked_dependencies_hold_one_tls_and_no_second_one() {
    let lock = text("Cargo.lock");
    assert!(lock.contains("name = \"ring\""));
    for banned in ["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{banned}\"")), "Cargo.lock holds {banned}");
    }
}
