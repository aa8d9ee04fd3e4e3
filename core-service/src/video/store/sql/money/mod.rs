//! The holds (reserved money) and the usage of jobs, written in the transactions that change the jobs.

use triptych_proto::v1::Modality;

use crate::{
    database::DbConnection,
    ledger::{Usage, end_hold, open_hold, record_usage},
    usd::Usd,
    video::{
        charge::{ChargeState, MAX_COST_FACTOR, used},
        job::Job,
        state::JobState,
        store::{JobLimits, StoreError},
        time::Timestamp,
    },
};

/// Reserves the estimated cost of a new job.
pub(super) async fn hold(
    connection: &mut DbConnection,
    job: &Job,
    limits: &JobLimits,
    now: Timestamp,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    let Some(charge) = job.charge.as_ref().filter(|charge| charge.estimate > Usd::ZERO) else { return Ok(Ok(())) };
    let (item, version) = (job.id.as_str(), charge.price_version());
    let held = open_hold(connection, item, &limits.payer, charge.estimate, &version, now.0).await?;
    Ok(held.map_err(|exceeded| StoreError::Budget(Box::new(exceeded))))
}

/// Ends the hold of a job, if the change settles it, and records the usage of a job that has become final.
pub(super) async fn settle(
    connection: &mut DbConnection,
    before: &Job,
    next: &Job,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut usage = Usage::default();
    if !before.state.is_final() && next.state.is_final() {
        usage.calls = 1;
        match &next.state {
            JobState::Succeeded { content, usage: reported, .. } => {
                usage.quantities = used(&next.request.parameters, *reported, *content);
            }
            JobState::Failed { .. } => usage.errors = 1,
            JobState::Queued
            | JobState::Submitting { .. }
            | JobState::Rendering { .. }
            | JobState::Storing { .. }
            | JobState::Cancelled { .. } => {}
        }
    }
    let state = |job: &Job| job.charge.as_ref().map(|charge| charge.state);
    if state(before) == Some(ChargeState::Held)
        && let Some(charge) = &next.charge
    {
        // `None`: the hold stays open; `Some(None)`: it ends, and nothing was spent.
        let cost = match charge.state {
            ChargeState::Held => {
                if !before.state.is_final() && matches!(next.state, JobState::Succeeded { .. }) {
                    warn_of_implausible_cost(next, charge.estimate);
                }
                None
            }
            ChargeState::Settled(cost) => Some(Some(cost)),
            ChargeState::Released => Some(None),
        };
        if let Some(cost) = cost {
            let author = charge.resolved_by.as_deref();
            end_hold(connection, next.id.as_str(), cost, &charge.price_version(), author, now.0).await?;
            usage.cost = cost.unwrap_or_default();
        }
    }
    if usage != Usage::default() {
        let team = next.charge.as_ref().map_or("", |charge| &charge.team);
        let (owner, model) = (next.owner.as_str(), &next.request.model);
        record_usage(connection, owner, team, Modality::Video, model, &usage, now.0).await?;
    }
    Ok(())
}

fn warn_of_implausible_cost(job: &Job, estimate: Usd) {
    tracing::warn!(
        job.id = job.id.as_str(),
        "the cost of the finished video is more than {MAX_COST_FACTOR} times its estimate of ${estimate}: its hold stays open until \
         an administrator resolves it"
    );
}

#[cfg(test)]
mod tests;
