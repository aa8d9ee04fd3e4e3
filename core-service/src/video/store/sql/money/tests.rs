//! Tests of the holds of jobs against the ledger in the same database.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    budget_period::BudgetPeriod,
    config::{AccountLimits, Price},
    database::{self, Database},
    error::Error,
    keys::{Owner, Owners},
    ledger::{Budget, BudgetState, Grouping, HoldFilter, HoldState, LedgerStore, Payer, UsageFilter},
    media::MediaStore,
    prices::{ModelNames, PriceTable},
    video::{
        charge::Charge,
        job::JobId,
        jobs::{JobSettings, Jobs},
        provider::UpstreamTask,
        state::{Event, VideoContent},
        store::{Inserted, JobStore, sql::SqlStore},
        testing::{clip, request},
    },
};

struct Fixture {
    directory: tempfile::TempDir,
    database: Database,
    store: SqlStore,
    ledger: LedgerStore,
    payer: Payer,
}

impl Fixture {
    /// A second of video costs one dollar, and the key has a budget of two and a half.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = database::testing::open(directory.path()).await;
        let limits = AccountLimits { budget_per_month: Usd::parse("2.50"), ..AccountLimits::default() };
        let payer = Payer::new("alice", "t", Budget::new("key", "alice", &limits).into_iter().collect());
        let (store, ledger) = (SqlStore::new(database.clone()), LedgerStore::new(database.clone()));
        Self { directory, database, store, ledger, payer }
    }

    async fn try_insert(&self) -> Result<Job, StoreError> {
        let price = Price { model: "*".to_owned(), per_second: Usd::parse("1"), ..Price::default() };
        let names = ModelNames { public: "m", upstream: "m", provider: "p" };
        let prices = PriceTable::new(&[price]).of_model(Modality::Video, names);
        let mut job = Job::new(JobId::new(), Owner::new("alice"), request(), self.store.now(), Duration::from_mins(1));
        job.charge = Some(Charge::new("t", &prices, &job.request.parameters));
        let limits = JobLimits { payer: self.payer.clone(), ..JobLimits::default() };
        self.store.insert(&job, None, &limits).await.map(|inserted| {
            assert_eq!(inserted, Inserted::New);
            job
        })
    }

    async fn jobs(&self) -> Jobs {
        let media_store = MediaStore::local(&self.directory.path().join("media"), self.database.clone()).await.unwrap();
        Jobs::new(Arc::new(self.store.clone()), media_store, JobSettings::default())
    }

    async fn insert(&self) -> Job {
        self.try_insert().await.unwrap()
    }

    /// Writes the change of a job, and returns the job as it is stored.
    async fn write(&self, before: &Job, next: Job) -> Job {
        let next = Job { revision: before.revision + 1, ..next };
        self.store.amend(before, &next).await.unwrap();
        self.store.get(&next.id, &crate::keys::Owners::All).await.unwrap().unwrap()
    }

    async fn apply(&self, job: Job, events: impl IntoIterator<Item = Event>) -> Job {
        let mut job = job;
        for event in events {
            job = self.write(&job, job.after(event, self.store.now()).unwrap()).await;
        }
        job
    }

    /// Returns what is spent and reserved, in cents.
    async fn cents(&self) -> (i64, i64) {
        assert_eq!(self.ledger.verify().await.unwrap(), []);
        let budgets = self.ledger.budgets(&self.payer.budgets).await.unwrap();
        let [BudgetState { period: BudgetPeriod::Month, spent, reserved, .. }] = &*budgets else {
            panic!("{budgets:?}")
        };
        (spent.micros() / 10_000, reserved.micros() / 10_000)
    }
}

fn rendering(now: Timestamp) -> [Event; 2] {
    [Event::SubmissionStarted(now), Event::Accepted(UpstreamTask("task".to_owned()), now)]
}

fn failed(code: &str) -> Event {
    Event::Failed { code: code.to_owned(), message: String::new() }
}

#[tokio::test]
async fn create_beyond_a_budget_is_refused_and_stores_nothing() {
    let fixture = Fixture::new().await;
    fixture.insert().await;
    fixture.insert().await;
    assert_eq!(fixture.cents().await, (0, 200));
    assert!(matches!(fixture.try_insert().await, Err(StoreError::Budget(_))));
    assert_eq!(fixture.cents().await, (0, 200));
    let jobs = fixture.store.list(&crate::video::store::Page { limit: 10, ..Default::default() }).await.unwrap();
    assert_eq!(jobs.len(), 2);
}

