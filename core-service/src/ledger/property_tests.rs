//! Random sequences of calls, jobs, settlements and restarts on a real database. After every step, the ledger agrees with the jobs, with
//! the calls, and with itself.

use proptest::{collection, prelude::*, sample::Index, test_runner::Config};
use tempfile::TempDir;

use super::*;
use crate::{
    config::{AccountLimits, Price},
    database::{self, Database},
    keys::{Owner, Owners},
    media::MediaStore,
    node_count::NodeCount,
    video::{
        UpstreamTask,
        charge::{Charge, ChargeState},
        job::{Job, JobId},
        jobs::{JobSettings, Jobs},
        state::{Event, VideoContent},
        store::{JobLimits, JobStore, StoreError, sql::SqlStore},
        testing::{clip, request},
    },
};

/// The keys that pay, both in one team. Few calls and videos exhaust their budgets.
const KEYS: [&str; 2] = ["alice", "bob"];
const MODEL: ModelNames<'_> = ModelNames { public: "m", upstream: "m", provider: "p" };

/// One step. An index selects one of the jobs or calls; a step that is not possible for it does nothing.
#[derive(Debug, Clone)]
enum Step {
    Create {
        key: usize,
    },
    Accept(Index),
    /// A file of four seconds costs more than three times the estimate, so that its hold stays open.
    Finish {
        job: Index,
        seconds: u64,
    },
    Fail {
        job: Index,
        is_known: bool,
    },
    Cancel(Index),
    CleanUp {
        job: Index,
        billed: bool,
    },
    Resolve {
        job: Index,
        cost: Option<i64>,
    },
    Remove(Index),
    /// The last change of a job is written again, as by a worker that has lost its lease.
    RepeatChange,
    BeginCall {
        key: usize,
        most: u64,
    },
    EndCall {
        call: Index,
        percent: u64,
        failed: bool,
    },
    Settle(Returned),
    Restart {
        killed: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (key, index, flag) = (|| 0..KEYS.len(), any::<Index>, any::<bool>);
    let returned = prop_oneof![Just(Returned::Idle), Just(Returned::All)];
    prop_oneof![
        4 => key().prop_map(|key| Step::Create { key }),
        4 => index().prop_map(Step::Accept),
        3 => (index(), 1..5_u64).prop_map(|(job, seconds)| Step::Finish { job, seconds }),
        2 => (index(), flag()).prop_map(|(job, is_known)| Step::Fail { job, is_known }),
        2 => index().prop_map(Step::Cancel),
        2 => (index(), flag()).prop_map(|(job, billed)| Step::CleanUp { job, billed }),
        2 => (index(), proptest::option::of(0..20_000_i64)).prop_map(|(job, cost)| Step::Resolve { job, cost }),
        1 => index().prop_map(Step::Remove),
        1 => Just(Step::RepeatChange),
        4 => (key(), 1..30_000_u64).prop_map(|(key, most)| Step::BeginCall { key, most }),
        4 => (index(), 0..=100_u64, flag()).prop_map(|(call, percent, failed)| Step::EndCall { call, percent, failed }),
        2 => returned.prop_map(Step::Settle),
        1 => flag().prop_map(|killed| Step::Restart { killed }),
    ]
}

/// The process: what a restart replaces.
struct Process {
    database: Database,
    ledger: Ledger,
    /// `None` once it has ended.
    handle: Option<LedgerHandle>,
    store: SqlStore,
    jobs: Jobs,
}

struct Call {
    key: usize,
    most: u64,
    meter: CallMeter,
}

/// What the ledger must agree with.
struct World {
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

fn usd(text: &str) -> Option<Usd> {
    Usd::parse(text)
}

fn payer(key: usize) -> Payer {
    let limits = |total| AccountLimits { budget_total: usd(total), ..AccountLimits::default() };
    let budgets = [Budget::new("key", KEYS[key], &limits("0.08")), Budget::new("team", "t", &limits("0.12"))];
    Payer::new(KEYS[key], "t", budgets.into_iter().flatten().collect())
}

fn key_of(job: &Job) -> usize {
    KEYS.iter().position(|key| job.owner == Owner::new(*key)).unwrap()
}

impl Process {
    /// A second of video costs a cent, and an output token a millionth of a dollar.
    async fn start(directory: &TempDir) -> Self {
        let database = database::testing::open(directory.path()).await;
        let price = Price {
            model: MODEL.public.to_owned(),
            per_second: usd("0.01"),
            per_million_output_tokens: usd("1"),
            ..Price::default()
        };
        let prices = Live::new(PriceTable::new(&[price]));
        let (node, _) = Node::join(database.clone(), NodeCount::default()).await.unwrap();
        let (ledger, handle) = Ledger::start(LedgerStore::new(database.clone()), prices, node).await.unwrap();
        let store = SqlStore::new(database.clone());
        let media_store = MediaStore::local(&directory.path().join("media"), database.clone()).await.unwrap();
        let jobs = Jobs::new(Arc::new(store.clone()), media_store, JobSettings::default());
        Self { database, ledger, handle: Some(handle), store, jobs }
    }

    /// Returns the sum of the amounts of a key in a table of the ledger, of the rows whose items start with this text.
    async fn sum(&self, table: &'static str, key: usize, item: &str) -> i64 {
        let query = format!(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM {table} WHERE key_name = $1 AND item LIKE $2 || '%'"
        );
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).bind(KEYS[key]).bind(item.to_owned());
        query.fetch_one(self.database.readers()).await.unwrap()
    }
}

impl World {
    async fn new() -> Self {
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

    async fn run(&mut self, step: Step) {
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
    async fn restart(&mut self, killed: bool) {
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

    async fn check(&mut self) {
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

proptest! {
    // A case opens a database, and each of its steps waits for the disk.
    #![proptest_config(Config { cases: 12, max_shrink_iters: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn ledger_agrees_with_jobs_and_calls_after_every_step(steps in collection::vec(step(), 8..32)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.run(step).await;
                world.check().await;
            }
            world.restart(false).await;
            world.check().await;
        });
    }
}
