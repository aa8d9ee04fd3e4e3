//! Tests of allowances, budgets and settlement on a real database.

use std::path::Path;

use futures_util::FutureExt;
use tempfile::TempDir;
use tokio::sync::Barrier;

use super::*;
use crate::{
    config::{AccountLimits, Price},
    database::{self, Database},
    node_count::NodeCount,
};

const MODEL: &str = "m";

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

/// Returns prices by which a million output tokens cost one dollar, so that one token costs a millionth of a dollar.
fn prices() -> Live<PriceTable> {
    let price = Price { model: MODEL.to_owned(), per_million_output_tokens: Some(usd("1")), ..Price::default() };
    Live::new(PriceTable::new(&[price]))
}

/// Returns a payer whose key and team have these total budgets, in dollars. `None`: no budget.
fn payer(key: &str, of_key: Option<&str>, of_team: Option<&str>) -> Payer {
    let limits = |total: Option<&str>| AccountLimits { budget_total: total.map(usd), ..AccountLimits::default() };
    let budgets = [Budget::new("key", key, &limits(of_key)), Budget::new("team", "t", &limits(of_team))];
    Payer::new(key, "t", budgets.into_iter().flatten().collect())
}

fn start<'a>(payer: &'a Payer, model: &'a str) -> CallStart<'a> {
    let model = ModelNames { public: model, upstream: model, provider: "p" };
    CallStart { payer, modality: Modality::Chat, model, attributes: Attributes::default() }
}

fn tokens(count: u64) -> Quantities {
    Quantities { output_tokens: count, ..Quantities::default() }
}

struct Fixture {
    directory: TempDir,
    database: Database,
    ledger: Ledger,
    handle: LedgerHandle,
}

async fn open(directory: &Path) -> (Database, Ledger, LedgerHandle) {
    let database = database::testing::open(directory).await;
    // Dropping the handle ends the renewals: the node keeps the lease that it got at its start.
    let (node, _) = Node::join(database.clone(), NodeCount::default()).await.unwrap();
    let (ledger, handle) = Ledger::start(LedgerStore::new(database.clone()), prices(), node).await.unwrap();
    (database, ledger, handle)
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (database, ledger, handle) = open(directory.path()).await;
        Self { directory, database, ledger, handle }
    }

    fn store(&self) -> &LedgerStore {
        self.ledger.store().unwrap()
    }

    async fn call(&self, payer: &Payer, most: u64) -> Result<CallMeter, Error> {
        self.ledger.begin(start(payer, MODEL), |_| tokens(most)).await
    }

    /// Makes a call that may use `most` tokens and uses `used`.
    async fn complete(&self, payer: &Payer, most: u64, used: u64) -> Result<(), Error> {
        let meter = self.call(payer, most).await?;
        meter.record(tokens(used));
        assert_eq!(meter.settle(), Some(Usd::from_micros(i64::try_from(used).unwrap())));
        Ok(())
    }

    /// Returns what the first budget of a payer has spent and reserved, with everything settled.
    async fn state(&self, payer: &Payer) -> (Usd, Usd) {
        self.ledger.settle(Returned::All).await.unwrap();
        let budgets = self.store().budgets(&payer.budgets).await.unwrap();
        assert_eq!(self.store().verify().await.unwrap(), []);
        (budgets[0].spent, budgets[0].reserved)
    }
}

#[tokio::test]
async fn call_beyond_a_budget_is_refused_and_names_the_budget() {
    let fixture = Fixture::new().await;
    let alice = payer("alice", Some("0.001"), Some("1"));
    fixture.complete(&alice, 600, 500).await.unwrap();
    let refused = fixture.call(&alice, 501).await.unwrap_err();
    let Error::BudgetExceeded(exceeded) = &refused else { panic!("{refused:?}") };
    assert_eq!(exceeded.subject, "key `alice`");
    assert_eq!(exceeded.needed, usd("0.000501"));
    assert!(refused.to_string().contains("`budget_total` of 0.001 USD"), "{refused}");
    // Exactly the rest is permitted.
    fixture.complete(&alice, 500, 500).await.unwrap();
    assert_eq!(fixture.state(&alice).await, (usd("0.001"), Usd::ZERO));
}

