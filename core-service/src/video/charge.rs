//! The money of a video job: its price, its hold, and what it cost.
//!
//! The hold is opened in the transaction that inserts the job, and ended in the transaction that ends the job; see `ledger`. A job
//! whose outcome at the provider is unknown, or whose cost is implausible, keeps its hold until an operator resolves it, or until the
//! job is removed.

use serde::{Deserialize, Serialize};

use super::{
    operation::Operation,
    parameters::VideoParameters,
    provider::RenderUsage,
    state::{JobState, VideoContent},
};
use crate::{
    config::Price,
    error::codes,
    prices::{self, Attributes, ModelPrices, Quantities},
    usd::Usd,
};

/// The price of a job, and the state of its hold: money that no other call can spend until the cost is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The team of the key that pays; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub team: String,
    /// The price at the time of the create. `None`: the model had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// The estimated cost, which is held; 0 without a price.
    pub estimate: Usd,
    /// Whether the estimate is held, spent or released.
    pub state: ChargeState,
    /// Whether the price is the vendor's list price: then a cost that the provider reports is what was spent. A price of the settings is
    /// what the operator charges, whatever the provider bills.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_list_price: bool,
    /// The key of the administrator who ended the hold by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
}

/// The state of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeState {
    /// The money is held.
    Held,
    /// The hold has ended: this was spent.
    Settled(Usd),
    /// The hold has ended: nothing was spent.
    Released,
}

/// A generated video that costs more than this multiple of its estimate is not settled automatically: that is more likely an error, for
/// example a file with a wrong duration, than a price.
pub(super) const MAX_COST_FACTOR: i64 = 3;

/// The codes of [`JobState::Failed`] for jobs whose render cannot be identified at the provider. The provider may have one, and
/// bill it.
const UNKNOWN_OUTCOMES: [&str; 2] = [codes::OUTCOME_UNKNOWN, codes::UPSTREAM_LOST];

/// The difference between the requested and the delivered duration from which the delivered one is charged: half a second, from
/// where it rounds to another number of seconds.
const MIN_DIFFERENCE_MILLIS: u64 = 500;

impl Charge {
    /// Returns the charge of a new job. If it is not clear which of several prices applies, that with the highest cost is estimated.
    pub fn new(team: &str, prices: &ModelPrices, parameters: &VideoParameters) -> Self {
        let quantities = requested(parameters);
        let highest = prices.highest(&attributes(parameters), |_| quantities);
        let (price, estimate) =
            highest.map_or((None, Usd::ZERO), |(price, amount)| (Some(Price::clone(&price)), amount));
        let is_list_price = prices.are_list_prices();
        Self { team: team.to_owned(), price, estimate, state: ChargeState::Held, is_list_price, resolved_by: None }
    }

    /// Returns the cost; `None` until it is known, and without a price.
    pub fn cost(&self) -> Option<Usd> {
        self.price.as_ref()?;
        match self.state {
            ChargeState::Held => None,
            ChargeState::Settled(cost) => Some(cost),
            ChargeState::Released => Some(Usd::ZERO),
        }
    }

    /// Returns the version of the price; empty without one.
    pub fn price_version(&self) -> String {
        self.price.as_ref().map(prices::version).unwrap_or_default()
    }

    /// Returns the charge of a job in this state. `is_cleaned_up` is whether no render of the job is left at the provider.
    #[must_use]
    pub(super) fn after(&self, state: &JobState, parameters: &VideoParameters, is_cleaned_up: bool) -> Self {
        let end = match (self.state, state) {
            (ChargeState::Held, JobState::Succeeded { content, usage, .. }) => {
                let billed = usage.cost.filter(|_| self.is_list_price);
                let by_price = |price| prices::cost(price, &used(parameters, *usage, *content));
                let cost = self.price.as_ref().map_or(Usd::ZERO, |price| billed.unwrap_or_else(|| by_price(price)));
                // Only for new videos: the length of the source of another operation may be unknown at the create, and the estimate
                // wrong then. So may the length of input videos be, whose seconds some providers bill and report.
                let is_plausible = parameters.operation != Operation::Generate
                    || parameters.has_video_input() && (billed.is_some() || usage.video_millis.is_some())
                    || cost.micros() <= self.estimate.micros().saturating_mul(MAX_COST_FACTOR);
                if is_plausible { ChargeState::Settled(cost) } else { ChargeState::Held }
            }
            (ChargeState::Held, JobState::Failed { code, .. }) => {
                let is_known = is_cleaned_up && !UNKNOWN_OUTCOMES.contains(&code.as_str());
                if is_known { ChargeState::Released } else { ChargeState::Held }
            }
            (ChargeState::Held, JobState::Cancelled { submission, may_be_billed, .. }) => match submission {
                // It is not known yet whether the interrupted submission started a render.
                Some(_) => ChargeState::Held,
                None if !is_cleaned_up => ChargeState::Held,
                None if *may_be_billed => ChargeState::Settled(self.estimate),
                None => ChargeState::Released,
            },
            (unchanged, _) => unchanged,
        };
        Self { state: end, ..self.clone() }
    }

    /// Returns the charge after an administrator has found out what was spent. `cost` is `None` if nothing was.
    #[must_use]
    pub(super) fn resolved(&self, cost: Option<Usd>, author: &str) -> Self {
        let state = cost.map_or(ChargeState::Released, ChargeState::Settled);
        Self { state, resolved_by: Some(author.to_owned()), ..self.clone() }
    }

