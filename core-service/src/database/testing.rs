//! Databases for tests, which run on SQLite, and again on PostgreSQL.

use std::{
    cell::{Cell, RefCell},
    path::Path,
};

use super::Database;
use crate::digest::{Hex, sha256};

thread_local! {
    /// Whether [`open`] connects to PostgreSQL. A test and the tasks that open its databases have one thread.
    static ON_POSTGRES: Cell<bool> = const { Cell::new(false) };
    /// The databases of the current test on PostgreSQL.
    static NAMES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Opens the database that belongs to this directory: a file in it, or a database on the PostgreSQL server of the test process.
/// Creates it at the first call.
pub(crate) async fn open(directory: &Path) -> Database {
    if !ON_POSTGRES.get() {
        return Database::open(&directory.join("jobs.sqlite")).await.unwrap();
    }
    let url = url_of(directory).await.expect("the server has been started before the test");
    Database::connect(&url, 4).await.unwrap()
}

/// Returns the URL of the database of a directory; `None` if PostgreSQL is not installed.
pub(crate) async fn url_of(directory: &Path) -> Option<String> {
    // The names of databases have at most 63 bytes.
    let digest = sha256(directory.display().to_string().as_bytes());
    let name = Hex(&digest[..16]).to_string();
    let url = postgres_fixture::database(&name).await;
    NAMES.with_borrow_mut(|names| names.push(name));
    url
}

/// Runs tests again on PostgreSQL, one after the other, in one process with one server. Does nothing if PostgreSQL is not installed.
pub(crate) fn run_on_postgres(tests: &[(&str, fn())]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if runtime.block_on(postgres_fixture::database("available")).is_none() {
        return;
    }
    for (name, test) in tests {
        eprintln!("{name} on PostgreSQL");
        ON_POSTGRES.set(true);
        test();
        ON_POSTGRES.set(false);
        for name in NAMES.take() {
            runtime.block_on(postgres_fixture::drop_database(&name));
        }
    }
}

/// Defines a test that runs these tests of the module again on PostgreSQL.
macro_rules! on_postgres {
    ($($test:ident),* $(,)?) => {
        #[test]
        fn all_on_postgres() {
            crate::database::testing::run_on_postgres(&[$((stringify!($test), $test)),*]);
        }
    };
}
pub(crate) use on_postgres;
