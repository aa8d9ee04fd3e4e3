//! The differences between the databases that statements of the stores meet.

/// The kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite in the data directory.
    Sqlite,
}

impl Dialect {
    /// Returns the statement that begins a transaction which writes.
    pub(super) const fn begin(self, _durable: bool) -> &'static str {
        match self {
            // Takes the write lock at once. A lock that is taken later fails if another process has written meanwhile.
            Self::Sqlite => "BEGIN IMMEDIATE",
        }
    }

    /// Returns the statement that begins a transaction whose reads all see the same state.
    pub(super) const fn begin_snapshot(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
        }
    }

    /// Returns what follows the name of a table to make the database use this index.
    pub(super) fn index_hint(self, index: &str) -> String {
        match self {
            Self::Sqlite => format!("INDEXED BY {index}"),
        }
    }
}
