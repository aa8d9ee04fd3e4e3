//! Budgets of keys and teams.

use crate::{budget_period::BudgetPeriod, config::AccountLimits, usd::Usd};

/// The key that pays for calls, with its team. The default is the anonymous caller, who has no budget.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payer {
    /// The name of the key; empty for the anonymous caller.
    pub key: String,
    /// The name of its team; may be empty.
    pub team: String,
    /// Team and key, which together have one allowance. Names of keys have no slash.
    account: String,
    /// The budgets of the key and of the team, as far as there are any.
    pub budgets: Vec<Budget>,
}

impl Payer {
    /// The anonymous caller.
    pub const ANONYMOUS: Self =
        Self { key: String::new(), team: String::new(), account: String::new(), budgets: Vec::new() };

    /// Returns the payer with this key, of this team, which may be empty.
    pub fn new(key: &str, team: &str, budgets: Vec<Budget>) -> Self {
        Self { key: key.to_owned(), team: team.to_owned(), account: format!("{team}/{key}"), budgets }
    }

    /// Returns the name of the allowance.
    pub(super) fn account(&self) -> &str {
        &self.account
    }
}

/// The budgets of one key or team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The subject in the database: `key:alice`.
    pub subject: String,
    /// The subject in messages: "key `alice`".
    pub description: String,
    /// The limits, at least one.
    pub limits: Vec<(BudgetPeriod, Usd)>,
}

impl Budget {
    /// Returns the budgets of a key or team; `None` if its limits have none. `kind` is `key` or `team`.
    pub fn new(kind: &str, name: &str, limits: &AccountLimits) -> Option<Self> {
        let AccountLimits { budget_per_day, budget_per_month, budget_total, .. } = limits;
        let limits = [
            (BudgetPeriod::Day, budget_per_day),
            (BudgetPeriod::Month, budget_per_month),
            (BudgetPeriod::Total, budget_total),
        ];
        let limits: Vec<_> =
            limits.into_iter().filter_map(|(period, limit)| limit.map(|limit| (period, limit))).collect();
        (!limits.is_empty()).then(|| Self {
            subject: format!("{kind}:{name}"),
            description: format!("{kind} `{name}`"),
            limits,
        })
    }
}
