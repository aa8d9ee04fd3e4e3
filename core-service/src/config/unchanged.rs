//! Whether a reload leaves the settings of the providers of a modality as they are, so that these keep their connections and the state of
//! their circuit breakers.

use secrecy::{ExposeSecret, SecretString};

use super::{chat::Chat, image::Image, settings::Settings, video::Video};

/// Returns whether both settings create the same chat providers.
pub(crate) fn has_same_chat(old: &Settings, new: &Settings) -> bool {
    let headers = |chat: &Chat| chat.upstreams.iter().map(|upstream| upstream.headers.clone()).collect::<Vec<_>>();
    old.offline == new.offline
        && is_same(&old.chat, &new.chat, chat_secrets)
        // `Debug` hides the values of headers that are marked as sensitive.
        && headers(&old.chat) == headers(&new.chat)
}

/// Returns whether both settings create the same image providers.
pub(crate) fn has_same_image(old: &Settings, new: &Settings) -> bool {
    is_same(&old.image, &new.image, image_secrets)
}

/// Returns whether both settings create the same video providers. Not if they name a file, whose content may have changed.
pub(crate) fn has_same_video(old: &Settings, new: &Settings) -> bool {
    new.video.vertex.credentials_file.as_os_str().is_empty() && is_same(&old.video, &new.video, video_secrets)
}

/// The values of one secret setting: none, one, or those of a list.
type Secret<'a> = &'a [SecretString];

/// Compares sections by their texts, which have all settings, and their secrets, which `Debug` hides.
fn is_same<T: std::fmt::Debug>(old: &T, new: &T, secrets: for<'a> fn(&'a T) -> Vec<Secret<'a>>) -> bool {
    let exposed = |section| -> Vec<Vec<&str>> {
        secrets(section).into_iter().map(|values| values.iter().map(ExposeSecret::expose_secret).collect()).collect()
    };
    format!("{old:?}") == format!("{new:?}") && exposed(old) == exposed(new)
}

fn chat_secrets(chat: &Chat) -> Vec<Secret<'_>> {
    let upstreams = chat.upstreams.iter().map(|upstream| upstream.api_key.as_slice());
    std::iter::once(chat.api_key.as_slice()).chain(upstreams).collect()
}

fn image_secrets(image: &Image) -> Vec<Secret<'_>> {
    let Image { openai, doubao, nano_banana, midjourney, dashscope, .. } = image;
    let keys = [&openai.api_key, &doubao.api_key, &nano_banana.api_key, &midjourney.api_secret, &dashscope.api_key];
    keys.map(Option::as_slice).into()
}

fn video_secrets(video: &Video) -> Vec<Secret<'_>> {
    let Video { fal, gemini, midjourney, openai, runway, seedance, kling, minimax, vertex, vidu, wan, xai, .. } = video;
    let current = [
        &fal.api_key,
        &gemini.api_key,
        &midjourney.api_secret,
        &openai.api_key,
        &runway.api_key,
        &seedance.api_key,
        &kling.api_key,
        &kling.access_key,
        &kling.secret_key,
        &minimax.api_key,
        &vertex.credentials,
        &vidu.api_key,
        &wan.api_key,
        &xai.api_key,
    ];
    let previous = [
        &fal.previous_api_keys,
        &gemini.previous_api_keys,
        &midjourney.previous_api_secrets,
        &openai.previous_api_keys,
        &runway.previous_api_keys,
        &seedance.previous_api_keys,
        &kling.previous_api_keys,
        &minimax.previous_api_keys,
        &vidu.previous_api_keys,
        &wan.previous_api_keys,
        &xai.previous_api_keys,
    ];
    current.map(Option::as_slice).into_iter().chain(previous.map(Vec::as_slice)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Upstream;

    /// The names of secret settings within a section. Not all are in each.
    const SECRET_NAMES: [&str; 7] = [
        "access_key",
        "api_key",
        "api_secret",
        "credentials",
        "previous_api_keys",
        "previous_api_secrets",
        "secret_key",
    ];

    #[test]
    fn every_secret_of_a_section_is_compared() {
        let count =
            |text: String| SECRET_NAMES.iter().map(|name| text.matches(&format!(" {name}: ")).count()).sum::<usize>();
        let mut settings = Settings::default();
        settings.chat.upstreams = vec![Upstream::default()];
        let Settings { chat, image, video, .. } = &settings;
        assert_eq!(chat_secrets(chat).len(), count(format!("{chat:?}")));
        assert_eq!(image_secrets(image).len(), count(format!("{image:?}")));
        assert_eq!(video_secrets(video).len(), count(format!("{video:?}")));
        assert!(video_secrets(video).len() > 20);
    }

    #[test]
    fn changed_settings_secrets_and_headers_create_new_providers() {
        let old = Settings::default();
        assert!(has_same_chat(&old, &old) && has_same_image(&old, &old) && has_same_video(&old, &old));
        let changed = |change: fn(&mut Settings)| {
            let mut old = old.clone();
            old.chat.api_key = Some("one".into());
            old.video.wan.previous_api_keys = vec!["one".into()];
            old.chat.upstreams = vec![Upstream::default()];
            let mut new = old.clone();
            change(&mut new);
            [has_same_chat(&old, &new), has_same_image(&old, &new), has_same_video(&old, &new)]
        };
        assert_eq!(changed(|new| new.keys = vec![crate::config::Key::default()]), [true, true, true]);
        assert_eq!(changed(|new| new.chat.api_key = Some("two".into())), [false, true, true]);
        assert_eq!(changed(|new| new.offline.chat_tokens_per_second += 1), [false, true, true]);
        assert_eq!(changed(|new| new.chat.routing.retries += 1), [false, true, true]);
        let add_header = |new: &mut Settings| {
            let mut value = http::HeaderValue::from_static("two");
            value.set_sensitive(true);
            new.chat.upstreams[0].headers.insert("x", value);
        };
        assert_eq!(changed(add_header), [false, true, true]);
        assert_eq!(changed(|new| new.image.doubao.api_key = Some("two".into())), [true, false, true]);
        assert_eq!(changed(|new| new.video.wan.previous_api_keys = vec!["two".into()]), [true, true, false]);
        assert_eq!(changed(|new| new.video.fal.poll_interval *= 2), [true, true, false]);
    }
}