#[tokio::test]
async fn budget_of_a_team_bounds_all_of_its_keys_together() {
    let fixture = Fixture::new().await;
    let (alice, bob) = (payer("alice", None, Some("0.001")), payer("bob", None, Some("0.001")));
    fixture.complete(&alice, 700, 700).await.unwrap();
    assert!(matches!(fixture.call(&bob, 301).await, Err(Error::BudgetExceeded(_))));
    // The unused allowance of alice does not keep bob from using the rest.
    fixture.complete(&bob, 300, 300).await.unwrap();
    assert_eq!(fixture.state(&bob).await, (usd("0.001"), Usd::ZERO));
}

#[tokio::test]
async fn model_without_a_price_is_refused_only_for_payers_with_a_budget() {
    let fixture = Fixture::new().await;
    let most = |_: &Price| tokens(1);
    let refused = fixture.ledger.begin(start(&payer("alice", Some("1"), None), "unpriced"), most).await;
    assert!(matches!(refused, Err(Error::Unpriced { .. })));
    let meter = fixture.ledger.begin(start(&payer("bob", None, None), "unpriced"), most).await.unwrap();
    meter.record(tokens(7));
    assert_eq!(meter.settle(), None);
}

#[tokio::test]
async fn failed_call_costs_nothing_and_dropped_call_costs_what_it_has_used() {
    let fixture = Fixture::new().await;
    let alice = payer("alice", Some("1"), None);
    let failed = fixture.call(&alice, 100).await.unwrap();
    failed.fail();
    drop(failed);
    let dropped = fixture.call(&alice, 100).await.unwrap();
    dropped.record(tokens(30));
    drop(dropped);
    assert_eq!(fixture.state(&alice).await, (usd("0.00003"), Usd::ZERO));
    let filter = UsageFilter {
        first_day: "2000-01-01".to_owned(),
        last_day: "9999-12-31".to_owned(),
        grouping: Grouping { model: true, ..Grouping::default() },
        limit: 10,
        ..UsageFilter::default()
    };
    let rows = fixture.store().usage(&filter).await.unwrap();
    let [row] = &*rows else { panic!("{rows:?}") };
    assert_eq!((row.model.as_str(), row.modality, row.key.as_str()), (MODEL, Modality::Chat, ""));
    assert_eq!((row.usage.calls, row.usage.errors, row.usage.quantities), (2, 1, tokens(30)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_keys_never_overspend_hard_budgets() {
    const CALLS: u64 = 50;
    let fixture = Arc::new(Fixture::new().await);
    let barrier = Arc::new(Barrier::new(20));
    let keys = (0..20).map(|key| {
        let (fixture, barrier) = (Arc::clone(&fixture), Arc::clone(&barrier));
        tokio::spawn(async move {
            // Each key could make 30 of its calls, and the team 400 of all 1000.
            let payer = payer(&format!("key-{key}"), Some("0.003"), Some("0.04"));
            barrier.wait().await;
            let mut completed = 0;
            for call in 0..CALLS {
                match fixture.complete(&payer, 100, 100 - call % 3).await {
                    Ok(()) => completed += 100 - call % 3,
                    Err(Error::BudgetExceeded(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            (payer, completed)
        })
    });
    let mut sum = 0;
    for key in keys.collect::<Vec<_>>() {
        let (payer, completed) = key.await.unwrap();
        let micros = i64::try_from(completed).unwrap();
        assert_eq!(fixture.state(&payer).await, (Usd::from_micros(micros), Usd::ZERO));
        assert!(completed <= 3000, "{} has spent {completed}", payer.key);
        sum += completed;
    }
    assert!(sum <= 40_000, "the team has spent {sum}");
    // Nearly everything could be used: at the end, each key leaves less than one call.
    assert!(sum > 40_000 - 100, "the team could only spend {sum}");
}

#[tokio::test]
async fn allowance_of_a_killed_process_counts_as_spent() {
    let Fixture { directory, database, ledger, handle } = Fixture::new().await;
    let alice = payer("alice", Some("1"), None);
    let meter = ledger.begin(start(&alice, MODEL), |_| tokens(1000)).await.unwrap();
    let reserved = ledger.store().unwrap().budgets(&alice.budgets).await.unwrap()[0].reserved;
    assert_eq!(reserved, usd("0.01"), "a hundredth of the budget");
    // As a kill does: nothing is settled.
    handle.task.abort();
    std::mem::forget(meter);
    let (_other_database, other_ledger, other_handle) = open(directory.path()).await;
    if database.is_shared() {
        let store = other_ledger.store().unwrap();
        let budget = store.budgets(&alice.budgets).await.unwrap().remove(0);
        assert_eq!(budget.reserved, reserved, "the node has a lease");
        other_handle.stop().await;
    }
    let end_leases = sqlx::query("DELETE FROM nodes");
    end_leases.execute(database.writer()).await.unwrap();
    database.close().await;

    let (_, ledger, _handle) = open(directory.path()).await;
    let store = ledger.store().unwrap();
    let budget = store.budgets(&alice.budgets).await.unwrap().remove(0);
    assert_eq!((budget.spent, budget.reserved), (reserved, Usd::ZERO));
    assert_eq!(store.verify().await.unwrap(), []);
}

#[tokio::test]
async fn stop_settles_everything_and_returns_allowances() {
    let fixture = Fixture::new().await;
    let alice = payer("alice", Some("1"), None);
    fixture.complete(&alice, 1000, 10).await.unwrap();
    let Fixture { directory, database, ledger, handle } = fixture;
    handle.stop().await;
    let budget = ledger.store().unwrap().budgets(&alice.budgets).await.unwrap().remove(0);
    assert_eq!((budget.spent, budget.reserved), (usd("0.00001"), Usd::ZERO));
    database.close().await;
    drop(directory);
}

#[tokio::test]
async fn allowance_of_a_call_that_was_dropped_while_it_waited_is_returned() {
    let fixture = Fixture::new().await;
    let alice = payer("alice", Some("1"), None);
    // As for a client that disconnects: the write is queued, and nothing waits for its result.
    assert!(fixture.call(&alice, 1000).now_or_never().is_none());
    // Writes are executed in order, so the first one has been executed when that of another key has.
    fixture.complete(&payer("bob", Some("1"), None), 100, 10).await.unwrap();
    // An allowance grows by a hundredth of the budget.
    assert_eq!(fixture.store().budgets(&alice.budgets).await.unwrap()[0].reserved, usd("0.01"));
    assert_eq!(fixture.state(&alice).await, (Usd::ZERO, Usd::ZERO));
}

#[tokio::test]
async fn settlement_that_could_not_be_written_is_written_later() {
    let fixture = Fixture::new().await;
    let alice = payer("alice", Some("1"), None);
    fixture.complete(&alice, 100, 10).await.unwrap();
    let writer = fixture.database.writer();
    sqlx::query("ALTER TABLE usage_daily RENAME TO usage_away").execute(writer).await.unwrap();
    assert!(matches!(fixture.ledger.settle(Returned::All).await, Err(Error::Storage(_))));
    sqlx::query("ALTER TABLE usage_away RENAME TO usage_daily").execute(writer).await.unwrap();
    assert_eq!(fixture.state(&alice).await, (usd("0.00001"), Usd::ZERO));
}

#[tokio::test]
async fn verification_finds_sums_that_differ_from_their_rows() {
    let fixture = Fixture::new().await;
    let alice = payer("alice", Some("1"), None);
    fixture.complete(&alice, 100, 10).await.unwrap();
    fixture.ledger.settle(Returned::Idle).await.unwrap();
    let writer = fixture.database.writer();
    sqlx::query("UPDATE ledger_reserved SET amount = amount + 1").execute(writer).await.unwrap();
    sqlx::query("UPDATE ledger_spent SET amount = amount + 1").execute(writer).await.unwrap();
    let found: Vec<_> = fixture.store().verify().await.unwrap().into_iter().map(|found| found.what).collect();
    let expected = ["reserved for key:alice", "reserved for team:t", "spent by key:alice", "spent by team:t"];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn cost_that_is_known_on_a_later_day_than_its_call_is_that_of_the_later_day() {
    const DAY: i64 = 86_400_000;
    let fixture = Fixture::new().await;
    let mut connection = fixture.database.writer().acquire().await.unwrap();
    let (call, cost) = (Usage { calls: 1, ..Usage::default() }, Usage { cost: usd("0.5"), ..Usage::default() });
    // The third day has neither calls nor costs and is not listed.
    for (usage, now) in [(call, 0), (cost, DAY), (Usage::default(), 2 * DAY)] {
        record_usage(&mut connection, "alice", "", Modality::Video, "m", &usage, now).await.unwrap();
    }
    drop(connection);
    let filter = UsageFilter {
        first_day: "1970-01-01".to_owned(),
        last_day: "1970-01-03".to_owned(),
        grouping: Grouping { day: true, ..Grouping::default() },
        limit: 10,
        ..UsageFilter::default()
    };
    let rows = fixture.store().usage(&filter).await.unwrap();
    let rows: Vec<_> = rows.iter().map(|row| (row.day.as_str(), row.usage.calls, row.usage.cost)).collect();
    assert_eq!(rows, [("1970-01-01", 1, Usd::ZERO), ("1970-01-02", 0, usd("0.5"))]);
}

#[tokio::test]
async fn models_beyond_a_thousand_of_a_key_and_day_are_summed_up() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.database.writer().acquire().await.unwrap();
    let usage = Usage { calls: 1, ..Usage::default() };
    for number in (0..1100).chain([5]) {
        let model = format!("model-{number}");
        record_usage(&mut connection, "alice", "", Modality::Chat, &model, &usage, 0).await.unwrap();
    }
    drop(connection);
    let filter = UsageFilter {
        first_day: "1970-01-01".to_owned(),
        last_day: "1970-01-01".to_owned(),
        grouping: Grouping { model: true, ..Grouping::default() },
        limit: 2000,
        ..UsageFilter::default()
    };
    let rows = fixture.store().usage(&filter).await.unwrap();
    let calls = |model: &str| rows.iter().find(|row| row.model == model).map(|row| row.usage.calls);
    // A thousand models and `other`, which has the calls of the last hundred.
    assert_eq!((rows.len(), calls("model-5"), calls("other")), (1001, Some(2), Some(100)));
}

database::testing::on_postgres! {
    call_beyond_a_budget_is_refused_and_names_the_budget,
    budget_of_a_team_bounds_all_of_its_keys_together,
    model_without_a_price_is_refused_only_for_payers_with_a_budget,
    failed_call_costs_nothing_and_dropped_call_costs_what_it_has_used,
    twenty_keys_never_overspend_hard_budgets,
    allowance_of_a_killed_process_counts_as_spent,
    stop_settles_everything_and_returns_allowances,
    allowance_of_a_call_that_was_dropped_while_it_waited_is_returned,
    settlement_that_could_not_be_written_is_written_later,
    verification_finds_sums_that_differ_from_their_rows,
    cost_that_is_known_on_a_later_day_than_its_call_is_that_of_the_later_day,
    models_beyond_a_thousand_of_a_key_and_day_are_summed_up,
}
