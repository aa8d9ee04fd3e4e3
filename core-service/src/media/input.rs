//! Resolves the input media of requests: pictures, videos and sounds.

use bytes::Bytes;
use triptych_proto::v1::{self as pb, media_input::Source};

use super::{
    budget::PictureBudget,
    fetch::{FetchSettings, Fetcher},
    key::{MediaKey, MediaType},
    picture::{self, InputPicture},
    store::MediaStore,
};
use crate::{error::Error, keys::Owners};

/// The limits of input media.
#[derive(Debug, Clone, Copy)]
pub struct InputSettings {
    /// The maximum size of an encoded file, in bytes. Overrides `fetch.max_bytes`.
    pub max_bytes: u64,
    /// The maximum number of pixels of a picture.
    pub max_pixels: u64,
    /// How pictures are fetched from URLs.
    pub fetch: FetchSettings,
}

impl Default for InputSettings {
    fn default() -> Self {
        Self { max_bytes: 20 << 20, max_pixels: 50_000_000, fetch: FetchSettings::default() }
    }
}

impl InputSettings {
    /// Returns the settings of fetches, with the maximum size of a file.
    pub(crate) fn fetch_settings(&self) -> FetchSettings {
        FetchSettings { max_bytes: self.max_bytes, ..self.fetch }
    }
}

/// A resolver for the input media of requests. Clones share the HTTP client and the memory budget.
#[derive(Debug, Clone)]
pub struct InputResolver {
    media_store: MediaStore,
    fetcher: Fetcher,
    settings: InputSettings,
    budget: PictureBudget,
}

impl InputResolver {
    /// Returns a resolver for data, URLs, and keys of this store.
    ///
    /// # Errors
    /// [`Error::Internal`] if no HTTP client can be built.
    pub fn new(media_store: MediaStore, settings: InputSettings, budget: PictureBudget) -> Result<Self, Error> {
        let fetcher = Fetcher::new(settings.fetch_settings())?;
        Ok(Self { media_store, fetcher, settings, budget })
    }

    /// Resolves an input to a PNG, JPEG or WebP picture that is complete, upright and within the limits. A stored file that
    /// belongs to none of `owners` is reported as not found.
    ///
    /// # Errors
    /// [`Error::InvalidField`] naming `field` for everything that the client can correct; [`Error::LimitReached`] if the inputs
    /// of all requests take too much memory; [`Error::Storage`].
    pub async fn resolve(&self, field: &str, input: pb::MediaInput, owners: &Owners) -> Result<InputPicture, Error> {
        let max = self.settings.max_bytes;
        let bytes = match input.source {
            Some(Source::Data(bytes)) if bytes.len() as u64 > max => {
                return Err(Error::invalid(field, format!("has {} bytes; at most {max} are accepted", bytes.len())));
            }
            Some(Source::Data(bytes)) => bytes,
            Some(Source::Url(url)) => self.fetcher.fetch(field, &url, self.budget.input()).await?.body,
            Some(Source::MediaKey(key)) => self.read_stored(field, &key, owners).await?,
            None => return Err(Error::invalid(field, "must have data, url or media_key")),
        };
        self.decode(field, bytes).await
    }

    /// Resolves an input to a video or sound file of one of `types`. The type is detected from the first bytes; the file is not
    /// decoded. URLs are refused.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve); a URL is an [`Error::InvalidField`].
    pub async fn resolve_video_or_audio(
        &self,
        field: &str,
        input: pb::MediaInput,
        types: &[MediaType],
        owners: &Owners,
    ) -> Result<(MediaType, Bytes), Error> {
        let max = self.settings.max_bytes;
        let bytes = match input.source {
            Some(Source::Data(bytes)) if bytes.len() as u64 > max => {
                return Err(Error::invalid(field, format!("has {} bytes; at most {max} are accepted", bytes.len())));
            }
            Some(Source::Data(bytes)) => bytes,
            Some(Source::MediaKey(key)) => self.read_stored(field, &key, owners).await?,
            Some(Source::Url(_)) | None => return Err(Error::invalid(field, "must have data or media_key")),
        };
        let found = MediaType::of_video_or_audio(&bytes).filter(|found| types.contains(found));
        let found = found.ok_or_else(|| {
            let names: Vec<_> = types.iter().map(|kind| kind.as_str()).collect();
            Error::invalid(field, format!("is not a file of one of the types {}", names.join(", ")))
        })?;
        Ok((found, bytes))
    }

