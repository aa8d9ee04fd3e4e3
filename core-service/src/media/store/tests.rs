//! The media store over a real directory and a real database.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use object_store::memory::InMemory;

use super::{
    index::{PIN_DURATION, PIN_INTERVAL},
    *,
};
use crate::{database::testing, error::ProviderError};

/// The maximum length of a stored stream, longer than all streams here.
const LIMIT: u64 = 64 << 20;

async fn media_store() -> (tempfile::TempDir, MediaStore) {
    let directory = tempfile::tempdir().unwrap();
    let media_store = open(directory.path()).await;
    (directory, media_store)
}

/// Opens the store of a directory, as a process does at its start.
async fn open(directory: &Path) -> MediaStore {
    let database = testing::open(directory).await;
    MediaStore::local(&directory.join("media"), database).await.unwrap()
}

fn key(text: &str) -> MediaKey {
    MediaKey::parse(text).unwrap()
}

fn names(directory: &tempfile::TempDir) -> Vec<String> {
    let files = std::fs::read_dir(directory.path().join("media")).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn collect(media_store: &MediaStore, key: &MediaKey, offset: u64, length: Option<u64>) -> Vec<Bytes> {
    let (_, bytes) = media_store.read(key, offset, length).await.unwrap();
    bytes.try_collect().await.unwrap()
}

/// Bytes whose values depend on their positions.
fn pattern(length: usize) -> Bytes {
    (0..length).map(|position| u8::try_from(position % 251).unwrap()).collect()
}

async fn candidate(media_store: &MediaStore, key: &MediaKey) -> Candidate {
    let candidates = media_store.least_recently_used(None, 100).await.unwrap();
    candidates.into_iter().find(|candidate| candidate.key == *key).unwrap()
}

#[tokio::test]
async fn stored_file_is_described_read_and_removed() {
    let (directory, media_store) = media_store().await;
    let key = key("a.png");
    assert_eq!(media_store.describe(&key).await, Err(Error::MediaNotFound("a.png".to_owned())));
    let media = media_store.put(&key, Bytes::from_static(b"0123456789")).await.unwrap();
    assert_eq!((media.key.as_str(), media.media_type.as_str(), media.size_bytes), ("a.png", "image/png", 10));
    assert_eq!(media_store.describe(&key).await, Ok(media));
    assert_eq!(media_store.total_bytes().await, Ok(10));
    assert_eq!(media_store.index.dump().await, ["a.png ready 10"]);
    assert_eq!(collect(&media_store, &key, 0, None).await.concat(), b"0123456789");
    media_store.remove(&key).await.unwrap();
    media_store.remove(&key).await.unwrap();
    assert!(matches!(media_store.read(&key, 0, None).await.map(|_| ()), Err(Error::MediaNotFound(_))));
    assert!(names(&directory).is_empty() && media_store.index.dump().await.is_empty());
}

#[tokio::test]
async fn equal_content_is_stored_once() {
    let (directory, media_store) = media_store().await;
    for length in [10, MAX_INLINE_HASH_BYTES + 1] {
        let first = media_store.put_content(pattern(length), MediaType::Webp).await.unwrap();
        let second = media_store.put_content(pattern(length), MediaType::Webp).await.unwrap();
        assert_eq!(first, second);
        assert_eq!(first.key, MediaKey::from_content(&pattern(length), MediaType::Webp).as_str());
    }
    assert_eq!(names(&directory).len(), 2);
}

#[tokio::test]
async fn range_is_exact_and_split_into_bounded_chunks() {
    let local = media_store().await;
    let remote = MediaStore { objects: Arc::new(InMemory::new()), ..local.1.clone() };
    for media_store in [&local.1, &remote] {
        let (key, all) = (key("v.mp4"), pattern(3 * MAX_CHUNK_BYTES + 17));
        media_store.put(&key, all.clone()).await.unwrap();
        let chunks = collect(media_store, &key, 0, None).await;
        assert!(chunks.len() >= 4 && chunks.iter().all(|chunk| chunk.len() <= MAX_CHUNK_BYTES));
        assert_eq!(chunks.concat(), all);
        for (offset, length) in [(0, 1), (1, 0), (5, 300_000), (3 * MAX_CHUNK_BYTES as u64 + 16, 1)] {
            let (from, to) = (usize::try_from(offset).unwrap(), usize::try_from(offset + length).unwrap());
            let read = collect(media_store, &key, offset, Some(length)).await.concat();
            assert_eq!(read, all[from..to], "{offset}+{length}");
        }
        assert_eq!(collect(media_store, &key, 10, Some(u64::MAX)).await.concat(), all[10..]);
    }
}

#[tokio::test]
async fn range_beyond_the_end_is_refused_with_the_size() {
    let (_directory, media_store) = media_store().await;
    let key = key("a.jpg");
    media_store.put(&key, Bytes::from_static(b"0123")).await.unwrap();
    for offset in [4, 5, u64::MAX] {
        let read = media_store.read(&key, offset, Some(1)).await.map(|_| ());
        assert_eq!(read, Err(Error::RangeNotSatisfiable { size: 4 }));
    }
}

#[tokio::test]
async fn stream_is_stored_completely_and_can_be_stored_again() {
    let (directory, media_store) = media_store().await;
    let key = key("video_1.mp4");
    // More than one part of the multipart upload.
    let all = pattern(11 << 20);
    for _ in 0..2 {
        let chunks: Vec<_> = all.chunks(70_001).map(|chunk| Ok::<_, ProviderError>(all.slice_ref(chunk))).collect();
        let media = media_store.put_stream(&key, stream::iter(chunks), LIMIT).await.unwrap();
        assert_eq!(media.size_bytes, all.len() as u64);
    }
    assert_eq!(media_store.bytes(&key, LIMIT).await.unwrap(), all);
    assert_eq!(names(&directory), ["video_1.mp4"]);
}

/// A buffer of 1 MiB that counts how many of its kind exist.
struct Counted(Vec<u8>, Arc<AtomicUsize>);

impl Counted {
    fn new(existing: &Arc<AtomicUsize>) -> Self {
        existing.fetch_add(1, Relaxed);
        Self(vec![7; 1 << 20], Arc::clone(existing))
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Relaxed);
    }
}

