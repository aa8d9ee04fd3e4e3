//! The hosts at which the configured providers serve their models.

use std::collections::HashMap;

use triptych_proto::v1::Modality;
use url::Url;

use crate::{
    config::{Chat, Image, Settings, Upstream, Video},
    prices::names::ModelNames,
};

/// The host of OpenAI's API, which the providers `openai` call without a base URL.
const OPENAI: &str = "api.openai.com";
/// The host of Vertex AI; that of a location has the same prices.
const VERTEX: &str = "aiplatform.googleapis.com";

/// The configured providers with their hosts and models.
#[derive(Debug, Default)]
pub(in crate::prices) struct Hosts {
    chat: Vec<Upstream>,
    /// The fallbacks of chat models, by public name.
    fallbacks: HashMap<String, Vec<String>>,
    pub(in crate::prices) images: Vec<Provider>,
    pub(in crate::prices) videos: Vec<Provider>,
}

/// A connected provider of images or videos.
#[derive(Debug)]
pub(in crate::prices) struct Provider {
    /// The id, as in the catalog.
    pub(in crate::prices) id: &'static str,
    host: String,
    pub(in crate::prices) models: Vec<String>,
}

/// A model at a host.
pub(super) struct ModelAt {
    pub(super) host: String,
    /// The upstream's name of the model.
    pub(super) model: String,
}

impl Hosts {
    /// Returns the hosts of the connected providers.
    pub(in crate::prices) fn new(settings: &Settings) -> Self {
        let Chat { routes, .. } = &settings.chat;
        // Without keys and headers, which are not needed here.
        let stripped = |upstream: &Upstream| Upstream {
            name: upstream.name.clone(),
            base_url: upstream.base_url.clone(),
            models: upstream.models.clone(),
            rename: upstream.rename.clone(),
            ..Upstream::default()
        };
        Self {
            chat: settings.chat.configured_upstreams().iter().map(stripped).collect(),
            fallbacks: routes.iter().map(|rule| (rule.model.clone(), rule.fallbacks.clone())).collect(),
            images: images(&settings.image),
            videos: videos(&settings.video),
        }
    }

    /// Returns the names of all chat models, without those that are passed through, in the order of the settings.
    pub(in crate::prices) fn chat_models(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for upstream in &self.chat {
            let patterns: Vec<_> = upstream.patterns().collect();
            let models = upstream.models.iter().filter(|model| !patterns.contains(model));
            for name in models.chain(upstream.rename.keys()) {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// Returns the places at which a model is served; none for a model of a built-in engine.
    pub(super) fn of_model(&self, modality: Modality, names: ModelNames) -> Vec<ModelAt> {
        let providers = match modality {
            Modality::Chat => return self.of_chat_model(names.public),
            Modality::Image => &self.images,
            Modality::Video => &self.videos,
            Modality::Unspecified => return Vec::new(),
        };
        let provider = providers.iter().find(|provider| provider.id == names.provider);
        provider
            .map(|Provider { host, .. }| vec![ModelAt { host: host.clone(), model: names.upstream.to_owned() }])
            .unwrap_or_default()
    }

    fn of_chat_model(&self, model: &str) -> Vec<ModelAt> {
        let fallbacks = self.fallbacks.get(model).into_iter().flatten();
        let mut places = Vec::new();
        for name in std::iter::once(model).chain(fallbacks.map(String::as_str)) {
            for upstream in Upstream::serving(&self.chat, name) {
                let host = host(upstream.base_url.as_ref(), "");
                let model = upstream.rename.get(name).map_or(name, String::as_str).to_owned();
                places.push(ModelAt { host, model });
            }
        }
        places
    }
}

/// Returns the host of a URL in lower case. A port other than that of HTTPS, or plain text, is no vendor's: the host is then empty.
fn host(url: Option<&Url>, default: &str) -> String {
    let Some(url) = url else { return default.to_owned() };
    let is_public = url.scheme() == "https" && url.port().is_none();
    url.host_str().filter(|_| is_public).unwrap_or_default().to_owned()
}

#[rustfmt::skip]
fn images(image: &Image) -> Vec<Provider> {
    let Image { openai, doubao, nano_banana, midjourney, dashscope, .. } = image;
    connected([
        (openai.is_configured(), "openai", host(openai.base_url.as_ref(), OPENAI), &openai.models),
        (doubao.is_configured(), "doubao", host(doubao.base_url.as_ref(), ""), &doubao.models),
        (dashscope.is_configured(), "dashscope", host(dashscope.base_url.as_ref(), ""), &dashscope.models),
        (nano_banana.is_configured(), "google", host(nano_banana.base_url.as_ref(), ""), &nano_banana.models),
        (midjourney.is_configured(), "midjourney", host(midjourney.base_url.as_ref(), ""), &midjourney.models),
    ])
}

#[rustfmt::skip]
fn videos(video: &Video) -> Vec<Provider> {
    let Video { openai, fal, kling, midjourney, minimax, runway, seedance, vidu, wan, xai, .. } = video;
    let (gemini, vertex) = video.google();
    connected([
        (openai.is_configured(), "openai", host(openai.base_url.as_ref(), OPENAI), &openai.models),
        (fal.is_configured(), "fal", host(fal.base_url.as_ref(), ""), &fal.models),
        (gemini.is_configured(), "gemini", host(gemini.base_url.as_ref(), ""), &gemini.models),
        (kling.is_configured(), "kling", host(kling.base_url.as_ref(), ""), &kling.models),
        (midjourney.base_url.is_some(), "midjourney", host(midjourney.base_url.as_ref(), ""), &midjourney.models),
        (minimax.is_configured(), "minimax", host(minimax.base_url.as_ref(), ""), &minimax.models),
        (runway.is_configured(), "runway", host(runway.base_url.as_ref(), ""), &runway.models),
        (seedance.is_configured(), "seedance", host(seedance.base_url.as_ref(), ""), &seedance.models),
        (vertex.is_configured(), "vertex", host(vertex.base_url.as_ref(), VERTEX), &vertex.models),
        (vidu.is_configured(), "vidu", host(vidu.base_url.as_ref(), ""), &vidu.models),
        (wan.is_configured(), "wan", host(wan.base_url.as_ref(), ""), &wan.models),
        (xai.is_configured(), "xai", host(xai.base_url.as_ref(), ""), &xai.models),
    ])
}

/// Returns the providers of which the first value says that they are connected.
fn connected<const N: usize>(providers: [(bool, &'static str, String, &Vec<String>); N]) -> Vec<Provider> {
    let connected = providers.into_iter().filter(|(is_connected, ..)| *is_connected);
    connected.map(|(_, id, host, models)| Provider { id, host, models: models.clone() }).collect()
}
