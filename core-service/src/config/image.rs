//! The image panel: who makes pictures, and how each provider is reached.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{Invalid, base_url, secret};
use crate::upstream::GuardSettings;

/// The image panel.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Image {
    /// Who makes the pictures of requests that name no model. The others that are connected answer to their models' names.
    pub service_type: ImageServiceType,
    /// How long after its end a request can be joined by one with the same idempotency key. Zero: keys join nothing.
    #[serde(with = "humantime_serde")]
    pub idempotency_ttl: Duration,
    /// How long connecting to a provider may take.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long a provider may think before the first byte of its answer; a picture in one piece begins when it is done.
    #[serde(with = "humantime_serde")]
    pub first_byte_timeout: Duration,
    /// The longest silence within an answer.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// How many calls at a time one request makes to a provider that gives one picture per call, 1 to 10.
    pub calls_at_once: usize,
    /// Retries, circuit breaker and concurrency limit of the connected providers.
    pub routing: GuardSettings,
    /// An OpenAI-compatible upstream.
    pub openai: OpenaiImages,
    /// Volcengine Ark's Seedream.
    pub doubao: Doubao,
    /// Gemini's image models.
    pub nano_banana: NanoBanana,
    /// A Midjourney proxy.
    pub midjourney: MidjourneyImages,
    /// DashScope's Qwen-Image and Wan stills.
    pub dashscope: DashscopeImages,
}

/// Who makes pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageServiceType {
    /// The built-in engine.
    #[default]
    Offline,
    /// Doubao Seedream.
    Doubao,
    /// Gemini's image models.
    NanoBanana,
    /// A Midjourney proxy.
    Midjourney,
    /// An OpenAI-compatible upstream.
    Openai,
    /// DashScope's Qwen-Image and Wan stills.
    Dashscope,
}

/// An OpenAI-compatible images upstream. Connected once it has an address or a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenaiImages {
    /// Its address, up to and including the `/v1`. `None`: OpenAI's own.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// Its key, where it asks for one.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The models it serves, the default first.
    pub models: Vec<String>,
    /// Which members they understand.
    pub family: OpenaiFamily,
}

/// Which generation of OpenAI's images API a model speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpenaiFamily {
    /// What the model's name tells; a name that is not OpenAI's: compatible.
    #[default]
    Auto,
    /// DALL-E 2: square, with `response_format`.
    #[serde(rename = "dall-e-2")]
    DallE2,
    /// DALL-E 3: one picture a call, `style`, `hd`.
    #[serde(rename = "dall-e-3")]
    DallE3,
    /// The first GPT image models: three sizes, previews, no `response_format`.
    #[serde(rename = "gpt-image-1")]
    GptImage1,
    /// Those after: nearly any size.
    #[serde(rename = "gpt-image-2")]
    GptImage2,
    /// Another server's model: everything is passed on as it was asked.
    Compatible,
}

/// Volcengine Ark's Seedream. Connected once it has a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Doubao {
    /// The address, up to and including the `/api/v3`.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The key.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The models, the default first.
    pub models: Vec<String>,
    /// Which generation they are of.
    pub family: SeedreamFamily,
    /// Whether pictures carry the provider's visible mark.
    pub watermark: bool,
}

/// Which generation of Seedream a model, or the endpoint that stands for it, is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeedreamFamily {
    /// What the model's name tells; a name that tells nothing: what all from 4.0 on have in common.
    #[default]
    Auto,
    /// 3.0, from words, with a seed.
    #[serde(rename = "seedream-3")]
    Seedream3,
    /// 3.0 that changes one picture.
    #[serde(rename = "seededit-3")]
    Seededit3,
    /// 4.0, one to sixteen megapixels.
    #[serde(rename = "seedream-4")]
    Seedream4,
    /// 4.5, four to sixteen megapixels.
    #[serde(rename = "seedream-4-5")]
    Seedream45,
    /// 5.0, four to ten megapixels, PNG.
    #[serde(rename = "seedream-5")]
    Seedream5,
    /// 5.0 Pro, one or four megapixels, PNG.
    #[serde(rename = "seedream-5-pro")]
    Seedream5Pro,
}

