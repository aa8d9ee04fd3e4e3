//! Executes steps, and compares the ledger with their effects.

use std::{collections::HashMap, time::Duration};

use proptest::sample::Index;
use tempfile::TempDir;
use triptych_proto::v1::Modality;

use super::{
    Step,
    process::{KEYS, MODEL, Process, payer},
};
use crate::{
    error::Error,
    keys::{Owner, Owners},
    ledger::{CallMeter, CallStart},
    prices::{Attributes, Quantities},
    usd::Usd,
    video::{
        UpstreamTask,
        charge::{Charge, ChargeState},
        job::{Job, JobId},
        state::{Event, VideoContent},
        store::{JobLimits, JobStore, StoreError},
        testing::{clip, request},
    },
};

struct Call {
    key: usize,
    most: u64,
    meter: CallMeter,
}

/// What the ledger must agree with.
pub(super) struct World {
    directory: TempDir,
    process: Process,
    jobs: Vec<JobId>,
    calls: Vec<Call>,
    /// The last change of a job: before and after it.
    last_change: Option<(Job, Job)>,
    /// The charges that have ended, which never change.
    ended: HashMap<JobId, ChargeState>,
    /// By key, in millionths of a dollar: what removed jobs cost, what ended calls cost, and the allowances of killed processes.
    removed: [i64; 2],
    completed: [i64; 2],
    lost: [i64; 2],
}

fn key_of(job: &Job) -> usize {
    KEYS.iter().position(|key| job.owner == Owner::new(key)).unwrap()
}

