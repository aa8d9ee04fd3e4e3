//! The configured upstreams and providers, and what can be asked of each free of charge.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use url::Url;

use crate::{
    config::{self, Settings, Vertex},
    upstream::{Auth, Limits, SetupError, Upstream},
};

/// The longest wait for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// The base URL of the OpenAI API.
const OPENAI: &str = "https://api.openai.com/v1";
/// The header of Google's API keys.
const GOOGLE_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
/// The header of a proxy's secret.
const MJ_API_SECRET: HeaderName = HeaderName::from_static("mj-api-secret");
/// The version of Runway's API, without which it refuses calls.
const RUNWAY_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-runway-version"), HeaderValue::from_static("2024-11-06"));

/// What is asked of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// The list of models at this path.
    Models(&'static str),
    /// Another list or value at this path, which requires the key.
    Get(&'static str),
    /// Only a connection, because the API offers nothing else for this reason.
    Connection(&'static str),
}

const MODELS: Question = Question::Models("models");
const GOOGLE_MODELS: Question = Question::Models("models?pageSize=1000");
const ARK_TASKS: Question = Question::Get("contents/generations/tasks?page_num=1&page_size=1");
const DASHSCOPE_TASKS: Question = Question::Get("api/v1/tasks/?page_no=1&page_size=1");
const KLING_TASKS: Question = Question::Get("v1/videos/text2video?pageNum=1&pageSize=1");
const NO_FREE_CALL: Question = Question::Connection("the API has no call that is free of charge");
const MIDJOURNEY_PROXY: Question = Question::Connection("proxies have no common call that is free of charge");
const KLING_PAIR: Question = Question::Connection("a pair of keys is checked by a render only");
const SERVICE_ACCOUNT: Question = Question::Connection("the key of a service account is checked by a render only");

/// A configured upstream or provider.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    /// The base URL, without its query.
    pub(super) base: Url,
    pub(super) has_key: bool,
    pub(super) question: Question,
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
        question: Question,
        models: impl Into<Vec<String>>,
        connect: Duration,
    ) -> Self {
        let limits = Limits { connect, first_byte: RESPONSE_TIMEOUT, idle: RESPONSE_TIMEOUT };
        let has_key = !matches!(auth, Auth::None);
        let upstream = Upstream::new(base.clone(), auth, limits);
        let (name, models, headers) = (name.into(), models.into(), HeaderMap::new());
        let mut target = Self { name, base, has_key, question, headers, upstream, models };
        // It may contain a key.
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

/// A provider: whether it is enabled, its section, base URL, credentials, question and models.
type Provider<'a> = (bool, &'static str, Option<Url>, Auth, Question, &'a [String]);

fn targets(providers: Vec<Provider<'_>>, connect: Duration) -> Vec<Target> {
    let enabled = providers.into_iter().filter(|(is_enabled, ..)| *is_enabled);
    let targets = enabled.filter_map(|(_, name, base, auth, question, models)| {
        Some(Target::new(name, base?, auth, question, models, connect))
    });
    targets.collect()
}

#[rustfmt::skip]
fn images(image: &config::Image) -> Vec<Target> {
    let config::Image { openai, doubao, dashscope, nano_banana, midjourney, .. } = image;
    let providers: Vec<Provider<'_>> = vec![
        (openai.is_configured(), "image.openai", openai.base_url.clone().or_else(openai_base), bearer(openai.api_key.as_ref()), MODELS, &openai.models),
        (doubao.is_configured(), "image.doubao", doubao.base_url.clone(), bearer(doubao.api_key.as_ref()), ARK_TASKS, &[]),
        (dashscope.is_configured(), "image.dashscope", dashscope.base_url.clone(), bearer(dashscope.api_key.as_ref()), DASHSCOPE_TASKS, &[]),
        (nano_banana.is_configured(), "image.nano_banana", nano_banana.base_url.clone(), header(&GOOGLE_API_KEY, nano_banana.api_key.as_ref()), GOOGLE_MODELS, &nano_banana.models),
        (midjourney.is_configured(), "image.midjourney", midjourney.base_url.clone(), header(&MJ_API_SECRET, midjourney.api_secret.as_ref()), MIDJOURNEY_PROXY, &[]),
    ];
    targets(providers, image.connect_timeout)
}

#[rustfmt::skip]
fn videos(video: &config::Video) -> Vec<Target> {
    let config::Video { openai, fal, kling, midjourney, minimax, runway, seedance, vidu, wan, xai, .. } = video;
    let (gemini, vertex) = video.google();
    let kling_tasks = if kling.api_key.is_some() { KLING_TASKS } else { KLING_PAIR };
    let providers: Vec<Provider<'_>> = vec![
        (openai.is_configured(), "video.openai", openai.base_url.clone().or_else(openai_base), bearer(openai.api_key.as_ref()), MODELS, &openai.models),
        (fal.is_configured(), "video.fal", fal.base_url.clone(), scheme("Key", fal.api_key.as_ref()), NO_FREE_CALL, &[]),
        (gemini.is_configured(), "video.gemini", gemini.base_url.clone(), header(&GOOGLE_API_KEY, gemini.api_key.as_ref()), GOOGLE_MODELS, &gemini.models),
        (kling.is_configured(), "video.kling", kling.base_url.clone(), bearer(kling.api_key.as_ref()), kling_tasks, &[]),
        (midjourney.base_url.is_some(), "video.midjourney", midjourney.base_url.clone(), header(&MJ_API_SECRET, midjourney.api_secret.as_ref()), MIDJOURNEY_PROXY, &[]),
        (minimax.is_configured(), "video.minimax", minimax.base_url.clone(), bearer(minimax.api_key.as_ref()), NO_FREE_CALL, &[]),
        (runway.is_configured(), "video.runway", runway.base_url.clone(), bearer(runway.api_key.as_ref()), Question::Get("organization"), &[]),
        (seedance.is_configured(), "video.seedance", seedance.base_url.clone(), bearer(seedance.api_key.as_ref()), ARK_TASKS, &[]),
        (vertex.is_configured(), "video.vertex", vertex_base(&vertex), Auth::None, SERVICE_ACCOUNT, &[]),
        (vidu.is_configured(), "video.vidu", vidu.base_url.clone(), scheme("Token", vidu.api_key.as_ref()), Question::Get("ent/v2/credits"), &[]),
        (wan.is_configured(), "video.wan", wan.base_url.clone(), bearer(wan.api_key.as_ref()), DASHSCOPE_TASKS, &[]),
        (xai.is_configured(), "video.xai", xai.base_url.clone(), bearer(xai.api_key.as_ref()), MODELS, &[]),
    ];
    let mut targets = targets(providers, video.connect_timeout);
    for target in targets.iter_mut().filter(|target| target.name == "video.runway") {
        target.headers.extend([RUNWAY_VERSION]);
    }
    targets
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
    vertex.base_url.clone().or_else(|| Url::parse(&format!("https://{region}aiplatform.googleapis.com")).ok())
}
