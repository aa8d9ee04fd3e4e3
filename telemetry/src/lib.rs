//! Telemetry that the gateway and the core share: the report of a call, the access log, the metrics of models, and traces.
//!
//! | module | content |
//! | --- | --- |
//! | [`CallReport`] | what the layers of a call find out about it: caller, model, attempts, tokens |
//! | [`CallEnd`], `access_log` | the end of a call: one line in the access log, and the metrics of its model |
//! | `models` | the metrics of one model, with handles that are looked up once |
//! | [`trace`] | the spans of calls, and their export |
//! | [`recorder`], [`targets`] | the recorder of the process; the state of upstream targets at a scrape |

mod access_log;
mod call;
mod end;
mod modality;
mod models;
pub mod recorder;
mod report;
pub mod targets;
pub mod trace;

pub use self::{
    call::{Api, CLIENT_CLOSED, CallEnd, Status},
    modality::Modality,
    report::{CallReport, Client, DefaultHeaders, Tokens},
};
