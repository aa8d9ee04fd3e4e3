//! The built-in engine as a provider, alone and with the runner of video jobs.

mod faults;
mod inputs_and_parameters;

use std::{path::Path, time::Duration};

use futures_util::TryStreamExt;

use super::*;
use crate::{
    context::RequestContext,
    database::Database,
    keys::Owners,
    live::Live,
    media::{MediaKey, PictureBudget, clip::End},
    models::Models,
    video::{
        Operation,
        inputs::{InputContent, InputRole, InputSource, RenderInput, StoredInput},
        job::{Job, JobId, JobRequest},
        jobs::{JobSettings, Jobs},
        parameters::VideoParameters,
        runner::{Runner, RunnerHandle},
        state::{JobState, Phase},
        store::{JobQueue, sql::SqlStore},
        testing::{follow, request},
    },
};

fn engine(directory: &Path) -> OfflineVideo {
    let media_store = MediaStore::for_test(directory);
    let clips = ClipInspector::new(media_store.clone(), PictureBudget::default());
    OfflineVideo { renders: Arc::new(Renders::new(Pictures::new(media_store, clips))), submits_idempotently: true }
}

/// Returns a submission of 128x72 pixels; `id` is its idempotency key.
fn call(model: &str, id: &str, seconds: u32) -> Call<RenderRequest> {
    let parameters = VideoParameters {
        prompt: "a lighthouse by the sea, pan left".to_owned(),
        width: 128,
        height: 72,
        seconds,
        seed: Some(1),
        ..VideoParameters::default()
    };
    let request = RenderRequest { parameters, inputs: Vec::new(), slot: Slot::default() };
    let context =
        RequestContext { request_id: id.to_owned(), idempotency_key: id.to_owned(), ..RequestContext::default() };
    Call { model: model.to_owned(), request, context }
}

/// Waits for the end of the render rather than polling on a timer, and then polls once.
async fn finished(engine: &OfflineVideo, task: &UpstreamTask) -> Progress {
    let mut render = engine.renders.start(OfflineTask::parse(&task.0).unwrap(), Slot::default());
    render.wait().await;
    engine.poll(task, &RequestContext::default()).await.unwrap()
}

async fn fetched(engine: &OfflineVideo, file: &ClipFile) -> Vec<u8> {
    let chunks: Vec<Bytes> = engine.fetch(file, &RequestContext::default()).await.unwrap().try_collect().await.unwrap();
    assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES));
    chunks.concat()
}

#[tokio::test]
async fn slots_are_limited_and_held_until_the_render_ends() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    // All slots; their number depends on the machine.
    let slots: Vec<_> = std::iter::from_fn(|| engine.reserve()).take(1000).collect();
    assert!((1..1000).contains(&slots.len()) && engine.free_slots() == 0);
    drop(slots);
    assert!(engine.free_slots() > 0);
    // A render holds its slot until it ends.
    let mut slots: Vec<_> = std::iter::from_fn(|| engine.reserve()).take(1000).collect();
    let mut call = call(MODEL, "held", 1);
    call.request.slot = slots.pop().unwrap();
    let task = engine.submit(call).await.unwrap();
    assert!(engine.free_slots() == 0, "the render and `slots` hold all slots");
    let mut render = engine.renders.start(OfflineTask::parse(&task.0).unwrap(), Slot::default());
    render.wait().await;
    assert!(engine.free_slots() > 0 && matches!(render.outcome(), Some(Ok(_))));
}

#[tokio::test]
async fn fetched_render_is_forgotten_and_identical_in_another_process() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let task = engine.submit(call(MODEL, "a", 1)).await.unwrap();
    assert_eq!(engine.submit(call(MODEL, "a", 1)).await.unwrap(), task, "the same key is the same render");
    assert_eq!(engine.renders.count(), 1);
    let Progress::Ready(clip) = finished(&engine, &task).await else { panic!("not ready") };
    let mut files = Vec::new();
    for file in &clip.files {
        files.push(fetched(&engine, file).await);
    }
    assert_eq!(&files[0][4..8], b"ftyp");
    assert!(files[1..].iter().all(|still| image::load_from_memory(still).is_ok()));
    assert_eq!(engine.renders.count(), 0);
    // The engine of another process has received neither submission nor poll: the location of a file is the text of the task, which is enough.
    let next = self::engine(directory.path());
    assert!(fetched(&next, &clip.files[0]).await == files[0]);
}

#[tokio::test]
async fn transparent_parts_of_a_first_frame_are_blended_with_white() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let store = MediaStore::for_test(directory.path());
    // Red with this alpha, and the colour of the video.
    for (alpha, expected) in [(0, [255, 255, 255]), (128, [255, 127, 127]), (255, [255, 0, 0])] {
        let mut png = std::io::Cursor::new(Vec::new());
        let image = image::RgbaImage::from_pixel(128, 72, image::Rgba([255, 0, 0, alpha]));
        image.write_to(&mut png, image::ImageFormat::Png).unwrap();
        let reference = store.put_content(png.into_inner().into(), crate::media::MediaType::Png).await.unwrap();
        let mut call = call(MODEL, &format!("alpha-{alpha}"), 1);
        let source = InputSource::Stored(reference.key);
        call.request.parameters.inputs = vec![StoredInput { role: InputRole::FirstFrame, source }];
        let task = engine.submit(call).await.unwrap();
        let Progress::Ready(clip) = finished(&engine, &task).await else { panic!("not ready") };
        let still = fetched(&engine, &clip.files[1]).await;
        let pixel = image::load_from_memory(&still).unwrap().into_rgb8().get_pixel(64, 36).0;
        assert!(pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 12), "{alpha}: {pixel:?}");
    }
}

