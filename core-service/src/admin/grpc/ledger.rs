//! The methods for the ledger: they list holds, the amounts that are reserved for calls and videos, and resolve those of videos whose
//! outcome at the provider is unknown.

use triptych_proto::v1::{self as pb, hold::State, resolve_hold_request::Resolution};

use super::{AdminGrpc, validate, view};
use crate::{
    error::Error,
    ledger::{HoldFilter, HoldState},
    page_size,
    usd::Usd,
};

impl AdminGrpc {
    /// Returns a page of open holds.
    pub(super) async fn holds(&self, request: pb::ListHoldsRequest) -> Result<pb::ListHoldsResponse, Error> {
        let limit = page_size::validate(request.page_size)?;
        let state = match State::try_from(request.state) {
            Ok(State::Unspecified) => None,
            Ok(State::Calls) => Some(HoldState::Calls),
            Ok(State::InProgress) => Some(HoldState::InProgress),
            Ok(State::Stopping) => Some(HoldState::Stopping),
            Ok(State::OutcomeUnknown) => Some(HoldState::OutcomeUnknown),
            Err(_) => {
                let message = "must be CALLS, IN_PROGRESS, STOPPING or OUTCOME_UNKNOWN";
                return Err(Error::invalid("state", message));
            }
        };
        let after = (!request.page_token.is_empty()).then_some(request.page_token);
        // One more than requested, to find out whether there is another page.
        let filter = HoldFilter { item: None, state, after, limit: limit + 1 };
        let mut holds = self.ledger.holds(&filter).await?;
        let more = holds.len() > limit as usize;
        holds.truncate(limit as usize);
        let last = holds.last().filter(|_| more);
        let next_page_token = last.map(|hold| hold.item.clone()).unwrap_or_default();
        Ok(pb::ListHoldsResponse { holds: holds.into_iter().map(view::hold).collect(), next_page_token })
    }

    /// Ends a hold: its amount counts as spent with the given cost, or is released. `admin` is the name of the caller.
    pub(super) async fn resolve(
        &self,
        request: pb::ResolveHoldRequest,
        admin: &str,
    ) -> Result<pb::ResolveHoldResponse, Error> {
        let pb::ResolveHoldRequest { id, resolution } = request;
        let cost = match resolution {
            Some(Resolution::CostMicros(micros)) => Some(validate::amount("cost_micros", micros)?),
            Some(Resolution::Release(true)) => None,
            Some(Resolution::Release(false)) => {
                return Err(Error::invalid(
                    "release",
                    "must be true; to count an amount as spent, set cost_micros instead",
                ));
            }
            None => return Err(Error::invalid("cost_micros", "is required, or release")),
        };
        let filter = HoldFilter { item: Some(id.clone()), limit: 1, ..HoldFilter::default() };
        let hold = self.ledger.holds(&filter).await?.pop().ok_or_else(|| Error::HoldNotFound(id.clone()))?;
        match hold.state {
            HoldState::OutcomeUnknown => self.jobs.resolve_hold(&id, cost, admin).await?,
            HoldState::Calls => {
                return Err(Error::invalid(
                    "id",
                    "belongs to calls, whose cost is settled by itself every few seconds",
                ));
            }
            HoldState::InProgress | HoldState::Stopping => {
                let message = "belongs to a video whose render has not ended; the hold ends with it";
                return Err(Error::invalid("id", message));
            }
        }
        let cost_micros = cost.map_or(0, Usd::micros);
        Ok(pb::ResolveHoldResponse { hold: Some(view::hold(hold)), cost_micros })
    }
}
