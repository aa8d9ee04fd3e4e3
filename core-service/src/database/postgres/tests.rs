//! Behaviour that only PostgreSQL has: several processes, lost connections, the clock of the server.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use futures_util::future::join_all;

use super::*;
use crate::database::{Database, Write, driver::DbConnection, testing::url_of};

/// Connects twice to one database, as two processes do. `None` without PostgreSQL.
async fn two_nodes(directory: &Path) -> Option<[Database; 2]> {
    let url = url_of(directory).await?;
    Some([Database::connect(&url, 4).await.unwrap(), Database::connect(&url, 4).await.unwrap()])
}

/// Inserts a ledger entry, whose number is that of a sequence.
struct InsertEntry {
    item: String,
    /// The pool of another session, which ends that of the write in its first run.
    killer: Option<DbPool>,
    runs: Arc<AtomicU32>,
}

#[async_trait]
impl Write for InsertEntry {
    type Output = i64;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<i64, sqlx::Error> {
        let insert = "INSERT INTO ledger_entries (item, kind, key_name, team, amount, price_version, created_at) \
                      VALUES ($1, 'hold', 'k', '', 1, '', 0) RETURNING sequence";
        let sequence = sqlx::query_scalar(insert).bind(&self.item).fetch_one(&mut *connection).await?;
        if self.runs.fetch_add(1, Ordering::SeqCst) == 0
            && let Some(killer) = &self.killer
        {
            let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *connection).await?;
            let kill = sqlx::query("SELECT pg_terminate_backend($1)").bind(pid);
            kill.execute(killer).await.unwrap();
        }
        Ok(sequence)
    }
}

fn entry(item: impl Into<String>) -> InsertEntry {
    InsertEntry { item: item.into(), killer: None, runs: Arc::default() }
}

#[tokio::test]
async fn numbers_of_two_nodes_are_committed_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let Some(nodes) = two_nodes(directory.path()).await else { return };
    let writes = join_all((0..100).map(|number| nodes[number % 2].write(entry(number.to_string()))));
    let reader = async {
        let mut seen: Vec<i64> = Vec::new();
        while seen.len() < 100 {
            let query = sqlx::query_scalar("SELECT sequence FROM ledger_entries ORDER BY sequence");
            let now: Vec<i64> = query.fetch_all(nodes[0].readers()).await.unwrap();
            // No number appears behind one that was seen before.
            assert!(now.starts_with(&seen), "{seen:?} {now:?}");
            seen = now;
        }
    };
    let (written, ()) = tokio::join!(writes, reader);
    assert!(written.iter().all(Result::is_ok));
    for node in nodes {
        node.close().await;
    }
}

