//! Sweeps over real files and a real index, at times that the tests choose.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::TryStreamExt;
use tempfile::TempDir;

use super::*;

const HOUR: Duration = Duration::from_hours(1);

/// The references that a test chooses.
#[derive(Debug, Default)]
struct References {
    referenced: HashSet<&'static str>,
    /// The files whose references cannot be read.
    unreadable: HashSet<&'static str>,
    /// Whether no references can be read.
    unavailable: bool,
}

#[async_trait]
impl MediaReferences for References {
    async fn is_referenced(&self, key: &MediaKey) -> Result<bool, Error> {
        if self.unavailable {
            return Err(Error::Storage("unavailable".to_owned()));
        }
        if self.unreadable.contains(key.as_str()) {
            return Err(Error::Internal("a row that cannot be read".to_owned()));
        }
        Ok(self.referenced.contains(key.as_str()))
    }
}

struct Fixture {
    directory: TempDir,
    media_store: MediaStore,
    now: SystemTime,
}

/// A store with files of ten bytes each, and how long each has not been used.
async fn fixture(files: &[(&str, Duration)]) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let media_store = MediaStore::for_test(directory.path());
    let fixture = Fixture { directory, media_store, now: SystemTime::now() };
    for (name, idle) in files {
        fixture.put(name, *idle).await;
    }
    fixture
}

fn key(name: &str) -> MediaKey {
    MediaKey::parse(name).unwrap()
}

impl Fixture {
    async fn put(&self, name: &str, idle: Duration) {
        self.media_store.put(&key(name), Bytes::from_static(b"0123456789")).await.unwrap();
        self.media_store.set_last_used(&key(name), self.now - idle).await;
    }

    fn sweeper(&self, retention: Option<Duration>, quota_bytes: Option<u64>, references: References) -> Sweeper {
        Sweeper::new(self.media_store.clone(), RetentionPolicy { retention, quota_bytes }, Arc::new(references))
    }

