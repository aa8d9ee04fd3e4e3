//! The differences between the databases.

/// The kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// SQLite in the data directory.
    Sqlite,
    /// PostgreSQL, which several processes can share.
    Postgres,
}

impl Dialect {
    /// Returns the statement that begins a transaction which writes. A commit that is not `durable` is not flushed to the disk of
    /// PostgreSQL; for SQLite that is a setting of the connection.
    pub(super) const fn begin(self, durable: bool) -> &'static str {
        match (self, durable) {
            // Takes the write lock at once. A lock that is taken later fails if another process has written meanwhile.
            (Self::Sqlite, _) => "BEGIN IMMEDIATE",
            (Self::Postgres, true) => "BEGIN",
            (Self::Postgres, false) => "BEGIN; SET LOCAL synchronous_commit = off",
        }
    }

    /// Returns the statement that begins a transaction whose reads all see the same state.
    pub(super) const fn begin_snapshot(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ",
        }
    }

    /// Returns what follows the name of a table to make the database use this index.
    pub(super) fn index_hint(self, index: &str) -> String {
        match self {
            Self::Sqlite => format!("INDEXED BY {index}"),
            Self::Postgres => String::new(),
        }
    }
}
