//! Group commit on both databases.

use async_trait::async_trait;
use futures_util::future::join_all;

use super::*;
use crate::database::{Database, driver::DbConnection, testing};

/// Inserts a worker with this id. `fails` makes its statement invalid, `panics` the write panic after it.
#[derive(Default)]
struct Insert {
    id: u32,
    fails: bool,
    panics: bool,
}

#[async_trait]
impl Write for Insert {
    type Output = u32;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<u32, sqlx::Error> {
        let statement = if self.fails {
            "INSERT INTO missing_table (id, lease_until) VALUES ($1, 0)"
        } else {
            "INSERT INTO video_workers (id, lease_until) VALUES ($1, 0)"
        };
        sqlx::query(statement).bind(i64::from(self.id)).execute(connection).await?;
        assert!(!self.panics, "scripted panic");
        Ok(self.id)
    }
}

async fn open(directory: &tempfile::TempDir) -> Database {
    testing::open(directory.path()).await
}

async fn count(database: &Database) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM video_workers").fetch_one(database.readers()).await.unwrap()
}

#[tokio::test]
async fn failing_write_of_a_group_does_not_fail_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(&directory).await;
    // While the connection is taken, all writes wait.
    let connection = database.writer().acquire().await.unwrap();
    let writes = join_all((0..50).map(|id| database.write(Insert { id, fails: id == 20, panics: false })));
    let (outputs, ()) = tokio::join!(writes, async { drop(connection) });
    for (id, output) in (0..50).zip(outputs) {
        assert_eq!(output.ok(), (id != 20).then_some(id));
    }
    assert_eq!(count(&database).await, 49);
}

#[tokio::test]
async fn write_that_panics_is_rolled_back_and_later_writes_succeed() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(&directory).await;
    assert!(database.write(Insert { id: 1, panics: true, ..Insert::default() }).await.is_err());
    assert_eq!(database.write(Insert { id: 2, ..Insert::default() }).await.unwrap(), 2);
    assert_eq!(count(&database).await, 1);
}

#[tokio::test]
async fn queued_write_is_committed_after_its_caller_is_cancelled() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(&directory).await;
    let connection = database.writer().acquire().await.unwrap();
    {
        let write = std::pin::pin!(database.write(Insert { id: 1, ..Insert::default() }));
        assert!(futures_util::poll!(write).is_pending());
    }
    drop(connection);
    database.write(Insert { id: 2, ..Insert::default() }).await.unwrap();
    assert_eq!(count(&database).await, 2);
}

#[tokio::test]
async fn close_commits_queued_writes_and_refuses_later_ones() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(&directory).await;
    let write = database.write(Insert { id: 1, ..Insert::default() });
    let (written, ()) = tokio::join!(write, database.close());
    assert_eq!(written.unwrap(), 1);
    assert!(database.write(Insert { id: 2, ..Insert::default() }).await.is_err());
    assert_eq!(count(&open(&directory).await).await, 1);
}

testing::on_postgres! {
    failing_write_of_a_group_does_not_fail_the_others,
    write_that_panics_is_rolled_back_and_later_writes_succeed,
    queued_write_is_committed_after_its_caller_is_cancelled,
    close_commits_queued_writes_and_refuses_later_ones,
}
