//! How the built-in engine uses frames and references, and the option `generate_audio`.

use image::{Rgb, RgbImage};

use super::*;
use crate::media::{MediaKey, MediaType};

const RED: [u8; 3] = [200, 40, 40];
const GREEN: [u8; 3] = [40, 180, 60];
const BLUE: [u8; 3] = [40, 60, 200];
const YELLOW: [u8; 3] = [220, 200, 30];

/// The size of a tile of the spritesheet, which is that of the video; the sheet has 4x4 tiles.
const TILE: (u32, u32) = (128, 72);

/// An engine with its media store.
struct TestEngine {
    engine: OfflineVideo,
    store: MediaStore,
    _directory: tempfile::TempDir,
}

impl TestEngine {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = MediaStore::for_test(directory.path());
        Self { engine: engine(directory.path()), store, _directory: directory }
    }

    async fn store(&self, bytes: Vec<u8>, kind: MediaType) -> InputSource {
        InputSource::Stored(self.store.put_content(bytes.into(), kind).await.unwrap().key)
    }

    /// Stores an image of one colour.
    async fn picture(&self, colour: [u8; 3]) -> InputSource {
        let mut png = std::io::Cursor::new(Vec::new());
        RgbImage::from_pixel(160, 90, Rgb(colour)).write_to(&mut png, image::ImageFormat::Png).unwrap();
        self.store(png.into_inner(), MediaType::Png).await
    }

    /// Renders a video of 2 seconds with these inputs, and returns its files: video, thumbnail, spritesheet.
    async fn render(&self, inputs: Vec<(InputRole, InputSource)>, generate_audio: Option<bool>) -> Vec<Vec<u8>> {
        let mut call = call(MODEL, &JobId::new().to_string(), 2);
        call.request.parameters.prompt = "still".to_owned();
        call.request.parameters.inputs =
            inputs.into_iter().map(|(role, source)| StoredInput { role, source }).collect();
        call.request.parameters.generate_audio = generate_audio;
        let task = self.engine.submit(call).await.unwrap();
        let Progress::Ready(clip) = finished(&self.engine, &task).await else { panic!("not ready") };
        let mut files = Vec::new();
        for file in &clip.files {
            files.push(fetched(&self.engine, file).await);
        }
        files
    }

    /// Renders a video with these inputs, and returns the colours of the 16 stills in its spritesheet, in the order of time.
    async fn colours(&self, inputs: Vec<(InputRole, InputSource)>) -> Vec<[u8; 3]> {
        let files = self.render(inputs, None).await;
        let sheet = image::load_from_memory(&files[2]).unwrap().into_rgb8();
        // The pixel in the middle of each tile.
        let tiles = (0..16).map(|tile| (tile % 4 * TILE.0 + 64, tile / 4 * TILE.1 + 36));
        tiles.map(|(x, y)| sheet.get_pixel(x, y).0).collect()
    }

    async fn has_audio(&self, mp4: Vec<u8>) -> bool {
        let key = MediaKey::parse("clip.mp4").unwrap();
        self.store.put(&key, mp4).await.unwrap();
        let clips = ClipInspector::new(self.store.clone(), PictureBudget::default());
        clips.inspect(&key).await.unwrap().has_audio
    }
}

/// Returns whether two colours are the same, up to the loss of the encoder.
fn is_close(found: [u8; 3], expected: [u8; 3]) -> bool {
    found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) < 12)
}

#[tokio::test]
async fn video_moves_from_the_first_frame_to_the_last() {
    let test = TestEngine::new();
    let (first, last) = (test.picture(RED).await, test.picture(BLUE).await);
    // The order of the request does not matter.
    let both = vec![(InputRole::LastFrame, last.clone()), (InputRole::FirstFrame, first)];
    let colours = test.colours(both).await;
    assert!(is_close(colours[0], RED) && is_close(colours[15], BLUE), "{colours:?}");
    assert!(colours.windows(2).all(|pair| pair[0][0] + 3 >= pair[1][0]), "it is not a fade: {colours:?}");
    let colours = test.colours(vec![(InputRole::LastFrame, last)]).await;
    assert!(!is_close(colours[0], BLUE) && is_close(colours[15], BLUE), "{colours:?}");
}

#[tokio::test]
async fn images_and_videos_are_shown_in_their_order_after_the_prompt_and_sounds_have_no_effect() {
    let test = TestEngine::new();
    let frame = test.picture(YELLOW).await;
    let video = test.render(vec![(InputRole::FirstFrame, frame)], None).await.swap_remove(0);
    let inputs = vec![
        (InputRole::Image, test.picture(GREEN).await),
        (InputRole::Video, test.store(video, MediaType::Mp4).await),
        (InputRole::Sound, test.store(b"RIFF".to_vec(), MediaType::Wav).await),
        (InputRole::Sound, InputSource::Link("https://example.com/a.mp3".to_owned())),
        (InputRole::Image, test.picture(BLUE).await),
    ];
    let colours = test.colours(inputs).await;
    // The image of the prompt and each of the three references has a quarter of the time.
    for (tile, expected) in [(5, GREEN), (9, YELLOW), (14, BLUE)] {
        assert!(is_close(colours[tile], expected), "{tile}: {colours:?}");
    }
    assert!([GREEN, YELLOW, BLUE].iter().all(|colour| !is_close(colours[0], *colour)), "{colours:?}");
}

#[tokio::test]
async fn sound_track_exists_only_on_request() {
    let test = TestEngine::new();
    for (generate_audio, expected) in [(None, false), (Some(false), false), (Some(true), true)] {
        let mp4 = test.render(Vec::new(), generate_audio).await.swap_remove(0);
        assert_eq!(test.has_audio(mp4).await, expected, "{generate_audio:?}");
    }
}

#[tokio::test]
async fn inputs_that_the_engine_cannot_read_are_refused() {
    let test = TestEngine::new();
    let content = InputContent::Link("https://example.com/a.mp4".to_owned());
    let mut linked = call(MODEL, "linked", 1);
    linked.request.inputs = vec![RenderInput { role: InputRole::Video, content }];
    assert!(matches!(test.engine.submit(linked).await, Err(ProviderError::NotSupported(_))));
    for (role, kind) in [(InputRole::Video, MediaType::Mp4), (InputRole::Image, MediaType::Png)] {
        let source = test.store(format!("{role:?}").into_bytes(), kind).await;
        let mut call = call(MODEL, &format!("{role:?}"), 1);
        call.request.parameters.inputs = vec![StoredInput { role, source }];
        let task = test.engine.submit(call).await.unwrap();
        let ended = finished(&test.engine, &task).await;
        assert!(matches!(ended, Progress::Failed(ProviderError::Refused { .. })), "{ended:?}");
    }
}
