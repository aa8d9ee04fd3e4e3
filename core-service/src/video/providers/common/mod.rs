//! Parts shared by the video providers: their set-up, requests whose error status is no error, multipart forms, and adjustments of
//! results.

pub(super) mod context;
pub(super) mod exchange;
pub(super) mod form;
pub(super) mod outcome;
#[cfg(test)]
pub(super) mod testing;
