//! The hosts at which the configured providers serve their models.

use std::collections::HashMap;

use triptych_proto::v1::Modality;
use url::Url;

use crate::{
    config::{Chat, ConnectedProvider, Image, ImageServiceType, Settings, Upstream, Video, VideoServiceType},
    prices::names::ModelNames,
};

/// The host of OpenAI's API, which the providers `openai` call without a base URL.
const OPENAI: &str = "api.openai.com";
/// The host of Vertex AI. The hosts of its locations have the same prices.
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

/// Returns the host of a URL in lower case, or the default without a URL. Empty, so that it equals no vendor's host, for a port other than
/// that of HTTPS, and for plain HTTP. Most providers need no default here, because their settings have a base URL by default.
fn host(url: Option<&Url>, default: &str) -> String {
    let Some(url) = url else { return default.to_owned() };
    let is_public = url.scheme() == "https" && url.port().is_none();
    url.host_str().filter(|_| is_public).unwrap_or_default().to_owned()
}

fn images(image: &Image) -> Vec<Provider> {
    let provider = |ConnectedProvider { service_type, base_url, models }: ConnectedProvider<ImageServiceType>| {
        let (id, default) = match service_type {
            ImageServiceType::Openai => ("openai", OPENAI),
            ImageServiceType::Dashscope => ("dashscope", ""),
            ImageServiceType::Doubao => ("doubao", ""),
            ImageServiceType::Midjourney => ("midjourney", ""),
            ImageServiceType::NanoBanana => ("google", ""),
            ImageServiceType::Offline => return None,
        };
        Some(Provider { id, host: host(base_url.as_ref(), default), models })
    };
    image.connected().into_iter().filter_map(provider).collect()
}

fn videos(video: &Video) -> Vec<Provider> {
    let provider = |ConnectedProvider { service_type, base_url, models }: ConnectedProvider<VideoServiceType>| {
        let (id, default) = match service_type {
            VideoServiceType::Openai => ("openai", OPENAI),
            VideoServiceType::Fal => ("fal", ""),
            VideoServiceType::Gemini => ("gemini", ""),
            VideoServiceType::Kling => ("kling", ""),
            VideoServiceType::Midjourney => ("midjourney", ""),
            VideoServiceType::Minimax => ("minimax", ""),
            VideoServiceType::Runway => ("runway", ""),
            VideoServiceType::Seedance => ("seedance", ""),
            VideoServiceType::Vertex => ("vertex", VERTEX),
            VideoServiceType::Vidu => ("vidu", ""),
            VideoServiceType::Wan => ("wan", ""),
            VideoServiceType::Xai => ("xai", ""),
            VideoServiceType::Offline => return None,
        };
        Some(Provider { id, host: host(base_url.as_ref(), default), models })
    };
    video.connected().into_iter().filter_map(provider).collect()
}
