//! Error responses: one body, one set of headers, and the table from the core's errors to HTTP.

mod gateway_error;
mod param;
mod table;

pub use self::{
    gateway_error::{GatewayError, Retry},
    table::{Row, table},
};
pub(crate) use gateway_error::millis;

#[cfg(test)]
mod tests;
