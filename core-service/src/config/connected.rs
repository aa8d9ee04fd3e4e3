//! The image and video providers that the settings enable: one table for the start banner, `triptych check --probe` and
//! the shipped prices.

use url::Url;

use super::{Image, ImageServiceType, Video, VideoServiceType};

/// A provider that the settings enable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectedProvider<T> {
    /// Which one it is.
    pub service_type: T,
    /// The base URL of its API; `None` for the vendor's own API, where the settings have no default.
    pub base_url: Option<Url>,
    /// The upstream's names of the models, the default first.
    pub models: Vec<String>,
}

/// A provider: whether it is enabled, and the fields of its [`ConnectedProvider`].
type Row<'a, T> = (bool, T, &'a Option<Url>, &'a Vec<String>);

fn connected<T, const N: usize>(rows: [Row<'_, T>; N]) -> Vec<ConnectedProvider<T>> {
    let enabled = rows.into_iter().filter(|(is_enabled, ..)| *is_enabled);
    let provider = |(_, service_type, base_url, models): Row<'_, T>| ConnectedProvider {
        service_type,
        base_url: base_url.clone(),
        models: models.clone(),
    };
    enabled.map(provider).collect()
}

impl Image {
    /// Returns the enabled providers, OpenAI's API first, then by name.
    pub fn connected(&self) -> Vec<ConnectedProvider<ImageServiceType>> {
        use ImageServiceType::{Dashscope, Doubao, Midjourney, NanoBanana, Openai};
        let Self { openai, dashscope, doubao, midjourney, nano_banana, .. } = self;
        connected([
            (openai.is_configured(), Openai, &openai.base_url, &openai.models),
            (dashscope.is_configured(), Dashscope, &dashscope.base_url, &dashscope.models),
            (doubao.is_configured(), Doubao, &doubao.base_url, &doubao.models),
            (midjourney.is_configured(), Midjourney, &midjourney.base_url, &midjourney.models),
            (nano_banana.is_configured(), NanoBanana, &nano_banana.base_url, &nano_banana.models),
        ])
    }
}

impl Video {
    /// Returns the enabled providers, OpenAI's API first, then by name. Of the Gemini API and Vertex AI, each has the models that
    /// [`google`](Self::google) assigns to it, which may be none.
    pub fn connected(&self) -> Vec<ConnectedProvider<VideoServiceType>> {
        use VideoServiceType::{
            Fal, Gemini, Kling, Midjourney, Minimax, Openai, Runway, Seedance, Vertex, Vidu, Wan, Xai,
        };
        let Self { openai, fal, kling, midjourney, minimax, runway, seedance, vidu, wan, xai, .. } = self;
        let (gemini, vertex) = self.google();
        connected([
            (openai.is_configured(), Openai, &openai.base_url, &openai.models),
            (fal.is_configured(), Fal, &fal.base_url, &fal.models),
            (gemini.is_configured(), Gemini, &gemini.base_url, &gemini.models),
            (kling.is_configured(), Kling, &kling.base_url, &kling.models),
            (midjourney.base_url.is_some(), Midjourney, &midjourney.base_url, &midjourney.models),
            (minimax.is_configured(), Minimax, &minimax.base_url, &minimax.models),
            (runway.is_configured(), Runway, &runway.base_url, &runway.models),
            (seedance.is_configured(), Seedance, &seedance.base_url, &seedance.models),
            (vertex.is_configured(), Vertex, &vertex.base_url, &vertex.models),
            (vidu.is_configured(), Vidu, &vidu.base_url, &vidu.models),
            (wan.is_configured(), Wan, &wan.base_url, &wan.models),
            (xai.is_configured(), Xai, &xai.base_url, &xai.models),
        ])
    }
}
