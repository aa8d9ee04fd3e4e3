//! A private PostgreSQL server for the tests of one process, from the binaries that are installed.
//!
//! The server listens on a Unix socket in a temporary directory. A shell that reads from a pipe of the test process supervises it: the
//! pipe closes when the process ends, also by SIGKILL, and the shell then stops the server and removes the directory.

mod binaries;
mod server;

use std::sync::OnceLock;

use sqlx::{Connection as _, Executor as _, PgConnection, error::DatabaseError};

use self::server::Server;

static SERVER: OnceLock<Option<Server>> = OnceLock::new();

/// Returns the URL of a database on the server of this process, which is started by the first call. The first call with a name creates
/// the database. `None`, with a message on stderr, if PostgreSQL is not installed.
///
/// # Panics
/// The server cannot be started, or the database not created.
pub async fn database(name: &str) -> Option<String> {
    let server = SERVER.get_or_init(|| {
        let server = Server::start();
        if server.is_none() {
            eprintln!(
                "SKIPPED: the tests of PostgreSQL need initdb and postgres in PATH or in /usr/lib/postgresql/*/bin"
            );
        }
        server
    });
    let server = server.as_ref()?;
    // With `file_copy` the contents of the new database are not written to the write-ahead log, which would grow with each database.
    // Versions before 15 have no other strategy, and no name for it.
    let create = format!("CREATE DATABASE \"{name}\"");
    let mut created = execute_in(server, "postgres", format!("{create} STRATEGY file_copy")).await;
    if created.as_ref().is_err_and(|error| code(error).is_some_and(|code| code == "42601")) {
        created = execute_in(server, "postgres", create).await;
    }
    if let Err(error) = created {
        // duplicate_database, or unique_violation if another test creates it at the same time.
        let exists = code(&error).is_some_and(|code| code == "42P04" || code == "23505");
        assert!(exists, "the database {name} cannot be created: {error}");
    }
    Some(server.url(name))
}

/// Drops a database and closes its connections. The databases of a long list of tests would need gigabytes.
///
/// # Panics
/// The database cannot be dropped.
pub async fn drop_database(name: &str) {
    let Some(server) = SERVER.get().and_then(Option::as_ref) else { return };
    let dropped = execute_in(server, "postgres", format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await;
    dropped.unwrap_or_else(|error| panic!("the database {name} cannot be dropped: {error}"));
}

/// Executes a statement in a database that exists, on a connection of its own.
///
/// # Panics
/// The statement fails.
pub async fn execute(name: &str, statement: &str) {
    let server = SERVER.get().and_then(Option::as_ref).unwrap_or_else(|| panic!("{name} does not exist"));
    execute_in(server, name, statement.to_owned()).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// As [`execute`]; every server has the database `postgres`.
async fn execute_in(server: &Server, name: &str, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(&server.url(name)).await?;
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statement))).await?;
    connection.close().await
}

/// Returns the SQLSTATE of an error of the server.
fn code(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}
