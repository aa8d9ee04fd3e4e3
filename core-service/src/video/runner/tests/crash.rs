//! A process that dies at any point, on a real database file: dropping the runner is the crash, opening the file anew is
//! the next process.

use std::path::Path;

use super::*;
use crate::{
    catalog::Models,
    database::Database,
    live::Live,
    video::{
        jobs::JobSettings,
        store::{WorkerId, sqlite::SqliteStore},
        time::Clock,
    },
};

/// A dead worker's job waits this long.
const LEASE: Duration = Duration::from_millis(300);

async fn stage(directory: &Path, provider: Scripted) -> Stage {
    stage_with(directory, provider, LEASE).await
}

async fn stage_with(directory: &Path, provider: Scripted, lease: Duration) -> Stage {
    let store = SqliteStore::new(Database::open(&directory.join("jobs.db")).await.unwrap());
    let settings = JobSettings { lease, ..JobSettings::default() };
    Stage::over(Arc::new(store), provider, settings, Clock::system())
}

/// Runs a job up to the `times`th call of `word`, dies there, and lets a second process finish it.
async fn crash(word: &str, times: usize, first: Scripted, second: Scripted) -> (Stage, Stage, Vec<Job>) {
    let directory = tempfile::tempdir().unwrap();
    let before = stage(directory.path(), first).await;
    let id = before.create().await;
    let runner = before.start();
    before.provider.asked(word, times).await;
    drop(runner);
    let after = stage(directory.path(), second).await;
    let _runner = after.start();
    let shown = after.follow(&id).await;
    (before, after, shown)
}

#[tokio::test]
async fn a_crash_before_anything_left_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let id = stage(directory.path(), Scripted::default()).await.create().await;
    let after = stage(directory.path(), Scripted::default()).await;
    let _runner = after.start();
    assert_eq!(after.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!(after.provider.count("submit"), 1);
}

#[tokio::test]
async fn a_crash_in_mid_submit_is_not_paid_twice_and_says_so() {
    let hangs = Scripted::default().submit_with([Act::Hang]);
    let (_, after, shown) = crash("submit", 1, hangs, Scripted::default()).await;
    assert_eq!(failure(shown.last().unwrap()).0, "outcome_unknown");
    assert_eq!(after.provider.count("submit"), 0);
}

#[tokio::test]
async fn a_crash_in_mid_submit_is_submitted_again_under_the_same_key_where_that_is_safe() {
    let hangs = Scripted::default().repeatable().submit_with([Act::Hang]);
    let (before, after, shown) = crash("submit", 1, hangs, Scripted::default().repeatable()).await;
    let job = shown.last().unwrap();
    assert_eq!(job.state.phase(), Phase::Succeeded);
    let key = format!("submit {}", job.id);
    assert_eq!((before.provider.count(&key), after.provider.count(&key)), (1, 1));
}

#[tokio::test]
async fn a_crash_in_mid_render_goes_on_polling_and_its_progress_does_not_fall() {
    let hangs = Scripted::default().poll_with([working(50), Act::Hang]);
    let again = Scripted::default().poll_with([working(5), working(70)]);
    let (before, after, shown) = crash("poll", 2, hangs, again).await;
    let percents: Vec<_> = shown.iter().map(|job| job.state.percent()).collect();
    assert_eq!((percents.first(), percents.last()), (Some(&50), Some(&100)));
    assert!(percents.is_sorted(), "{percents:?}");
    assert_eq!((before.provider.count("submit"), after.provider.count("submit")), (1, 0));
}

#[tokio::test]
async fn a_crash_in_mid_copy_copies_again() {
    let hangs = Scripted::default().fetch_with([Act::Say(Ok("clip".into())), Act::Hang]);
    let (before, after, shown) = crash("fetch", 2, hangs, Scripted::default()).await;
    assert_eq!(shown.last().unwrap().state.phase(), Phase::Succeeded);
    assert_eq!((before.provider.count("submit"), after.provider.count("submit")), (1, 0));
    assert_eq!((after.provider.count("poll"), after.files().len()), (0, 2));
}

