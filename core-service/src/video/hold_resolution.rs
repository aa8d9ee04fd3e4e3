//! Resolves holds (money reserved for a job) by hand, after an administrator has found out at the provider whether the render was billed.

use super::{charge::ChargeState, job::Job, jobs::Jobs};
use crate::{error::Error, keys::Owners, usd::Usd};

impl Jobs {
    /// Settles the hold of a final job whose cost is unknown. `cost` is what was spent; `None` if nothing was. The cost is recorded
    /// in the ledger and in the job, with `author`, the name of the administrator's key.
    ///
    /// # Errors
    /// [`Error::VideoNotFound`]; [`Error::HoldNotFound`], if nothing is held for the job; [`Error::InvalidField`] for a
    /// job that has not ended, or whose render is still being stopped.
    pub async fn resolve_hold(&self, id: &str, cost: Option<Usd>, author: &str) -> Result<(), Error> {
        // Repeated if the job changes between the read and the write.
        loop {
            let job = self.get(id, &Owners::All).await?;
            let charge = job.charge.as_ref().filter(|charge| charge.state == ChargeState::Held);
            let charge = charge.ok_or_else(|| Error::HoldNotFound(id.to_owned()))?.resolved(cost, author);
            let is_stopping = job.abandoned.is_some() || job.state.unresolved_submission().is_some();
            if !job.state.is_final() || is_stopping {
                let message = "the video has not ended at its provider; its hold ends by itself then, so wait, or cancel the video";
                return Err(Error::invalid("id", message));
            }
            let next = Job { charge: Some(charge), revision: job.revision + 1, ..job.clone() };
            if self.amend(&job, &next).await? {
                tracing::info!(job.id = id, admin = author, "resolved the hold of a video job");
                return Ok(());
            }
        }
    }
}
