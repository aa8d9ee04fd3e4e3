//! The gRPC service with the built-in engine (`offline`) and with a scripted provider.

mod delivery;
mod early_end;
mod single_flight;

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use image::{ImageFormat, Rgba, RgbaImage};
use tokio::{sync::watch, time::Instant};
use tonic::Code;
use tonic_types::StatusExt;
use triptych_proto::v1::stream_images_response::Event;

use std::sync::Arc;

use super::*;
use crate::{
    call::Chunks,
    config,
    error::ProviderError,
    image::{Edits, ImageEvent, ImageProvider, Usage, providers::offline},
    live::Live,
    media::{MediaKey, input::InputSettings},
    models::{Entry, Models},
};

/// What a scripted stream does after its last event.
#[derive(Debug, Clone, Copy)]
enum End {
    Hangs,
    Closes,
}

/// Yields a list of events, then hangs or closes its stream.
#[derive(Debug)]
struct Scripted {
    events: Vec<Result<ImageEvent, ProviderError>>,
    end: End,
    /// Becomes true when the stream is dropped.
    dropped: watch::Sender<bool>,
}

/// Sends true when it is dropped.
struct DropGuard(watch::Sender<bool>);

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

#[async_trait]
impl ImageProvider for Scripted {
    async fn generate(&self, _: Call<ImageParameters>) -> Result<Chunks<ImageEvent>, ProviderError> {
        let guard = DropGuard(self.dropped.clone());
        let events = stream::iter(self.events.clone());
        let end = match self.end {
            End::Hangs => stream::pending().left_stream(),
            End::Closes => stream::empty().right_stream(),
        };
        Ok(events.chain(end).inspect(move |_| _ = &guard).boxed())
    }

    fn edits(&self, _: &str) -> Edits {
        Edits::NONE
    }
}

struct TestService {
    _directory: tempfile::TempDir,
    media_store: MediaStore,
    service: ImageGrpc,
}

fn service(entries: Vec<Entry<dyn ImageProvider>>) -> TestService {
    service_with_budget(entries, PictureBudget::default())
}

fn service_with_budget(entries: Vec<Entry<dyn ImageProvider>>, budget: PictureBudget) -> TestService {
    let directory = tempfile::tempdir().unwrap();
    let media_store = MediaStore::for_test(directory.path());
    let inputs = InputResolver::new(media_store.clone(), InputSettings::default(), budget.clone()).unwrap();
    let models = Live::new(Models::new(entries).unwrap());
    TestService {
        _directory: directory,
        media_store: media_store.clone(),
        service: ImageGrpc::new(models, media_store, inputs, budget, Duration::from_mins(10)),
    }
}

fn offline() -> TestService {
    service(offline::entries(PictureBudget::default()))
}

/// Returns [`scripted_results`] without errors.
fn scripted(events: Vec<ImageEvent>, end: End) -> (TestService, watch::Receiver<bool>) {
    scripted_results(events.into_iter().map(Ok).collect(), end)
}

/// Returns a service whose provider yields these events, then hangs or closes its stream, and whether the stream of the
/// provider was dropped.
fn scripted_results(events: Vec<Result<ImageEvent, ProviderError>>, end: End) -> (TestService, watch::Receiver<bool>) {
    let (dropped, was_dropped) = watch::channel(false);
    let entry = Entry {
        id: "scripted".to_owned(),
        upstream_model: "scripted".to_owned(),
        owned_by: "script".to_owned(),
        provider_id: "script".to_owned(),
        aliases: Vec::new(),
        capabilities: Vec::new(),
        hidden: false,
        passed_by: None,
        provider: Arc::new(Scripted { events, end, dropped }) as Arc<dyn ImageProvider>,
    };
    (service(vec![entry]), was_dropped)
}

/// Returns the event of an image that needs no conversion.
fn finished(index: u32) -> ImageEvent {
    ImageEvent::Finished { index, picture: numbered(index), revised_prompt: String::new() }
}

/// Returns an image that differs by index.
fn numbered(index: u32) -> Bytes {
    picture(48, 32, |x, y| if x == index && y == 0 { 0 } else { 255 })
}

/// Returns a request for one image of 48x32 pixels, delivered as bytes.
fn small() -> pb::ImageRequest {
    let bytes = pb::ImageDelivery::Bytes.into();
    pb::ImageRequest { prompt: "a cat".to_owned(), size: "48x32".to_owned(), delivery: bytes, ..Default::default() }
}

/// Returns a PNG file of a colour gradient with the alpha value that `alpha` returns for each pixel.
fn picture(width: u32, height: u32, alpha: impl Fn(u32, u32) -> u8) -> Bytes {
    let pixel = |x: u32, y: u32| Rgba([x.to_le_bytes()[0], y.to_le_bytes()[0], 90, alpha(x, y)]);
    let mut out = std::io::Cursor::new(Vec::new());
    RgbaImage::from_fn(width, height, pixel).write_to(&mut out, ImageFormat::Png).unwrap();
    out.into_inner().into()
}

