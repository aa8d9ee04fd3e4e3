//! The configured providers of the modalities.

use std::fmt;

use core_service::config::{Image, ImageServiceType, Video, VideoServiceType};

use crate::config::{Config, hide_query};

/// Writes the provider of each service and the variable that changes it.
pub(crate) fn write_providers(f: &mut impl fmt::Write, config: &Config) -> fmt::Result {
    let core = &config.core;
    if !core.chat.upstreams.is_empty() {
        writeln!(f, "  chat   routed, default model {}; offline-chat is the built-in mock engine", core.chat.model)?;
        for upstream in &core.chat.upstreams {
            let url = upstream.base_url.as_ref().map_or_else(String::new, |url| hide_query(url.as_str()));
            writeln!(f, "         {} at {url} serves {}", upstream.name, upstream.models.join(", "))?;
        }
    } else if let Some(url) = &core.chat.base_url {
        let url = hide_query(url.as_str());
        writeln!(f, "  chat   connected to {url} as {}; offline-chat is the built-in mock engine", core.chat.model)?;
        if core.chat.api_key.is_none() {
            writeln!(f, "         without an API key; set one with CHAT_API_KEY")?;
        }
    } else {
        writeln!(f, "  chat   offline: built-in mock engine, not a language model")?;
        writeln!(f, "         connect an upstream with CHAT_BASE_URL, CHAT_API_KEY and CHAT_MODEL")?;
    }
    write_image_providers(f, &core.image)?;
    write_video_providers(f, &core.video)?;
    if offline_video::ENCODER_HAS_ASSEMBLY {
        writeln!(f, "         encoder built with assembly code")
    } else {
        writeln!(f, "         slow encoder, built without assembly code; install nasm and build again")
    }
}

/// Writes the image providers, the default first.
fn write_image_providers(f: &mut impl fmt::Write, image: &Image) -> fmt::Result {
    use ImageServiceType::{Dashscope, Doubao, Midjourney, NanoBanana, Offline, Openai};
    let line = |service_type: ImageServiceType, address: &str, models: &[String]| {
        (service_type, format!("connected to {address} for {}", models.join(", ")))
    };
    let Image { openai, doubao, nano_banana, midjourney, dashscope, .. } = image;
    let connected = [
        openai.is_configured().then(|| {
            let address = openai.base_url.as_ref().map_or_else(|| "OpenAI".to_owned(), |url| hide_query(url.as_str()));
            line(Openai, &address, &openai.models)
        }),
        dashscope.is_configured().then(|| line(Dashscope, "DashScope", &dashscope.models)),
        doubao.is_configured().then(|| line(Doubao, "Volcengine Ark", &doubao.models)),
        nano_banana.is_configured().then(|| line(NanoBanana, "Gemini", &nano_banana.models)),
        midjourney.base_url.as_ref().map(|url| line(Midjourney, &hide_query(url.as_str()), &midjourney.models)),
    ];
    let offline = match image.service_type {
        Offline => "offline: built-in mock engine; select another provider with IMAGE_SERVICE_TYPE",
        Doubao | NanoBanana | Midjourney | Openai | Dashscope => "offline-image is the built-in mock engine",
    };
    let lines = [(Offline, offline.to_owned())].into_iter().chain(connected.into_iter().flatten());
    write_lines(f, "image", &image.service_type, lines)
}

/// Writes the video providers, the default first.
fn write_video_providers(f: &mut impl fmt::Write, video: &Video) -> fmt::Result {
    use VideoServiceType::{
        Fal, Gemini, Kling, Midjourney, Minimax, Offline, Openai, Runway, Seedance, Vertex, Vidu, Wan, Xai,
    };
    let Video { service_type, fal, kling, midjourney, minimax, openai, runway, seedance, vidu, wan, xai, .. } = video;
    let (gemini, vertex) = video.google();
    let line = |service_type: VideoServiceType, address: &str, models: &[String]| {
        (service_type, format!("connected to {address} for {}", models.join(", ")))
    };
    let connected = [
        openai.is_configured().then(|| {
            let address = openai.base_url.as_ref().map_or_else(|| "OpenAI".to_owned(), |url| hide_query(url.as_str()));
            line(Openai, &address, &openai.models)
        }),
        fal.is_configured().then(|| line(Fal, "fal", &fal.models)),
        (gemini.is_configured() && !gemini.models.is_empty()).then(|| line(Gemini, "the Gemini API", &gemini.models)),
        midjourney.base_url.as_ref().map(|url| line(Midjourney, &hide_query(url.as_str()), &midjourney.models)),
        runway.is_configured().then(|| line(Runway, "Runway", &runway.models)),
        seedance.is_configured().then(|| line(Seedance, "Volcengine Ark", &seedance.models)),
        kling.is_configured().then(|| line(Kling, "Kling", &kling.models)),
        minimax.is_configured().then(|| line(Minimax, "MiniMax", &minimax.models)),
        (vertex.is_configured() && !vertex.models.is_empty()).then(|| line(Vertex, "Vertex AI", &vertex.models)),
        vidu.is_configured().then(|| line(Vidu, "Vidu", &vidu.models)),
        wan.is_configured().then(|| line(Wan, "DashScope", &wan.models)),
        xai.is_configured().then(|| line(Xai, "xAI", &xai.models)),
    ];
    let offline = if *service_type == Offline {
        "offline: built-in mock engine; select another provider with VIDEO_SERVICE_TYPE"
    } else {
        "offline-video is the built-in mock engine"
    };
    let lines = [(Offline, offline.to_owned())].into_iter().chain(connected.into_iter().flatten());
    write_lines(f, "video", service_type, lines)
}

/// Writes the lines of the providers of one modality, that of the default first.
fn write_lines<T: PartialEq>(
    f: &mut impl fmt::Write,
    modality: &str,
    default: &T,
    lines: impl Iterator<Item = (T, String)>,
) -> fmt::Result {
    let mut lines: Vec<_> = lines.collect();
    lines.sort_by_key(|(service_type, _)| service_type != default);
    for (position, (_, line)) in lines.iter().enumerate() {
        writeln!(f, "  {:<6} {line}", if position == 0 { modality } else { "" })?;
    }
    Ok(())
}
