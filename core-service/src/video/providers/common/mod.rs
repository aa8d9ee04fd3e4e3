//! Parts shared by the video providers.

pub(super) mod context;
pub(super) mod exchange;
pub(super) mod form;
pub(super) mod outcome;
#[cfg(test)]
pub(super) mod testing;