#[tokio::test]
async fn long_stream_is_stored_with_bounded_memory() {
    let (_directory, media_store) = media_store().await;
    let existing = Arc::new(AtomicUsize::new(0));
    let mut most = 0;
    // A fast upstream: the next chunk is always available.
    let chunks = (0..128).map(|_| {
        let chunk = Bytes::from_owner(Counted::new(&existing));
        most = most.max(existing.load(Relaxed));
        Ok::<_, ProviderError>(chunk)
    });
    let media = media_store.put_stream(&key("video_1.mp4"), stream::iter(chunks), 1 << 30).await.unwrap();
    assert_eq!(media.size_bytes, 128 << 20);
    assert!((1..=32).contains(&most), "{most} MiB in memory at once");
    assert_eq!(existing.load(Relaxed), 0);
}

#[tokio::test]
async fn failed_or_too_long_stream_leaves_the_stored_file_unchanged() {
    let (directory, media_store) = media_store().await;
    let (old, new) = (key("video_1.mp4"), key("video_2.mp4"));
    media_store.put(&old, Bytes::from_static(b"old")).await.unwrap();
    for key in [&old, &new] {
        let failing = [Ok(pattern(6 << 20)), Err(ProviderError::unavailable("reset".to_owned()))];
        let error = media_store.put_stream(key, stream::iter(failing), LIMIT).await.unwrap_err();
        assert_eq!(error, Error::Provider(ProviderError::unavailable("reset".to_owned())));
        let long = [Ok::<_, ProviderError>(pattern(6)), Ok(pattern(5))];
        let error = media_store.put_stream(key, stream::iter(long), 10).await.unwrap_err();
        assert!(matches!(error, Error::Provider(ProviderError::Unreadable(_))));
    }
    assert_eq!(media_store.bytes(&old, 3).await.unwrap(), "old");
    assert_eq!(names(&directory), ["video_1.mp4"]);
    assert_eq!(media_store.index.dump().await, ["video_1.mp4 ready 3"]);
}

