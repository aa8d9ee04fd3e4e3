//! Leases and singleton tasks, on both databases.

use super::*;
use crate::database::testing;

/// A database with a way to end leases.
struct Fixture {
    directory: tempfile::TempDir,
    database: Database,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = testing::open(directory.path()).await;
        Self { directory, database }
    }

    /// Joins as another process.
    async fn join(&self) -> (Node, NodeHandle) {
        let database = testing::open(self.directory.path()).await;
        Node::join(database, NodeCount::default()).await.unwrap()
    }

    async fn ids(&self) -> Vec<String> {
        let query = sqlx::query_scalar("SELECT id FROM nodes ORDER BY id");
        query.fetch_all(self.database.readers()).await.unwrap()
    }

    /// Lets the lease of a node expire.
    async fn expire(&self, node: &Node) {
        let query = sqlx::query("UPDATE nodes SET lease_until = 0 WHERE id = $1");
        query.bind(node.id().as_str()).execute(self.database.writer()).await.unwrap();
    }
}

#[tokio::test]
async fn node_has_a_lease_until_it_leaves() {
    let fixture = Fixture::new().await;
    let (node, handle) = fixture.join().await;
    assert_eq!(fixture.ids().await, [node.id().as_str()]);
    handle.leave().await;
    assert!(fixture.ids().await.is_empty());
}

#[tokio::test]
async fn lease_of_a_killed_node_ends_at_the_next_start_or_when_it_has_expired() {
    let fixture = Fixture::new().await;
    let (first, _) = fixture.join().await;
    let (second, _second_handle) = fixture.join().await;
    if fixture.database.is_shared() {
        assert_eq!((fixture.ids().await.len(), second.count.get()), (2, 2));
        second.renew(Others::RemoveExpired).await.unwrap();
        assert_eq!(fixture.ids().await.len(), 2, "both have leases");
        fixture.expire(&first).await;
        second.renew(Others::Keep).await.unwrap();
        assert_eq!(fixture.ids().await.len(), 2, "the first one may only have had no connection, as the second");
        second.renew(Others::RemoveExpired).await.unwrap();
    }
    assert_eq!((fixture.ids().await, second.count.get()), (vec![second.id().to_string()], 1));
    // A node that was only paused renews its lease.
    first.renew(Others::Keep).await.unwrap();
    assert_eq!(fixture.ids().await.len(), 2);
}

#[tokio::test]
async fn singleton_task_belongs_to_one_node_until_that_leaves() {
    let fixture = Fixture::new().await;
    if !fixture.database.is_shared() {
        assert!(fixture.join().await.0.singleton_task("sweep").is_mine().await.unwrap(), "there is no other node");
        return;
    }
    let (first, first_handle) = fixture.join().await;
    let (second, _second_handle) = fixture.join().await;
    assert!(
        first.singleton_task("sweep").is_mine().await.unwrap()
            && first.singleton_task("sweep").is_mine().await.unwrap()
    );
    assert!(!second.singleton_task("sweep").is_mine().await.unwrap());
    assert!(second.singleton_task("another").is_mine().await.unwrap());
    first_handle.leave().await;
    assert!(second.singleton_task("sweep").is_mine().await.unwrap());
    assert!(!first.singleton_task("sweep").is_mine().await.unwrap(), "it has no lease");
}

testing::on_postgres! {
    node_has_a_lease_until_it_leaves,
    lease_of_a_killed_node_ends_at_the_next_start_or_when_it_has_expired,
    singleton_task_belongs_to_one_node_until_that_leaves,
}
