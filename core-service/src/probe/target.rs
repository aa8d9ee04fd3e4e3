//! The configured upstreams and providers, and the request by which each can be checked free of charge.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use url::Url;

use crate::{
    config::{self, ConnectedProvider, ImageServiceType, Settings, Vertex, VideoServiceType},
    upstream::{Auth, SetupError, Timeouts, Upstream},
};

/// The longest wait for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// The base URL of the OpenAI API.
const OPENAI: &str = "https://api.openai.com/v1";
/// The header of Google's API keys.
const GOOGLE_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
/// The header of the secret of a Midjourney proxy.
const MJ_API_SECRET: HeaderName = HeaderName::from_static("mj-api-secret");
/// The version of Runway's API, without which it refuses calls.
const RUNWAY_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-runway-version"), HeaderValue::from_static("2024-11-06"));

/// The request that checks a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// The list of models at this path.
    Models(&'static str),
    /// Another list or value at this path, which requires the key.
    Get(&'static str),
    /// None: only a connection is opened, for this reason.
    Connection(&'static str),
}

const MODELS: Check = Check::Models("models");
const GOOGLE_MODELS: Check = Check::Models("models?pageSize=1000");
const ARK_TASKS: Check = Check::Get("contents/generations/tasks?page_num=1&page_size=1");
const DASHSCOPE_TASKS: Check = Check::Get("api/v1/tasks/?page_no=1&page_size=1");
const RUNWAY_ORGANIZATION: Check = Check::Get("organization");
const VIDU_CREDITS: Check = Check::Get("ent/v2/credits");
const KLING_TASKS: Check = Check::Get("v1/videos/text2video?pageNum=1&pageSize=1");
const NO_FREE_CALL: Check = Check::Connection("the API has no call that is free of charge");
const MIDJOURNEY_PROXY: Check = Check::Connection("proxies have no common call that is free of charge");
const KLING_PAIR: Check = Check::Connection("the probe signs no tokens with a pair of keys");
const SERVICE_ACCOUNT: Check = Check::Connection("the probe requests no access token for a service account");

/// A configured upstream or provider.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    /// The base URL, without its query.
    pub(super) base: Url,
    pub(super) has_key: bool,
    pub(super) check: Check,
    pub(super) headers: HeaderMap,
    pub(super) upstream: Result<Upstream, SetupError>,
    /// The upstream's names of the configured models.
    pub(super) models: Vec<String>,
}

impl Target {
    fn new(
        name: impl Into<String>,
        base: Url,
        auth: Auth,
        check: Check,
        models: impl Into<Vec<String>>,
        connect: Duration,
    ) -> Self {
        let timeouts = Timeouts { connect, first_byte: RESPONSE_TIMEOUT, idle: RESPONSE_TIMEOUT };
        let has_key = !matches!(auth, Auth::None);
        let upstream = Upstream::new(base.clone(), auth, timeouts);
        let (name, models, headers) = (name.into(), models.into(), HeaderMap::new());
        let mut target = Self { name, base, has_key, check, headers, upstream, models };
        // The query may contain a key.
        target.base.set_query(None);
        target
    }
}

/// Returns all configured targets in the order of the configuration: chat, images, videos.
pub(super) fn all(settings: &Settings) -> Vec<Target> {
    chat(&settings.chat).into_iter().chain(images(&settings.image)).chain(videos(&settings.video)).collect()
}

fn chat(chat: &config::Chat) -> Vec<Target> {
    let target = |upstream: &config::Upstream| {
        let connect = upstream.connect_timeout.unwrap_or(chat.connect_timeout);
        let models = upstream.models.iter().map(|model| upstream.rename.get(model).unwrap_or(model).clone());
        let (auth, models) = (bearer(upstream.api_key.as_ref()), models.collect::<Vec<_>>());
        let name = format!("chat {}", upstream.name);
        let target = Target::new(name, upstream.base_url.clone()?, auth, MODELS, models, connect);
        Some(Target { headers: upstream.headers.clone(), ..target })
    };
    chat.configured_upstreams().iter().filter_map(target).collect()
}

fn images(image: &config::Image) -> Vec<Target> {
    let target = |provider: ConnectedProvider<ImageServiceType>| {
        let ConnectedProvider { service_type, base_url, models } = provider;
        let (name, auth, check) = match service_type {
            ImageServiceType::Openai => ("image.openai", bearer(image.openai.api_key.as_ref()), MODELS),
            ImageServiceType::Dashscope => {
                ("image.dashscope", bearer(image.dashscope.api_key.as_ref()), DASHSCOPE_TASKS)
            }
            ImageServiceType::Doubao => ("image.doubao", bearer(image.doubao.api_key.as_ref()), ARK_TASKS),
            ImageServiceType::Midjourney => {
                ("image.midjourney", header(&MJ_API_SECRET, image.midjourney.api_secret.as_ref()), MIDJOURNEY_PROXY)
            }
            ImageServiceType::NanoBanana => {
                ("image.nano_banana", header(&GOOGLE_API_KEY, image.nano_banana.api_key.as_ref()), GOOGLE_MODELS)
            }
            ImageServiceType::Offline => return None,
        };
        // Only OpenAI's API has no default in the settings.
        Some(Target::new(name, base_url.or_else(openai_base)?, auth, check, models, image.connect_timeout))
    };
    image.connected().into_iter().filter_map(target).collect()
}

fn videos(video: &config::Video) -> Vec<Target> {
    let (gemini, vertex) = video.google();
    let target = |provider: ConnectedProvider<VideoServiceType>| {
        let ConnectedProvider { service_type, base_url, models } = provider;
        let (name, auth, check) = match service_type {
            VideoServiceType::Openai => ("video.openai", bearer(video.openai.api_key.as_ref()), MODELS),
            VideoServiceType::Fal => ("video.fal", scheme("Key", video.fal.api_key.as_ref()), NO_FREE_CALL),
            VideoServiceType::Gemini => {
                ("video.gemini", header(&GOOGLE_API_KEY, gemini.api_key.as_ref()), GOOGLE_MODELS)
            }
            VideoServiceType::Kling => {
                let check = if video.kling.api_key.is_some() { KLING_TASKS } else { KLING_PAIR };
                ("video.kling", bearer(video.kling.api_key.as_ref()), check)
            }
            VideoServiceType::Midjourney => {
                ("video.midjourney", header(&MJ_API_SECRET, video.midjourney.api_secret.as_ref()), MIDJOURNEY_PROXY)
            }
            VideoServiceType::Minimax => ("video.minimax", bearer(video.minimax.api_key.as_ref()), NO_FREE_CALL),
            VideoServiceType::Runway => ("video.runway", bearer(video.runway.api_key.as_ref()), RUNWAY_ORGANIZATION),
            VideoServiceType::Seedance => ("video.seedance", bearer(video.seedance.api_key.as_ref()), ARK_TASKS),
            VideoServiceType::Vertex => ("video.vertex", Auth::None, SERVICE_ACCOUNT),
            VideoServiceType::Vidu => ("video.vidu", scheme("Token", video.vidu.api_key.as_ref()), VIDU_CREDITS),
            VideoServiceType::Wan => ("video.wan", bearer(video.wan.api_key.as_ref()), DASHSCOPE_TASKS),
            VideoServiceType::Xai => ("video.xai", bearer(video.xai.api_key.as_ref()), MODELS),
            VideoServiceType::Offline => return None,
        };
        let default = || if service_type == VideoServiceType::Vertex { vertex_base(&vertex) } else { openai_base() };
        // Whether xAI's list has its video models is not documented, so that none are expected in it.
        let models = if service_type == VideoServiceType::Xai { Vec::new() } else { models };
        let mut target = Target::new(name, base_url.or_else(default)?, auth, check, models, video.connect_timeout);
        if service_type == VideoServiceType::Runway {
            target.headers.extend([RUNWAY_VERSION]);
        }
        Some(target)
    };
    video.connected().into_iter().filter_map(target).collect()
}

fn openai_base() -> Option<Url> {
    Url::parse(OPENAI).ok()
}

fn bearer(key: Option<&SecretString>) -> Auth {
    key.cloned().map_or(Auth::None, Auth::Bearer)
}

fn scheme(scheme: &'static str, key: Option<&SecretString>) -> Auth {
    key.cloned().map_or(Auth::None, |key| Auth::Scheme(scheme, key))
}

fn header(name: &HeaderName, key: Option<&SecretString>) -> Auth {
    key.cloned().map_or(Auth::None, |key| Auth::Header(name.clone(), key))
}

/// Returns the address of Vertex AI in the configured location.
fn vertex_base(vertex: &Vertex) -> Option<Url> {
    let region = if vertex.location == "global" { String::new() } else { format!("{}-", vertex.location) };
    Url::parse(&format!("https://{region}aiplatform.googleapis.com")).ok()
}