#[tokio::test]
async fn cancelled_renders_stop_and_free_their_slots() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let long = engine.submit(call(MODEL, "long", 60)).await.unwrap();
    let mut waiting = Vec::new();
    for index in 0..4 {
        waiting.push(engine.submit(call(MODEL, &index.to_string(), 60)).await.unwrap());
    }
    let start = std::time::Instant::now();
    for task in waiting.iter().chain([&long]) {
        engine.cancel(task, &RequestContext::default()).await.unwrap();
        // A second cancellation is no error.
        engine.cancel(task, &RequestContext::default()).await.unwrap();
    }
    let short = engine.submit(call(MODEL, "short", 1)).await.unwrap();
    assert!(matches!(finished(&engine, &short).await, Progress::Ready(_)));
    // Five renders of 60 s would take minutes.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test]
async fn unsupported_size_is_refused_at_submission() {
    let directory = tempfile::tempdir().unwrap();
    let mut call = call(MODEL, "a", 1);
    (call.request.parameters.width, call.request.parameters.height) = (4096, 64);
    let refused = engine(directory.path()).submit(call).await.unwrap_err();
    assert!(matches!(refused, ProviderError::Refused { field: Some(field), .. } if field == "size"));
}

/// The job runner, with the engine as the provider.
struct Service {
    jobs: Jobs,
    _runner: RunnerHandle,
}

/// Starts the runner on a database file, as a process does.
async fn service(directory: &Path, settings: JobSettings) -> Service {
    let store = Arc::new(SqlStore::new(Database::open(&directory.join("jobs.db")).await.unwrap()));
    service_with_store(directory, settings, store)
}

fn service_with_store(directory: &Path, settings: JobSettings, store: Arc<dyn JobQueue>) -> Service {
    let media_store = MediaStore::for_test(directory);
    let clips = ClipInspector::new(media_store.clone(), PictureBudget::default());
    let entries = entries(&media_store, &clips, &FactsTable::default(), FitPolicy::Nearest);
    let models = Live::new(Models::new(entries).unwrap());
    let jobs = Jobs::new(store.clone(), media_store, settings);
    Service { _runner: Runner::start(store, jobs.clone(), models), jobs }
}

fn job_request(model: &str, seconds: u32) -> JobRequest {
    let loses_submission = Fault::of(model).is_some_and(Fault::loses_submission);
    let name = |text: &str| text.to_owned();
    JobRequest {
        provider_id: name(if loses_submission { NOT_IDEMPOTENT_ID } else { "offline" }),
        model: name(model),
        upstream_model: name(model),
        parameters: VideoParameters { seconds, width: 128, height: 72, ..request().parameters },
        ..request()
    }
}

/// Creates a job, and returns it when it has ended.
async fn outcome(service: &Service, request: JobRequest) -> Job {
    let id = service.jobs.create(JobId::new(), request, &RequestContext::default(), None).await.unwrap().id;
    follow(&service.jobs, &id).await.pop().unwrap()
}

#[tokio::test]
async fn render_of_a_crashed_process_is_finished_by_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    // Short, because the next process waits for the end of the lease of the crashed one.
    let settings = JobSettings { lease: Duration::from_secs(1), ..JobSettings::default() };
    let before = service(directory.path(), settings.clone()).await;
    let id =
        before.jobs.create(JobId::new(), job_request(MODEL, 20), &RequestContext::default(), None).await.unwrap().id;
    {
        let mut snapshots = std::pin::pin!(before.jobs.watch(id.as_str(), &Owners::All).await.unwrap());
        while snapshots.try_next().await.unwrap().unwrap().state.phase() != Phase::Rendering {}
    }
    drop(before);
    let after = service(directory.path(), settings).await;
    let snapshots = follow(&after.jobs, &id).await;
    assert!(snapshots.iter().map(|job| job.state.percent()).is_sorted());
    let JobState::Succeeded { media, .. } = &snapshots.last().unwrap().state else { panic!("{:?}", snapshots.last()) };
    assert_eq!(media.iter().map(|file| file.variant).collect::<Vec<_>>(), Variant::ALL);
}

#[tokio::test]
async fn extension_starts_from_the_last_frame_of_its_source() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let media_store = MediaStore::for_test(directory.path());
    let inspector = ClipInspector::new(media_store.clone(), PictureBudget::default());
    let rendered = async |call: Call<RenderRequest>, name: &str| {
        let task = engine.submit(call).await.unwrap();
        let Progress::Ready(clip) = finished(&engine, &task).await else { panic!("not ready") };
        let key = MediaKey::parse(name).unwrap();
        media_store.put(&key, fetched(&engine, &clip.files[0]).await).await.unwrap();
        key
    };
    let source = rendered(call(MODEL, "source", 1), "source.mp4").await;
    let mut extension = call(MODEL, "extension", 1);
    let input = StoredInput { role: InputRole::Source, source: InputSource::Stored(source.as_str().to_owned()) };
    let parameters = &mut extension.request.parameters;
    (parameters.operation, parameters.prompt) = (Operation::Extend, "still".to_owned());
    parameters.inputs = vec![input];
    let extension = rendered(extension, "extension.mp4").await;
    let frame = async |key: &MediaKey, end| inspector.frame(key, end).await.unwrap();
    let [first, last] = [frame(&source, End::First).await, frame(&source, End::Last).await];
    let start = frame(&extension, End::First).await;
    let difference = |frame: &image::RgbImage| -> u64 {
        frame.iter().zip(start.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
    };
    // The encoder is lossy: the frames are similar rather than equal.
    assert!(difference(&last) * 2 < difference(&first), "{} and {}", difference(&last), difference(&first));
}
