//! Property tests: arbitrary JSON documents and arbitrary messages survive the round trip without loss.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod documents;
mod json;
mod messages;
mod strategies;

use proptest::test_runner::Config;

/// Enough cases to cover pairs of optional members, few enough for every test run.
fn config() -> Config {
    Config { cases: 96, failure_persistence: None, ..Config::default() }
}
