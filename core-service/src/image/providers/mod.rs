//! Who makes pictures.

mod asking;
pub mod dashscope;
pub mod doubao;
pub mod midjourney;
pub mod nano_banana;
pub mod offline;
pub mod openai;
mod picture;
mod reading;
mod tasks;

#[cfg(test)]
mod tests {
    use super::super::{Background, Encoding, ImageSpec, Quality};

    /// A request for one picture, and nothing said of it.
    pub(super) fn spec() -> ImageSpec {
        ImageSpec {
            prompt: "a boat".to_owned(),
            n: 1,
            size: None,
            quality: Quality::Auto,
            style: None,
            background: Background::Auto,
            seed: None,
            user: String::new(),
            pictures: Vec::new(),
            mask: None,
            partial_images: 0,
            format: Encoding::Png,
            extra_json: String::new(),
        }
    }
}
