//! Parts shared by the image providers.

pub(super) mod context;
pub(super) mod decode;
pub(super) mod event_stream;
pub(super) mod fetch;
pub(super) mod image_list;
pub(super) mod request;
pub(super) mod tasks;
#[cfg(test)]
pub(super) mod testing;
