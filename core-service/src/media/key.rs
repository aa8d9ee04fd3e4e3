//! Names of stored media. A key is made here or parsed strictly, so that no caller's text ever becomes a path.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{
    digest::Hex,
    error::{Error, ProviderError},
    video::Variant,
};

/// The longest name before the dot.
const LONGEST_STEM: usize = 100;

/// The types that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// `image/png`.
    Png,
    /// `image/jpeg`.
    Jpeg,
    /// `image/webp`.
    Webp,
    /// `video/mp4`.
    Mp4,
}

impl MediaType {
    const ALL: [Self; 4] = [Self::Png, Self::Jpeg, Self::Webp, Self::Mp4];

    /// The type of this MIME name; parameters and case do not matter. `None` for types that are not stored.
    pub fn from_mime(mime: &str) -> Option<Self> {
        let essence = mime.split(';').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(essence))
    }

    /// Its MIME name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Mp4 => "video/mp4",
        }
    }

    /// What its files' names end in, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
            Self::Mp4 => "mp4",
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of one stored medium: `stem.extension`, safe as a file name and as a path segment of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaKey {
    text: String,
    media_type: MediaType,
}

impl MediaKey {
    /// The key spelled `text`, if it is one: 1 to 100 of `a-z 0-9 _ -`, the first of them no sign, then `.png`, `.jpg`,
    /// `.webp` or `.mp4`.
    pub fn parse(text: &str) -> Option<Self> {
        let (stem, extension) = text.split_once('.')?;
        let media_type = MediaType::ALL.into_iter().find(|kind| kind.extension() == extension)?;
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let sound = (1..=LONGEST_STEM).contains(&stem.len())
            && stem.bytes().all(|b| letter(b) || b == b'_' || b == b'-')
            && stem.bytes().next().is_some_and(letter);
        sound.then(|| Self { text: text.to_owned(), media_type })
    }

    /// [`parse`](Self::parse) for what callers send: text that cannot be a key names nothing that is stored.
    pub fn requested(text: &str) -> Result<Self, Error> {
        Self::parse(text).ok_or_else(|| Error::MediaNotFound(text.chars().take(LONGEST_STEM).collect()))
    }

    /// The key of these bytes: the same for the same bytes. Hashes about 1 GB/s; larger files belong off the async threads.
    pub fn of_content(bytes: &[u8], media_type: MediaType) -> Self {
        let digest = Sha256::digest(bytes);
        Self { text: format!("{}.{}", Hex(&digest), media_type.extension()), media_type }
    }

    /// The key of one file of a clip: the same however often the file is copied.
    ///
    /// # Errors
    /// Unreadable, for a type that is not stored; internal, for an id that cannot stand in a key.
    pub fn for_video(job_id: &str, variant: Variant, media_type: &str) -> Result<Self, Error> {
        let kind = MediaType::from_mime(media_type).ok_or_else(|| {
            ProviderError::Unreadable(format!("the clip came as `{media_type}`, which is no type that is kept here"))
        })?;
        let suffix = match variant {
            Variant::Video => "",
            Variant::Thumbnail => "-thumbnail",
            Variant::Spritesheet => "-spritesheet",
        };
        let text = format!("{job_id}{suffix}.{}", kind.extension());
        Self::parse(&text).ok_or_else(|| Error::Internal(format!("`{job_id}` cannot name a stored file")))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The type of what is stored under it.
    pub fn media_type(&self) -> MediaType {
        self.media_type
    }
}

impl fmt::Display for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_with_a_known_ending_are_keys() {
        for text in ["a.png", "0-_.webp", "video_0192f.mp4", &format!("{}.jpg", "a".repeat(100))] {
            assert_eq!(MediaKey::parse(text).unwrap().as_str(), text);
        }
        let long = format!("{}.png", "a".repeat(101));
        for text in [
            "",
            ".",
            "..",
            ".png",
            "a",
            "a.",
            "a.gif",
            "a.PNG",
            "A.png",
            "-a.png",
            "_a.png",
            "a.b.png",
            "../a.png",
            "a/b.png",
            "a\\b.png",
            "a%2fb.png",
            "a\0.png",
            "a .png",
            "a.png ",
            "a.png#1",
            "ä.png",
            "/etc/passwd",
            &long,
        ] {
            assert_eq!(MediaKey::parse(text), None, "{text:?}");
            assert!(matches!(MediaKey::requested(text), Err(Error::MediaNotFound(_))));
        }
    }

    #[test]
    fn a_content_key_is_the_digest_of_the_bytes() {
        let key = MediaKey::of_content(b"abc", MediaType::Png);
        assert_eq!(key.as_str(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.png");
        assert_eq!(MediaKey::parse(key.as_str()), Some(key));
    }

    #[test]
    fn the_files_of_a_clip_have_a_key_each() {
        let key = |variant, mime| MediaKey::for_video("video_1", variant, mime).map(|key| key.as_str().to_owned());
        assert_eq!(key(Variant::Video, "video/mp4; codecs=avc1"), Ok("video_1.mp4".to_owned()));
        assert_eq!(key(Variant::Thumbnail, "image/WebP"), Ok("video_1-thumbnail.webp".to_owned()));
        assert_eq!(key(Variant::Spritesheet, "image/jpeg"), Ok("video_1-spritesheet.jpg".to_owned()));
        assert!(matches!(key(Variant::Video, "text/html"), Err(Error::Provider(ProviderError::Unreadable(_)))));
        assert!(matches!(MediaKey::for_video("../1", Variant::Video, "video/mp4"), Err(Error::Internal(_))));
    }
}
