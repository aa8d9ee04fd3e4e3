//! The configured providers of the modalities.

use std::fmt;

use core_service::config::{ConnectedProvider, Image, ImageServiceType, Video, VideoServiceType};

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
    let offline = if image.service_type == Offline {
        "offline: built-in mock engine; select another provider with IMAGE_SERVICE_TYPE"
    } else {
        "offline-image is the built-in mock engine"
    };
    let vendor = |service_type| match service_type {
        Openai => "OpenAI",
        Dashscope => "DashScope",
        Doubao => "Volcengine Ark",
        NanoBanana => "Gemini",
        // Midjourney is reached through a proxy, which always has an address.
        Midjourney | Offline => "",
    };
    let has_address = |service_type| matches!(service_type, Openai | Midjourney);
    let lines = image.connected().into_iter().map(|provider| {
        let service_type = provider.service_type;
        (service_type, line(&provider, vendor(service_type), has_address(service_type)))
    });
    write_lines(f, "image", &image.service_type, [(Offline, offline.to_owned())].into_iter().chain(lines))
}

/// Writes the video providers, the default first.
fn write_video_providers(f: &mut impl fmt::Write, video: &Video) -> fmt::Result {
    use VideoServiceType::{
        Fal, Gemini, Kling, Midjourney, Minimax, Offline, Openai, Runway, Seedance, Vertex, Vidu, Wan, Xai,
    };
    let offline = if video.service_type == Offline {
        "offline: built-in mock engine; select another provider with VIDEO_SERVICE_TYPE"
    } else {
        "offline-video is the built-in mock engine"
    };
    let vendor = |service_type| match service_type {
        Openai => "OpenAI",
        Fal => "fal",
        Gemini => "the Gemini API",
        Runway => "Runway",
        Seedance => "Volcengine Ark",
        Kling => "Kling",
        Minimax => "MiniMax",
        Vertex => "Vertex AI",
        Vidu => "Vidu",
        Wan => "DashScope",
        Xai => "xAI",
        // Midjourney is reached through a proxy, which always has an address.
        Midjourney | Offline => "",
    };
    let has_address = |service_type| matches!(service_type, Openai | Midjourney);
    // The Gemini API or Vertex AI may serve the models of both; the other then has none.
    let connected = video.connected().into_iter().filter(|provider| !provider.models.is_empty());
    let lines = connected.map(|provider| {
        let service_type = provider.service_type;
        (service_type, line(&provider, vendor(service_type), has_address(service_type)))
    });
    write_lines(f, "video", &video.service_type, [(Offline, offline.to_owned())].into_iter().chain(lines))
}

/// Returns the line of a provider: with its address if `has_address` and the settings have one, otherwise with the vendor's name.
fn line<T>(provider: &ConnectedProvider<T>, vendor: &str, has_address: bool) -> String {
    let url = provider.base_url.as_ref().filter(|_| has_address);
    let address = url.map_or_else(|| vendor.to_owned(), |url| hide_query(url.as_str()));
    format!("connected to {address} for {}", provider.models.join(", "))
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
