//! The pools of a SQLite file.

use std::{fmt::Write as _, io, path::Path, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, SqliteConnection,
    any::{AnyConnectOptions, AnyPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use tokio::time::{Instant, sleep};
use url::Url;

use super::{
    driver::{DbPool, is_reusable},
    error::OpenError,
    file::OpenFile,
    migrations,
    sequence::SequenceFile,
};

/// The number of read connections. In WAL mode, reads do not wait for writes. A few connections suffice for short queries.
const READERS: u32 = 4;

/// How long a statement waits for the lock of another process before it fails with `SQLITE_BUSY`.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The delay between two attempts to open a file that another process is opening.
const OPEN_RETRY_DELAY: Duration = Duration::from_millis(10);

/// The settings of a connection. The journal mode is a property of the file.
///
/// synchronous: with NORMAL, a power failure could roll back the last commits: an acknowledged job would be lost, and a submitted job
/// would be submitted and billed a second time.
const WRITER: &str = "PRAGMA busy_timeout = 10000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";
const READER: &str =
    "PRAGMA busy_timeout = 10000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA query_only = ON";
const _: () = assert!(BUSY_TIMEOUT.as_millis() == 10_000);

/// The parts of a database that only one in a file has.
#[derive(Debug)]
pub(super) struct SqliteFile {
    pub(super) open: OpenFile,
    pub(super) sequence: SequenceFile,
}

/// Opens the file with a pool for writes, of one connection, and a pool for reads. Creates the file if it does not exist, and migrates
/// the schema.
pub(super) async fn open(file: &Path) -> Result<(DbPool, DbPool, SqliteFile), OpenError> {
    sqlx::any::install_default_drivers();
    let mut first = create(file).await?;
    migrations::run(&mut first, &migrations::SQLITE).await?;
    let one = AnyPoolOptions::new().max_connections(1);
    let one = one.after_release(|connection, _| Box::pin(is_reusable(connection)));
    let writer = connect(one, file, WRITER).await?;
    let readers = connect(AnyPoolOptions::new().max_connections(READERS), file, READER).await?;
    // Closed after the pools were opened: closing the last connection to a file would remove its write-ahead log.
    first.close().await?;
    let sequence = SequenceFile::beside(file);
    let open = OpenFile::at(file).await.map_err(sqlx::Error::Io)?;
    Ok((writer, readers, SqliteFile { open, sequence }))
}

/// Opens a pool whose connections have these settings.
async fn connect(pool: AnyPoolOptions, file: &Path, settings: &'static str) -> Result<DbPool, sqlx::Error> {
    let options = AnyConnectOptions::from_url(&url(file)?)?;
    let pool = pool.after_connect(move |connection, _| {
        Box::pin(async move { connection.execute(sqlx::raw_sql(settings)).await.map(drop) })
    });
    pool.connect_with(options).await
}

/// Returns the URL of a file for sqlx. Every byte that could mean something in a URL is escaped.
fn url(file: &Path) -> Result<Url, sqlx::Error> {
    let not_utf8 = || io::Error::new(io::ErrorKind::InvalidInput, "the path of the database must be valid UTF-8");
    let path = file.to_str().ok_or_else(|| sqlx::Error::Io(not_utf8()))?;
    let mut url = "sqlite:".to_owned();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() {
            url.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url.push_str("?mode=rw");
    Url::parse(&url).map_err(|error| sqlx::Error::Configuration(error.into()))
}

/// Opens a connection; creates the file if it does not exist, and switches it to WAL mode. Retries `SQLITE_BUSY` until [`BUSY_TIMEOUT`],
/// because SQLite's own busy timeout does not cover the switch of a new file: if two processes open the file at the same time, one of
/// them fails immediately.
async fn create(file: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).foreign_keys(true).busy_timeout(BUSY_TIMEOUT);
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match options.connect().await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => sleep(OPEN_RETRY_DELAY).await,
            result => return result,
        }
    }
}

/// The primary result code `SQLITE_BUSY`, in the lowest 8 bits of every extended code.
const SQLITE_BUSY: i32 = 5;
const PRIMARY_CODE_MASK: i32 = 0xff;

/// Returns whether the error is `SQLITE_BUSY` or one of its extended codes.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & PRIMARY_CODE_MASK == SQLITE_BUSY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn path_with_any_characters_is_the_path_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("a b%20?c#d&é");
        std::fs::create_dir(&directory).unwrap();
        let file = directory.join("x/../jobs.sqlite");
        std::fs::create_dir(directory.join("x")).unwrap();
        let (writer, readers, _) = open(&file).await.unwrap();
        for (pool, query_only) in [(writer, 0), (readers, 1)] {
            let settings: Vec<i64> = sqlx::query_scalar(
                "SELECT foreign_keys FROM pragma_foreign_keys UNION ALL SELECT query_only FROM pragma_query_only \
                 UNION ALL SELECT synchronous FROM pragma_synchronous UNION ALL SELECT timeout FROM pragma_busy_timeout",
            )
            .fetch_all(&pool)
            .await
            .unwrap();
            // For `synchronous`, 2 is FULL.
            assert_eq!(settings, [1, query_only, 2, 10_000]);
            let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&pool).await.unwrap();
            assert_eq!(mode, "wal");
            pool.close().await;
        }
        assert!(directory.join("jobs.sqlite").is_file());
    }
}
