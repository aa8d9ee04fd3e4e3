//! From the request to the stored clip.

use futures_util::StreamExt;

use super::*;
use crate::{media::MediaKey, video::job::IdempotencyKey};

#[tokio::test(start_paused = true)]
async fn a_job_goes_all_the_way_and_its_progress_never_falls() {
    let polls = [working(0), working(40), working(10), working(100), working(60)];
    let stage = Stage::new(Scripted::default().poll_with(polls));
    let id = stage.create().await;
    let runner = stage.start();
    let shown = stage.follow(&id).await;
    let percents: Vec<_> = shown.iter().map(|job| job.state.percent()).collect();
    assert!(percents.is_sorted(), "{percents:?}");
    assert!(shown.windows(2).all(|pair| pair[0].revision < pair[1].revision));
    let JobState::Succeeded { media } = &shown.last().unwrap().state else { panic!("{shown:?}") };
    assert_eq!(media.len(), 2);
    assert_eq!(stage.files(), [format!("{id}-thumbnail.jpg"), format!("{id}.mp4")]);
    assert_eq!(
        (stage.provider.count("submit"), stage.provider.count("poll"), stage.provider.count("cancel")),
        (1, 6, 0)
    );
    assert_eq!(shown.last().unwrap().due_at, None);
    runner.stop(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn the_submission_is_on_disk_before_the_request_leaves() {
    let store: Arc<dyn crate::video::store::JobStore> = Arc::new(crate::video::store::memory::MemoryStore::new());
    let provider = Scripted { witness: Some(Arc::clone(&store)), ..Scripted::default() };
    let stage =
        Stage::over(store, provider, crate::video::jobs::JobSettings::default(), crate::video::time::Clock::of_tokio());
    let id = stage.create().await;
    let _runner = stage.start();
    stage.outcome(&id).await;
    assert_eq!(stage.provider.log.borrow()[0], "seen submitting 1");
}

#[tokio::test(start_paused = true)]
async fn a_clip_is_called_finished_only_once_it_is_stored() {
    let (go, gate) = tokio::sync::watch::channel(false);
    let stage = Stage::new(Scripted::default().fetch_with([Act::When(gate, "clip".into())]));
    let id = stage.create().await;
    let _runner = stage.start();
    stage.provider.asked("fetch", 1).await;
    assert_eq!(stage.until(&id, Phase::Storing).await.state.percent(), 99);
    go.send(true).unwrap();
    stage.outcome(&id).await;
    let key = MediaKey::parse(&format!("{id}.mp4")).unwrap();
    assert_eq!(stage.jobs.media_store.bytes(&key, 100).await.unwrap(), "clip");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_breaks_is_tried_again_and_writes_the_same_files() {
    let stage = Stage::new(Scripted::default().fetch_with([Act::Say(Ok("half".into())), away()]));
    let id = stage.create().await;
    let _runner = stage.start();
    assert_eq!(stage.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!(stage.files().len(), 2);
    let key = MediaKey::parse(&format!("{id}.mp4")).unwrap();
    assert_eq!(stage.jobs.media_store.bytes(&key, 100).await.unwrap(), "video");
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_asked_at_the_pace_it_wishes() {
    let wish = |seconds| {
        Act::Say(Ok(crate::video::Progress::Working { percent: None, poll_after: Duration::from_secs(seconds) }))
    };
    let stage = Stage::new(Scripted::default().poll_with([wish(20), wish(30)]));
    let began = tokio::time::Instant::now();
    let id = stage.create().await;
    let _runner = stage.start();
    stage.outcome(&id).await;
    let took = began.elapsed();
    assert!((50..52).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_comes_while_the_runner_sleeps_is_taken_at_once() {
    let stage = Stage::new(Scripted::default());
    let _runner = stage.start();
    tokio::time::advance(Duration::from_secs(1)).await;
    let began = tokio::time::Instant::now();
    stage.create().await;
    stage.provider.asked("submit", 1).await;
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_more_steps_run_at_once_than_there_are_workers() {
    let stage = Stage::new(Scripted::default().submit_with((0..40).map(|_| Act::Hang)));
    for _ in 0..40 {
        stage.create().await;
    }
    let _runner = stage.start();
    stage.provider.asked("submit", stage.jobs.settings.workers).await;
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(stage.provider.count("submit"), stage.jobs.settings.workers);
}

#[tokio::test(start_paused = true)]
async fn every_watcher_sees_the_end_and_none_is_left_behind() {
    let stage = Stage::new(Scripted::default().poll_with((1..90).map(working)));
    let id = stage.create().await;
    let watchers: Vec<_> = (0..5)
        .map(|_| {
            let (jobs, id) = (stage.jobs.clone(), id.clone());
            tokio::spawn(async move { follow(&jobs, &id).await })
        })
        .collect();
    let _runner = stage.start();
    for watcher in watchers {
        assert!(watcher.await.unwrap().last().unwrap().state.is_final());
    }
    assert_eq!(stage.follow(&id).await.len(), 1, "a final job is told once");
    assert_eq!(stage.jobs.watchers.watched(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_learns_what_another_node_did() {
    let stage = Stage::new(Scripted::default().poll_with([Act::Hang]));
    let id = stage.create().await;
    let mut snapshots = std::pin::pin!(stage.jobs.watch(id.as_str()).await.unwrap());
    snapshots.next().await.unwrap().unwrap();
    let elsewhere = Jobs::with_clock(
        Arc::clone(&stage.jobs.store),
        stage.jobs.media_store.clone(),
        stage.jobs.settings.clone(),
        stage.jobs.clock.clone(),
    );
    elsewhere.cancel(id.as_str()).await.unwrap();
    assert_eq!(snapshots.next().await.unwrap().unwrap().state.phase(), Phase::Cancelled);
    assert!(snapshots.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn creating_twice_under_one_key_renders_once() {
    let stage = Stage::new(Scripted::default());
    let _runner = stage.start();
    let key = || Some(IdempotencyKey { text: "k".to_owned(), fingerprint: "f".to_owned() });
    let first = stage.jobs.create(JobId::new(), order(), key()).await.unwrap();
    stage.outcome(&first.id).await;
    let again = stage.jobs.create(JobId::new(), order(), key()).await.unwrap();
    assert_eq!((again.id, again.state.phase()), (first.id, Phase::Succeeded));
    assert_eq!(stage.files().len(), 2, "the first one's files stay");
    assert_eq!(stage.provider.count("submit"), 1);
}
