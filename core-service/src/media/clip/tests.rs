//! Reads files of the built-in video engine (`offline_video`), and damaged ones.

use std::sync::LazyLock;

use bytes::Bytes;
use offline_video::Shot;

use super::*;

/// Ignores the progress of a render.
struct Silent;

impl offline_video::Observer for Silent {
    fn frames(&self, _: u32, _: u32) {}

    fn cancelled(&self) -> bool {
        false
    }
}

const SHOT: Shot<'static> = Shot {
    pictures: &[],
    ends_on_last_picture: false,
    prompt: "",
    width: 64,
    height: 64,
    seconds: 1,
    fps: offline_video::FrameRate::Fps30,
    seed: 1,
    audio: false,
};

/// Two seconds of 640x360, the camera moving from black to white.
static CLIP: LazyLock<Bytes> = LazyLock::new(|| {
    let picture = image::RgbImage::from_fn(1280, 360, |x, _| image::Rgb([u8::try_from(x / 5).unwrap_or(255); 3]));
    let shot = Shot {
        pictures: std::slice::from_ref(&picture),
        prompt: "pan right",
        width: 640,
        height: 360,
        seconds: 2,
        ..SHOT
    };
    offline_video::render(&shot, &Silent).unwrap().mp4.into()
});

async fn inspector(bytes: impl Into<Bytes>) -> (tempfile::TempDir, ClipInspector, MediaKey) {
    let directory = tempfile::tempdir().unwrap();
    let media_store = MediaStore::for_test(directory.path());
    let key = MediaKey::parse("video_1.mp4").unwrap();
    media_store.put(&key, bytes.into()).await.unwrap();
    (directory, ClipInspector::new(media_store, PictureBudget::default()), key)
}

#[tokio::test]
async fn size_duration_and_sound_are_read_from_the_file() {
    let (_directory, inspector, key) = inspector(CLIP.clone()).await;
    let info = inspector.inspect(&key).await.unwrap();
    assert_eq!((info.size, info.has_audio), (Size::new(640, 360), false));
    assert_eq!(info.duration.as_millis().div_ceil(100), 20, "{info:?}");
}

#[tokio::test]
async fn silent_sound_track_is_a_sound_track() {
    let picture = image::RgbImage::new(64, 64);
    let shot = Shot { pictures: std::slice::from_ref(&picture), audio: true, ..SHOT };
    let (_directory, inspector, key) = inspector(offline_video::render(&shot, &Silent).unwrap().mp4).await;
    let info = inspector.inspect(&key).await.unwrap();
    assert_eq!((info.size, info.duration, info.has_audio), (Size::new(64, 64), Duration::from_secs(1), true));
}

#[tokio::test]
async fn stills_show_the_frames_in_order() {
    let (_directory, inspector, key) = inspector(CLIP.clone()).await;
    let Stills { thumbnail, spritesheet } = inspector.stills(&key, Size::new(640, 360)).await.unwrap();
    let thumbnail = image::load_from_memory(&thumbnail).unwrap();
    assert_eq!((thumbnail.width(), thumbnail.height()), (512, 288));
    let sheet = image::load_from_memory(&spritesheet).unwrap().into_luma8();
    assert_eq!(sheet.dimensions(), (960, 540));
    // Four by four tiles of 240x135; the brightness at the centre of each.
    let tile = |column: u32, row: u32| sheet.get_pixel(column * 240 + 120, row * 135 + 67).0[0];
    let levels: Vec<_> =
        (0..4).flat_map(|row| (0..4).map(move |column| (column, row))).map(|(c, r)| tile(c, r)).collect();
    assert!(levels.is_sorted() && levels[15] > levels[0] + 10, "{levels:?}");
}

#[tokio::test]
async fn first_and_last_frame_are_decoded_at_full_size() {
    let (_directory, inspector, key) = inspector(CLIP.clone()).await;
    let mut levels = Vec::new();
    for end in [End::First, End::Last] {
        let frame = inspector.frame(&key, end).await.unwrap();
        assert_eq!(frame.dimensions(), (640, 360));
        levels.push(frame.get_pixel(320, 180).0[0]);
    }
    assert!(levels[1] > levels[0] + 10, "{levels:?}");
}

#[tokio::test]
async fn invalid_files_have_no_info_and_no_stills() {
    let claim = |name: &[u8; 4], offset: usize| {
        let mut bytes = CLIP.to_vec();
        let at = bytes.windows(4).position(|window| window == name).unwrap() + offset;
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        bytes
    };
    let cases = [
        Vec::new(),
        b"\0\0\0\x18ftypmp42".to_vec(),
        CLIP[..CLIP.len() / 2].to_vec(),
        claim(b"stsz", 12),
        claim(b"stco", 8),
    ];
    for (index, bytes) in cases.into_iter().enumerate() {
        let (_directory, inspector, key) = inspector(bytes).await;
        assert_eq!(inspector.inspect(&key).await, None, "case {index}");
        assert!(inspector.stills(&key, Size::new(640, 360)).await.is_none(), "case {index}");
        assert!(inspector.frame(&key, End::Last).await.is_err(), "case {index}");
    }
}
