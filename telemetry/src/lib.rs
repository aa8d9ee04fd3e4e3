//! Telemetry that the gateway and the core share: the report of a call, the access log, and the metrics of models.
//!
//! | module | content |
//! | --- | --- |
//! | [`CallReport`] | what the layers of a call find out about it: caller, model, attempts, tokens |
//! | [`CallEnd`], `access_log` | the end of a call: one line in the access log, and the metrics of its model |
//! | `models` | the metrics of one model, with handles that are looked up once |
//! | [`recorder`], [`targets`] | the recorder of the process; the state of upstream targets at a scrape |

mod access_log;
mod end;
mod models;
pub mod recorder;
mod report;
pub mod targets;

pub use self::{
    end::{Api, CLIENT_CLOSED, CallEnd, Status},
    report::{CallReport, Modality, Tokens},
};
