//! The settings of the image service and its providers.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{
    de::{base_url, secret},
    error::SettingError,
    guard::GuardSettings,
};

/// The `[image]` settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Image {
    /// The provider of the default model. Other configured providers serve their models by name.
    pub service_type: ImageServiceType,
    /// How long a response is kept for repetitions with the same idempotency key. Zero: not kept.
    #[serde(with = "humantime_serde")]
    pub idempotency_ttl: Duration,
    /// The timeout for connecting to a provider.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// The timeout for the first byte of a response. A non-streaming response starts when the picture is done.
    #[serde(with = "humantime_serde")]
    pub first_byte_timeout: Duration,
    /// The timeout between two reads of a response body.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// How many calls one request makes in parallel to a provider that returns one picture per call, 1 to 10.
    pub calls_at_once: usize,
    /// Retries, circuit breaker and concurrency limit of the providers that call an upstream: all but the built-in engine.
    pub routing: GuardSettings,
    /// An OpenAI-compatible upstream.
    pub openai: OpenaiImages,
    /// Seedream of Volcengine Ark.
    pub doubao: Doubao,
    /// Image models of Gemini.
    pub nano_banana: NanoBanana,
    /// A Midjourney proxy.
    pub midjourney: MidjourneyImages,
    /// Qwen-Image and Wan image models of DashScope.
    pub dashscope: DashscopeImages,
}

/// An image provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageServiceType {
    /// The built-in engine.
    #[default]
    Offline,
    /// Doubao Seedream.
    Doubao,
    /// Image models of Gemini.
    NanoBanana,
    /// A Midjourney proxy.
    Midjourney,
    /// An OpenAI-compatible upstream.
    Openai,
    /// Qwen-Image and Wan image models of DashScope.
    Dashscope,
}

/// An OpenAI-compatible images upstream. Enabled by a URL or a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenaiImages {
    /// The base URL, including `/v1`. `None`: the OpenAI API.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The API key; `None` if the upstream requires none.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The models of the upstream, the default first.
    pub models: Vec<String>,
    /// The API generation of the models.
    pub family: OpenaiFamily,
}

/// A generation of the OpenAI images API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpenaiFamily {
    /// Derived from the name of the model; `Compatible` for names that are not OpenAI's.
    #[default]
    Auto,
    /// DALL-E 2: square pictures, `response_format`.
    #[serde(rename = "dall-e-2")]
    DallE2,
    /// DALL-E 3: one picture per call, `style`, quality `hd`.
    #[serde(rename = "dall-e-3")]
    DallE3,
    /// The first GPT image models: three sizes, partial images, no `response_format`.
    #[serde(rename = "gpt-image-1")]
    GptImage1,
    /// Later GPT image models: nearly any size.
    #[serde(rename = "gpt-image-2")]
    GptImage2,
    /// A model of another server: all parameters are passed on unchanged.
    Compatible,
}

/// Seedream of Volcengine Ark. Enabled by a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Doubao {
    /// The base URL, including `/api/v3`.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The API key.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The models, the default first.
    pub models: Vec<String>,
    /// The generation of the models.
    pub family: SeedreamFamily,
    /// Whether the provider puts a visible watermark on pictures.
    pub watermark: bool,
}

/// A generation of Seedream models. Set for an inference endpoint of Ark, whose name (`ep-...`) does not contain it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeedreamFamily {
    /// Derived from the name of the model; for other names the common features of 4.0 and later.
    #[default]
    Auto,
    /// 3.0: text to image, `seed`.
    #[serde(rename = "seedream-3")]
    Seedream3,
    /// 3.0: edits one picture.
    #[serde(rename = "seededit-3")]
    Seededit3,
    /// 4.0: 1 to 16 megapixels.
    #[serde(rename = "seedream-4")]
    Seedream4,
    /// 4.5: 4 to 16 megapixels.
    #[serde(rename = "seedream-4-5")]
    Seedream45,
    /// 5.0: 4 to 10 megapixels, PNG.
    #[serde(rename = "seedream-5")]
    Seedream5,
    /// 5.0 Pro: 1 or 4 megapixels, PNG.
    #[serde(rename = "seedream-5-pro")]
    Seedream5Pro,
}

/// Image models of Gemini. Enabled by a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NanoBanana {
    /// The base URL, including the API version.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The API key.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The models, the default first.
    pub models: Vec<String>,
    /// Whether a call is repeated once if its response has no picture but was billed.
    pub retry_billed: bool,
}

/// A Midjourney proxy. Enabled by a URL.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MidjourneyImages {
    /// The base URL, including `/mj`.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The API secret of the proxy.
    #[serde(deserialize_with = "secret")]
    pub api_secret: Option<SecretString>,
    /// The names under which clients request the models, the default first. They are not sent to the proxy.
    pub models: Vec<String>,
    /// Parameters that are appended to every prompt that lacks them, for example `--v 7`.
    pub parameters: String,
    /// How single pictures are obtained from a grid that the proxy has not split.
    pub singles: MidjourneySingles,
    /// The interval between two polls of a task.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

/// How single pictures are obtained from a Midjourney grid of four.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MidjourneySingles {
    /// One upscale task per picture; cropped from the grid if that fails.
    #[default]
    Upscale,
    /// Cropped from the grid: without further tasks, and with a quarter of the grid's pixels each.
    Cut,
}

