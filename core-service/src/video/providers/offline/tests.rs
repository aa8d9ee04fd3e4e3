use std::path::Path;

use futures_util::TryStreamExt;

use super::*;
use crate::{
    catalog::{Catalog, Models},
    context::RequestContext,
    database::Database,
    live::Live,
    size::Size,
    video::{
        job::{Job, JobId, Order},
        jobs::{JobSettings, Jobs},
        runner::{Runner, RunnerHandle},
        scripted::{follow, order},
        state::{JobState, Phase},
        store::sqlite::SqliteStore,
    },
};

fn engine(directory: &Path) -> OfflineVideo {
    OfflineVideo { studio: Studio::new(MediaStore::for_test(directory)) }
}

fn call(model: &str, id: &str, seconds: u32) -> Call<VideoSpec> {
    let request = VideoSpec {
        prompt: "a lighthouse by the sea, pan left".to_owned(),
        size: Size::new(128, 72),
        seconds,
        seed: Some(1),
        reference: None,
        user: String::new(),
        extra_json: String::new(),
    };
    let context =
        RequestContext { request_id: id.to_owned(), idempotency_key: id.to_owned(), ..RequestContext::default() };
    Call { model: model.to_owned(), request, context }
}

/// Polls on the render's own news, not on a timer.
async fn finished(engine: &OfflineVideo, task: &UpstreamTask) -> Progress {
    let mut render = engine.studio.begin(Ticket::read(&task.0).unwrap());
    render.wait().await;
    engine.poll(task).await.unwrap()
}

async fn fetched(engine: &OfflineVideo, file: &ClipFile) -> Vec<u8> {
    let pieces: Vec<Bytes> = engine.fetch(file).await.unwrap().try_collect().await.unwrap();
    assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
    pieces.concat()
}

#[tokio::test]
async fn a_clip_is_rendered_handed_out_and_forgotten_and_comes_out_alike_in_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let task = engine.submit(call(MODEL, "a", 1)).await.unwrap();
    assert_eq!(engine.submit(call(MODEL, "a", 1)).await.unwrap(), task, "the same key is the same render");
    assert_eq!(engine.studio.kept(), 1);
    let Progress::Ready(clip) = finished(&engine, &task).await else { panic!("not ready") };
    let mut files = Vec::new();
    for file in &clip.files {
        files.push(fetched(&engine, file).await);
    }
    assert_eq!(&files[0][4..8], b"ftyp");
    assert!(files[1..].iter().all(|still| image::load_from_memory(still).is_ok()));
    assert_eq!(engine.studio.kept(), 0);
    // Neither a poll nor a submission came before: the task's text is enough.
    let next = self::engine(directory.path());
    assert!(fetched(&next, &clip.files[0]).await == files[0]);
}

#[tokio::test]
async fn a_cancelled_render_stops_soon_and_lets_the_next_one_begin() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let long = engine.submit(call(MODEL, "long", 60)).await.unwrap();
    let mut waiting = Vec::new();
    for place in 0..4 {
        waiting.push(engine.submit(call(MODEL, &place.to_string(), 60)).await.unwrap());
    }
    let began = std::time::Instant::now();
    for task in waiting.iter().chain([&long]) {
        engine.cancel(task).await.unwrap();
        engine.cancel(task).await.unwrap();
    }
    let short = engine.submit(call(MODEL, "short", 1)).await.unwrap();
    assert!(matches!(finished(&engine, &short).await, Progress::Ready(_)));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_the_encoder_cannot_do_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut call = call(MODEL, "a", 1);
    call.request.size = Size::new(4096, 64);
    let refused = engine(directory.path()).submit(call).await.unwrap_err();
    assert!(matches!(refused, ProviderError::Refused { field: Some(field), .. } if field == "size"));
}

/// The engine under the job machine, on a database file.
struct House {
    jobs: Jobs,
    _runner: RunnerHandle,
}

async fn house(directory: &Path, settings: JobSettings) -> House {
    let store = SqliteStore::new(Database::open(&directory.join("jobs.db")).await.unwrap());
    let media_store = MediaStore::for_test(directory);
    let video = Models::new(entries(&media_store)).unwrap();
    let catalog = Catalog::new(Models::new(Vec::new()).unwrap(), Models::new(Vec::new()).unwrap(), video);
    let jobs = Jobs::new(Arc::new(store), media_store, settings);
    House { _runner: Runner::start(jobs.clone(), Live::new(catalog)), jobs }
}

fn of_engine(model: &str, seconds: u32) -> Order {
    let name = |text: &str| text.to_owned();
    Order {
        provider: name("offline"),
        model: name(model),
        upstream: name(model),
        seconds,
        width: 128,
        height: 72,
        ..order()
    }
}

async fn outcome(house: &House, order: Order) -> Job {
    let id = house.jobs.create(JobId::new(), order, None).await.unwrap().id;
    follow(&house.jobs, &id).await.pop().unwrap()
}

#[tokio::test]
async fn every_fault_comes_as_its_model_name_asks_for() {
    let directory = tempfile::tempdir().unwrap();
    let settings = JobSettings { deadline: Duration::from_secs(25), ..JobSettings::default() };
    let house = house(directory.path(), settings).await;
    let code = |job: &Job| {
        let name = if let JobState::Failed { code, .. } = &job.state { code } else { job.state.phase().as_str() };
        (name.to_owned(), job.state.percent())
    };
    let ask = |fault: Fault| outcome(&house, of_engine(&fault.model(MODEL), 1));
    let (fails, paced, refused, expired) =
        tokio::join!(ask(Fault::RenderFails), ask(Fault::RateLimited), ask(Fault::Refused), ask(Fault::LinkExpired));
    let (name, reached) = code(&fails);
    assert!(name == "upstream_unavailable" && reached <= 60, "{fails:?}");
    assert_eq!(code(&paced), ("succeeded".to_owned(), 100));
    assert_eq!(code(&refused), ("content_policy_violation".to_owned(), 0));
    assert_eq!(code(&expired), ("upstream_refused".to_owned(), 99));
}

#[tokio::test]
async fn the_stuck_fault_ends_with_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let settings = JobSettings { deadline: Duration::from_millis(900), ..JobSettings::default() };
    let job = outcome(&house(directory.path(), settings).await, of_engine(&Fault::RenderStuck.model(MODEL), 1)).await;
    let JobState::Failed { code, percent, .. } = &job.state else { panic!("{job:?}") };
    assert_eq!((code.as_str(), *percent), ("deadline_exceeded", 42));
}

#[tokio::test]
async fn a_clip_whose_process_died_in_mid_render_is_finished_by_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let settings = JobSettings { lease: Duration::from_secs(1), ..JobSettings::default() };
    let before = house(directory.path(), settings.clone()).await;
    let id = before.jobs.create(JobId::new(), of_engine(MODEL, 20), None).await.unwrap().id;
    {
        let mut shown = std::pin::pin!(before.jobs.watch(id.as_str()).await.unwrap());
        while shown.try_next().await.unwrap().unwrap().state.phase() != Phase::Rendering {}
    }
    drop(before);
    let after = house(directory.path(), settings).await;
    let shown = follow(&after.jobs, &id).await;
    assert!(shown.iter().map(|job| job.state.percent()).is_sorted());
    let JobState::Succeeded { media } = &shown.last().unwrap().state else { panic!("{:?}", shown.last()) };
    assert_eq!(media.iter().map(|file| file.variant).collect::<Vec<_>>(), Variant::ALL);
}
