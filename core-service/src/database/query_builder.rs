//! Statements that are composed at run time.

use std::fmt::{Display, Write as _};

use sqlx::{Arguments as _, AssertSqlSafe, Encode, Type};

use super::driver::{Db, DbArguments, DbQuery};

/// A statement under construction, with numbered parameters. The builder of sqlx writes `?` for a parameter, which PostgreSQL does not
/// understand.
#[derive(Default)]
pub(crate) struct QueryBuilder {
    sql: String,
    arguments: DbArguments,
    /// The number of parameters.
    count: usize,
}

impl QueryBuilder {
    /// Begins a statement with this text.
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), ..Self::default() }
    }

    /// Appends text, which must not come from a client.
    pub(crate) fn push(&mut self, sql: impl Display) -> &mut Self {
        // Writing to a String does not fail.
        let _ = write!(self.sql, "{sql}");
        self
    }

    /// Appends a parameter with this value.
    pub(crate) fn push_bind<'t, T: Encode<'t, Db> + Type<Db>>(&mut self, value: T) -> &mut Self {
        // The encoder of this driver copies the value and does not fail. If it did, the database would refuse the statement for the
        // number of its parameters.
        let _ = self.arguments.add(value);
        self.count += 1;
        let number = self.count;
        self.push(format_args!("${number}"))
    }

    /// Returns the statement.
    pub(crate) fn build(&mut self) -> DbQuery<'static> {
        let Self { sql, arguments, .. } = std::mem::take(self);
        sqlx::query_with(AssertSqlSafe(sql), arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;

    #[tokio::test]
    async fn parameters_are_numbered_in_their_order() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("jobs.sqlite")).await.unwrap();
        let mut query = QueryBuilder::new("SELECT ");
        query.push_bind("a").push(" || ").push_bind("b").push(" AS text");
        assert_eq!(query.sql, "SELECT $1 || $2 AS text");
        let row = query.build().fetch_one(database.readers()).await.unwrap();
        assert_eq!(sqlx::Row::get::<String, _>(&row, "text"), "ab");
    }
}