#[tokio::test]
async fn write_whose_session_is_ended_is_repeated_on_another_and_committed_once() {
    let directory = tempfile::tempdir().unwrap();
    let Some([node, other]) = two_nodes(directory.path()).await else { return };
    let runs = Arc::new(AtomicU32::new(0));
    let killed = InsertEntry { killer: Some(other.readers.clone()), runs: Arc::clone(&runs), ..entry("killed") };
    node.write(killed).await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    let count: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM ledger_entries").fetch_one(other.readers()).await.unwrap();
    assert_eq!(count, 1);
    // A statement that fails fails its own write alone, and the connection stays usable.
    let writes = join_all(["a", "killed", "b"].map(|item| node.write(entry(item)))).await;
    assert_eq!(writes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}

#[tokio::test]
async fn outcome_of_a_transaction_is_known_after_its_session_ended() {
    let directory = tempfile::tempdir().unwrap();
    let Some([node, other]) = two_nodes(directory.path()).await else { return };
    let mut marks = CommitMark::new();
    for expected in [Outcome::Aborted, Outcome::Committed, Outcome::Aborted] {
        let mark = marks.next();
        let mut transaction = node.writer().begin().await.unwrap();
        mark.lock(&mut transaction).await.unwrap();
        if expected == Outcome::Committed {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        // Transactions of others change nothing.
        other.write(entry(format!("{mark:?}"))).await.unwrap();
        assert_eq!(outcome(&node.readers, &mark).await, expected);
    }
}

#[tokio::test]
async fn commit_that_a_failover_has_lost_is_aborted() {
    let directory = tempfile::tempdir().unwrap();
    let Some([node, other]) = two_nodes(directory.path()).await else { return };
    let mut marks = CommitMark::new();
    let (earlier, mark) = (marks.next(), marks.next());
    for mark in [&earlier, &mark] {
        let mut transaction = node.writer().begin().await.unwrap();
        mark.lock(&mut transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }
    // The state of a standby that has the first transaction only.
    let query = "DELETE FROM commit_marks WHERE number = 2";
    sqlx::query(query).execute(other.writer()).await.unwrap();
    assert_eq!(outcome(&node.readers, &mark).await, Outcome::Aborted);
    assert_eq!(outcome(&node.readers, &earlier).await, Outcome::Committed);
}

#[tokio::test]
async fn number_of_commit_marks_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let Some([node, _]) = two_nodes(directory.path()).await else { return };
    for number in 0..600 {
        node.write(entry(number.to_string())).await.unwrap();
    }
    let marks: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM commit_marks").fetch_one(node.readers()).await.unwrap();
    // All are of this node: the other one has written nothing.
    assert!(marks <= 256, "{marks}");
}

#[tokio::test]
async fn readers_cannot_write_and_the_clock_is_that_of_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let Some([node, _]) = two_nodes(directory.path()).await else { return };
    let refused = sqlx::query("DELETE FROM video_jobs").execute(node.readers()).await.unwrap_err();
    assert!(crate::storage_failure::is_not_writable(&refused), "{refused}");
    node.probe_jobs().await.unwrap();
    node.probe_writable().await.unwrap();
    let clock = node.clock().unwrap();
    // The server is on this machine.
    let here = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let (first, second) = (clock.now_millis(), clock.now_millis());
    assert!(first <= second && first.abs_diff(here) < 2000, "{first} {second} {here}");
}

#[tokio::test]
async fn unreachable_server_is_an_error_within_seconds_without_the_password() {
    let start = Instant::now();
    let error = Database::connect("postgres://user:pass-word@127.0.0.1:1/db", 4).await.unwrap_err();
    assert!(start.elapsed() < 3 * ACQUIRE_TIMEOUT, "{error}");
    assert!(!error.to_string().contains("pass-word"), "{error}");
    let error = Database::connect("mysql://user:pass-word@127.0.0.1/db", 4).await.unwrap_err();
    assert!(error.to_string().contains("postgres://USER") && !error.to_string().contains("pass-word"), "{error}");
}

#[tokio::test]
async fn read_that_takes_too_long_is_an_error_and_its_connection_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let Some(url) = url_of(directory.path()).await else { return };
    let node = Database::connect(&url, 1).await.unwrap();
    let impatient = Readers::new(&node.readers, Some(Duration::from_millis(100)));
    // `pg_sleep` stands for a server that does not answer.
    for result in [
        sqlx::query("SELECT pg_sleep(60)").fetch_all(impatient).await.map(drop),
        sqlx::query("SELECT pg_sleep(60)").fetch_optional(impatient).await.map(drop),
    ] {
        let late = result.unwrap_err();
        assert!(matches!(&late, sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut), "{late}");
    }
    node.probe_jobs().await.unwrap();
}

#[tokio::test]
async fn small_tables_are_read_by_index_and_no_plan_is_compiled() {
    let directory = tempfile::tempdir().unwrap();
    let Some(url) = url_of(directory.path()).await else { return };
    let node = Database::connect(&url, 4).await.unwrap();
    let fill = "INSERT INTO video_queue (owner, jobs) VALUES ('a', 1); ANALYZE video_queue";
    node.writer().execute(sqlx::raw_sql(fill)).await.unwrap();
    for pool in [&node.writer, &node.readers] {
        for (statement, by_index) in [
            ("SELECT jobs FROM video_queue WHERE owner = 'a'", true),
            ("DELETE FROM video_queue WHERE owner = 'b'", true),
            ("SELECT SUM(jobs) FROM video_queue", false),
        ] {
            let query = sqlx::AssertSqlSafe(format!("EXPLAIN (ANALYZE) {statement}"));
            let Ok(plan) = sqlx::query_scalar::<_, String>(query).fetch_all(pool).await else {
                // The readers cannot delete.
                continue;
            };
            let plan = plan.join("\n");
            assert_eq!(plan.contains("Index"), by_index, "{plan}");
            assert!(!plan.contains("JIT"), "{plan}");
        }
    }
}