#[tokio::test]
async fn finished_video_is_settled_by_its_length() {
    let fixture = Fixture::new().await;
    // A file may be longer or shorter than requested by some frames.
    for (duration_millis, cents) in [(1_040, 100), (2_000, 200)] {
        let before = fixture.cents().await.0;
        let job = fixture.insert().await;
        let content = VideoContent { width: 320, height: 180, duration_millis, has_audio: false };
        let job = fixture.apply(job, rendering(fixture.store.now())).await;
        assert_eq!(job.charge.as_ref().and_then(Charge::cost), None);
        let job = fixture.apply(job, [Event::Rendered(clip()), Event::Stored(Vec::new(), Some(content))]).await;
        let cost = job.charge.as_ref().and_then(Charge::cost).unwrap();
        assert_eq!(cost.micros() / 10_000, cents);
        assert_eq!(fixture.cents().await, (before + cents, 0));
    }
    let filter = UsageFilter {
        first_day: "2000-01-01".to_owned(),
        last_day: "9999-12-31".to_owned(),
        grouping: Grouping { key: true, team: true, model: true, day: false },
        limit: 10,
        ..UsageFilter::default()
    };
    let rows = fixture.ledger.usage(&filter).await.unwrap();
    let [row] = &*rows else { panic!("{rows:?}") };
    assert_eq!((row.key.as_str(), row.team.as_str(), row.model.as_str()), ("alice", "t", "fake-video"));
    // One second as requested, and the two seconds of the second file.
    assert_eq!((row.usage.calls, row.usage.errors, row.usage.quantities.video_millis), (2, 0, 3000));
    assert_eq!(row.usage.cost, Usd::parse("3").unwrap());
}

#[tokio::test]
async fn cost_of_more_than_three_times_the_estimate_keeps_the_hold() {
    let fixture = Fixture::new().await;
    let job = fixture.insert().await;
    let job = fixture.apply(job, rendering(fixture.store.now())).await;
    let content = VideoContent { width: 320, height: 180, duration_millis: 3_600_000, has_audio: false };
    let job = fixture.apply(job, [Event::Rendered(clip()), Event::Stored(Vec::new(), Some(content))]).await;
    assert_eq!(job.charge.as_ref().and_then(Charge::cost), None);
    assert_eq!(fixture.cents().await, (0, 100));
    let jobs = fixture.jobs().await;
    assert_eq!(jobs.resolve_hold(job.id.as_str(), Usd::parse("1"), "root").await, Ok(()));
    assert_eq!(fixture.cents().await, (100, 0));
}

#[tokio::test]
async fn failed_video_costs_nothing_unless_a_render_may_exist() {
    let fixture = Fixture::new().await;
    for (code, reserved) in [("upstream_refused", 0), ("outcome_unknown", 100), ("upstream_lost", 200)] {
        let job = fixture.insert().await;
        let job = fixture.apply(job, rendering(fixture.store.now())).await;
        fixture.apply(job, [failed(code)]).await;
        assert_eq!(fixture.cents().await, (0, reserved), "{code}");
    }
}

#[tokio::test]
async fn operator_resolves_the_hold_of_an_unknown_outcome_once() {
    let fixture = Fixture::new().await;
    let job = fixture.insert().await;
    let job = fixture.apply(job, rendering(fixture.store.now())).await;
    let job = fixture.apply(job, [failed("outcome_unknown")]).await;
    let cost = Usd::parse("0.70");
    let id = job.id.as_str();
    let jobs = fixture.jobs().await;
    assert_eq!(jobs.resolve_hold(id, cost, "root").await, Ok(()));
    assert_eq!(jobs.resolve_hold(id, cost, "root").await, Err(Error::HoldNotFound(id.to_owned())));
    assert_eq!(fixture.cents().await, (70, 0));
    // The job and the usage have the cost, and the ledger has the author.
    let resolved = jobs.get(id, &Owners::All).await.unwrap();
    assert_eq!((resolved.charge.unwrap().cost(), resolved.revision), (cost, job.revision + 1));
    let author = "SELECT author FROM ledger_entries WHERE item = $1 AND kind = 'settle'";
    let author: String = sqlx::query_scalar(author).bind(id).fetch_one(fixture.database.readers()).await.unwrap();
    assert_eq!(author, "root");
    let filter = UsageFilter {
        first_day: "2000-01-01".to_owned(),
        last_day: "9999-12-31".to_owned(),
        limit: 10,
        ..UsageFilter::default()
    };
    let rows = fixture.ledger.usage(&filter).await.unwrap();
    assert_eq!((rows[0].usage.calls, rows[0].usage.cost), (1, cost.unwrap()));

    let running = fixture.insert().await;
    let error = jobs.resolve_hold(running.id.as_str(), None, "root").await.unwrap_err();
    assert!(matches!(&error, Error::InvalidField { field, .. } if field == "id"), "{error}");
    let job = fixture.apply(running, rendering(fixture.store.now())).await;
    let job = fixture.apply(job, [failed("upstream_lost")]).await;
    assert_eq!(jobs.resolve_hold(job.id.as_str(), None, "root").await, Ok(()));
    assert_eq!(fixture.cents().await, (70, 0));
    assert_eq!(jobs.get(job.id.as_str(), &Owners::All).await.unwrap().charge.unwrap().cost(), Some(Usd::ZERO));
}

