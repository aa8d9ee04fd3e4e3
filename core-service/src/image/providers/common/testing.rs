//! Fixtures for the tests of providers.

use crate::image::spec::{Background, Encoding, ImageSpec, Quality};

/// Returns a request for one image with default parameters.
pub(in crate::image::providers) fn spec() -> ImageSpec {
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
