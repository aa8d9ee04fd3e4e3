//! What the middleware passes on to the handler of a request.

use http::HeaderValue;

use triptych_telemetry::CallReport;

use crate::request_memory::RequestMemory;

/// An extension of every request that reaches a handler. A single one, because each extension is an allocation of its own.
#[derive(Debug, Clone)]
pub(crate) struct RequestState {
    /// The id of the request.
    pub(crate) id: HeaderValue,
    /// The memory of its body.
    pub(crate) memory: RequestMemory,
    /// The report of the call, which the core completes.
    pub(crate) report: CallReport,
}