    async fn read_stored(&self, field: &str, key: &str, owners: &Owners) -> Result<Bytes, Error> {
        let not_found = || Error::invalid(field, "media_key is not the key of a stored file");
        let key = MediaKey::parse(key).ok_or_else(not_found)?;
        if let Owners::Only(owner) = owners
            && !self.media_store.belongs_to(&key, owner).await?
        {
            return Err(not_found());
        }
        let read = self.media_store.bytes(&key, self.settings.max_bytes).await;
        let bytes = read.map_err(|error| {
            if matches!(error, Error::MediaNotFound(_)) {
                not_found()
            } else if let Error::InvalidField { message, .. } = error {
                Error::invalid(field, message)
            } else {
                error
            }
        })?;
        self.reserve(bytes)
    }

    fn reserve(&self, bytes: Bytes) -> Result<Bytes, Error> {
        let mut memory = self.budget.input();
        memory.grow(bytes.len())?;
        Ok(memory.attach(bytes))
    }

    async fn decode(&self, field: &str, bytes: Bytes) -> Result<InputPicture, Error> {
        let max = self.settings.max_pixels;
        let (_, size) = picture::probe(&bytes, max).map_err(|reason| Error::invalid(field, reason))?;
        let source = bytes.clone();
        let upright = self.budget.conversion().run(size.pixels(), move || picture::decode_upright(bytes, max)).await;
        let upright = upright.unwrap_or_else(|error| {
            // The decoder panicked, or the runtime is shutting down.
            tracing::error!("decoding an input picture: {error}");
            Err("cannot be decoded".to_owned())
        });
        let picture = upright.map_err(|reason| Error::invalid(field, reason))?;
        if picture.bytes.as_ptr() == source.as_ptr() {
            return Ok(picture);
        }
        // A rotated picture was encoded again, into memory that is not reserved yet.
        Ok(InputPicture { bytes: self.reserve(picture.bytes)?, ..picture })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, keys::Owner, media::picture::tests as pictures, size::Size};

    fn inputs() -> (tempfile::TempDir, InputResolver) {
        let directory = tempfile::tempdir().unwrap();
        let media_store = MediaStore::for_test(directory.path());
        let settings = InputSettings { max_bytes: 100_000, max_pixels: 10_000, ..InputSettings::default() };
        (directory, InputResolver::new(media_store, settings, PictureBudget::default()).unwrap())
    }

    fn input(source: Source) -> pb::MediaInput {
        pb::MediaInput { source: Some(source) }
    }

    #[tokio::test]
    async fn data_and_stored_files_resolve_to_pictures() {
        let (_directory, inputs) = inputs();
        let bytes = pictures::encoded(MediaType::Jpeg, 40, 30);
        let (format, size) = (MediaType::Jpeg, Size::new(40, 30));
        let expected = InputPicture { bytes: bytes.clone(), format, size, has_alpha: false };
        assert_eq!(
            inputs.resolve("mask", input(Source::Data(bytes.clone())), &Owners::All).await,
            Ok(expected.clone())
        );
        let media = inputs.media_store.put_content(bytes, MediaType::Jpeg).await.unwrap();
        assert_eq!(inputs.resolve("mask", input(Source::MediaKey(media.key)), &Owners::All).await, Ok(expected));
    }

    #[tokio::test]
    async fn stored_file_of_another_owner_is_refused_as_if_it_did_not_exist() {
        let (_directory, inputs) = inputs();
        let (alice, bob) = (Owner::new("alice"), Owner::new("bob"));
        let bytes = pictures::encoded(MediaType::Png, 40, 30);
        let put = async |owner: &Owner| {
            let owned = inputs.media_store.owned_by(owner);
            owned.put_content(bytes.clone(), MediaType::Png).await.unwrap().key
        };
        let resolve = async |key: &str, owners: &Owners| {
            inputs.resolve("mask", input(Source::MediaKey(key.to_owned())), owners).await
        };
        let only = |owner: &Owner| Owners::Only(owner.clone());
        let anonymous = put(&Owner::default()).await;
        let not_found = resolve("missing.png", &only(&bob)).await.unwrap_err();
        assert_eq!(resolve(&anonymous, &only(&bob)).await, Err(not_found.clone()));
        let key = put(&alice).await;
        assert_eq!(resolve(&key, &only(&bob)).await, Err(not_found.clone()));
        assert!(resolve(&key, &only(&alice)).await.is_ok() && resolve(&key, &Owners::All).await.is_ok());
        // The same content has the same key, and then belongs to both.
        assert_eq!(put(&bob).await, key);
        assert!(resolve(&key, &only(&bob)).await.is_ok() && resolve(&key, &only(&alice)).await.is_ok());
        // Removing a file removes its owners.
        inputs.media_store.remove(&MediaKey::parse(&key).unwrap()).await.unwrap();
        put(&alice).await;
        assert_eq!(resolve(&key, &only(&bob)).await, Err(not_found));
    }

