//! PostgreSQL: connections, the lock that makes writes serial, and the outcome of interrupted commits.

mod clock;
mod lock;
mod notifications;
mod outcome;
mod schema;
#[cfg(test)]
mod tests;
mod time_limits;

use std::time::Duration;

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _,
    any::{AnyConnectOptions, AnyPoolOptions},
    postgres::PgConnectOptions,
};
use url::Url;

use self::time_limits::ACQUIRE_TIMEOUT;
pub(crate) use self::{
    clock::DatabaseClock,
    notifications::{Listener, Notifications},
};
pub(super) use self::{
    lock::lock,
    outcome::{CommitMark, Outcome, outcome},
    time_limits::{READ_TIMEOUT, WRITE_TIMEOUT},
};
use super::{
    Readers,
    driver::{DbPool, is_reusable},
    error::OpenError,
    migrations,
};

/// A connection that was idle for so long is tested before it is used: the server may have ended it meanwhile. A test costs a round
/// trip.
const IDLE_BEFORE_TEST: Duration = Duration::from_secs(5);

/// The settings of every session.
///
/// A node that stops within a transaction holds the lock of all writers until idle_in_transaction_session_timeout; one whose network
/// is lost, until the TCP keepalives of the server find that. A write waits for the lock at most lock_timeout.
///
/// The plan of a prepared statement is kept until the table is analyzed again. One made while a table was nearly empty would read the
/// whole table, long after it has grown. So a table is read as a whole only where no index fits; such plans have so high a cost that the
/// server would compile each to machine code.
const SESSION: &str = "SET statement_timeout = '10s'; SET lock_timeout = '8s'; SET idle_in_transaction_session_timeout = '5s'; \
     SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; \
     SET enable_seqscan = off; SET jit = off";

/// The additional settings of the sessions that only read. They also send notifications, whose commits would otherwise wait for the disk.
const READ_ONLY: &str = "SET default_transaction_read_only = on; SET synchronous_commit = off";

/// Connects to the database with a pool for writes, of one connection, and one for reads. Migrates the schema.
pub(super) async fn connect(url: &str, readers: u32) -> Result<(DbPool, DbPool), OpenError> {
    let url = parse(url)?;
    sqlx::any::install_default_drivers();
    let options = PgConnectOptions::from_url(&url)?;
    let mut connection = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect())
        .await
        .map_err(|_elapsed| sqlx::Error::PoolTimedOut)??;
    schema::migrate(&mut connection, &migrations::POSTGRES).await?;
    connection.execute(outcome::REMOVE_OLD_MARKS).await?;
    connection.close().await?;
    let options = AnyConnectOptions::from_url(&url)?;
    let writer = pool(1, SESSION.to_owned()).connect_with(options.clone()).await?;
    let readers = pool(readers, format!("{SESSION}; {READ_ONLY}")).connect_with(options).await?;
    Ok((writer, readers))
}

/// Returns the URL with `application_name=triptych`, unless it names another application.
fn parse(url: &str) -> Result<Url, sqlx::Error> {
    let invalid = |why: &'static str| sqlx::Error::Configuration(why.into());
    // The error of the parser is a constant text, and does not repeat the URL.
    let mut url = Url::parse(url).map_err(|error| sqlx::Error::Configuration(error.into()))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(invalid("expected a URL such as postgres://USER:PASSWORD@HOST/DATABASE"));
    }
    if !url.query_pairs().any(|(name, _)| name == "application_name") {
        url.query_pairs_mut().append_pair("application_name", "triptych");
    }
    Ok(url)
}

fn pool(connections: u32, session: String) -> AnyPoolOptions {
    let session: std::sync::Arc<str> = session.into();
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for < IDLE_BEFORE_TEST {
                    return Ok(true);
                }
                // Not an error: the pool opens another connection.
                Ok(connection.ping().await.is_ok())
            })
        })
        .after_release(|connection, _| Box::pin(is_reusable(connection)))
        .after_connect(move |connection, _| {
            let session = std::sync::Arc::clone(&session);
            Box::pin(async move {
                connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(session.to_string()))).await.map(drop)
            })
        })
}

/// Returns an error if the server is a standby, which cannot be written.
pub(super) async fn probe_writable(pool: Readers<'_>) -> Result<(), sqlx::Error> {
    let standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(pool).await?;
    if standby {
        return Err(sqlx::Error::Protocol("the database server is a standby, which cannot be written".to_owned()));
    }
    Ok(())
}