impl World {
    pub(super) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            process: Process::start(&directory).await,
            directory,
            jobs: Vec::new(),
            calls: Vec::new(),
            last_change: None,
            ended: HashMap::new(),
            removed: [0; 2],
            completed: [0; 2],
            lost: [0; 2],
        }
    }

    async fn job(&self, index: Index) -> Option<Job> {
        let id = (!self.jobs.is_empty()).then(|| index.get(&self.jobs))?;
        self.process.store.get(id, &Owners::All).await.unwrap()
    }

    async fn change(&mut self, before: Job, next: Job) -> Job {
        let next = Job { revision: before.revision + 1, ..next };
        self.process.store.amend(&before, &next).await.unwrap();
        self.last_change = Some((before, next.clone()));
        self.process.store.get(&next.id, &Owners::All).await.unwrap().unwrap()
    }

    /// Applies events as long as the state permits them.
    async fn apply(&mut self, job: Index, events: impl IntoIterator<Item = Event>) {
        let Some(mut job) = self.job(job).await else { return };
        for event in events {
            let Ok(next) = job.after(event, self.process.store.now()) else { return };
            job = self.change(job, next).await;
        }
    }

    pub(super) async fn run(&mut self, step: Step) {
        let now = self.process.store.now();
        match step {
            Step::Create { key } => self.create(key).await,
            Step::Accept(job) => {
                let accepted = Event::Accepted(UpstreamTask("task".to_owned()), now);
                self.apply(job, [Event::SubmissionStarted(now), accepted]).await;
            }
            Step::Finish { job, seconds } => {
                let content =
                    VideoContent { width: 320, height: 180, duration_millis: seconds * 1000, has_audio: false };
                self.apply(job, [Event::Rendered(clip()), Event::Stored(Vec::new(), Some(content))]).await;
            }
            Step::Fail { job, is_known } => {
                let code = if is_known { "upstream_refused" } else { "outcome_unknown" }.to_owned();
                self.apply(job, [Event::Failed { code, message: String::new() }]).await;
            }
            Step::Cancel(job) => {
                if let Some(job) = self.job(job).await
                    && let Ok(next) = job.cancelled(now, None)
                {
                    self.change(job, next).await;
                }
            }
            Step::CleanUp { job, billed } => {
                if let Some(job) = self.job(job).await.filter(|job| job.abandoned.is_some()) {
                    let state = job.state.clone().cleaned_up(billed);
                    self.change(job.clone(), Job { abandoned: None, state, ..job }).await;
                }
            }
            Step::Resolve { job, cost } => self.resolve(job, cost.map(Usd::from_micros)).await,
            Step::Remove(job) => self.remove(job).await,
            Step::RepeatChange => {
                if let Some((before, next)) = &self.last_change {
                    assert!(matches!(self.process.store.amend(before, next).await, Err(StoreError::Stale)));
                }
            }
            Step::BeginCall { key, most } => self.begin_call(key, most).await,
            Step::EndCall { call, percent, failed } => self.end_call(call, percent, failed),
            Step::Settle(returned) => {
                self.process.ledger.settle(returned).await.unwrap();
                self.assert_calls_are_written().await;
            }
            Step::Restart { killed } => self.restart(killed).await,
        }
    }

    async fn create(&mut self, key: usize) {
        let Process { ledger, store, .. } = &self.process;
        let mut job = Job::new(JobId::new(), Owner::new(KEYS[key]), request(), store.now(), Duration::from_mins(1));
        let prices = ledger.prices().of_model(Modality::Video, MODEL);
        job.charge = Some(Charge::new("t", &prices, &job.request.parameters));
        match store.insert(&job, None, &JobLimits { payer: payer(key), ..JobLimits::default() }).await {
            Ok(_) => self.jobs.push(job.id),
            Err(StoreError::Budget(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn resolve(&self, job: Index, cost: Option<Usd>) {
        let Some(job) = self.job(job).await else { return };
        let held = job.charge.as_ref().unwrap().state == ChargeState::Held;
        let may_end = held && job.state.is_final() && job.abandoned.is_none();
        match self.process.jobs.resolve_hold(job.id.as_str(), cost, "root").await {
            Ok(()) => assert!(may_end, "{job:?}"),
            Err(Error::HoldNotFound(_) | Error::InvalidField { .. }) => assert!(!may_end, "{job:?}"),
            Err(error) => panic!("{error}"),
        }
    }

    /// Removes a job with its row, whatever its state: an open hold counts as spent.
    async fn remove(&mut self, job: Index) {
        let Some(job) = self.job(job).await else { return };
        assert!(self.process.store.remove_unreadable(&job.id, &Owners::All).await.unwrap());
        let charge = job.charge.as_ref().unwrap();
        self.removed[key_of(&job)] += match charge.state {
            ChargeState::Held => charge.estimate.micros(),
            ChargeState::Settled(cost) => cost.micros(),
            ChargeState::Released => 0,
        };
        self.jobs.retain(|id| *id != job.id);
    }

    async fn begin_call(&mut self, key: usize, most: u64) {
        let payer = payer(key);
        let start =
            CallStart { payer: &payer, modality: Modality::Chat, model: MODEL, attributes: Attributes::default() };
        let quantities = Quantities { output_tokens: most, ..Quantities::default() };
        match self.process.ledger.begin(start, |_| quantities).await {
            Ok(meter) => self.calls.push(Call { key, most, meter }),
            Err(Error::BudgetExceeded(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn end_call(&mut self, call: Index, percent: u64, failed: bool) {
        if self.calls.is_empty() {
            return;
        }
        let Call { key, most, meter } = self.calls.swap_remove(call.index(self.calls.len()));
        let output_tokens = if failed { 0 } else { most * percent / 100 };
        if failed {
            meter.fail();
        }
        meter.record(Quantities { output_tokens, ..Quantities::default() });
        let cost = meter.settle().unwrap();
        assert_eq!((cost.micros().unsigned_abs(), meter.settle()), (output_tokens, Some(cost)));
        self.completed[key] += cost.micros();
    }

    /// Stops the process, or kills it: then the allowances count as spent, and the calls that were not settled are lost.
    pub(super) async fn restart(&mut self, killed: bool) {
        let handle = self.process.handle.take().unwrap();
        if killed {
            handle.task.abort();
            for key in [0, 1] {
                self.lost[key] += self.process.sum("ledger_holds", key, "allowance:").await;
                self.completed[key] = self.process.sum("ledger_entries", key, "calls:").await;
            }
        } else {
            // A call that is dropped has used nothing.
            self.calls.clear();
            handle.stop().await;
            self.assert_calls_are_written().await;
        }
        self.process.database.close().await;
        self.process = Process::start(&self.directory).await;
        self.calls.clear();
        for key in [0, 1] {
            assert_eq!(self.process.sum("ledger_holds", key, "allowance:").await, 0, "after a restart");
        }
    }

    async fn assert_calls_are_written(&self) {
        for (key, name) in KEYS.into_iter().enumerate() {
            assert_eq!(self.process.sum("ledger_entries", key, "calls:").await, self.completed[key], "{name}");
        }
    }

    pub(super) async fn check(&mut self) {
        let Process { database, ledger, store, .. } = &self.process;
        let ledger = ledger.store().unwrap();
        assert_eq!(ledger.verify().await.unwrap(), []);
        let ended_twice =
            "SELECT item FROM ledger_entries WHERE kind IN ('settle', 'release') GROUP BY item HAVING COUNT(*) > 1";
        let ended_twice: Vec<String> = sqlx::query_scalar(ended_twice).fetch_all(database.readers()).await.unwrap();
        assert!(ended_twice.is_empty(), "{ended_twice:?}");

        let (mut held, mut spent) = ([0; 2], [0; 2]);
        for id in &self.jobs {
            let job = store.get(id, &Owners::All).await.unwrap().unwrap();
            let (key, charge) = (key_of(&job), job.charge.unwrap());
            match charge.state {
                ChargeState::Held => held[key] += charge.estimate.micros(),
                ChargeState::Settled(cost) => spent[key] += cost.micros(),
                ChargeState::Released => {}
            }
            if charge.state != ChargeState::Held {
                assert_eq!(*self.ended.entry(id.clone()).or_insert(charge.state), charge.state, "settled twice");
            }
            assert!(!self.ended.contains_key(id) || charge.state != ChargeState::Held, "held again");
        }
        for (key, name) in KEYS.into_iter().enumerate() {
            let allowance = self.process.sum("ledger_holds", key, "allowance:").await;
            let written = self.process.sum("ledger_entries", key, "calls:").await;
            let budget = ledger.budgets(&payer(key).budgets).await.unwrap().remove(0);
            assert_eq!(budget.reserved.micros(), held[key] + allowance, "reserved for {name}");
            let spent = spent[key] + self.removed[key] + self.lost[key] + written;
            assert_eq!(budget.spent.micros(), spent, "spent by {name}");
            assert!(written <= self.completed[key], "{written} of {:?}", self.completed);
            let in_flight: u64 = self.calls.iter().filter(|call| call.key == key).map(|call| call.most).sum();
            assert!(allowance.unsigned_abs() >= in_flight, "{allowance} do not cover the calls, {in_flight}");
        }
    }
}