    #[tokio::test]
    async fn input_beyond_the_memory_limit_is_refused_until_another_is_dropped() {
        let (_directory, mut inputs) = inputs();
        let settings = config::Media { input_memory_bytes: 6 << 10, ..config::Media::default() };
        inputs.budget = PictureBudget::new(&settings);
        let bytes = pictures::encoded(MediaType::Jpeg, 64, 64);
        assert!((3 << 10..6 << 10).contains(&bytes.len()), "{}", bytes.len());
        let key = inputs.media_store.put_content(bytes, MediaType::Jpeg).await.unwrap().key;
        let resolve = async || inputs.resolve("image", input(Source::MediaKey(key.clone())), &Owners::All).await;
        let first = resolve().await.unwrap();
        assert!(
            matches!(resolve().await, Err(Error::LimitReached(limit)) if limit.contains("media.input_memory_bytes"))
        );
        drop(first);
        resolve().await.unwrap();
    }

    #[tokio::test]
    async fn picture_with_exif_orientation_is_turned_upright() {
        let (_directory, inputs) = inputs();
        let rotated = pictures::with_orientation(MediaType::Jpeg, 6);
        let picture = inputs.resolve("image", input(Source::Data(rotated.clone())), &Owners::All).await.unwrap();
        assert_eq!((picture.format, picture.size), (MediaType::Jpeg, Size::new(20, 40)));
        assert_eq!(picture::probe(&picture.bytes, 10_000), Ok((MediaType::Jpeg, Size::new(20, 40))));
        let stored = inputs.media_store.put_content(rotated, MediaType::Jpeg).await.unwrap();
        assert_eq!(inputs.resolve("image", input(Source::MediaKey(stored.key)), &Owners::All).await, Ok(picture));
    }

    #[tokio::test]
    async fn every_error_names_the_field() {
        let (_directory, inputs) = inputs();
        let clip = MediaKey::parse("video_1.mp4").unwrap();
        inputs.media_store.put(&clip, Bytes::from_static(b"\0\0\0\x18ftypmp42")).await.unwrap();
        let large = MediaKey::parse("large.png").unwrap();
        inputs.media_store.put(&large, vec![0; 100_001]).await.unwrap();
        let png = pictures::encoded(MediaType::Png, 64, 64);
        let cases = [
            (Source::Data(Bytes::new()), "not a PNG"),
            (Source::Data(Bytes::from_static(b"plain text")), "not a PNG"),
            (Source::Data(png.slice(..png.len() / 2)), "cannot be decoded"),
            (Source::Data(pictures::png_bomb(60_000, 60_000)), "60000x60000"),
            (Source::Data(pictures::encoded(MediaType::Webp, 101, 100)), "at most 10000"),
            (Source::Data(vec![0; 100_001].into()), "at most 100000"),
            (Source::MediaKey("missing.png".to_owned()), "not the key of a stored file"),
            (Source::MediaKey("../etc/passwd".to_owned()), "not the key of a stored file"),
            (Source::MediaKey("video_1.mp4".to_owned()), "not a PNG"),
            (Source::MediaKey("large.png".to_owned()), "at most 100000"),
            (Source::Url("not a url".to_owned()), "URL is invalid"),
            (Source::Url("http://127.0.0.1/a.png".to_owned()), "not public"),
        ];
        for (source, expected) in cases {
            let Err(Error::InvalidField { field, message }) =
                inputs.resolve("pictures[3]", input(source), &Owners::All).await
            else {
                panic!("{expected}: was accepted");
            };
            assert_eq!(field, "pictures[3]");
            assert!(message.contains(expected), "{expected}: {message}");
        }
        let nothing = inputs.resolve("mask", pb::MediaInput { source: None }, &Owners::All).await;
        assert!(matches!(nothing, Err(Error::InvalidField { field, .. }) if field == "mask"));
    }
}
