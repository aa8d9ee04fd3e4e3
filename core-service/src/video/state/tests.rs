//! The table of transitions, and the JSON documents of states.

use super::*;
use crate::usd::Usd;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn task() -> UpstreamTask {
    UpstreamTask("t".to_owned())
}

fn clip() -> Clip {
    Clip::new([])
}

fn usage() -> RenderUsage {
    RenderUsage { video_millis: Some(5_500), cost: Usd::parse("0.25") }
}

fn states() -> [JobState; 7] {
    [
        JobState::Queued,
        JobState::Submitting { since: Some(NOW), searches: 1 },
        JobState::Rendering { task: task(), percent: 40, missing: 2, since: Some(NOW) },
        JobState::Storing { task: task(), clip: clip().with_usage(usage()), renewals: 1 },
        JobState::Succeeded { media: Vec::new(), task: Some(task()), content: None, usage: usage() },
        JobState::Failed { percent: 40, code: "c".to_owned(), message: "m".to_owned() },
        JobState::Cancelled { percent: 40, submission: Some(NOW), may_be_billed: true },
    ]
}

fn events() -> [Event; 10] {
    [
        Event::SubmissionStarted(NOW),
        Event::SubmissionRejected,
        Event::NotFound,
        Event::Accepted(task(), NOW),
        Event::Progressed(70),
        Event::Missed,
        Event::Rendered(clip()),
        Event::Stored(Vec::new(), None),
        Event::Failed { code: "x".to_owned(), message: "y".to_owned() },
        Event::Cancelled,
    ]
}

#[test]
fn every_pair_of_state_and_event_has_the_transition_of_the_table() {
    // Rows: the states, columns: the events, both in the order above. The cells are the state and the progress that follow, or `-`
    // if the event is not allowed.
    let table = [
        ["submitting 0", "-", "-", "-", "-", "-", "-", "-", "failed 0", "cancelled 0"],
        ["submitting 0", "queued 0", "submitting 0", "rendering 0", "-", "-", "-", "-", "failed 0", "cancelled 0"],
        ["-", "-", "-", "-", "rendering 70", "rendering 40", "storing 99", "-", "failed 40", "cancelled 40"],
        ["-", "-", "-", "-", "-", "-", "storing 99", "succeeded 100", "failed 99", "cancelled 99"],
        ["-"; 10],
        ["-"; 10],
        ["-"; 10],
    ];
    for (state, row) in states().into_iter().zip(table) {
        for (event, expected) in events().into_iter().zip(row) {
            let context = format!("{state:?} on {event:?}");
            let found = state.clone().apply(event);
            let found = found.map_or_else(|_| "-".to_owned(), |to| format!("{} {}", to.phase(), to.percent()));
            assert_eq!(found, expected, "{context}");
        }
    }
}

#[test]
fn progress_never_decreases_and_stays_below_100_until_everything_is_stored() {
    let mut state = JobState::Rendering { task: task(), percent: 0, missing: 0, since: None };
    let mut progress = Vec::new();
    for percent in [10, 5, 60, 0, 100, 255, 30] {
        state = state.apply(Event::Progressed(percent)).unwrap();
        progress.push(state.percent());
    }
    assert_eq!(progress, [10, 10, 60, 60, 99, 99, 99]);
}

#[test]
fn missed_polls_are_counted_until_the_next_progress_and_renewals_for_good() {
    let missing = |state: &JobState| if let JobState::Rendering { missing, .. } = state { *missing } else { 99 };
    let mut state = JobState::Rendering { task: task(), percent: 5, missing: 0, since: None };
    let mut counts = Vec::new();
    for event in [Event::Missed, Event::Missed, Event::Progressed(0), Event::Missed] {
        state = state.apply(event).unwrap();
        counts.push((missing(&state), state.percent()));
    }
    assert_eq!(counts, [(1, 5), (2, 5), (0, 5), (1, 5)]);
    let state = state.apply(Event::Rendered(clip())).unwrap().apply(Event::Rendered(clip())).unwrap();
    assert!(matches!(state, JobState::Storing { renewals: 1, .. }), "{state:?}");
}

#[test]
fn reported_usage_is_kept_with_the_result_also_if_new_links_are_without_it() {
    let state = JobState::Rendering { task: task(), percent: 5, missing: 0, since: None };
    let events =
        [Event::Rendered(clip().with_usage(usage())), Event::Rendered(clip()), Event::Stored(Vec::new(), None)];
    let state = events.into_iter().fold(state, |state, event| state.apply(event).unwrap());
    assert!(matches!(state, JobState::Succeeded { usage: kept, .. } if kept == usage()), "{state:?}");
}

#[test]
fn a_final_state_never_changes() {
    for state in states().into_iter().filter(JobState::is_final) {
        for event in events() {
            assert_eq!(state.clone().apply(event), Err(IllegalTransition { from: state.phase() }));
        }
    }
}

#[test]
fn a_state_survives_serialization() {
    for state in states() {
        let text = state.to_json().unwrap();
        assert!(text.starts_with(r#"{"version":1,"#), "{text}");
        assert_eq!(JobState::from_json(&text).unwrap(), state, "{text}");
    }
}

#[test]
fn a_document_without_a_version_is_readable() {
    let old = r#"{"phase":"succeeded","media":[]}"#;
    let succeeded = JobState::Succeeded { media: Vec::new(), task: None, content: None, usage: RenderUsage::default() };
    assert_eq!(JobState::from_json(old).unwrap(), succeeded);
    let old = r#"{"version":1,"phase":"storing","task":"t","clip":{"files":[]}}"#;
    assert_eq!(JobState::from_json(old).unwrap(), JobState::Storing { task: task(), clip: clip(), renewals: 0 });
    let old = r#"{"version":1,"phase":"submitting"}"#;
    assert_eq!(JobState::from_json(old).unwrap(), JobState::Submitting { since: None, searches: 0 });
    let old = r#"{"version":1,"phase":"cancelled","percent":7}"#;
    let cancelled = JobState::Cancelled { percent: 7, submission: None, may_be_billed: false };
    assert_eq!(JobState::from_json(old).unwrap(), cancelled);
    let old = r#"{"phase":"rendering","task":"t","percent":40}"#;
    assert_eq!(
        JobState::from_json(old).unwrap(),
        JobState::Rendering { task: task(), percent: 40, missing: 0, since: None }
    );
}

#[test]
fn a_document_of_a_later_version_is_refused() {
    let error = JobState::from_json(r#"{"version":2,"phase":"queued"}"#).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
}

#[test]
fn cancellation_during_a_submission_remembers_it_until_the_clean_up() {
    let state = JobState::Submitting { since: Some(NOW), searches: 0 }.apply(Event::Cancelled).unwrap();
    assert_eq!(state.unresolved_submission(), Some(NOW));
    let billed = state.clone().cleaned_up(true);
    assert_eq!(billed, JobState::Cancelled { percent: 0, submission: None, may_be_billed: true });
    assert_eq!(billed.clone().cleaned_up(false), billed, "what may be billed stays so");
    assert!(state.looks_like(&billed));
    assert_eq!(JobState::Queued.apply(Event::Cancelled).unwrap().unresolved_submission(), None);
}
