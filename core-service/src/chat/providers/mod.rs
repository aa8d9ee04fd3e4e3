//! The chat providers: the built-in mock engine (`offline`), and upstreams with OpenAI's API (`openai`). `assembly` creates
//! the models that they serve from the settings.

pub(crate) mod assembly;
pub mod offline;
pub mod openai;