#[tokio::test]
async fn open_holds_are_listed_with_their_states() {
    let fixture = Fixture::new().await;
    let running = fixture.insert().await;
    let stopping = fixture.insert().await;
    let stopping = fixture.apply(stopping, rendering(fixture.store.now())).await;
    fixture.write(&stopping, stopping.cancelled(fixture.store.now(), None).unwrap()).await;
    let states = async |filter: HoldFilter| {
        let holds = fixture.ledger.holds(&HoldFilter { limit: 10, ..filter }).await.unwrap();
        assert!(holds.iter().all(|hold| hold.key == "alice" && hold.team == "t"), "{holds:?}");
        holds.into_iter().map(|hold| (hold.item, hold.state)).collect::<Vec<_>>()
    };
    let all = [(running.id.to_string(), HoldState::InProgress), (stopping.id.to_string(), HoldState::Stopping)];
    assert_eq!(states(HoldFilter::default()).await, all);
    assert_eq!(states(HoldFilter { after: Some(all[0].0.clone()), ..HoldFilter::default() }).await, all[1..]);
    let running = fixture.apply(running, rendering(fixture.store.now())).await;
    let unknown = fixture.apply(running, [failed("outcome_unknown")]).await;
    let filter = HoldFilter { state: Some(HoldState::OutcomeUnknown), ..HoldFilter::default() };
    assert_eq!(states(filter).await, [(unknown.id.to_string(), HoldState::OutcomeUnknown)]);
    let one = HoldFilter { item: Some(stopping.id.to_string()), ..HoldFilter::default() };
    assert_eq!(states(one).await, all[1..]);
}

#[tokio::test]
async fn cancelled_video_is_settled_when_its_render_has_been_stopped() {
    let fixture = Fixture::new().await;
    let job = fixture.insert().await;
    let cancelled = fixture.write(&job, job.cancelled(fixture.store.now(), None).unwrap()).await;
    assert_eq!(cancelled.charge.unwrap().cost(), Some(Usd::ZERO));
    for (billed, cents) in [(false, 0), (true, 100)] {
        let job = fixture.insert().await;
        let job = fixture.apply(job, rendering(fixture.store.now())).await;
        let job = fixture.write(&job, job.cancelled(fixture.store.now(), None).unwrap()).await;
        assert_eq!(fixture.cents().await, (0, 100), "the render may still be billed");
        let state = job.state.clone().cleaned_up(billed);
        fixture.write(&job, Job { abandoned: None, state, ..job.clone() }).await;
        assert_eq!(fixture.cents().await, (cents, 0));
    }
}

#[tokio::test]
async fn hold_of_a_removed_unreadable_job_counts_as_spent() {
    let fixture = Fixture::new().await;
    let job = fixture.insert().await;
    fixture.store.remove_unreadable(&job.id, &crate::keys::Owners::All).await.unwrap();
    assert_eq!(fixture.cents().await, (100, 0));
}

crate::database::testing::on_postgres! {
    create_beyond_a_budget_is_refused_and_stores_nothing,
    finished_video_is_settled_by_its_length,
    cost_of_more_than_three_times_the_estimate_keeps_the_hold,
    failed_video_costs_nothing_unless_a_render_may_exist,
    operator_resolves_the_hold_of_an_unknown_outcome_once,
    open_holds_are_listed_with_their_states,
    cancelled_video_is_settled_when_its_render_has_been_stopped,
    hold_of_a_removed_unreadable_job_counts_as_spent,
}
