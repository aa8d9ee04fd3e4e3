//! Cancellation, previews, edits, usage, and catalog entries of the built-in engine.

use std::time::Duration;

use futures_util::TryStreamExt;

use super::*;
use crate::context::RequestContext;
use crate::{media::MediaType, models::Models};

fn parameters(size: Option<Size>) -> ImageParameters {
    ImageParameters { prompt: "a lighthouse at dusk".to_owned(), size, ..super::super::common::testing::parameters() }
}

fn call(request: ImageParameters) -> Call<ImageParameters> {
    let (model, request_id) = (MODEL.to_owned(), "req_test".to_owned());
    Call { model, request, context: RequestContext { request_id, ..RequestContext::default() } }
}

async fn generate(engine: &OfflineImage, parameters: ImageParameters) -> Vec<Bytes> {
    let events: Vec<_> = engine.generate(call(parameters)).await.unwrap().try_collect().await.unwrap();
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
async fn dropped_stream_releases_its_memory_early() {
    let engine = OfflineImage::new(PictureBudget::default());
    // Takes minutes unless cancelled.
    let endless = ImageParameters { n: 10, quality: Quality::High, ..parameters(Some(Size::new(4096, 4096))) };
    let first = engine.generate(call(endless.clone())).await.unwrap();
    let waiting = engine.generate(call(endless)).await.unwrap();
    while engine.budget.generation().is_idle() {
        tokio::task::yield_now().await;
    }
    drop((first, waiting));
    let begun = std::time::Instant::now();
    let free = tokio::time::timeout(Duration::from_secs(20), engine.budget.generation().run(u64::MAX, || ())).await;
    assert!(free.is_ok(), "still running after {:?}", begun.elapsed());
}

#[test]
fn generation_stops_when_the_receiver_is_dropped() {
    let (sender, receiver) = mpsc::channel(EVENTS);
    let plain = parameters(Some(Size::new(64, 64)));
    let edit = ImageParameters { pictures: vec![png(64, 64)], ..plain.clone() };
    let generate = |parameters: &ImageParameters| super::generate(parameters, output_size(parameters), 0, &sender);
    assert!(generate(&plain).is_ok() && generate(&edit).is_ok());
    drop(receiver);
    assert_eq!(generate(&plain).err(), Some(cancelled()));
    assert_eq!(generate(&edit).err(), Some(cancelled()));
}

#[tokio::test]
async fn slow_receiver_gets_every_image() {
    let engine = OfflineImage::new(PictureBudget::default());
    let busy = ImageParameters { n: 3, partial_images: 3, ..parameters(Some(Size::new(32, 32))) };
    let (sender, mut receiver) = mpsc::channel(EVENTS);
    let generation = tokio::spawn(engine.run(busy, sender.clone()));
    while sender.capacity() > 0 {
        tokio::task::yield_now().await;
    }
    drop(sender);
    let mut finished = Vec::new();
    while let Some(event) = receiver.recv().await {
        if let ImageEvent::Finished { index, .. } = event.unwrap() {
            finished.push(index);
        }
    }
    assert_eq!(finished, [0, 1, 2]);
    generation.await.unwrap();
}

#[tokio::test]
async fn equal_seeds_generate_equal_images() {
    let engine = OfflineImage::new(PictureBudget::default());
    let seeded = |seed, n| ImageParameters { n, seed, ..parameters(Some(Size::new(40, 40))) };
    let pair = generate(&engine, seeded(Some(7), 2)).await;
    assert_eq!(generate(&engine, seeded(Some(7), 1)).await, pair[..1]);
    assert_eq!(generate(&engine, seeded(Some(8), 1)).await, pair[1..]);
    assert_ne!(pair[0], pair[1]);
    assert_eq!(generate(&engine, seeded(Some(i64::MAX), 2)).await.len(), 2);
}

#[tokio::test]
async fn edit_without_size_keeps_the_input_size_within_the_limits() {
    let engine = OfflineImage::new(PictureBudget::default());
    for (from, expected) in
        [((50, 70), (50, 70)), ((8, 20), (16, 20)), ((5000, 50), (5000, 50)), ((16_384, 64), (12_288, 48))]
    {
        let edit = ImageParameters { pictures: vec![png(from.0, from.1)], ..parameters(None) };
        assert_eq!(dimensions(&generate(&engine, edit).await[0]), expected, "{from:?}");
    }
    let plain = ImageParameters { quality: Quality::Low, ..parameters(None) };
    assert_eq!(dimensions(&generate(&engine, plain).await[0]), (DEFAULT_SIZE.width, DEFAULT_SIZE.height));
}

#[tokio::test]
async fn longest_sides_work_in_every_format() {
    let engine = OfflineImage::new(PictureBudget::default());
    for format in [Encoding::Png, Encoding::Jpeg { quality: 50 }, Encoding::Webp { quality: 50 }] {
        for (width, height) in [(12_288, 16), (16, 12_288)] {
            let long = ImageParameters { quality: Quality::Low, format, ..parameters(Some(Size::new(width, height))) };
            assert_eq!(dimensions(&generate(&engine, long).await[0]), (width, height), "{format:?}");
        }
    }
}

#[test]
fn large_inputs_are_scaled_down_to_the_covering_size() {
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
        assert_eq!(scaled_to_limits(Size::new(from.0, from.1)), Size::new(expected.0, expected.1));
    }
}

#[test]
fn engine_is_listed_and_fault_models_are_hidden() {
    let models = Models::new(entries(PictureBudget::default())).unwrap();
    let listed: Vec<_> = models.entries().iter().filter(|entry| !entry.hidden).map(|entry| &entry.id).collect();
    assert_eq!(listed, [MODEL]);
    assert_eq!(models.find("", |_| true).unwrap().id, MODEL);
    for fault in ["429", "500", "refused", "slow"] {
        assert!(models.find(&format!("offline-image-fault-{fault}"), |_| true).unwrap().hidden);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_counts_prompt_and_input_images_once_and_every_image() {
    let usage = async |parameters: ImageParameters| {
        let events: Vec<_> = OfflineImage::new(PictureBudget::default())
            .generate(call(parameters))
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        let usage = |event: &ImageEvent| if let ImageEvent::Usage(usage) = event { Some(*usage) } else { None };
        events.iter().filter_map(usage).collect::<Vec<_>>()
    };
    // Five tokens for the prompt; 65 and 2 * 129 for an input image of two tiles; the rest by the pixels of the image.
    let small = parameters(Some(Size::new(64, 64)));
    let first = Usage { input: 5, input_images: 0, output: 5, total: 10 };
    assert_eq!(usage(small.clone()).await, [first]);
    let edit = ImageParameters { n: 2, quality: Quality::High, pictures: vec![png(600, 64)], ..small };
    let first = Usage { input: 328, input_images: 323, output: 17, total: 345 };
    assert_eq!(usage(edit).await, [first, Usage { input: 0, input_images: 0, output: 17, total: 17 }]);
}
