//! From what a request says about a picture to the bytes of one.

use std::{sync::Arc, thread::available_parallelism};

use bytes::Bytes;
use tokio::sync::Semaphore;
use triptych_proto::v1::{self as pb, media_input::Source};

use super::{
    fetch::{FetchSettings, Fetcher},
    key::MediaKey,
    picture::{self, InputPicture},
    store::MediaStore,
};
use crate::error::Error;

/// The bounds of input pictures.
#[derive(Debug, Clone, Copy)]
pub struct InputSettings {
    /// The most bytes an encoded picture may have. Holds for fetched ones in place of `fetch.max_bytes`.
    pub max_bytes: u64,
    /// The most pixels a picture may have.
    pub max_pixels: u64,
    /// How pictures named by an address are fetched.
    pub fetch: FetchSettings,
}

impl Default for InputSettings {
    fn default() -> Self {
        Self { max_bytes: 20 << 20, max_pixels: 50_000_000, fetch: FetchSettings::default() }
    }
}

/// Gets hold of the pictures that requests name. Clones share everything.
#[derive(Debug, Clone)]
pub struct Inputs {
    media_store: MediaStore,
    fetcher: Fetcher,
    settings: InputSettings,
    /// One decoding per core; each may need hundreds of megabytes.
    decoders: Arc<Semaphore>,
}

impl Inputs {
    /// Inputs from this media_store, and from elsewhere.
    ///
    /// # Errors
    /// [`Error::Internal`] if there is no usable HTTP client.
    pub fn new(media_store: MediaStore, settings: InputSettings) -> Result<Self, Error> {
        let fetcher = Fetcher::new(FetchSettings { max_bytes: settings.max_bytes, ..settings.fetch })?;
        let cores = available_parallelism().map_or(1, Into::into);
        Ok(Self { media_store, fetcher, settings, decoders: Arc::new(Semaphore::new(cores)) })
    }

    /// The picture that `input` stands for: surely a PNG, JPEG or WebP file, whole, upright, and within
    /// the bounds.
    ///
    /// # Errors
    /// [`Error::InvalidField`] naming `field` for everything that the caller can mend; [`Error::Storage`].
    pub async fn resolve(&self, field: &str, input: pb::MediaInput) -> Result<InputPicture, Error> {
        let max = self.settings.max_bytes;
        let bytes = match input.source {
            Some(Source::Data(bytes)) if bytes.len() as u64 > max => {
                return Err(Error::invalid(field, format!("has {} bytes; at most {max} are taken", bytes.len())));
            }
            Some(Source::Data(bytes)) => bytes,
            Some(Source::Url(url)) => self.fetcher.fetch(field, &url).await?,
            Some(Source::MediaKey(key)) => self.stored(field, &key).await?,
            None => return Err(Error::invalid(field, "must hold data, url or media_key")),
        };
        self.check(field, bytes).await
    }

    async fn stored(&self, field: &str, key: &str) -> Result<Bytes, Error> {
        let nothing = || Error::invalid(field, "names no picture that is stored here");
        let key = MediaKey::parse(key).ok_or_else(nothing)?;
        let found = self.media_store.bytes(&key, self.settings.max_bytes).await;
        found.map_err(|error| {
            if matches!(error, Error::MediaNotFound(_)) {
                nothing()
            } else if let Error::InvalidField { message, .. } = error {
                Error::invalid(field, message)
            } else {
                error
            }
        })
    }

