//! Sweeps over real files, at times of the test's choosing.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::TryStreamExt;
use tempfile::TempDir;

use super::*;

const HOUR: Duration = Duration::from_hours(1);

#[derive(Debug, Default)]
struct Holding {
    keys: HashSet<&'static str>,
    broken: HashSet<&'static str>,
    away: bool,
}

#[async_trait]
impl MediaReferences for Holding {
    async fn holds(&self, key: &MediaKey) -> Result<bool, Error> {
        if self.away {
            return Err(Error::Storage("away".to_owned()));
        }
        if self.broken.contains(key.as_str()) {
            return Err(Error::Internal("a row that cannot be read".to_owned()));
        }
        Ok(self.keys.contains(key.as_str()))
    }
}

struct Room {
    directory: TempDir,
    media_store: MediaStore,
    now: SystemTime,
}

/// A media_store with files of ten bytes each, unused for so long.
async fn room(files: &[(&str, Duration)]) -> Room {
    let directory = tempfile::tempdir().unwrap();
    let media_store = MediaStore::open(directory.path()).unwrap();
    let room = Room { directory, media_store, now: SystemTime::now() };
    for (name, idle) in files {
        room.media_store.put(&key(name), Bytes::from_static(b"0123456789")).await.unwrap();
        let file = std::fs::File::options().append(true).open(room.directory.path().join(name)).unwrap();
        file.set_modified(room.now - *idle).unwrap();
    }
    room
}

fn key(name: &str) -> MediaKey {
    MediaKey::parse(name).unwrap()
}

impl Room {
    fn sweeper(&self, retention: Option<Duration>, quota_bytes: Option<u64>, holder: Holding) -> Sweeper {
        Sweeper::new(self.media_store.clone(), RetentionPolicy { retention, quota_bytes }, Arc::new(holder))
    }

    fn left(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn unused_media_go_when_their_time_is_over_and_not_before() {
    let room = room(&[("a.png", 3 * HOUR), ("b.png", 2 * HOUR), ("c.png", HOUR)]).await;
    let sweeper = room.sweeper(Some(2 * HOUR), None, Holding::default());
    let swept = sweeper.sweep(room.now).await.unwrap();
    assert_eq!(swept, Swept { removed: 2, removed_bytes: 20, left_bytes: 10 });
    assert_eq!(room.left(), ["c.png"]);
    assert_eq!(sweeper.sweep(room.now + HOUR - Duration::from_secs(1)).await.unwrap().removed, 0);
    assert_eq!(sweeper.sweep(room.now + HOUR).await.unwrap().removed, 1);
}

#[tokio::test]
async fn without_bounds_everything_stays() {
    let room = room(&[("a.png", 100_000 * HOUR)]).await;
    let swept = room.sweeper(None, None, Holding::default()).sweep(room.now).await.unwrap();
    assert_eq!(swept, Swept { left_bytes: 10, ..Swept::default() });
}

#[tokio::test]
async fn the_longest_unused_make_room_and_what_is_fresh_stays() {
    let files =
        [("a.png", 2 * HOUR), ("b.png", 4 * HOUR), ("c.png", HOUR), ("d.png", Duration::ZERO), ("e.png", FRESH / 2)];
    let room = room(&files).await;
    let under = async |quota| {
        room.sweeper(None, Some(quota), Holding::default()).sweep(room.now).await.unwrap();
        room.left()
    };
    assert_eq!(under(50).await.len(), 5);
    assert_eq!(under(49).await, ["a.png", "c.png", "d.png", "e.png"]);
    assert_eq!(under(30).await, ["c.png", "d.png", "e.png"]);
    assert_eq!(under(5).await, ["d.png", "e.png"], "their links may not have been followed yet");
}

#[tokio::test]
async fn what_somebody_holds_stays_and_makes_no_room() {
    let room = room(&[("a.png", 4 * HOUR), ("b.png", 3 * HOUR), ("c.png", 2 * HOUR)]).await;
    let held = || Holding { keys: HashSet::from(["a.png", "c.png"]), ..Holding::default() };
    let swept = room.sweeper(Some(HOUR), Some(1), held()).sweep(room.now).await.unwrap();
    assert_eq!((swept.removed, swept.left_bytes), (1, 20));
    assert_eq!(room.left(), ["a.png", "c.png"]);
}

#[tokio::test]
async fn nothing_is_removed_while_nobody_can_say_what_is_needed() {
    let room = room(&[("a.png", 4 * HOUR)]).await;
    let away = Holding { away: true, ..Holding::default() };
    assert!(room.sweeper(Some(HOUR), Some(1), away).sweep(room.now).await.is_err());
    assert_eq!(room.left(), ["a.png"]);
}

#[tokio::test]
async fn one_owner_that_cannot_be_read_keeps_its_own_file_only() {
    let room = room(&[("a.png", 4 * HOUR), ("b.png", 3 * HOUR)]).await;
    let broken = Holding { broken: HashSet::from(["a.png"]), ..Holding::default() };
    assert_eq!(room.sweeper(Some(HOUR), None, broken).sweep(room.now).await.unwrap().removed, 1);
    assert_eq!(room.left(), ["a.png"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_being_read_stays_to_the_end_of_it_and_a_little_longer() {
    let room = room(&[("a.png", HOUR)]).await;
    let later = room.now + 1000 * HOUR;
    let sweeper = room.sweeper(Some(HOUR), Some(1), Holding::default());
    let (_, reading) = room.media_store.read(&key("a.png"), 0, None).await.unwrap();
    assert_eq!(sweeper.sweep(later).await.unwrap().removed, 0);
    assert_eq!(reading.try_collect::<Vec<_>>().await.unwrap().concat(), b"0123456789");
    assert_eq!(sweeper.sweep(later).await.unwrap().removed, 0, "the reader may come back for more");
    tokio::time::advance(Duration::from_mins(5)).await;
    assert_eq!(sweeper.sweep(later).await.unwrap().removed, 1);
}

#[tokio::test(start_paused = true)]
async fn it_sweeps_at_once_then_again_and_ends_when_it_is_told() {
    let room = room(&[("a.png", 2 * HOUR)]).await;
    let handle = room.sweeper(Some(HOUR), Some(100), Holding::default()).start();
    let gone = async |name: &str| {
        while room.directory.path().join(name).exists() {
            tokio::task::yield_now().await;
        }
    };
    gone("a.png").await;
    room.media_store.put(&key("b.png"), Bytes::from_static(b"b")).await.unwrap();
    let file = std::fs::File::options().append(true).open(room.directory.path().join("b.png")).unwrap();
    file.set_modified(room.now - 2 * HOUR).unwrap();
    tokio::time::advance(EVERY_UNDER_QUOTA).await;
    gone("b.png").await;
    handle.stop().await;
}
