//! The settings of the core: typed, with defaults, validated as a whole.
//!
//! The executable reads them from a file and the environment. Each section has a module with its structs, its defaults
//! and its validation; `guard` has the settings of retries, circuit breaker and concurrency that image and video providers
//! share, `de` the functions that deserialize addresses, URLs and secrets. Durations are written in the grammar of humantime:
//! `30s`, `1m 30s`, `2h`.
//!
//! Most settings are fixed at start. The module `reload` lists those that can change while the core runs.

mod chat;
mod connected;
mod database;
mod de;
mod error;
mod grpc;
mod guard;
mod image;
mod jobs;
mod keys;
mod limits;
mod media;
mod offline;
mod prices;
mod reload;
mod responses;
mod settings;
mod unchanged;
mod video;
mod webhooks;

pub use self::{
    chat::{BalancingPolicy, Chat, RouteRule, Routing, Upstream},
    connected::ConnectedProvider,
    database::DatabaseEvents,
    de::listen,
    error::SettingError,
    grpc::Grpc,
    guard::GuardSettings,
    image::{
        DashscopeImages, Doubao, Image, ImageServiceType, MidjourneyImages, MidjourneySingles, NanoBanana,
        OpenaiFamily, OpenaiImages, SeedreamFamily,
    },
    jobs::Jobs,
    keys::Key,
    limits::{AccountLimits, Team},
    media::{MAX_INPUT_BYTES, Media},
    offline::Offline,
    prices::{Price, PriceConditions},
    reload::{FixedSetting, RELOADABLE},
    responses::Responses,
    settings::Settings,
    video::{
        Fal, GeminiVideos, Kling, MidjourneyVideos, Minimax, OpenaiVideos, Runway, Seedance, SeedanceResolution,
        Vertex, Video, VideoRouting, VideoServiceType, Vidu, Wan, Xai,
    },
    webhooks::{ConfiguredEndpoint, WebhookEventType, Webhooks},
};
pub(crate) use self::{
    keys::{MAX_SECRET_LENGTH, is_name},
    unchanged::{has_same_chat, has_same_image, has_same_video},
};
