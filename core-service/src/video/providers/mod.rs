//! The video providers: each module implements [`VideoProvider`](super::VideoProvider) for the API of one vendor, and lists its
//! models for the catalog. `offline` is the built-in engine; `common` and `google` hold what several modules share.

pub(crate) mod assembly;
mod common;
pub mod fal;
pub mod gemini;
mod google;
pub mod kling;
pub mod midjourney;
pub mod minimax;
pub mod offline;
pub mod openai;
pub mod runway;
pub mod seedance;
pub mod vertex;
pub mod vidu;
pub mod wan;
pub mod xai;
