//! The process, whose database outlives it, and its settings.

use std::sync::Arc;

use tempfile::TempDir;

use crate::{
    config::{AccountLimits, Price},
    database::{self, Database},
    ledger::{Budget, Ledger, LedgerHandle, LedgerStore, Payer},
    live::Live,
    media::MediaStore,
    node::Node,
    node_count::NodeCount,
    prices::{ModelNames, PriceTable},
    usd::Usd,
    video::{
        jobs::{JobSettings, Jobs},
        store::sql::SqlStore,
    },
};

/// The keys that pay, both in one team. Few calls and videos exhaust their budgets.
pub(super) const KEYS: [&str; 2] = ["alice", "bob"];
pub(super) const MODEL: ModelNames<'_> = ModelNames { public: "m", upstream: "m", provider: "p" };

/// The process: what a restart replaces.
pub(super) struct Process {
    pub(super) database: Database,
    pub(super) ledger: Ledger,
    /// `None` once it has ended.
    pub(super) handle: Option<LedgerHandle>,
    pub(super) store: SqlStore,
    pub(super) jobs: Jobs,
}

impl Process {
    /// A second of video costs a cent, and an output token a millionth of a dollar.
    pub(super) async fn start(directory: &TempDir) -> Self {
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
    pub(super) async fn sum(&self, table: &'static str, key: usize, item: &str) -> i64 {
        let query = format!(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM {table} WHERE key_name = $1 AND item LIKE $2 || '%'"
        );
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).bind(KEYS[key]).bind(item.to_owned());
        query.fetch_one(self.database.readers()).await.unwrap()
    }
}

fn usd(text: &str) -> Option<Usd> {
    Usd::parse(text)
}

/// Returns who pays for the calls and jobs of a key.
pub(super) fn payer(key: usize) -> Payer {
    let limits = |total| AccountLimits { budget_total: usd(total), ..AccountLimits::default() };
    let budgets = [Budget::new("key", KEYS[key], &limits("0.08")), Budget::new("team", "t", &limits("0.12"))];
    Payer::new(KEYS[key], "t", budgets.into_iter().flatten().collect())
}
