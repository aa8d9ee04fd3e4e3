//! Error responses: one body, one set of headers, and the table from the core's errors to HTTP.

mod gateway_error;
mod param;
mod table;

pub(crate) use self::param::to_json_path;
pub use self::{
    gateway_error::{GatewayError, Retry},
    table::{Row, table},
};

#[cfg(test)]
mod tests;