/// Qwen-Image and Wan image models of DashScope. Enabled by a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DashscopeImages {
    /// The base URL without a path. It selects the region; a key is valid in one region only.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The API key.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The models, the default first.
    pub models: Vec<String>,
    /// The models that are called through asynchronous tasks. A `*` at the end of a name matches any suffix.
    pub tasks: Vec<String>,
    /// The interval between two polls of a task.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

fn owned<const N: usize>(models: [&str; N]) -> Vec<String> {
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
        let models = owned(["gpt-image-2", "gpt-image-1.5", "gpt-image-1", "gpt-image-1-mini", "dall-e-3", "dall-e-2"]);
        Self { base_url: None, api_key: None, models, family: OpenaiFamily::Auto }
    }
}

impl Default for Doubao {
    fn default() -> Self {
        Self {
            base_url: Url::parse("https://ark.cn-beijing.volces.com/api/v3").ok(),
            api_key: None,
            models: owned([
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
            models: owned(["gemini-3.1-flash-image", "gemini-3-pro-image", "gemini-2.5-flash-image"]),
            retry_billed: false,
        }
    }
}

impl Default for MidjourneyImages {
    fn default() -> Self {
        Self {
            base_url: None,
            api_secret: None,
            models: owned(["midjourney"]),
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
            models: owned([
                "qwen-image-2.0",
                "qwen-image-plus",
                "qwen-image",
                "wan2.6-t2i",
                "wan2.5-t2i-preview",
                "wan2.2-t2i-flash",
            ]),
            tasks: owned(["wan2.5-*", "wan2.2-*", "wan2.1-*", "wanx*"]),
            poll_interval: Duration::from_secs(3),
        }
    }
}

impl OpenaiImages {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.base_url.is_some() || self.api_key.is_some()
    }
}

impl Doubao {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.api_key.is_some()
    }
}

impl NanoBanana {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.api_key.is_some()
    }
}

impl DashscopeImages {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.api_key.is_some()
    }
}

impl MidjourneyImages {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.base_url.is_some()
    }
}

const SERVICE_TYPE: &str = "image.service_type";

impl Image {
    pub(super) fn validate(&self) -> Result<(), SettingError> {
        let error = |key, message| Err(SettingError::new(key, message));
        let Self { openai, doubao, nano_banana, midjourney, dashscope, .. } = self;
        match self.service_type {
            ImageServiceType::Openai if !openai.is_configured() => {
                return error(
                    SERVICE_TYPE,
                    "`openai` requires a key in IMAGE_API_KEY (image.openai.api_key), or the URL of an upstream without \
                     keys in IMAGE_BASE_URL (image.openai.base_url)",
                );
            }
            ImageServiceType::Doubao if !doubao.is_configured() => {
                return error(SERVICE_TYPE, "`doubao` requires a key in ARK_API_KEY (image.doubao.api_key)");
            }
            ImageServiceType::NanoBanana if !nano_banana.is_configured() => {
                return error(
                    SERVICE_TYPE,
                    "`nano_banana` requires a key in GEMINI_API_KEY (image.nano_banana.api_key)",
                );
            }
            ImageServiceType::Midjourney if !midjourney.is_configured() => {
                return error(
                    SERVICE_TYPE,
                    "`midjourney` requires the URL of a proxy, including /mj, in MJ_BASE_URL (image.midjourney.base_url)",
                );
            }
            ImageServiceType::Dashscope if !dashscope.is_configured() => {
                return error(
                    SERVICE_TYPE,
                    "`dashscope` requires a key in DASHSCOPE_API_KEY (image.dashscope.api_key)",
                );
            }
            ImageServiceType::Offline
            | ImageServiceType::Openai
            | ImageServiceType::Doubao
            | ImageServiceType::NanoBanana
            | ImageServiceType::Midjourney
            | ImageServiceType::Dashscope => {}
        }
        for (key, models) in [
            ("image.openai.models", &openai.models),
            ("image.doubao.models", &doubao.models),
            ("image.nano_banana.models", &nano_banana.models),
            ("image.midjourney.models", &midjourney.models),
            ("image.dashscope.models", &dashscope.models),
        ] {
            if models.is_empty() || models.iter().any(|model| model.trim().is_empty()) {
                return error(key, "must be a list of at least one name, none of them empty");
            }
        }
        let has_inner_star = |name: &String| name.strip_suffix('*').unwrap_or(name).contains('*');
        if dashscope.tasks.iter().any(has_inner_star) {
            return error("image.dashscope.tasks", "must be a list of names; `*` is allowed at the end of a name only");
        }
        SettingError::require_nonzero([
            ("image.connect_timeout", self.connect_timeout),
            ("image.first_byte_timeout", self.first_byte_timeout),
            ("image.idle_timeout", self.idle_timeout),
            ("image.midjourney.poll_interval", midjourney.poll_interval),
            ("image.dashscope.poll_interval", dashscope.poll_interval),
        ])?;
        if self.routing.failure_threshold == 0 {
            // The name of the field in the configuration.
            return error("image.routing.failures", "must be at least 1");
        }
        if self.routing.retries > 10 {
            return error("image.routing.retries", "must be 0 to 10");
        }
        if !(1..=10).contains(&self.calls_at_once) {
            return error("image.calls_at_once", "must be 1 to 10");
        }
        Ok(())
    }
}
