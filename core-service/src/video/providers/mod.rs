//! The video providers.

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