    fn remaining(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.directory.path().join("media")).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn unused_file_is_removed_when_its_retention_ends_and_not_before() {
    let fixture = fixture(&[("a.png", 3 * HOUR), ("b.png", 2 * HOUR), ("c.png", HOUR)]).await;
    let sweeper = fixture.sweeper(Some(2 * HOUR), None, References::default());
    let report = sweeper.sweep(fixture.now).await.unwrap();
    assert_eq!(report, SweepReport { removed: 2, removed_bytes: 20, remaining_bytes: 10 });
    assert_eq!(fixture.remaining(), ["c.png"]);
    assert_eq!(sweeper.sweep(fixture.now + HOUR - Duration::from_secs(1)).await.unwrap().removed, 0);
    assert_eq!(sweeper.sweep(fixture.now + HOUR).await.unwrap().removed, 1);
}

#[tokio::test]
async fn sweep_without_limits_removes_nothing() {
    let fixture = fixture(&[("a.png", 100_000 * HOUR)]).await;
    let report = fixture.sweeper(None, None, References::default()).sweep(fixture.now).await.unwrap();
    assert_eq!(report, SweepReport { remaining_bytes: 10, ..SweepReport::default() });
}

#[tokio::test]
async fn quota_removes_least_recently_used_files_and_keeps_recently_used_ones() {
    let files = [
        ("a.png", 2 * HOUR),
        ("b.png", 4 * HOUR),
        ("c.png", HOUR),
        ("d.png", Duration::ZERO),
        ("e.png", REUSE_WINDOW / 2),
    ];
    let fixture = fixture(&files).await;
    let remaining_under = async |quota| {
        fixture.sweeper(None, Some(quota), References::default()).sweep(fixture.now).await.unwrap();
        fixture.remaining()
    };
    assert_eq!(remaining_under(50).await.len(), 5);
    assert_eq!(remaining_under(49).await, ["a.png", "c.png", "d.png", "e.png"]);
    assert_eq!(remaining_under(30).await, ["c.png", "d.png", "e.png"]);
    assert_eq!(remaining_under(5).await, ["d.png", "e.png"], "their links may not have been followed yet");
}

#[tokio::test]
async fn sweep_continues_over_all_batches() {
    let fixture = fixture(&[]).await;
    let count = u64::from(BATCH) + 5;
    for number in 0..count {
        fixture.put(&format!("{number}.png"), 2 * HOUR).await;
    }
    let references = References { referenced: HashSet::from(["0.png", "7.png"]), ..References::default() };
    let report = fixture.sweeper(Some(HOUR), None, references).sweep(fixture.now).await.unwrap();
    assert_eq!(report, SweepReport { removed: count - 2, removed_bytes: (count - 2) * 10, remaining_bytes: 20 });
    assert_eq!(fixture.remaining(), ["0.png", "7.png"]);
}

#[tokio::test]
async fn referenced_file_is_kept_even_over_quota() {
    let fixture = fixture(&[("a.png", 4 * HOUR), ("b.png", 3 * HOUR), ("c.png", 2 * HOUR)]).await;
    let references = References { referenced: HashSet::from(["a.png", "c.png"]), ..References::default() };
    let report = fixture.sweeper(Some(HOUR), Some(1), references).sweep(fixture.now).await.unwrap();
    assert_eq!((report.removed, report.remaining_bytes), (1, 20));
    assert_eq!(fixture.remaining(), ["a.png", "c.png"]);
}

#[tokio::test]
async fn nothing_is_removed_while_the_references_are_unavailable() {
    let fixture = fixture(&[("a.png", 4 * HOUR)]).await;
    let unavailable = References { unavailable: true, ..References::default() };
    assert!(fixture.sweeper(Some(HOUR), Some(1), unavailable).sweep(fixture.now).await.is_err());
    assert_eq!(fixture.remaining(), ["a.png"]);
}

#[tokio::test]
async fn unreadable_reference_keeps_only_its_own_file() {
    let fixture = fixture(&[("a.png", 4 * HOUR), ("b.png", 3 * HOUR)]).await;
    let unreadable = References { unreadable: HashSet::from(["a.png"]), ..References::default() };
    assert_eq!(fixture.sweeper(Some(HOUR), None, unreadable).sweep(fixture.now).await.unwrap().removed, 1);
    assert_eq!(fixture.remaining(), ["a.png"]);
}

#[tokio::test(start_paused = true)]
async fn file_being_read_is_kept_until_the_reuse_window_after_the_read_ends() {
    let fixture = fixture(&[("a.png", HOUR)]).await;
    // Long after every pin in the database has expired.
    let later = fixture.now + 1000 * HOUR;
    let sweeper = fixture.sweeper(Some(HOUR), Some(1), References::default());
    let (_, bytes) = fixture.media_store.read(&key("a.png"), 0, None).await.unwrap();
    assert_eq!(sweeper.sweep(later).await.unwrap().removed, 0);
    assert_eq!(bytes.try_collect::<Vec<_>>().await.unwrap().concat(), b"0123456789");
    assert_eq!(sweeper.sweep(later).await.unwrap().removed, 0, "the reader may return for the next range");
    tokio::time::advance(REUSE_WINDOW).await;
    assert_eq!(sweeper.sweep(later).await.unwrap().removed, 1);
}

#[tokio::test(start_paused = true)]
async fn started_sweeper_sweeps_at_once_and_at_intervals_until_it_is_stopped() {
    let fixture = fixture(&[("a.png", 2 * HOUR)]).await;
    let handle = fixture.sweeper(Some(HOUR), Some(100), References::default()).start(SingletonTask::of_the_only_node());
    let until_removed = async |name: &str| {
        while fixture.directory.path().join("media").join(name).exists() {
            tokio::task::yield_now().await;
        }
    };
    until_removed("a.png").await;
    fixture.put("b.png", 2 * HOUR).await;
    tokio::time::advance(QUOTA_INTERVAL).await;
    until_removed("b.png").await;
    handle.stop().await;
}
