//! How jobs end without a clip: refused, given up, cancelled, deleted, expired.

use super::*;
use crate::video::{jobs::JobSettings, store::memory::MemoryStore, time::Clock};

fn limited<T>(seconds: u64) -> Act<T> {
    let retry_after = Some(Duration::from_secs(seconds));
    fails(ProviderError::RateLimited { message: "slow down".to_owned(), retry_after })
}

#[tokio::test(start_paused = true)]
async fn a_refusal_fails_the_job_in_the_providers_words_and_is_not_repeated() {
    let stage =
        Stage::new(Scripted::default().submit_with([fails(ProviderError::ContentPolicy("no boats".to_owned()))]));
    let id = stage.create().await;
    let _runner = stage.start();
    assert_eq!(failure(&stage.outcome(&id).await), ("content_policy_violation", "no boats"));
    assert_eq!((stage.provider.count("submit"), stage.provider.count("poll")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_was_surely_turned_away_is_sent_again_when_the_provider_says() {
    let stage = Stage::new(Scripted::default().submit_with([limited(7), limited(11)]));
    let began = tokio::time::Instant::now();
    let id = stage.create().await;
    let _runner = stage.start();
    assert_eq!(stage.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!(stage.provider.count("submit"), 3);
    assert!((18..20).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_turns_everything_away_is_not_asked_for_ever() {
    let stage = Stage::new(Scripted::default().submit_with((0..100).map(|_| limited(1))));
    let id = stage.create().await;
    let _runner = stage.start();
    assert_eq!(failure(&stage.outcome(&id).await).0, "rate_limit_exceeded");
    assert_eq!(stage.provider.count("submit"), 10);
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_may_have_arrived_is_sent_again_only_where_that_starts_no_second_render() {
    let silent = || fails(ProviderError::Timeout("silence".to_owned()));
    let stage = Stage::new(Scripted::default().submit_with([silent()]));
    let id = stage.create().await;
    let _runner = stage.start();
    assert_eq!(failure(&stage.outcome(&id).await).0, "outcome_unknown");
    assert_eq!(stage.provider.count("submit"), 1);

    let stage = Stage::new(Scripted::default().repeatable().submit_with([silent(), away()]));
    let id = stage.create().await;
    let _runner = stage.start();
    assert_eq!(stage.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!(stage.provider.count(&format!("submit {id}")), 3, "under the same key");
}

#[tokio::test(start_paused = true)]
async fn polling_goes_on_through_outages_and_words_nobody_knows_until_the_deadline() {
    let strange = || fails(ProviderError::Unreadable("status `simmering`".to_owned()));
    let stage = Stage::new(Scripted::default().poll_with([working(30), strange(), away(), working(50), strange()]));
    let id = stage.create().await;
    let _runner = stage.start();
    assert_eq!(stage.outcome(&id).await.state.phase(), Phase::Succeeded);

    let stage = Stage::new(Scripted::default().poll_with([working(30)].into_iter().chain((0..500).map(|_| strange()))));
    let began = tokio::time::Instant::now();
    let id = stage.create().await;
    let _runner = stage.start();
    let job = stage.outcome(&id).await;
    assert_eq!((failure(&job).0, job.state.percent()), ("deadline_exceeded", 30));
    assert_eq!(began.elapsed().as_secs(), 30 * 60);
    stage.provider.asked("cancel task of", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_render_that_fails_at_the_provider_fails_the_job_where_it_stood() {
    let broken = Act::Say(Ok(crate::video::Progress::Failed(ProviderError::unavailable("out of film".to_owned()))));
    let stage = Stage::new(Scripted::default().poll_with([working(60), broken]));
    let id = stage.create().await;
    let _runner = stage.start();
    let job = stage.outcome(&id).await;
    assert_eq!((failure(&job), job.state.percent()), (("upstream_unavailable", "out of film"), 60));
}

#[tokio::test(start_paused = true)]
async fn a_dead_link_fails_the_job_and_leaves_no_file() {
    let gone = fails(ProviderError::Refused { message: "the link has expired".to_owned(), field: None });
    let stage = Stage::new(Scripted::default().fetch_with([Act::Say(Ok("clip".into())), gone]));
    let id = stage.create().await;
    let runner = stage.start();
    assert_eq!(failure(&stage.outcome(&id).await), ("upstream_refused", "the link has expired"));
    runner.stop(Duration::from_secs(5)).await;
    assert_eq!(stage.files(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failed_try_and_the_runner_lives_on() {
    let stage = Stage::new(Scripted::default().poll_with([Act::Panic, working(10), Act::Panic]));
    let id = stage.create().await;
    let _runner = stage.start();
    assert_eq!(stage.outcome(&id).await.state.phase(), Phase::Succeeded);

    let stage = Stage::new(Scripted::default().poll_with((0..50).map(|_| Act::Panic)));
    let id = stage.create().await;
    let _runner = stage.start();
    assert_eq!(failure(&stage.outcome(&id).await).0, "internal");

    let stage = Stage::new(Scripted::default().submit_with([Act::Panic]));
    let id = stage.create().await;
    let _runner = stage.start();
    assert_eq!(failure(&stage.outcome(&id).await).0, "outcome_unknown");
    assert_eq!(stage.provider.count("submit"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_provider_is_no_longer_configured_says_so() {
    let stage = Stage::new(Scripted::default());
    let mut gone = order();
    gone.provider = "closed-down".to_owned();
    let id = stage.jobs.create(JobId::new(), gone, None).await.unwrap().id;
    let _runner = stage.start();
    let job = stage.outcome(&id).await;
    assert_eq!(failure(&job).0, "provider_gone");
    assert!(failure(&job).1.contains("closed-down"));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_in_mid_render_wins_at_once_and_stops_the_render() {
    let stage = Stage::new(Scripted::default().poll_with([working(20), Act::Hang]));
    let id = stage.create().await;
    let _runner = stage.start();
    stage.provider.asked("poll", 2).await;
    let cancelled = stage.jobs.cancel(id.as_str()).await.unwrap();
    assert_eq!(cancelled.state, JobState::Cancelled { percent: 20 });
    stage.provider.asked(&format!("cancel task of {id}"), 1).await;
    assert_eq!(stage.jobs.cancel(id.as_str()).await.unwrap().state, cancelled.state, "a second cancel changes nothing");
    assert_eq!(stage.outcome(&id).await.state, cancelled.state);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_in_mid_submit_stops_the_render_that_comes_of_it() {
    let (go, gate) = tokio::sync::watch::channel(false);
    let stage =
        Stage::new(Scripted::default().submit_with([Act::When(gate, crate::video::UpstreamTask("late".to_owned()))]));
    let id = stage.create().await;
    let _runner = stage.start();
    stage.provider.asked("submit", 1).await;
    stage.jobs.cancel(id.as_str()).await.unwrap();
    go.send(true).unwrap();
    stage.provider.asked("cancel late", 1).await;
    assert_eq!(stage.outcome(&id).await.state.phase(), Phase::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_a_finished_job_changes_nothing() {
    let stage = Stage::new(Scripted::default());
    let id = stage.create().await;
    let _runner = stage.start();
    let finished = stage.outcome(&id).await;
    assert_eq!(stage.jobs.cancel(id.as_str()).await.unwrap(), finished);
    assert_eq!(stage.files().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_job_takes_its_render_and_its_files_along() {
    for polls in [vec![working(20), Act::Hang], Vec::new()] {
        let copying = polls.is_empty();
        let fetches = [Act::Say(Ok("clip".into())), Act::Hang];
        let stage = Stage::new(Scripted::default().poll_with(polls).fetch_with(fetches));
        let id = stage.create().await;
        let runner = stage.start();
        stage.provider.asked(if copying { "fetch" } else { "poll" }, 2).await;
        stage.jobs.delete(id.as_str()).await.unwrap();
        assert!(stage.jobs.get(id.as_str()).await.is_err());
        assert!(stage.jobs.delete(id.as_str()).await.is_err(), "it is gone");
        stage.provider.asked(&format!("cancel task of {id}"), 1).await;
        runner.stop(Duration::from_secs(5)).await;
        assert_eq!(stage.files(), [""; 0]);
        assert_eq!(stage.jobs.store.next_due().await.unwrap(), None, "the row is gone");
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_job_is_removed_with_its_files_when_it_expires() {
    let retention = Some(Duration::from_hours(24));
    let settings = JobSettings { retention, ..JobSettings::default() };
    let stage = Stage::over(Arc::new(MemoryStore::new()), Scripted::default(), settings, Clock::of_tokio());
    let id = stage.create().await;
    let runner = stage.start();
    let job = stage.outcome(&id).await;
    assert_eq!(job.expires_at.unwrap().since(job.completed_at.unwrap()), Duration::from_hours(24));
    tokio::time::sleep(Duration::from_hours(23)).await;
    assert_eq!((stage.jobs.get(id.as_str()).await.unwrap(), stage.files().len()), (job, 2));
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert!(stage.jobs.get(id.as_str()).await.is_err());
    runner.stop(Duration::from_secs(5)).await;
    assert_eq!(stage.files(), [""; 0]);
}
