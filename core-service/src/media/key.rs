//! The keys and types of stored media. Keys are parsed strictly, so text from a client never becomes a path.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{digest::Hex, error::Error};

/// Contained in the keys under which video jobs store copies of their inputs (`video_1-input-0.png`), and in no other keys.
pub(crate) const INPUT_INFIX: &str = "-input-";

/// The most characters before the dot.
const MAX_STEM_LENGTH: usize = 100;

/// A media type that can be stored.
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
    /// `audio/mpeg`.
    Mp3,
    /// `audio/wav`.
    Wav,
}

impl MediaType {
    const ALL: [Self; 6] = [Self::Png, Self::Jpeg, Self::Webp, Self::Mp4, Self::Mp3, Self::Wav];

    /// The types of pictures.
    pub const PICTURES: [Self; 3] = [Self::Png, Self::Jpeg, Self::Webp];

    /// Parses a MIME type; ignores parameters and case. Returns `None` for types that are not stored.
    pub fn from_mime(mime: &str) -> Option<Self> {
        let essence = mime.split(';').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(essence))
    }

    /// Returns the MIME type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Mp4 => "video/mp4",
            Self::Mp3 => "audio/mpeg",
            Self::Wav => "audio/wav",
        }
    }

    /// Returns the type of a video or sound by its first bytes; `None` for all others.
    pub fn of_video_or_audio(bytes: &[u8]) -> Option<Self> {
        let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
        // An MP3 file begins with an ID3 tag, or with the sync word of an MPEG frame of layer III.
        let is_mp3 = at(0, b"ID3") || matches!(bytes, [0xff, second, ..] if second & 0xe6 == 0xe2);
        match () {
            () if at(4, b"ftyp") => Some(Self::Mp4),
            () if at(0, b"RIFF") && at(8, b"WAVE") => Some(Self::Wav),
            () if is_mp3 => Some(Self::Mp3),
            () => None,
        }
    }

    /// Returns the file name extension, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
            Self::Mp4 => "mp4",
            Self::Mp3 => "mp3",
            Self::Wav => "wav",
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a stored file: `stem.extension`. Safe as a file name and as a path segment of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaKey {
    text: String,
    media_type: MediaType,
}

impl MediaKey {
    /// Parses a key: 1 to 100 characters of `a-z 0-9 _ -`, the first of them a letter or digit, then a dot and the
    /// extension of a [`MediaType`].
    pub fn parse(text: &str) -> Option<Self> {
        let (stem, extension) = text.split_once('.')?;
        let media_type = MediaType::ALL.into_iter().find(|kind| kind.extension() == extension)?;
        let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let valid = (1..=MAX_STEM_LENGTH).contains(&stem.len())
            && stem.bytes().all(|b| alphanumeric(b) || b == b'_' || b == b'-')
            && stem.bytes().next().is_some_and(alphanumeric);
        valid.then(|| Self { text: text.to_owned(), media_type })
    }

    /// Returns whether this is the key of a video job's own copy of an input: `video_1-input-0.png`. Clients never get such a key.
    pub fn is_input(&self) -> bool {
        self.text.contains(INPUT_INFIX)
    }

    /// Parses a key from a request.
    ///
    /// # Errors
    /// [`Error::MediaNotFound`] if the text is not a key: no file can be stored under it.
    pub fn from_request(text: &str) -> Result<Self, Error> {
        Self::parse(text).ok_or_else(|| Error::MediaNotFound(text.chars().take(MAX_STEM_LENGTH).collect()))
    }

    /// Returns the key of this content: the SHA-256 digest of the bytes, in hex. Hashes about 1 GB/s, so large files must be
    /// hashed on a blocking thread.
    pub fn from_content(bytes: &[u8], media_type: MediaType) -> Self {
        let digest = Sha256::digest(bytes);
        Self { text: format!("{}.{}", Hex(&digest), media_type.extension()), media_type }
    }

    /// Returns the key as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the type of the file, which the extension determines.
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
    fn only_plain_names_with_a_known_extension_are_keys() {
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
            assert!(matches!(MediaKey::from_request(text), Err(Error::MediaNotFound(_))));
        }
    }

    #[test]
    fn content_key_is_the_digest_of_the_bytes() {
        let key = MediaKey::from_content(b"abc", MediaType::Png);
        assert_eq!(key.as_str(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.png");
        assert_eq!(MediaKey::parse(key.as_str()), Some(key));
    }
}
