//! Arbitrary documents and arbitrary messages make the round trip: whatever differs afterwards was dropped or invented.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test, helpers included")]

mod documents;
mod json;
mod messages;
mod shapes;

use proptest::test_runner::Config;

/// Enough to meet every pair of members now and then, few enough to be run at every turn.
fn config() -> Config {
    Config { cases: 96, failure_persistence: None, ..Config::default() }
}