#[tokio::test]
async fn a_crash_between_a_cancel_and_its_render_still_stops_the_render() {
    let directory = tempfile::tempdir().unwrap();
    let before = stage(directory.path(), Scripted::default().poll_with([Act::Hang])).await;
    let id = before.create().await;
    let runner = before.start();
    before.provider.asked("poll", 1).await;
    drop(runner);
    before.jobs.cancel(id.as_str()).await.unwrap();
    let after = stage(directory.path(), Scripted::default()).await;
    let _runner = after.start();
    after.provider.asked(&format!("cancel task of {id}"), 1).await;
}

#[tokio::test]
async fn two_runners_share_the_work_and_submit_each_job_once() {
    const JOBS: usize = 40;
    let directory = tempfile::tempdir().unwrap();
    // Long enough for a slow disk: a lease that lapses in mid-submit is a crash, rightly.
    let lease = JobSettings::default().lease;
    let one = stage_with(directory.path(), Scripted::default(), lease).await;
    let other = stage_with(directory.path(), Scripted::default(), lease).await;
    let mut ids = Vec::new();
    for _ in 0..JOBS {
        ids.push(one.create().await);
    }
    let _runners = (one.start(), other.start());
    for id in &ids {
        assert_eq!(one.outcome(id).await.state.phase(), Phase::Succeeded);
    }
    assert_eq!(one.provider.count("submit") + other.provider.count("submit"), JOBS);
    for id in &ids {
        let key = format!("submit {id}");
        assert_eq!(one.provider.count(&key) + other.provider.count(&key), 1);
    }
}

#[tokio::test]
async fn a_worker_that_outlasts_its_lease_keeps_it_by_its_heartbeat() {
    let directory = tempfile::tempdir().unwrap();
    let (go, gate) = tokio::sync::watch::channel(false);
    let one = stage(directory.path(), Scripted::default().fetch_with([Act::When(gate, "clip".into())])).await;
    let id = one.create().await;
    let _runner = one.start();
    one.provider.asked("fetch", 1).await;
    let worker = WorkerId::new();
    let began = Clock::system().now();
    while Clock::system().now().since(began) < 3 * LEASE {
        let claim = one.jobs.store.claim(&worker, Clock::system().now(), LEASE).await.unwrap();
        assert_eq!(claim, None);
    }
    go.send(true).unwrap();
    assert_eq!(one.outcome(&id).await.state.phase(), Phase::Succeeded);
}

#[tokio::test]
async fn a_stopped_runner_hands_its_leases_back() {
    let directory = tempfile::tempdir().unwrap();
    let before = stage(directory.path(), Scripted::default().poll_with([working(30), Act::Hang])).await;
    let id = before.create().await;
    let runner = before.start();
    before.provider.asked("poll", 2).await;
    runner.stop(Duration::ZERO).await;
    let claim = before.jobs.store.claim(&WorkerId::new(), before.jobs.clock.now(), LEASE).await.unwrap();
    assert_eq!(claim.map(|claim| claim.job.id), Some(id));
}

#[tokio::test]
async fn a_stopped_runner_lets_its_steps_finish_and_takes_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let (go, gate) = tokio::sync::watch::channel(false);
    let task = crate::video::UpstreamTask("t".to_owned());
    let before = stage(directory.path(), Scripted::default().submit_with([Act::When(gate, task)])).await;
    let id = before.create().await;
    let runner = before.start();
    before.provider.asked("submit", 1).await;
    let stopping = tokio::spawn(runner.stop(Duration::from_secs(30)));
    go.send(true).unwrap();
    stopping.await.unwrap();
    assert_eq!(before.jobs.get(id.as_str()).await.unwrap().state.phase(), Phase::Rendering);
    assert_eq!(before.provider.count("poll"), 0);
}

#[tokio::test]
async fn a_provider_that_went_away_over_a_restart_ends_the_job_with_the_truth() {
    let directory = tempfile::tempdir().unwrap();
    let before = stage(directory.path(), Scripted::default().poll_with([Act::Hang])).await;
    let id = before.create().await;
    let runner = before.start();
    before.provider.asked("poll", 1).await;
    drop(runner);
    let mut after = stage(directory.path(), Scripted::default()).await;
    let (chat, image, video) = (Models::new(Vec::new()), Models::new(Vec::new()), Models::new(Vec::new()));
    after.catalog = Live::new(Catalog::new(chat.unwrap(), image.unwrap(), video.unwrap()));
    let _runner = after.start();
    assert_eq!(failure(&after.outcome(&id).await).0, "provider_gone");
}
