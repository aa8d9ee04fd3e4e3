//! Checks of the ledger against itself.

use std::fmt;

use super::{LedgerStore, reads::storage};
use crate::{error::Error, usd::Usd};

/// Two figures of the ledger that must be equal and are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    /// What the figures are about.
    pub what: String,
    /// The stored sum, which the budget checks read.
    pub stored: Usd,
    /// The sum of the rows behind it.
    pub sum: Usd,
}

impl fmt::Display for Discrepancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, stored, sum } = self;
        write!(f, "{what}: {stored} USD, but the rows sum up to {sum} USD")
    }
}

/// Reserved amounts against open holds, in both directions.
const RESERVED: &str = "WITH sums (subject, amount) AS (\
     SELECT 'key:' || key_name, CAST(SUM(amount) AS BIGINT) FROM ledger_holds GROUP BY 1 \
     UNION ALL SELECT 'team:' || team, CAST(SUM(amount) AS BIGINT) FROM ledger_holds WHERE team <> '' GROUP BY 1) \
     SELECT 'reserved for ' || subject, CAST(SUM(stored) AS BIGINT), CAST(SUM(amount) AS BIGINT) FROM (\
     SELECT subject, amount AS stored, 0 AS amount FROM ledger_reserved \
     UNION ALL SELECT subject, 0, amount FROM sums) AS figures GROUP BY subject HAVING SUM(stored) <> SUM(amount)";

/// Spent amounts against entries.
const SPENT: &str = "WITH entries (subject, amount) AS (\
     SELECT 'key:' || key_name, amount FROM ledger_entries WHERE kind IN ('settle', 'adjust') \
     UNION ALL SELECT 'team:' || team, amount FROM ledger_entries WHERE kind IN ('settle', 'adjust') AND team <> '') \
     SELECT 'spent by ' || subject, CAST(SUM(stored) AS BIGINT), CAST(SUM(amount) AS BIGINT) FROM (\
     SELECT subject, amount AS stored, 0 AS amount FROM ledger_spent WHERE period = 'total' \
     UNION ALL SELECT subject, 0, amount FROM entries) AS figures GROUP BY subject HAVING SUM(stored) <> SUM(amount)";

/// Video jobs with a hold that is neither open nor ended, or both.
const HOLDS: &str = "SELECT 'hold of ' || item, COALESCE((SELECT amount FROM ledger_holds AS h WHERE h.item = e.item), 0), amount \
     FROM ledger_entries AS e WHERE kind = 'hold' AND (\
     EXISTS (SELECT 1 FROM ledger_holds AS h WHERE h.item = e.item) = \
     EXISTS (SELECT 1 FROM ledger_entries AS d WHERE d.item = e.item AND d.kind IN ('settle', 'release')))";

impl LedgerStore {
    /// Compares the stored sums, which the budget checks read, with the rows behind them. Returns the differences.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn verify(&self) -> Result<Vec<Discrepancy>, Error> {
        // One transaction, so that all queries see the same state.
        let mut transaction = self.database.snapshot().await.map_err(|error| storage(&error))?;
        let mut discrepancies = Vec::new();
        for query in [RESERVED, SPENT, HOLDS] {
            let rows: Vec<(String, i64, i64)> =
                sqlx::query_as(query).fetch_all(&mut *transaction).await.map_err(|error| storage(&error))?;
            discrepancies.extend(rows.into_iter().map(|(what, stored, sum)| Discrepancy {
                what,
                stored: Usd::from_micros(stored),
                sum: Usd::from_micros(sum),
            }));
        }
        Ok(discrepancies)
    }
}
