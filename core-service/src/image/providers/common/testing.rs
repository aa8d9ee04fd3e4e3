//! Fixtures for the tests of providers.

use crate::image::parameters::{Background, Encoding, ImageParameters, Quality};

/// Returns a request for one image with default parameters.
pub(in crate::image::providers) fn parameters() -> ImageParameters {
    ImageParameters {
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