/// Gemini's image models. Connected once they have a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NanoBanana {
    /// The address, up to and including the version.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The key.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The models, the default first.
    pub models: Vec<String>,
    /// Whether a model that answered without a picture is asked once more though that answer was billed.
    pub retry_unsafe: bool,
}

/// A Midjourney proxy. Connected once it has an address.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MidjourneyImages {
    /// The address, up to and including the `/mj`.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// What the proxy was set up with as its secret.
    #[serde(deserialize_with = "secret")]
    pub api_secret: Option<SecretString>,
    /// Public names of it, the default first.
    pub models: Vec<String>,
    /// Parameters behind every prompt that lacks them, for instance `--v 7`.
    pub parameters: String,
    /// How single pictures are taken from a grid that the proxy has not taken apart.
    pub singles: MidjourneySingles,
    /// Between two looks at a task.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

/// How single pictures are taken from Midjourney's grids of four.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MidjourneySingles {
    /// A task each, by the grid's buttons; cut where that fails.
    #[default]
    Upscale,
    /// Cut from the grid here: no more tasks, the same pixels.
    Cut,
}

/// DashScope's Qwen-Image and Wan stills. Connected once they have a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DashscopeImages {
    /// The address without a path; a key belongs to one region.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The key.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The models, the default first.
    pub models: Vec<String>,
    /// Which of them are asked by tasks; a `*` at the end of a name stands for any rest.
    pub tasks: Vec<String>,
    /// Between two looks at a task.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

fn names<const N: usize>(models: [&str; N]) -> Vec<String> {
    models.map(str::to_owned).into()
}

impl Default for Image {
    fn default() -> Self {
        Self {
            service_type: ImageServiceType::Offline,
            idempotency_ttl: Duration::from_mins(10),
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_mins(10),
            idle_timeout: Duration::from_mins(5),
            calls_at_once: 4,
            routing: GuardSettings::default(),
            openai: OpenaiImages::default(),
            doubao: Doubao::default(),
            nano_banana: NanoBanana::default(),
            midjourney: MidjourneyImages::default(),
            dashscope: DashscopeImages::default(),
        }
    }
}

impl Default for OpenaiImages {
    fn default() -> Self {
        let models = names(["gpt-image-2", "gpt-image-1.5", "gpt-image-1", "gpt-image-1-mini", "dall-e-3", "dall-e-2"]);
        Self { base_url: None, api_key: None, models, family: OpenaiFamily::Auto }
    }
}

impl Default for Doubao {
    fn default() -> Self {
        Self {
            base_url: Url::parse("https://ark.cn-beijing.volces.com/api/v3").ok(),
            api_key: None,
            models: names([
                "doubao-seedream-4-5-251128",
                "doubao-seedream-5-0-260128",
                "doubao-seedream-4-0-250828",
                "doubao-seedream-3-0-t2i-250415",
            ]),
            family: SeedreamFamily::Auto,
            watermark: false,
        }
    }
}

impl Default for NanoBanana {
    fn default() -> Self {
        Self {
            base_url: Url::parse("https://generativelanguage.googleapis.com/v1beta").ok(),
            api_key: None,
            models: names(["gemini-3.1-flash-image", "gemini-3-pro-image", "gemini-2.5-flash-image"]),
            retry_unsafe: false,
        }
    }
}

impl Default for MidjourneyImages {
    fn default() -> Self {
        Self {
            base_url: None,
            api_secret: None,
            models: names(["midjourney"]),
            parameters: String::new(),
            singles: MidjourneySingles::Upscale,
            poll_interval: Duration::from_secs(3),
        }
    }
}

impl Default for DashscopeImages {
    fn default() -> Self {
        Self {
            base_url: Url::parse("https://dashscope.aliyuncs.com").ok(),
            api_key: None,
            models: names([
                "qwen-image-2.0",
                "qwen-image-plus",
                "qwen-image",
                "wan2.6-t2i",
                "wan2.5-t2i-preview",
                "wan2.2-t2i-flash",
            ]),
            tasks: names(["wan2.5-*", "wan2.2-*", "wan2.1-*", "wanx*"]),
            poll_interval: Duration::from_secs(3),
        }
    }
}

