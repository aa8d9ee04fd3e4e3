//! The state of a request that the middleware passes on to its handler.

use http::HeaderValue;

use triptych_telemetry::CallReport;

use crate::request_memory::RequestMemory;

/// The extension that the middleware adds to every request. A single one, because each extension is an allocation of
/// its own.
#[derive(Debug, Clone)]
pub(crate) struct RequestState {
    /// The id of the request.
    pub(crate) id: HeaderValue,
    /// The memory reserved for its body.
    pub(crate) memory: RequestMemory,
    /// The report of the call, which the core completes.
    pub(crate) report: CallReport,
}
