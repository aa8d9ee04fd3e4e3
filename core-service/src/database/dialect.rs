//! The differences between the databases.

/// The kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// SQLite in the data directory.
    Sqlite,
    /// PostgreSQL, which several processes can share.
    Postgres,
}

/// Whether a commit is flushed to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// The commit returns after the flush.
    Flushed,
    /// The commit may be lost in a crash of the machine.
    Unflushed,
}

impl Dialect {
    /// Returns the statement that begins a transaction which writes. The durability is a part of it for PostgreSQL; for SQLite
    /// it is a setting of the connection.
    pub(super) const fn begin(self, durability: Durability) -> &'static str {
        match (self, durability) {
            // Takes the write lock at once. A lock that is taken later fails if another process has written meanwhile.
            (Self::Sqlite, _) => "BEGIN IMMEDIATE",
            (Self::Postgres, Durability::Flushed) => "BEGIN",
            (Self::Postgres, Durability::Unflushed) => "BEGIN; SET LOCAL synchronous_commit = off",
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
