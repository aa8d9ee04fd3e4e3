//! Scenarios that end alike at every video provider, with the fixtures of each.

use core_service::config::Settings;

use super::provider_case::{
    Call::{Create, File, Poll},
    Exchange, MP4, Scenario,
};

/// The fixtures of a provider for the common scenarios.
pub(super) struct CommonScenarios {
    /// An accepted submission.
    pub(super) created: Exchange,
    /// The exchanges that find the render finished: a poll, then the request for the link if the poll does not have it.
    pub(super) finished: &'static [Exchange],
    /// The response to a submission or poll beyond a rate limit.
    pub(super) rate_limit: &'static str,
    /// The response to a poll that failed for a temporary reason.
    pub(super) failure: &'static str,
    /// Three polls that do not find the render.
    pub(super) not_found: [Exchange; 3],
    /// A download whose link is no longer valid.
    pub(super) dead_link: Exchange,
    /// The request to delete a render whose file cannot be downloaded; `None` if the API has no such request.
    pub(super) cleanup: Option<Exchange>,
}

impl CommonScenarios {
    /// Returns the common scenarios and those of a table.
    pub(super) fn with(&self, table: &[Scenario]) -> Vec<Scenario> {
        let Self { created, finished, rate_limit, failure, not_found, dead_link, cleanup } = *self;
        let download = [(File, MP4)];
        let dead = |count: usize| vec![dead_link; count];
        let lost_link = [&[created], finished, &dead(1), finished].concat();
        // A poll renews the link after one failed download, then after two, then after three. The next failure is final.
        let cleanup: Vec<_> = cleanup.into_iter().collect();
        let always_dead = [&lost_link[..], &dead(2), finished, &dead(3), finished, &dead(1), &cleanup].concat();
        let scenarios = [
            ([&[(Create, rate_limit), created], finished, &download].concat(), Ok(())),
            ([&[created, (Poll, rate_limit)], finished, &download].concat(), Ok(())),
            ([&[created, (Poll, failure)], finished, &download].concat(), Ok(())),
            ([&[created, not_found[0], not_found[1]], finished, &download].concat(), Ok(())),
            ([&[created], &not_found[..]].concat(), Err("upstream_lost")),
            ([&lost_link[..], &download].concat(), Ok(())),
            (always_dead, Err("upstream_unreadable")),
            (vec![(Create, "no-id.json")], Err("upstream_unreadable")),
        ];
        // Leaked, as constant tables are not freed either.
        let scenarios = scenarios.into_iter().map(|(exchanges, outcome)| (&*exchanges.leak(), outcome));
        scenarios.chain(table.iter().copied()).collect()
    }
}

/// Keeps the circuit breaker closed, which the failures of one scenario would open for the next.
pub(super) fn disable_circuit_breaker(settings: &mut Settings) {
    settings.video.routing.failure_threshold = u32::MAX;
}
