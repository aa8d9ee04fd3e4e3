//! The object of a media key: its path in the object store, its attributes, its description, its errors.

use object_store::{Attribute, Attributes, path::Path};
use triptych_proto::v1 as pb;

use crate::{
    error::Error,
    media::key::MediaKey,
    storage_failure::{storage_error, write_error},
};

/// Returns the path of the object. A key needs no escaping: all its characters are allowed in a path.
pub(super) fn object_path(key: &MediaKey) -> Path {
    Path::from(key.as_str())
}

/// Returns the attributes with which a bucket stores and serves the object.
pub(super) fn attributes(key: &MediaKey) -> Attributes {
    Attributes::from_iter([(Attribute::ContentType, key.media_type().as_str().to_owned())])
}

/// Describes the object of a key as a message of the gRPC API.
pub(super) fn description(key: &MediaKey, size_bytes: u64) -> pb::Media {
    let stem = key.as_str().split('.').next().unwrap_or_default();
    pb::Media {
        key: key.as_str().to_owned(),
        media_type: key.media_type().as_str().to_owned(),
        size_bytes,
        etag: format!("{stem}-{size_bytes:x}"),
    }
}

/// Maps a failure of the object store. A missing object is [`Error::MediaNotFound`], all else is [`Error::Storage`] or
/// [`Error::StorageNotWritable`].
pub(super) fn object_error(key: &MediaKey, error: &object_store::Error) -> Error {
    if matches!(error, object_store::Error::NotFound { .. }) {
        return Error::MediaNotFound(key.as_str().to_owned());
    }
    storage_error(format_args!("media {key}"), error)
}

/// Maps a failed write or removal of an object to [`Error::Storage`] or [`Error::StorageNotWritable`].
pub(super) fn object_write_error(key: &MediaKey, error: &object_store::Error) -> Error {
    write_error(format_args!("media {key}"), error)
}
