//! Names of the circuit breaker states of targets, the same in `/v1/models` and in metrics. A target is one of several
//! upstreams that serve a model.

use triptych_proto::v1::model::target::State;

/// Returns the name of a circuit breaker state.
pub(crate) fn name(state: State) -> &'static str {
    match state {
        State::Unspecified => "unknown",
        State::Closed => "closed",
        State::Open => "open",
        State::HalfOpen => "half_open",
    }
}
