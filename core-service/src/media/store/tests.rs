//! The media_store over a real directory.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;

const LIMIT: u64 = 64 << 20;

fn media_store() -> (tempfile::TempDir, MediaStore) {
    let directory = tempfile::tempdir().unwrap();
    let media_store = MediaStore::open(&directory.path().join("media")).unwrap();
    (directory, media_store)
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

/// Bytes whose value tells their place.
fn ramp(length: usize) -> Bytes {
    (0..length).map(|place| u8::try_from(place % 251).unwrap()).collect()
}

#[tokio::test]
async fn what_was_put_is_described_read_and_removed() {
    let (_directory, media_store) = media_store();
    let key = key("a.png");
    assert_eq!(media_store.describe(&key).await, Err(Error::MediaNotFound("a.png".to_owned())));
    let media = media_store.put(&key, Bytes::from_static(b"0123456789")).await.unwrap();
    assert_eq!((media.key.as_str(), media.media_type.as_str(), media.size_bytes), ("a.png", "image/png", 10));
    assert_eq!(media_store.describe(&key).await, Ok(media));
    assert_eq!(collect(&media_store, &key, 0, None).await.concat(), b"0123456789");
    media_store.remove(&key).await.unwrap();
    media_store.remove(&key).await.unwrap();
    assert!(matches!(media_store.read(&key, 0, None).await.map(|_| ()), Err(Error::MediaNotFound(_))));
}

#[tokio::test]
async fn putting_the_same_picture_twice_leaves_one_file() {
    let (directory, media_store) = media_store();
    for length in [10, HASHED_INLINE + 1] {
        let first = media_store.put_content(ramp(length), MediaType::Webp).await.unwrap();
        let second = media_store.put_content(ramp(length), MediaType::Webp).await.unwrap();
        assert_eq!(first, second);
        assert_eq!(first.key, MediaKey::of_content(&ramp(length), MediaType::Webp).as_str());
    }
    assert_eq!(names(&directory).len(), 2);
}

#[tokio::test]
async fn ranges_are_cut_to_the_byte_and_into_bounded_pieces() {
    let (_directory, media_store) = media_store();
    let (key, all) = (key("v.mp4"), ramp(3 * CHUNK + 17));
    media_store.put(&key, all.clone()).await.unwrap();
    let whole = collect(&media_store, &key, 0, None).await;
    assert!(whole.len() >= 4 && whole.iter().all(|piece| piece.len() <= CHUNK));
    assert_eq!(whole.concat(), all);
    for (offset, length) in [(0, 1), (1, 0), (5, 300_000), (3 * CHUNK as u64 + 16, 1)] {
        let (from, to) = (usize::try_from(offset).unwrap(), usize::try_from(offset + length).unwrap());
        assert_eq!(
            collect(&media_store, &key, offset, Some(length)).await.concat(),
            all[from..to],
            "{offset}+{length}"
        );
    }
    assert_eq!(collect(&media_store, &key, 10, Some(u64::MAX)).await.concat(), all[10..]);
}

#[tokio::test]
async fn a_range_from_the_end_on_is_refused_with_the_size() {
    let (_directory, media_store) = media_store();
    let key = key("a.jpg");
    media_store.put(&key, Bytes::from_static(b"0123")).await.unwrap();
    for offset in [4, 5, u64::MAX] {
        let read = media_store.read(&key, offset, Some(1)).await.map(|_| ());
        assert_eq!(read, Err(Error::RangeNotSatisfiable { size: 4 }));
    }
}

#[tokio::test]
async fn a_stream_is_stored_whole_and_can_be_stored_again() {
    let (directory, media_store) = media_store();
    let key = key("video_1.mp4");
    // More than one part of the multipart upload.
    let all = ramp(11 << 20);
    for _ in 0..2 {
        let chunks: Vec<_> = all.chunks(70_001).map(|chunk| Ok::<_, ProviderError>(all.slice_ref(chunk))).collect();
        let media = media_store.put_stream(&key, stream::iter(chunks), LIMIT).await.unwrap();
        assert_eq!(media.size_bytes, all.len() as u64);
    }
    assert_eq!(media_store.bytes(&key, LIMIT).await.unwrap(), all);
    assert_eq!(names(&directory), ["video_1.mp4"]);
}

/// A mebibyte that is counted for as long as anybody holds it.
struct Held(Vec<u8>, Arc<AtomicUsize>);

impl Held {
    fn new(held: &Arc<AtomicUsize>) -> Self {
        held.fetch_add(1, Relaxed);
        Self(vec![7; 1 << 20], Arc::clone(held))
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Relaxed);
    }
}

#[tokio::test]
async fn a_long_clip_is_stored_in_a_few_megabytes() {
    let (_directory, media_store) = media_store();
    let held = Arc::new(AtomicUsize::new(0));
    let mut most = 0;
    // As a fast upstream would: each piece is new, and the next one is there at once.
    let pieces = (0..128).map(|_| {
        let piece = Bytes::from_owner(Held::new(&held));
        most = most.max(held.load(Relaxed));
        Ok::<_, ProviderError>(piece)
    });
    let media = media_store.put_stream(&key("video_1.mp4"), stream::iter(pieces), 1 << 30).await.unwrap();
    assert_eq!(media.size_bytes, 128 << 20);
    assert!((1..=32).contains(&most), "{most} MiB held at once");
    assert_eq!(held.load(Relaxed), 0);
}