    /// Returns the charge of a job with a render that the provider did not stop: its estimate is spent.
    #[must_use]
    pub(super) fn billed(&self) -> Self {
        let state = if self.state == ChargeState::Held { ChargeState::Settled(self.estimate) } else { self.state };
        Self { state, ..self.clone() }
    }
}

/// Returns what was requested.
fn requested(parameters: &VideoParameters) -> Quantities {
    Quantities { video_millis: u64::from(parameters.seconds) * 1000, ..Quantities::default() }
}

/// Returns what a finished video has used: what the provider reports, else its file, else what was requested.
pub(super) fn used(parameters: &VideoParameters, usage: RenderUsage, content: Option<VideoContent>) -> Quantities {
    match (usage.video_millis, content) {
        (Some(video_millis), _) => Quantities { video_millis, ..Quantities::default() },
        (None, Some(content)) => delivered(parameters, content.duration_millis),
        (None, None) => requested(parameters),
    }
}

/// Returns what was delivered. Providers bill the seconds of the request, and their files are longer or shorter by some frames, so
/// a file that differs by less than [`MIN_DIFFERENCE_MILLIS`] is charged as requested. So is an extension: the file of some providers
/// begins with its source, which they do not bill again.
fn delivered(parameters: &VideoParameters, duration_millis: u64) -> Quantities {
    let requested = requested(parameters);
    let differs = parameters.operation != Operation::Extend
        && duration_millis.abs_diff(requested.video_millis) >= MIN_DIFFERENCE_MILLIS;
    if differs { Quantities { video_millis: duration_millis, ..requested } } else { requested }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

fn attributes(parameters: &VideoParameters) -> Attributes {
    Attributes {
        resolution: (!parameters.resolution.is_empty()).then(|| parameters.resolution.clone()),
        size: Some(parameters.size()),
        quality: None,
        audio: parameters.generate_audio,
        video_input: Some(parameters.has_video_input()),
        operation: Some(parameters.operation.verb()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        keys::Owner,
        video::{
            job::{Job, JobId},
            provider::UpstreamTask,
            state::{Event, VideoContent},
            testing::{clip, request},
            time::Timestamp,
        },
    };

    fn usd(text: &str) -> Usd {
        Usd::parse(text).unwrap()
    }

    /// Returns the charge, at a dollar per second, of a job that requested one second and got nine, for which its provider reports this
    /// usage.
    fn charge(operation: Operation, usage: RenderUsage, is_list_price: bool) -> Charge {
        let now = Timestamp(0);
        let job = Job::new(JobId::new(), Owner::new("alice"), request(), now, Duration::from_mins(1));
        let content = VideoContent { width: 320, height: 180, duration_millis: 9_000, has_audio: false };
        let events = [
            Event::SubmissionStarted(now),
            Event::Accepted(UpstreamTask("task".to_owned()), now),
            Event::Rendered(clip().with_usage(usage)),
            Event::Stored(Vec::new(), Some(content)),
        ];
        let job = events.into_iter().fold(job, |job, event| job.after(event, now).unwrap());
        let price = Price { model: "*".to_owned(), per_second: Some(usd("1")), ..Price::default() };
        let (team, estimate, state) = (String::new(), usd("1"), ChargeState::Held);
        let charge = Charge { team, price: Some(price), estimate, state, is_list_price, resolved_by: None };
        let parameters = VideoParameters { operation, ..job.request.parameters };
        charge.after(&job.state, &parameters, true)
    }

    #[test]
    fn extension_costs_its_new_seconds_and_an_edit_those_of_its_file() {
        let cost = |operation| charge(operation, RenderUsage::default(), false).cost();
        // The file of an extension may begin with its source.
        assert_eq!(cost(Operation::Extend), Some(usd("1")));
        // The length of its source may be unknown at the create.
        assert_eq!(cost(Operation::Edit), Some(usd("9")));
        assert_eq!(cost(Operation::Generate), None, "implausible");
    }

    #[test]
    fn reported_usage_is_charged_before_the_file_and_a_reported_cost_only_for_a_list_price() {
        let seconds = RenderUsage { video_millis: Some(2_500), cost: None };
        for operation in [Operation::Generate, Operation::Extend, Operation::Edit] {
            assert_eq!(charge(operation, seconds, false).cost(), Some(usd("2.5")));
            let usage = RenderUsage { cost: Some(usd("0.7")), ..seconds };
            assert_eq!(charge(operation, usage, true).cost(), Some(usd("0.7")));
            assert_eq!(charge(operation, usage, false).cost(), Some(usd("2.5")), "the price of the settings");
        }
        let long = RenderUsage { video_millis: Some(9_000), cost: None };
        assert_eq!(charge(Operation::Generate, long, false).cost(), None, "implausible");
        let excessive = RenderUsage { video_millis: None, cost: Some(usd("3.01")) };
        assert_eq!(charge(Operation::Generate, excessive, true).cost(), None, "implausible");
        // Without a price there is no cost.
        let unpriced = Charge { price: None, ..charge(Operation::Generate, seconds, true) };
        assert_eq!(unpriced.cost(), None);
    }
}
