//! The periods to which budgets apply.

/// The time to which a budget applies, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BudgetPeriod {
    /// A day.
    Day,
    /// A calendar month.
    Month,
    /// All time.
    Total,
}

impl BudgetPeriod {
    /// Returns the name of the setting with the limit.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Day => "budget_per_day",
            Self::Month => "budget_per_month",
            Self::Total => "budget_total",
        }
    }
}
