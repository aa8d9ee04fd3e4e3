//! Failures of the database and of the media files, and which of them mean that nothing can be written.

use std::{error::Error as StdError, fmt::Display, io};

use crate::error::Error;

/// The result codes of SQLite for a full disk or quota, a read-only file, and a write, flush or extension of a file that failed.
/// For an exceeded limit of the file size, SQLite reports a failed write. Source: <https://sqlite.org/rescode.html>.
const NOT_WRITABLE: [i32; 8] = [
    SQLITE_FULL,
    778,  // SQLITE_IOERR_WRITE
    1034, // SQLITE_IOERR_FSYNC
    1290, // SQLITE_IOERR_DIR_FSYNC
    1546, // SQLITE_IOERR_TRUNCATE
    4874, // SQLITE_IOERR_SHMSIZE
    5386, // SQLITE_IOERR_SHMMAP
    SQLITE_READONLY,
];
const SQLITE_FULL: i32 = 13;
const SQLITE_READONLY: i32 = 8;
/// The extended codes of a primary code have it in their lowest 8 bits.
const PRIMARY_CODE_MASK: i32 = 0xff;

/// The length of a code of PostgreSQL; SQLite's result codes are shorter.
const SQLSTATE_LENGTH: usize = 5;
/// `read_only_sql_transaction`, of a standby, and `disk_full`. Source:
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
const NOT_WRITABLE_SQLSTATES: [&str; 2] = ["25006", "53100"];

/// Returns the error for a failure of the database or of a media file. `what` precedes its text.
pub(crate) fn storage_error(what: impl Display, cause: &(dyn StdError + 'static)) -> Error {
    let text = format!("{what}: {cause}");
    if is_not_writable(cause) { Error::StorageNotWritable(text) } else { Error::Storage(text) }
}

/// Returns whether an error, or one of its causes, says that the disk is full or read-only.
pub(crate) fn is_not_writable(error: &(dyn StdError + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source()).any(|error| {
        let code = error.downcast_ref::<sqlx::Error>().and_then(|error| error.as_database_error()?.code());
        let sqlstate = code.as_deref().filter(|code| code.len() == SQLSTATE_LENGTH);
        let code = code.as_deref().filter(|code| code.len() != SQLSTATE_LENGTH).and_then(|code| code.parse().ok());
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        sqlstate.is_some_and(|code| NOT_WRITABLE_SQLSTATES.contains(&code))
            || code.is_some_and(|code: i32| NOT_WRITABLE.contains(&code) || code & PRIMARY_CODE_MASK == SQLITE_READONLY)
            || kind.is_some_and(|kind| {
                use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
                [FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull].contains(&kind)
            })
    })
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, SqliteConnection};

    use super::*;

    #[test]
    fn full_and_read_only_file_systems_are_not_writable_behind_any_wrapper() {
        // ENOSPC, EROFS, EDQUOT, EFBIG; EIO and EACCES have other causes.
        for (errno, expected) in [(28, true), (30, true), (122, true), (27, true), (5, false), (13, false)] {
            let source = Box::new(io::Error::from_raw_os_error(errno));
            let wrapped = object_store::Error::Generic { store: "local", source };
            assert_eq!(is_not_writable(&wrapped), expected, "errno {errno}");
            let text = storage_error("media a", &wrapped).to_string();
            assert!(text.starts_with("storage") && text.contains("media a: "), "{text}");
        }
    }

    #[tokio::test]
    async fn only_failures_of_full_and_read_only_databases_are_storage_not_writable() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::raw_sql("CREATE TABLE t (a BLOB); PRAGMA max_page_count = 4").execute(&mut connection).await.unwrap();
        let full = sqlx::query("INSERT INTO t VALUES (zeroblob(100000))").execute(&mut connection).await.unwrap_err();
        assert!(is_not_writable(&full), "{full}");
        sqlx::raw_sql("PRAGMA query_only = ON").execute(&mut connection).await.unwrap();
        let read_only = sqlx::query("INSERT INTO t VALUES (1)").execute(&mut connection).await.unwrap_err();
        assert!(matches!(storage_error("jobs", &read_only), Error::StorageNotWritable(_)), "{read_only}");
        let missing = sqlx::query("SELECT * FROM missing").fetch_all(&mut connection).await.unwrap_err();
        assert!(matches!(storage_error("jobs", &missing), Error::Storage(_)), "{missing}");
    }
}
