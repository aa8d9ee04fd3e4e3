//! Converts rows of the ledger to protobuf messages.

use triptych_proto::v1 as pb;

use crate::{
    budget_period::BudgetPeriod,
    ledger::{BudgetState, Grouping, Usage, UsageRow},
    prices::Quantities,
};

/// Returns a row without the members by which the usage is not grouped.
pub(super) fn row(row: UsageRow, grouping: Grouping) -> pb::UsageRow {
    let UsageRow { day, key, team, modality, model, usage } = row;
    let Usage { calls, errors, quantities, cost } = usage;
    let Quantities { input_tokens, cached_tokens, output_tokens, reasoning_tokens, images, video_millis } = quantities;
    pb::UsageRow {
        day: grouping.day.then_some(day),
        key: grouping.key.then_some(key),
        team: grouping.team.then_some(team),
        modality: modality.into(),
        model: grouping.model.then_some(model),
        calls,
        errors,
        input_tokens,
        cached_tokens,
        output_tokens,
        reasoning_tokens,
        images,
        video_millis,
        cost_micros: cost.micros(),
    }
}

pub(super) fn budget(state: &BudgetState) -> pb::Budget {
    let BudgetState { subject, period, limit, spent, reserved } = state;
    let subject = subject.split_once(':').map(|(kind, name)| {
        let name = name.to_owned();
        if kind == "team" { pb::budget::Subject::Team(name) } else { pb::budget::Subject::Key(name) }
    });
    let period = match period {
        BudgetPeriod::Day => pb::budget::Period::Day,
        BudgetPeriod::Month => pb::budget::Period::Month,
        BudgetPeriod::Total => pb::budget::Period::Total,
    };
    pb::Budget {
        subject,
        period: period.into(),
        limit_micros: limit.micros(),
        spent_micros: spent.micros(),
        reserved_micros: reserved.micros(),
    }
}
