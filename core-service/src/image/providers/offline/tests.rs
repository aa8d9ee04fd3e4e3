//! The adapter around the engine: cancellation, previews, edits, and what the catalog shows.

use std::time::Duration;

use futures_util::TryStreamExt;

use super::*;
use crate::context::RequestContext;
use crate::{catalog::Models, media::MediaType};

fn spec(size: Option<Size>) -> ImageSpec {
    ImageSpec { prompt: "a lighthouse at dusk".to_owned(), size, ..super::super::tests::spec() }
}

fn call(request: ImageSpec) -> Call<ImageSpec> {
    let (model, request_id) = (MODEL.to_owned(), "req_test".to_owned());
    Call { model, request, context: RequestContext { request_id, ..RequestContext::default() } }
}

async fn made(engine: &OfflineImage, spec: ImageSpec) -> Vec<Bytes> {
    let events: Vec<_> = engine.generate(call(spec)).await.unwrap().try_collect().await.unwrap();
    let pictures = events.into_iter().filter_map(|event| match event {
        ImageEvent::Finished { picture, .. } => Some(picture),
        ImageEvent::Preview { .. } | ImageEvent::Failed { .. } | ImageEvent::Usage(_) => None,
    });
    pictures.collect()
}

fn png(width: u32, height: u32) -> InputPicture {
    let picture = RgbaImage::from_pixel(width, height, image::Rgba([200, 60, 20, 255]));
    let bytes = encode(&picture, Format::Png).unwrap().into();
    InputPicture { bytes, format: MediaType::Png, size: Size::new(width, height), has_alpha: true }
}

fn dimensions(picture: &Bytes) -> (u32, u32) {
    image::load_from_memory(picture).unwrap().into_rgba8().dimensions()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_stream_frees_its_easel_long_before_the_picture_would_be_done() {
    let engine = OfflineImage { easels: Arc::new(Semaphore::new(1)) };
    // Minutes of work, would nobody stop it.
    let endless = ImageSpec { n: 10, quality: Quality::High, ..spec(Some(Size::new(4096, 4096))) };
    let first = engine.generate(call(endless.clone())).await.unwrap();
    let waiting = engine.generate(call(endless)).await.unwrap();
    while engine.easels.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    drop((first, waiting));
    let begun = std::time::Instant::now();
    let free = tokio::time::timeout(Duration::from_secs(20), engine.easels.acquire()).await;
    assert!(free.is_ok(), "still painting after {:?}", begun.elapsed());
}

#[test]
fn a_picture_nobody_waits_for_is_given_up_by_the_engine() {
    let (sender, receiver) = mpsc::channel(EVENTS);
    let plain = spec(Some(Size::new(64, 64)));
    let edit = ImageSpec { pictures: vec![png(64, 64)], ..plain.clone() };
    assert!(make(&plain, 0, &sender).is_ok() && make(&edit, 0, &sender).is_ok());
    drop(receiver);
    assert_eq!(make(&plain, 0, &sender).err(), Some(abandoned()));
    assert_eq!(make(&edit, 0, &sender).err(), Some(abandoned()));
}

#[tokio::test]
async fn a_reader_who_lags_gets_every_picture() {
    let engine = OfflineImage::new();
    let busy = ImageSpec { n: 3, partial_images: 3, ..spec(Some(Size::new(32, 32))) };
    let mut events = engine.generate(call(busy)).await.unwrap();
    // Time enough to fill the channel before the first event is taken.
    while engine.easels.available_permits() < available_parallelism().unwrap().get() {
        tokio::task::yield_now().await;
    }
    let mut finished = Vec::new();
    while let Some(event) = events.try_next().await.unwrap() {
        if let ImageEvent::Finished { index, .. } = event {
            finished.push(index);
        }
    }
    assert_eq!(finished, [0, 1, 2]);
}

#[tokio::test]
async fn seeds_choose_and_repeat_pictures() {
    let engine = OfflineImage::new();
    let seeded = |seed, n| ImageSpec { n, seed, ..spec(Some(Size::new(40, 40))) };
    let pair = made(&engine, seeded(Some(7), 2)).await;
    assert_eq!(made(&engine, seeded(Some(7), 1)).await, pair[..1]);
    assert_eq!(made(&engine, seeded(Some(8), 1)).await, pair[1..]);
    assert_ne!(pair[0], pair[1]);
    assert_eq!(made(&engine, seeded(Some(i64::MAX), 2)).await.len(), 2);
}

#[tokio::test]
async fn an_edit_without_a_size_keeps_the_pictures_own_within_bounds() {
    let engine = OfflineImage::new();
    for (from, expected) in
        [((50, 70), (50, 70)), ((8, 20), (16, 20)), ((5000, 50), (5000, 50)), ((16_384, 64), (12_288, 48))]
    {
        let edit = ImageSpec { pictures: vec![png(from.0, from.1)], ..spec(None) };
        assert_eq!(dimensions(&made(&engine, edit).await[0]), expected, "{from:?}");
    }
    let plain = ImageSpec { quality: Quality::Low, ..spec(None) };
    assert_eq!(dimensions(&made(&engine, plain).await[0]), (DEFAULT_SIZE.width, DEFAULT_SIZE.height));
}

#[tokio::test]
async fn the_longest_pictures_are_painted_in_every_format() {
    let engine = OfflineImage::new();
    for format in [Encoding::Png, Encoding::Jpeg { quality: 50 }, Encoding::Webp { quality: 50 }] {
        for (width, height) in [(12_288, 16), (16, 12_288)] {
            let long = ImageSpec { quality: Quality::Low, format, ..spec(Some(Size::new(width, height))) };
            assert_eq!(dimensions(&made(&engine, long).await[0]), (width, height), "{format:?}");
        }
    }
}

#[test]
fn large_inputs_are_shrunk_to_what_covers_the_picture() {
    let loaded = |width, height, size| load(&png(width, height).bytes, size).unwrap().dimensions();
    let target = Size::new(100, 50);
    assert_eq!(loaded(80, 40, target), (80, 40));
    assert_eq!(loaded(1000, 1000, target), (100, 100));
    assert_eq!(loaded(1000, 100, target), (500, 50));
    assert_eq!(loaded(9000, 20, Size::new(4096, 4096)), (9000, 20));
    assert_eq!(loaded(16_384, 40, Size::new(4096, 4096)), (12_288, 30));
    for (from, expected) in
        [((12_000, 1500), (12_000, 1500)), ((7000, 7000), (4344, 4344)), ((50_000_000, 1), (12_288, 1))]
    {
        assert_eq!(within(Size::new(from.0, from.1)), Size::new(expected.0, expected.1));
    }
}

#[test]
fn the_engine_is_listed_and_its_faults_are_not() {
    let shelf = Models::new(OfflineImage::entries()).unwrap();
    let listed: Vec<_> = shelf.entries().iter().filter(|entry| !entry.hidden).map(|entry| &entry.id).collect();
    assert_eq!(listed, [MODEL]);
    assert_eq!(shelf.find("").unwrap().id, MODEL);
    for fault in ["429", "500", "refused", "slow"] {
        assert!(shelf.find(&format!("offline-image-fault-{fault}")).unwrap().hidden);
    }
}