impl OpenaiImages {
    /// Whether there is anything to connect to.
    pub fn is_connected(&self) -> bool {
        self.base_url.is_some() || self.api_key.is_some()
    }
}

impl Doubao {
    /// Whether there is anything to connect to.
    pub fn is_connected(&self) -> bool {
        self.api_key.is_some()
    }
}

impl NanoBanana {
    /// Whether there is anything to connect to.
    pub fn is_connected(&self) -> bool {
        self.api_key.is_some()
    }
}

impl DashscopeImages {
    /// Whether there is anything to connect to.
    pub fn is_connected(&self) -> bool {
        self.api_key.is_some()
    }
}

impl MidjourneyImages {
    /// Whether there is anything to connect to.
    pub fn is_connected(&self) -> bool {
        self.base_url.is_some()
    }
}

const SERVICE_TYPE: &str = "image.service_type";

/// Whether the settings make sense together.
pub(super) fn validate(image: &Image) -> Result<(), Invalid> {
    let wrong = |key, message: &str| Err(Invalid { key, message: message.to_owned() });
    match image.service_type {
        ImageServiceType::Offline => {}
        ImageServiceType::Openai if image.openai.is_connected() => {}
        ImageServiceType::Openai => {
            return wrong(
                SERVICE_TYPE,
                "`openai` needs a key in IMAGE_API_KEY (image.openai.api_key), or the address of an upstream that asks for \
                 none in IMAGE_BASE_URL (image.openai.base_url)",
            );
        }
        ImageServiceType::Doubao if image.doubao.is_connected() => {}
        ImageServiceType::Doubao => {
            return wrong(SERVICE_TYPE, "`doubao` needs a key in ARK_API_KEY (image.doubao.api_key)");
        }
        ImageServiceType::NanoBanana if image.nano_banana.is_connected() => {}
        ImageServiceType::NanoBanana => {
            return wrong(SERVICE_TYPE, "`nano_banana` needs a key in GEMINI_API_KEY (image.nano_banana.api_key)");
        }
        ImageServiceType::Midjourney if image.midjourney.is_connected() => {}
        ImageServiceType::Midjourney => {
            return wrong(
                SERVICE_TYPE,
                "`midjourney` needs the address of a proxy in MJ_BASE_URL (image.midjourney.base_url), up to and including \
                 its /mj",
            );
        }
        ImageServiceType::Dashscope if image.dashscope.is_connected() => {}
        ImageServiceType::Dashscope => {
            return wrong(SERVICE_TYPE, "`dashscope` needs a key in DASHSCOPE_API_KEY (image.dashscope.api_key)");
        }
    }
    for (key, models) in [
        ("image.openai.models", &image.openai.models),
        ("image.doubao.models", &image.doubao.models),
        ("image.nano_banana.models", &image.nano_banana.models),
        ("image.midjourney.models", &image.midjourney.models),
        ("image.dashscope.models", &image.dashscope.models),
    ] {
        if models.is_empty() || models.iter().any(|model| model.trim().is_empty()) {
            return wrong(key, "must be a list of names, at least one and none of them empty");
        }
    }
    let stars = |name: &String| name.strip_suffix('*').unwrap_or(name).contains('*');
    if image.dashscope.tasks.iter().any(stars) {
        return wrong("image.dashscope.tasks", "must be a list of names, with a * at most at the end of each");
    }
    for (key, duration) in [
        ("image.connect_timeout", image.connect_timeout),
        ("image.first_byte_timeout", image.first_byte_timeout),
        ("image.idle_timeout", image.idle_timeout),
        ("image.midjourney.poll_interval", image.midjourney.poll_interval),
        ("image.dashscope.poll_interval", image.dashscope.poll_interval),
    ] {
        if duration.is_zero() {
            return wrong(key, "must be longer than nothing, for instance 30s");
        }
    }
    if image.routing.failures == 0 {
        return wrong("image.routing.failures", "must be at least 1");
    }
    if image.routing.retries > 10 {
        return wrong("image.routing.retries", "must be 0 to 10");
    }
    if !(1..=10).contains(&image.calls_at_once) {
        return wrong("image.calls_at_once", "must be 1 to 10");
    }
    Ok(())
}
