//! Parts shared by the video providers: their set-up, requests with any status as the result, forms, and results.

pub(super) mod context;
pub(super) mod exchange;
pub(super) mod form;
pub(super) mod outcome;
#[cfg(test)]
pub(super) mod testing;