#[tokio::test]
async fn killed_upload_is_cleaned_up_when_its_lease_has_expired() {
    let (directory, media_store) = media_store().await;
    let (old, new, stored) = (key("old.mp4"), key("new.mp4"), key("stored.mp4"));
    media_store.put(&old, Bytes::from_static(b"old")).await.unwrap();
    for key in [&old, &new, &stored] {
        // Stands for a process that is killed here: dropping the upload changes nothing.
        let owner = Owner::default();
        drop(Upload::begin(&media_store.index, key, &owner).await.unwrap());
    }
    let media = directory.path().join("media");
    for name in ["old.mp4#1", "new.mp4#1", "new.mp4#3"] {
        std::fs::write(media.join(name), "part").unwrap();
    }
    // These processes had published their objects already.
    std::fs::write(media.join("stored.mp4"), "stored").unwrap();
    std::fs::write(media.join("old.mp4"), "replaced").unwrap();

    media_store.clean_up(SystemTime::now() + PIN_DURATION / 2).await.unwrap();
    assert_eq!(names(&directory).len(), 5, "the uploads may still be in progress");
    media_store.clean_up(SystemTime::now() + PIN_DURATION * 2).await.unwrap();
    assert_eq!(names(&directory), ["old.mp4"]);
    assert_eq!(media_store.index.dump().await, ["old.mp4 ready 8"]);
}

#[tokio::test]
async fn upload_is_registered_while_it_is_in_progress_and_protects_the_file_it_replaces() {
    let (_directory, media_store) = media_store().await;
    let key = key("a.mp4");
    media_store.put(&key, pattern(5)).await.unwrap();
    media_store.set_last_used(&key, SystemTime::UNIX_EPOCH).await;
    let unused = candidate(&media_store, &key).await;
    let owner = Owner::default();
    let upload = Upload::begin(&media_store.index, &key, &owner).await.unwrap();
    assert_eq!(media_store.index.dump().await, ["a.mp4 ready 5", "upload a.mp4"]);
    assert_eq!(media_store.remove_if_unused(&unused, SystemTime::now()).await, Ok(false));
    upload.write(&*media_store.objects, pattern(7).into(), Attributes::default()).await.unwrap();
    assert_eq!(media_store.index.dump().await, ["a.mp4 ready 7"]);
}

#[tokio::test]
async fn interrupted_removal_is_completed_by_the_next_sweep() {
    let (directory, media_store) = media_store().await;
    let key = key("a.png");
    media_store.put(&key, pattern(5)).await.unwrap();
    drop(media_store.index.begin_removal(&key, SystemTime::now()).await.unwrap());
    assert!(matches!(media_store.describe(&key).await, Err(Error::MediaNotFound(_))));
    media_store.clean_up(SystemTime::now()).await.unwrap();
    assert_eq!(names(&directory), ["a.png"], "its process may still be at work");
    media_store.clean_up(SystemTime::now() + REMOVAL_LEASE * 2).await.unwrap();
    assert!(names(&directory).is_empty() && media_store.index.dump().await.is_empty());
}

#[tokio::test]
async fn upload_waits_for_a_removal_of_the_same_key() {
    let (_directory, media_store) = media_store().await;
    let key = key("a.png");
    media_store.put(&key, pattern(5)).await.unwrap();
    let removal = media_store.index.begin_removal(&key, SystemTime::now()).await.unwrap();
    let mut upload = std::pin::pin!(media_store.put(&key, pattern(7)));
    let early = tokio::time::timeout(std::time::Duration::from_millis(100), &mut upload).await;
    assert!(early.is_err(), "the removal would delete the new object");
    // Together: the upload may be next in line for the only connection, and must then be polled.
    let (removed, uploaded) = tokio::join!(media_store.finish_removal(removal), upload);
    removed.unwrap();
    uploaded.unwrap();
    assert_eq!(media_store.bytes(&key, 10).await.unwrap(), pattern(7));
}

#[tokio::test]
async fn upload_takes_the_place_of_a_removal_whose_lease_has_expired() {
    let (_directory, media_store) = media_store().await;
    let key = key("a.png");
    media_store.put(&key, pattern(5)).await.unwrap();
    let killed = media_store.index.begin_removal(&key, SystemTime::now() - REMOVAL_LEASE * 2).await.unwrap();
    media_store.put(&key, pattern(7)).await.unwrap();
    media_store.index.finish_removal(&killed).await.unwrap();
    assert_eq!(media_store.index.dump().await, ["a.png ready 7"]);
}