    async fn check(&self, field: &str, bytes: Bytes) -> Result<InputPicture, Error> {
        let max = self.settings.max_pixels;
        picture::head(&bytes, max).map_err(|why| Error::invalid(field, why))?;
        let permit = Arc::clone(&self.decoders).acquire_owned().await;
        let permit = permit.map_err(|_| Error::ShuttingDown)?;
        let upright = tokio::task::spawn_blocking(move || {
            // Kept to the end of the decoding even if the caller is gone by then.
            let _permit = permit;
            picture::upright(bytes, max)
        });
        let upright = upright.await.unwrap_or_else(|error| {
            // The decoder's defect, but this picture's problem.
            tracing::error!("decoding a picture: {error}");
            Err("is a picture that cannot be decoded".to_owned())
        });
        upright.map_err(|why| Error::invalid(field, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        media::{MediaType, picture::tests as pictures},
        size::Size,
    };

    fn inputs() -> (tempfile::TempDir, Inputs) {
        let directory = tempfile::tempdir().unwrap();
        let media_store = MediaStore::open(directory.path()).unwrap();
        let settings = InputSettings { max_bytes: 100_000, max_pixels: 10_000, ..InputSettings::default() };
        (directory, Inputs::new(media_store, settings).unwrap())
    }

    fn from(source: Source) -> pb::MediaInput {
        pb::MediaInput { source: Some(source) }
    }

    #[tokio::test]
    async fn bytes_and_stored_media_become_pictures() {
        let (_directory, inputs) = inputs();
        let bytes = pictures::encoded(MediaType::Jpeg, 40, 30);
        let (format, size) = (MediaType::Jpeg, Size::new(40, 30));
        let expected = InputPicture { bytes: bytes.clone(), format, size, has_alpha: false };
        assert_eq!(inputs.resolve("mask", from(Source::Data(bytes.clone()))).await, Ok(expected.clone()));
        let media = inputs.media_store.put_content(bytes, MediaType::Jpeg).await.unwrap();
        assert_eq!(inputs.resolve("mask", from(Source::MediaKey(media.key))).await, Ok(expected));
    }

    #[tokio::test]
    async fn a_picture_noted_as_turned_comes_out_upright() {
        let (_directory, inputs) = inputs();
        let lying = pictures::noted(MediaType::Jpeg, 6);
        let picture = inputs.resolve("image", from(Source::Data(lying.clone()))).await.unwrap();
        assert_eq!((picture.format, picture.size), (MediaType::Jpeg, Size::new(20, 40)));
        assert_eq!(picture::head(&picture.bytes, 10_000), Ok((MediaType::Jpeg, Size::new(20, 40))));
        let stored = inputs.media_store.put_content(lying, MediaType::Jpeg).await.unwrap();
        assert_eq!(inputs.resolve("image", from(Source::MediaKey(stored.key))).await, Ok(picture));
    }

    #[tokio::test]
    async fn every_refusal_names_the_field_it_was_given() {
        let (_directory, inputs) = inputs();
        let clip = MediaKey::parse("video_1.mp4").unwrap();
        inputs.media_store.put(&clip, Bytes::from_static(b"\0\0\0\x18ftypmp42")).await.unwrap();
        let large = MediaKey::parse("large.png").unwrap();
        inputs.media_store.put(&large, vec![0; 100_001]).await.unwrap();
        let png = pictures::encoded(MediaType::Png, 64, 64);
        let cases = [
            (Source::Data(Bytes::new()), "not a PNG"),
            (Source::Data(Bytes::from_static(b"just words")), "not a PNG"),
            (Source::Data(png.slice(..png.len() / 2)), "cannot be read to its end"),
            (Source::Data(pictures::png_bomb(60_000, 60_000)), "60000x60000"),
            (Source::Data(pictures::encoded(MediaType::Webp, 101, 100)), "at most 10000"),
            (Source::Data(vec![0; 100_001].into()), "at most 100000"),
            (Source::MediaKey("missing.png".to_owned()), "names no picture"),
            (Source::MediaKey("../etc/passwd".to_owned()), "names no picture"),
            (Source::MediaKey("video_1.mp4".to_owned()), "not a PNG"),
            (Source::MediaKey("large.png".to_owned()), "at most 100000"),
            (Source::Url("not a url".to_owned()), "not a URL"),
            (Source::Url("http://127.0.0.1/a.png".to_owned()), "not public"),
        ];
        for (source, expected) in cases {
            let Err(Error::InvalidField { field, message }) = inputs.resolve("pictures[3]", from(source)).await else {
                panic!("{expected}: was taken");
            };
            assert_eq!(field, "pictures[3]");
            assert!(message.contains(expected), "{expected}: {message}");
        }
        let nothing = inputs.resolve("mask", pb::MediaInput { source: None }).await;
        assert!(matches!(nothing, Err(Error::InvalidField { field, .. }) if field == "mask"));
    }
}