#[tokio::test]
async fn a_stream_that_fails_or_overflows_leaves_what_was_there() {
    let (directory, media_store) = media_store();
    let key = key("video_1.mp4");
    media_store.put(&key, Bytes::from_static(b"old")).await.unwrap();
    let broken = [Ok(ramp(6 << 20)), Err(ProviderError::unavailable("reset".to_owned()))];
    let error = media_store.put_stream(&key, stream::iter(broken), LIMIT).await.unwrap_err();
    assert_eq!(error, Error::Provider(ProviderError::unavailable("reset".to_owned())));
    let long = [Ok::<_, ProviderError>(ramp(6)), Ok(ramp(5))];
    let error = media_store.put_stream(&key, stream::iter(long), 10).await.unwrap_err();
    assert!(matches!(error, Error::Provider(ProviderError::Unreadable(_))));
    assert_eq!(media_store.bytes(&key, 3).await.unwrap(), "old");
    assert_eq!(names(&directory), ["video_1.mp4"]);
}

/// Gives a file a time of last use.
fn used(directory: &tempfile::TempDir, name: &str, at: SystemTime) {
    let file = std::fs::File::options().append(true).open(directory.path().join("media").join(name)).unwrap();
    file.set_modified(at).unwrap();
}

async fn idle(media_store: &MediaStore, key: &MediaKey) -> Duration {
    let stored = media_store.survey(SystemTime::now()).await.unwrap();
    stored.iter().find(|medium| medium.key == *key).unwrap().used.elapsed().unwrap_or_default()
}

#[tokio::test]
async fn only_old_halves_are_swept_and_nothing_that_is_not_ours() {
    let (directory, media_store) = media_store();
    media_store.put(&key("a.png"), ramp(1)).await.unwrap();
    let media = directory.path().join("media");
    let now = SystemTime::now();
    let old = now - shelf::ABANDONED - Duration::from_secs(1);
    for (name, at) in [("b.png#1", old), ("c.png#1", now), ("notes.txt", old), ("#", old), ("d.png#x", old)] {
        std::fs::write(media.join(name), "x").unwrap();
        used(&directory, name, at);
    }
    let stored = media_store.survey(now).await.unwrap();
    assert_eq!(stored.iter().map(|medium| (medium.key.as_str(), medium.size)).collect::<Vec<_>>(), [("a.png", 1)]);
    assert_eq!(names(&directory), ["#", "a.png", "c.png#1", "d.png#x", "notes.txt"]);
}

#[tokio::test]
async fn every_kind_of_use_is_noted_on_the_file_and_seldom_twice() {
    let (directory, media_store) = media_store();
    let key = MediaKey::of_content(b"abc", MediaType::Png);
    media_store.put(&key, Bytes::from_static(b"abc")).await.unwrap();
    let long = STAMPED_AT_MOST * 2;
    for use_it in 0..4 {
        used(&directory, key.as_str(), SystemTime::now() - long);
        match use_it {
            0 => drop(media_store.describe(&key).await.unwrap()),
            1 => drop(media_store.read(&key, 1, None).await.unwrap()),
            2 => drop(media_store.bytes(&key, 10).await.unwrap()),
            _ => drop(media_store.put_content(Bytes::from_static(b"abc"), MediaType::Png).await.unwrap()),
        }
        assert!(idle(&media_store, &key).await < STAMPED_AT_MOST / 2, "{use_it}");
    }
    used(&directory, key.as_str(), SystemTime::now() - STAMPED_AT_MOST / 2);
    media_store.describe(&key).await.unwrap();
    assert!(idle(&media_store, &key).await >= STAMPED_AT_MOST / 2, "noted not long ago");
    let brief = media_store.clone().kept_for(Duration::from_mins(4));
    brief.describe(&key).await.unwrap();
    assert!(idle(&media_store, &key).await < Duration::from_mins(1), "what is kept briefly is noted more often");
}

#[tokio::test]
async fn a_medium_that_is_there_is_not_written_again() {
    let (directory, media_store) = media_store();
    let first = media_store.put_content(ramp(10), MediaType::Png).await.unwrap();
    let before = std::fs::metadata(directory.path().join("media").join(&first.key)).unwrap();
    assert_eq!(media_store.put_content(ramp(10), MediaType::Png).await.unwrap(), first);
    let after = std::fs::metadata(directory.path().join("media").join(&first.key)).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    std::fs::write(directory.path().join("media").join(&first.key), "cut").unwrap();
    media_store.put_content(ramp(10), MediaType::Png).await.unwrap();
    assert_eq!(media_store.bytes(&key(&first.key), 10).await.unwrap(), ramp(10), "what was damaged is mended");
}

#[tokio::test]
async fn what_was_used_after_it_was_weighed_is_not_removed() {
    let (directory, media_store) = media_store();
    media_store.put(&key("a.png"), ramp(1)).await.unwrap();
    let weighed = media_store.survey(SystemTime::now()).await.unwrap().remove(0);
    used(&directory, "a.png", SystemTime::now() + Duration::from_secs(1));
    assert_eq!(media_store.evict(weighed.clone()).await, Ok(false));
    used(&directory, "a.png", weighed.used);
    assert_eq!(media_store.evict(weighed.clone()).await, Ok(true));
    assert_eq!(media_store.evict(weighed).await, Ok(false), "somebody else removed it");
    assert!(names(&directory).is_empty());
}

#[tokio::test]
async fn more_than_asked_for_is_not_loaded() {
    let (_directory, media_store) = media_store();
    let key = key("a.png");
    media_store.put(&key, ramp(11)).await.unwrap();
    let error = media_store.bytes(&key, 10).await.unwrap_err();
    assert!(matches!(error, Error::InvalidField { field, .. } if field == "media_key"));
}

#[test]
fn a_directory_that_cannot_be_is_a_storage_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(MediaStore::open(&file.path().join("media")), Err(Error::Storage(_))));
}