#[tokio::test]
async fn files_from_before_the_index_are_imported_once_with_their_age() {
    let directory = tempfile::tempdir().unwrap();
    let media = directory.path().join("media");
    std::fs::create_dir(&media).unwrap();
    let hour = Duration::from_hours(1);
    for (name, length) in [("old.png", 3), ("notes.txt", 1), ("half.mp4#1", 1)] {
        let file = std::fs::File::create(media.join(name)).unwrap();
        file.set_len(length).unwrap();
        file.set_modified(SystemTime::now() - hour).unwrap();
    }
    let media_store = open(directory.path()).await;
    assert_eq!(media_store.index.dump().await, ["old.png ready 3"]);
    let idle = candidate(&media_store, &key("old.png")).await.idle(SystemTime::now());
    assert!((hour..hour + Duration::from_mins(1)).contains(&idle), "{idle:?}");

    std::fs::write(media.join("later.png"), "12").unwrap();
    let media_store = open(directory.path()).await;
    assert_eq!(media_store.index.dump().await, ["old.png ready 3"]);
    assert_eq!(media_store.bytes(&key("later.png"), 10).await.unwrap(), "12");
    assert_eq!(media_store.index.dump().await, ["later.png ready 2", "old.png ready 3"], "indexed by its first use");
}

#[tokio::test]
async fn every_kind_of_use_is_recorded_at_most_once_per_interval() {
    let (_directory, media_store) = media_store().await;
    let key = MediaKey::from_content(b"abc", MediaType::Png);
    media_store.put(&key, Bytes::from_static(b"abc")).await.unwrap();
    let idle = async || candidate(&media_store, &key).await.idle(SystemTime::now());
    let hour = Duration::from_hours(1);
    for kind in 0..4 {
        media_store.set_last_used(&key, SystemTime::now() - hour).await;
        match kind {
            0 => drop(media_store.describe(&key).await.unwrap()),
            1 => drop(media_store.read(&key, 1, None).await.unwrap()),
            2 => drop(media_store.bytes(&key, 10).await.unwrap()),
            _ => drop(media_store.put_content(Bytes::from_static(b"abc"), MediaType::Png).await.unwrap()),
        }
        assert!(idle().await < hour / 2, "{kind}");
    }
    let earlier = SystemTime::now() - PIN_INTERVAL / 2;
    media_store.index.pin(std::slice::from_ref(&key), earlier).await.unwrap();
    media_store.describe(&key).await.unwrap();
    assert!(idle().await >= PIN_INTERVAL / 2, "recorded a moment ago");
}

#[tokio::test]
async fn concurrent_uses_are_all_recorded() {
    let (_directory, media_store) = media_store().await;
    let keys: Vec<_> = (0..20).map(|number| key(&format!("{number}.png"))).collect();
    for key in &keys {
        media_store.put(key, pattern(1)).await.unwrap();
        media_store.set_last_used(key, SystemTime::UNIX_EPOCH).await;
    }
    futures_util::future::try_join_all(keys.iter().map(|key| media_store.describe(key))).await.unwrap();
    let now = SystemTime::now();
    let candidates = media_store.least_recently_used(None, 100).await.unwrap();
    assert!(candidates.len() == 20 && candidates.iter().all(|candidate| candidate.idle(now) < PIN_DURATION));
}

#[tokio::test]
async fn stored_content_is_not_written_again_but_repaired_if_its_object_changed() {
    let (directory, media_store) = media_store().await;
    let first = media_store.put_content(pattern(10), MediaType::Png).await.unwrap();
    let file = directory.path().join("media").join(&first.key);
    let before = std::fs::metadata(&file).unwrap().modified().unwrap();
    assert_eq!(media_store.put_content(pattern(10), MediaType::Png).await.unwrap(), first);
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), before);
    std::fs::write(&file, "cut").unwrap();
    media_store.put_content(pattern(10), MediaType::Png).await.unwrap();
    assert_eq!(media_store.bytes(&key(&first.key), 10).await.unwrap(), pattern(10));
    std::fs::remove_file(&file).unwrap();
    media_store.put_content(pattern(10), MediaType::Png).await.unwrap();
    assert_eq!(media_store.bytes(&key(&first.key), 10).await.unwrap(), pattern(10));
}

