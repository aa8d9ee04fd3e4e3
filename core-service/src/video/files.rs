//! The media keys of a job's files, which are their names in the media store: `video_1.mp4`, `video_1-thumbnail.webp`, and
//! `video_1-input-0.png` for the job's copy of its first input. The keys are derived from the job's id, so a copy that is
//! repeated after a crash replaces the same files.

use super::{job::JobId, provider::Variant};
use crate::{
    error::{Error, ProviderError},
    media::{MediaKey, MediaType, key::INPUT_INFIX},
};

/// Returns the key of one file of a job.
///
/// # Errors
/// `Unreadable` if files of this MIME type are not stored; [`Error::Internal`] if the id cannot be part of a key.
pub(crate) fn media_key(job_id: &str, variant: Variant, media_type: &str) -> Result<MediaKey, Error> {
    let kind = MediaType::from_mime(media_type).ok_or_else(|| {
        let message = format!("the {} has the type `{media_type}`, which is not stored", variant.as_str());
        ProviderError::Unreadable(message)
    })?;
    let suffix = match variant {
        Variant::Video => "",
        Variant::Thumbnail => "-thumbnail",
        Variant::Spritesheet => "-spritesheet",
    };
    let text = format!("{job_id}{suffix}.{}", kind.extension());
    MediaKey::parse(&text).ok_or_else(|| Error::Internal(format!("job id `{job_id}` cannot be part of a media key")))
}

/// Returns the key of a job's own copy of an input. `index` is its position in the request.
pub(super) fn input_key(id: &JobId, index: usize, kind: MediaType) -> Result<MediaKey, Error> {
    let text = format!("{id}{INPUT_INFIX}{index}.{}", kind.extension());
    MediaKey::parse(&text).ok_or_else(|| Error::Internal(format!("`{text}` is not a media key")))
}

/// Returns the id of the job that a file belongs to, if its key has the form of a job's file or input.
pub(super) fn job_id(key: &MediaKey) -> Option<JobId> {
    key.as_str().split(['-', '.']).next().and_then(JobId::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_job_has_its_own_key() {
        let key = |variant, mime| media_key("video_1", variant, mime).map(|key| key.as_str().to_owned());
        assert_eq!(key(Variant::Video, "video/mp4; codecs=avc1"), Ok("video_1.mp4".to_owned()));
        assert_eq!(key(Variant::Thumbnail, "image/WebP"), Ok("video_1-thumbnail.webp".to_owned()));
        assert_eq!(key(Variant::Spritesheet, "image/jpeg"), Ok("video_1-spritesheet.jpg".to_owned()));
        assert!(matches!(key(Variant::Video, "text/html"), Err(Error::Provider(ProviderError::Unreadable(_)))));
        assert!(matches!(media_key("../1", Variant::Video, "video/mp4"), Err(Error::Internal(_))));
    }

    #[test]
    fn key_of_a_job_file_names_its_job() {
        let id = JobId::new();
        for variant in Variant::ALL {
            let key = media_key(id.as_str(), variant, "image/png").unwrap();
            assert_eq!(job_id(&key), Some(id.clone()));
        }
        let input = input_key(&id, 12, MediaType::Wav).unwrap();
        assert_eq!(job_id(&input), Some(id));
        assert_eq!(job_id(&MediaKey::parse("picture.png").unwrap()), None);
    }
}
