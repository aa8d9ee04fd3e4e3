//! Random sequences of calls, jobs, settlements and restarts on a real database. After every step, the ledger agrees with the jobs, with
//! the calls, and with itself.

mod process;
mod world;

use proptest::{collection, prelude::*, sample::Index, test_runner::Config};

use self::{process::KEYS, world::World};
use super::Returned;

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

proptest! {
    // A case opens a database, and each of its steps waits for the disk.
    #![proptest_config(Config { cases: 8, max_shrink_iters: 64, failure_persistence: None, ..Config::default() })]

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