#[tokio::test]
async fn file_that_was_used_after_the_candidate_was_read_is_not_removed() {
    let (directory, media_store) = media_store().await;
    let key = key("a.png");
    media_store.put(&key, pattern(1)).await.unwrap();
    media_store.set_last_used(&key, SystemTime::UNIX_EPOCH).await;
    let before = candidate(&media_store, &key).await;
    media_store.set_last_used(&key, SystemTime::UNIX_EPOCH + Duration::from_millis(1)).await;
    let now = SystemTime::now();
    assert_eq!(media_store.remove_if_unused(&before, now).await, Ok(false));
    let after = candidate(&media_store, &key).await;
    assert_eq!(media_store.remove_if_unused(&after, now).await, Ok(true));
    assert_eq!(media_store.remove_if_unused(&after, now).await, Ok(false), "it is removed already");
    assert!(names(&directory).is_empty());
}

#[tokio::test]
async fn file_that_another_process_reads_is_not_removed() {
    let (directory, reader) = media_store().await;
    let other = open(directory.path()).await;
    let key = key("a.png");
    reader.put(&key, pattern(10)).await.unwrap();
    reader.set_last_used(&key, SystemTime::UNIX_EPOCH).await;
    let (_, bytes) = reader.read(&key, 0, None).await.unwrap();
    let (now, used) = (SystemTime::now(), candidate(&other, &key).await);
    assert_eq!(other.remove_if_unused(&used, now + REUSE_WINDOW).await, Ok(false));
    assert_eq!(
        other.remove_if_unused(&used, now + PIN_DURATION * 2).await,
        Ok(true),
        "the pin of a process that was killed expires"
    );
    let bytes: Vec<_> = bytes.try_collect().await.unwrap();
    assert_eq!(bytes.concat(), pattern(10), "an open file can be read to its end");
}

#[tokio::test(start_paused = true)]
async fn slow_read_renews_its_pin() {
    let directory = tempfile::tempdir().unwrap();
    let media_store = MediaStore::for_test(directory.path());
    let key = key("a.mp4");
    media_store.put(&key, pattern(2 * MAX_CHUNK_BYTES)).await.unwrap();
    let (_, mut bytes) = media_store.read(&key, 0, None).await.unwrap();
    bytes.next().await.unwrap().unwrap();
    media_store.set_last_used(&key, SystemTime::UNIX_EPOCH).await;
    tokio::time::advance(PIN_INTERVAL).await;
    bytes.next().await.unwrap().unwrap();
    assert!(candidate(&media_store, &key).await.idle(SystemTime::now()) < PIN_DURATION);
}

#[tokio::test]
async fn file_larger_than_the_limit_is_not_loaded() {
    let (_directory, media_store) = media_store().await;
    let key = key("a.png");
    media_store.put(&key, pattern(11)).await.unwrap();
    let error = media_store.bytes(&key, 10).await.unwrap_err();
    assert!(matches!(error, Error::InvalidField { field, .. } if field == "media_key"));
}

#[tokio::test]
async fn unusable_directory_is_a_storage_error() {
    let (file, directory) = (tempfile::NamedTempFile::new().unwrap(), tempfile::tempdir().unwrap());
    let database = Database::open(&directory.path().join("media.sqlite")).await.unwrap();
    let opened = MediaStore::local(&file.path().join("media"), database).await;
    assert!(matches!(opened, Err(Error::Storage(_))));
}

testing::on_postgres! {
    stored_file_is_described_read_and_removed,
    equal_content_is_stored_once,
    range_is_exact_and_split_into_bounded_chunks,
    range_beyond_the_end_is_refused_with_the_size,
    stream_is_stored_completely_and_can_be_stored_again,
    long_stream_is_stored_with_bounded_memory,
    failed_or_too_long_stream_leaves_the_stored_file_unchanged,
    killed_upload_is_cleaned_up_when_its_lease_has_expired,
    upload_is_registered_while_it_is_in_progress_and_protects_the_file_it_replaces,
    interrupted_removal_is_completed_by_the_next_sweep,
    upload_waits_for_a_removal_of_the_same_key,
    upload_takes_the_place_of_a_removal_whose_lease_has_expired,
    files_from_before_the_index_are_imported_once_with_their_age,
    every_kind_of_use_is_recorded_at_most_once_per_interval,
    concurrent_uses_are_all_recorded,
    stored_content_is_not_written_again_but_repaired_if_its_object_changed,
    file_that_was_used_after_the_candidate_was_read_is_not_removed,
    file_that_another_process_reads_is_not_removed,
    file_larger_than_the_limit_is_not_loaded,
    unusable_directory_is_a_storage_error,
}
