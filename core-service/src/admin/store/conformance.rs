//! The guarantees of every store of keys, each tested with the memory store, and with the SQL store on both databases.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use tempfile::TempDir;

use super::{KeyStore, memory::MemoryKeyStore, sql::SqlKeyStore};
use crate::{
    config::AccountLimits,
    database::testing,
    keys::{GeneratedSecret, KeyChange, KeyDefinition, KeyRecord, Keys, StoredKey},
    on_disconnect::OnDisconnect,
    priority::Priority,
    usd::Usd,
};

/// A store with the keys that its changes are applied to.
struct Fixture {
    store: Arc<dyn KeyStore>,
    keys: Keys,
    directory: Option<TempDir>,
}

impl Fixture {
    fn memory() -> Self {
        let keys = Keys::default();
        Self { store: Arc::new(MemoryKeyStore::new(keys.clone())), keys, directory: None }
    }

    async fn sql() -> Self {
        let (directory, keys) = (tempfile::tempdir().unwrap(), Keys::default());
        let database = testing::open(directory.path()).await;
        let store = Arc::new(SqlKeyStore::new(database, keys.clone()));
        Self { store, keys, directory: Some(directory) }
    }

    /// Returns the revision of a key in the [`Keys`] that calls are checked against.
    fn applied(&self, name: &str) -> Option<u32> {
        match self.keys.record(name) {
            Some(KeyRecord::Stored(key)) => Some(key.revision),
            Some(KeyRecord::Configured(_)) | None => None,
        }
    }
}

fn key(name: &str) -> StoredKey {
    let created = KeyChange { at: UNIX_EPOCH + Duration::from_millis(1_800_000_000_123), by: "root".to_owned() };
    StoredKey {
        definition: KeyDefinition { name: name.to_owned(), ..KeyDefinition::default() },
        revision: 1,
        secret: Some(GeneratedSecret::generate().digest()),
        previous_secret: None,
        expires_at: None,
        updated: created.clone(),
        created,
        revoked_at: None,
    }
}

/// A key with a value in every field.
fn full_key() -> StoredKey {
    let key = key("full");
    let later = key.created.at + Duration::from_mins(1);
    StoredKey {
        definition: KeyDefinition {
            team: "research".to_owned(),
            admin: true,
            on_disconnect: Some(OnDisconnect::Grace(Duration::from_secs(90))),
            priority: Priority::High,
            limits: AccountLimits {
                models: vec!["gpt-*".to_owned()],
                requests_per_minute: 1,
                tokens_per_minute: 2,
                concurrent_calls: 3,
                jobs_in_flight: 4,
                budget_per_day: Usd::parse("0.50"),
                budget_per_month: Usd::parse("0"),
                budget_total: Usd::parse("1000000.000001"),
            },
            ..key.definition
        },
        revision: 1,
        previous_secret: Some((GeneratedSecret::generate().digest(), later)),
        expires_at: Some(later),
        updated: KeyChange { at: later, by: "other".to_owned() },
        revoked_at: Some(later),
        ..key
    }
}

macro_rules! conformance {
    ($($guarantee:ident,)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $guarantee() {
                super::$guarantee(super::Fixture::memory()).await;
            })*
        }
        mod sql {
            $(#[tokio::test]
            async fn $guarantee() {
                super::$guarantee(super::Fixture::sql().await).await;
            })*

            crate::database::testing::on_postgres!($($guarantee),*);
        }
    };
}

conformance! {
    keys_are_read_as_they_were_written_in_the_order_of_their_names,
    of_concurrent_inserts_with_one_name_one_wins,
    replacement_must_be_based_on_the_newest_revision,
    change_of_a_dropped_caller_is_applied,
}

async fn keys_are_read_as_they_were_written_in_the_order_of_their_names(fixture: Fixture) {
    let Fixture { store, .. } = &fixture;
    let keys = [key("a"), full_key(), key("z")];
    for index in [2, 0, 1] {
        assert_eq!(store.insert(keys[index].clone()).await, Ok(true));
    }
    assert_eq!(store.keys().await.unwrap(), keys);
    drop(fixture.directory);
}

async fn of_concurrent_inserts_with_one_name_one_wins(fixture: Fixture) {
    let keys: Vec<_> = (0..8).map(|_| key("a")).collect();
    let inserts = keys.iter().map(|key| fixture.store.insert(key.clone()));
    let inserted: Vec<_> = futures_util::future::join_all(inserts).await;
    let winners: Vec<_> = keys.iter().zip(&inserted).filter(|(_, inserted)| **inserted == Ok(true)).collect();
    let [(winner, _)] = &*winners else { panic!("{inserted:?}") };
    assert_eq!(fixture.store.keys().await.unwrap(), [StoredKey::clone(winner)]);
    assert_eq!(fixture.keys.record("a"), Some(KeyRecord::Stored(StoredKey::clone(winner))));
}

async fn replacement_must_be_based_on_the_newest_revision(fixture: Fixture) {
    let Fixture { store, .. } = &fixture;
    let first = key("a");
    assert_eq!(store.replace(StoredKey { revision: 2, ..first.clone() }).await, Ok(false), "there is none");
    assert_eq!(store.insert(first.clone()).await, Ok(true));
    assert_eq!(fixture.applied("a"), Some(1));
    let second = StoredKey { revision: 2, definition: full_key().definition, ..first.clone() };
    let second = StoredKey { definition: KeyDefinition { name: "a".to_owned(), ..second.definition }, ..second };
    assert_eq!(store.replace(second.clone()).await, Ok(true));
    for stale in [1, 2, 4] {
        assert_eq!(store.replace(StoredKey { revision: stale, ..first.clone() }).await, Ok(false), "{stale}");
    }
    assert_eq!(store.keys().await.unwrap(), [second]);
    // The insert and the replacement.
    assert_eq!(store.changes().await, Ok(2));
    assert_eq!(fixture.applied("a"), Some(2));
    // Changes that arrive late do not bring an old revision back.
    fixture.keys.apply(&first);
    assert_eq!(fixture.applied("a"), Some(2));
}

async fn change_of_a_dropped_caller_is_applied(fixture: Fixture) {
    use futures_util::FutureExt as _;
    // Polled once, so that the write is queued, and dropped.
    let _ = fixture.store.insert(key("a")).now_or_never();
    // A later write is committed after it.
    assert_eq!(fixture.store.insert(key("b")).await, Ok(true));
    assert_eq!((fixture.applied("a"), fixture.applied("b")), (Some(1), Some(1)));
}
