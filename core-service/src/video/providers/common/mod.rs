//! Parts shared by the video providers: their set-up, requests whose error status is no error, multipart forms, adjustments of
//! results, and the amounts of a reported usage.

pub(super) mod context;
pub(super) mod exchange;
pub(super) mod form;
pub(super) mod outcome;
#[cfg(test)]
pub(super) mod testing;
pub(super) mod usage;
