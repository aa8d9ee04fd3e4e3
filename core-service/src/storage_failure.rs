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
/// The extended codes of a primary code have it in their lowest 8 bits. `SQLITE_READONLY_DIRECTORY` is that of a directory without
/// permission to write. `SQLITE_CANTOPEN` can also mean that the process has too many open files.
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

/// Returns the error for a failed write of a media file. As [`storage_error`], and a directory without permission to write is not writable.
pub(crate) fn write_error(what: impl Display, cause: &(dyn StdError + 'static)) -> Error {
    if lacks_permission(cause) {
        return Error::StorageNotWritable(format!("{what}: {cause}"));
    }
    storage_error(what, cause)
}

/// The name of the crate `object_store` for directories.
const LOCAL_STORE: &str = "LocalFileSystem";

/// Returns whether a write of a file failed for lack of permission. A bucket that refuses access does not mean this: its credentials
/// may be wrong for some requests only. SQLite does not report permissions, but a read-only database: [`SQLITE_READONLY`].
fn lacks_permission(error: &(dyn StdError + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.clone().all(|error| match error.downcast_ref() {
        Some(object_store::Error::Generic { store, .. }) => *store == LOCAL_STORE,
        Some(_) => false,
        None => true,
    }) && causes.any(|error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    })
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
    use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

    use super::*;

    #[test]
    fn full_and_read_only_file_systems_are_not_writable_behind_any_wrapper() {
        // ENOSPC, EROFS, EDQUOT, EFBIG; EIO has other causes, and EACCES too unless it is the error of a write.
        for (errno, expected) in [(28, true), (30, true), (122, true), (27, true), (5, false), (13, false)] {
            let source = Box::new(io::Error::from_raw_os_error(errno));
            let wrapped = object_store::Error::Generic { store: "local", source };
            assert_eq!(is_not_writable(&wrapped), expected, "errno {errno}");
            let text = storage_error("media a", &wrapped).to_string();
            assert!(text.starts_with("storage") && text.contains("media a: "), "{text}");
        }
    }

    // The permissions of a directory do not apply to the superuser, as whom tests may run. So the errors are made.
    #[test]
    fn write_without_permission_is_not_writable_except_to_a_bucket() {
        let denied = || Box::new(io::Error::from_raw_os_error(13));
        // EACCES, EPERM; EIO.
        for (errno, expected) in [(13, true), (1, true), (5, false)] {
            let source = Box::new(io::Error::from_raw_os_error(errno));
            let wrapped = object_store::Error::Generic { store: LOCAL_STORE, source };
            let error = write_error("media a", &wrapped);
            assert_eq!(matches!(error, Error::StorageNotWritable(_)), expected, "errno {errno}");
            assert!(matches!(storage_error("media a", &wrapped), Error::Storage(_)), "a read, errno {errno}");
        }
        assert!(matches!(write_error("media directory", &*denied()), Error::StorageNotWritable(_)));
        for bucket in [
            object_store::Error::Generic { store: "S3", source: denied() },
            object_store::Error::PermissionDenied { path: "a".to_owned(), source: denied() },
        ] {
            assert!(matches!(write_error("media a", &bucket), Error::Storage(_)), "{bucket}");
        }
    }

    #[tokio::test]
    async fn errors_of_the_local_store_have_the_expected_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let store = object_store::local::LocalFileSystem::new();
        let path = object_store::path::Path::from_absolute_path(file.path().join("a")).unwrap();
        let failed = object_store::ObjectStoreExt::put(&store, &path, "a".into()).await.unwrap_err();
        assert!(matches!(failed, object_store::Error::Generic { store: LOCAL_STORE, .. }), "{failed}");
    }

    #[tokio::test]
    async fn database_file_without_permission_to_write_is_not_writable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sqlite");
        let options = SqliteConnectOptions::new().filename(&path);
        let mut connection = options.clone().create_if_missing(true).connect().await.unwrap();
        sqlx::raw_sql("CREATE TABLE t (a BLOB)").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        // What SQLite also does for a file without permission to write.
        let mut connection = options.read_only(true).connect().await.unwrap();
        let read_only = sqlx::query("INSERT INTO t VALUES (1)").execute(&mut connection).await.unwrap_err();
        assert!(matches!(storage_error("jobs", &read_only), Error::StorageNotWritable(_)), "{read_only}");
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