/// Returns an input image in the form of bytes.
fn input(bytes: Bytes) -> pb::MediaInput {
    pb::MediaInput { source: Some(pb::media_input::Source::Data(bytes)) }
}

fn request(image: pb::ImageRequest) -> Request<pb::GenerateImagesRequest> {
    Request::new(pb::GenerateImagesRequest { image: Some(image), idempotency_key: String::new() })
}

impl TestService {
    async fn generate(&self, image: pb::ImageRequest) -> Result<pb::GenerateImagesResponse, Status> {
        self.service.generate_images(request(image)).await.map(Response::into_inner)
    }

    async fn stream(
        &self,
        image: pb::ImageRequest,
        partial_images: u32,
    ) -> BoxStream<'static, Result<pb::StreamImagesResponse, Status>> {
        let request = pb::StreamImagesRequest { image: Some(image), partial_images, ..Default::default() };
        self.service.stream_images(Request::new(request)).await.unwrap().into_inner()
    }
}

/// Returns the field of an invalid-argument error.
fn field(status: &Status) -> String {
    let details = status.get_error_details();
    details.bad_request().map_or_else(String::new, |bad| bad.field_violations[0].field.clone())
}

#[tokio::test]
async fn previews_precede_their_image_and_are_limited() {
    let test = offline();
    // At most as many events as the engine buffers: it drops previews that do not fit.
    for (n, previews) in [(1, 3), (2, 1), (2, 0)] {
        let image = pb::ImageRequest { n: Some(n), size: "64x64".to_owned(), ..small() };
        let events: Vec<_> = test.stream(image, previews).await.try_collect().await.unwrap();
        let mut seen = vec![0; n as usize];
        let mut finished = Vec::new();
        for event in events.into_iter().map(|event| event.event.unwrap()) {
            match event {
                Event::Preview(preview) => {
                    let count = &mut seen[preview.picture_index as usize];
                    assert_eq!(preview.partial_index, *count);
                    *count += 1;
                    assert!(!finished.contains(&preview.picture_index));
                    assert_eq!(image::guess_format(&preview.picture.unwrap().data).unwrap(), ImageFormat::Png);
                }
                Event::Finished(last) => finished.push(last.picture_index),
                Event::Failed(failure) => panic!("{failure:?}"),
            }
        }
        assert_eq!(seen, vec![previews; n as usize]);
        assert_eq!(finished, (0..n).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn invalid_requests_are_rejected_with_their_field() {
    let test = offline();
    let base = || input(picture(40, 30, |_, _| 255));
    let mut cut = picture(40, 30, |_, _| 255);
    cut.truncate(cut.len() / 2);
    let opaque = image::load_from_memory(&picture(40, 30, |_, _| 255)).unwrap().into_rgb8();
    let opaque = {
        let mut png = std::io::Cursor::new(Vec::new());
        opaque.write_to(&mut png, image::ImageFormat::Png).unwrap();
        Bytes::from(png.into_inner())
    };
    let cases = [
        ("pictures[1]", pb::ImageRequest { pictures: vec![base(), input(cut)], ..small() }),
        ("pictures[0]", pb::ImageRequest { pictures: vec![pb::MediaInput::default()], ..small() }),
        ("mask", pb::ImageRequest { pictures: vec![base()], mask: Some(input(picture(40, 31, |_, _| 0))), ..small() }),
        ("mask", pb::ImageRequest { pictures: vec![base()], mask: Some(input(Bytes::from_static(b"no"))), ..small() }),
        ("mask", pb::ImageRequest { pictures: vec![base()], mask: Some(input(opaque)), ..small() }),
        ("model", pb::ImageRequest { model: "offline-imagine".to_owned(), ..small() }),
        ("prompt", pb::ImageRequest::default()),
    ];
    for (expected, image) in cases {
        assert_eq!(field(&test.generate(image).await.unwrap_err()), expected);
    }
    let nothing = Request::new(pb::GenerateImagesRequest::default());
    assert_eq!(field(&test.service.generate_images(nothing).await.unwrap_err()), "image");
    let mut keyed = request(small());
    keyed.get_mut().idempotency_key = "k\n".to_owned();
    assert_eq!(field(&test.service.generate_images(keyed).await.unwrap_err()), "idempotency_key");
    let many = pb::StreamImagesRequest { image: Some(small()), partial_images: 4, ..Default::default() };
    assert_eq!(field(&test.service.stream_images(Request::new(many)).await.err().unwrap()), "partial_images");
}

#[tokio::test]
async fn edit_with_a_model_without_edits_is_unimplemented() {
    let (test, _) = scripted(vec![finished(0)], End::Closes);
    let edit = pb::ImageRequest { pictures: vec![input(picture(9, 9, |_, _| 255))], ..small() };
    assert_eq!(test.generate(edit).await.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn images_are_sorted_by_index_and_missing_ones_do_not_fail_the_others() {
    let (test, _) = scripted(vec![finished(2), finished(0)], End::Closes);
    let response = test.generate(pb::ImageRequest { n: Some(3), ..small() }).await.unwrap().pictures;
    assert_eq!(response.iter().map(|picture| picture.data.clone()).collect::<Vec<_>>(), [numbered(0), numbered(2)]);
    let (test, _) = scripted(Vec::new(), End::Closes);
    assert_eq!(test.generate(small()).await.unwrap_err().code(), Code::Internal);
    let events: Vec<_> = test.stream(small(), 0).await.collect().await;
    assert!(matches!(&events[..], [Err(status)] if status.code() == Code::Internal));
}

#[tokio::test]
async fn partial_success_lists_failures_and_sums_usage() {
    let policy = || ProviderError::ContentPolicy("no".to_owned());
    let usage = Usage { input: 3, input_images: 0, output: 5, total: 8 };
    let events = || {
        vec![
            ImageEvent::Usage(usage),
            finished(1),
            ImageEvent::Failed { index: 0, error: policy() },
            ImageEvent::Usage(usage),
            finished(2),
        ]
    };
    let three = || pb::ImageRequest { n: Some(3), ..small() };
    let (test, _) = scripted(events(), End::Closes);
    let response = test.generate(three()).await.unwrap();
    let failure =
        pb::ImageFailure { picture_index: 0, code: "content_policy_violation".to_owned(), message: "no".to_owned() };
    assert_eq!((response.pictures.len(), &response.failures), (2, &vec![failure.clone()]));
    assert_eq!(response.usage.map(|usage| usage.total_tokens), Some(16));
    let (test, _) = scripted(events(), End::Closes);
    let events: Vec<_> = test.stream(three(), 0).await.try_collect().await.unwrap();
    let events: Vec<_> = events.into_iter().map(|event| event.event.unwrap()).collect();
    let [Event::Finished(one), Event::Finished(two), Event::Failed(failed)] = &events[..] else { panic!("{events:?}") };
    let totals = [one, two].map(|event| event.usage.map(|usage| usage.total_tokens));
    assert_eq!((totals, failed), ([Some(8), Some(8)], &failure));
    let (test, _) = scripted(vec![ImageEvent::Failed { index: 0, error: policy() }], End::Closes);
    assert_eq!(test.generate(small()).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn invalid_preview_is_skipped_and_invalid_image_fails() {
    let preview = ImageEvent::Preview { index: 0, preview_index: 0, picture: Bytes::from_static(b"half a picture") };
    let (test, _) = scripted(vec![preview, finished(0)], End::Closes);
    let events: Vec<_> = test.stream(small(), 1).await.try_collect().await.unwrap();
    assert!(matches!(events[0].event, Some(Event::Finished(_))) && events.len() == 1);
    let invalid =
        ImageEvent::Finished { index: 0, picture: Bytes::from_static(b"<html>"), revised_prompt: String::new() };
    let (test, _) = scripted(vec![invalid.clone()], End::Closes);
    assert_eq!(test.generate(small()).await.unwrap_err().code(), Code::Internal);
    let (test, _) = scripted(vec![invalid, finished(1)], End::Closes);
    let response = test.generate(pb::ImageRequest { n: Some(2), ..small() }).await.unwrap();
    assert_eq!((response.pictures.len(), response.failures[0].code.as_str()), (1, "upstream_unreadable"));
}

#[tokio::test]
async fn image_with_unexpected_index_is_an_error() {
    let (test, _) = scripted(vec![finished(1)], End::Closes);
    assert_eq!(test.generate(small()).await.unwrap_err().code(), Code::Internal);
}

#[tokio::test]
async fn request_waits_for_the_memory_of_earlier_responses() {
    // The request reserves more than this, which means the whole budget; its response holds what its image takes.
    let media = config::Media { response_memory_bytes: 4 << 20, ..config::Media::default() };
    let budget = PictureBudget::new(&media);
    let test = service_with_budget(offline::entries(budget.clone()), budget.clone());
    let image = pb::ImageRequest { size: "1024x1024".to_owned(), ..small() };
    let first = test.generate(image.clone()).await.unwrap();
    // The image, and once more as base64, which is longer by a third.
    let held = first.pictures[0].data.len() as u64 * 7 / 3;
    assert!(held < 4 << 20);
    let mut second = Box::pin(test.generate(image));
    for _ in 0..20 {
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(budget.generation().is_idle(), "the provider is called without memory for its images");
    drop(first);
    assert_eq!(second.await.unwrap().pictures.len(), 1);
}
