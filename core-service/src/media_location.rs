//! Where the objects of the media store are: in a local directory, or in a bucket of Amazon S3 or a compatible server, Google Cloud
//! Storage, or Azure Blob Storage.

use std::path::PathBuf;

use url::Url;

/// Where media files are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaLocation {
    /// In this directory.
    Directory(PathBuf),
    /// In a bucket.
    Bucket(Bucket),
}

/// A bucket, and the directory within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The API of its object store.
    pub service: Service,
    /// Its name is the host.
    pub url: Url,
    /// How clients download its objects from the object store itself. `None`: they do not.
    pub direct_downloads: Option<DirectDownloads>,
}

/// How clients download objects from the object store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectDownloads {
    /// The base URL of the object store for clients, if it differs from the one that this process uses.
    pub endpoint: Option<Url>,
}

/// The API of an object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Amazon S3, which many servers implement.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl MediaLocation {
    /// Parses `s3://BUCKET`, `gs://BUCKET` or `az://CONTAINER`, each with an optional path, or `file:///PATH`.
    ///
    /// # Errors
    /// A sentence that says what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let accepted = "must be s3://BUCKET, gs://BUCKET or az://CONTAINER, with an optional path, or file:///PATH";
        let url = Url::parse(text).map_err(|error| format!("{accepted}: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!("{accepted}; credentials belong in the environment, for example AWS_ACCESS_KEY_ID"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("{accepted}; options belong in the environment, for example AWS_ENDPOINT_URL"));
        }
        let service = match url.scheme() {
            "file" => {
                let directory = url.to_file_path().map_err(|()| format!("{accepted}, an absolute path"))?;
                return Ok(Self::Directory(directory));
            }
            "s3" => Service::S3,
            "gs" => Service::Google,
            "az" => Service::Azure,
            _ => return Err(accepted.to_owned()),
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(accepted.to_owned());
        }
        Ok(Self::Bucket(Bucket { service, url, direct_downloads: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn location_is_a_bucket_or_a_directory() {
        let bucket = |service, text: &str| {
            MediaLocation::Bucket(Bucket { service, url: Url::parse(text).unwrap(), direct_downloads: None })
        };
        for (text, expected) in [
            ("s3://media", bucket(Service::S3, "s3://media")),
            ("s3://media/a/b", bucket(Service::S3, "s3://media/a/b")),
            ("gs://media", bucket(Service::Google, "gs://media")),
            ("az://media", bucket(Service::Azure, "az://media")),
            ("file:///srv/a%20b", MediaLocation::Directory(PathBuf::from("/srv/a b"))),
        ] {
            assert_eq!(MediaLocation::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_urls_are_refused_with_what_is_accepted() {
        for (text, hint) in [
            ("", "must be s3://BUCKET"),
            ("media", "must be s3://BUCKET"),
            ("/srv/media", "must be s3://BUCKET"),
            ("s3://", "must be s3://BUCKET"),
            ("https://media.s3.amazonaws.com", "must be s3://BUCKET"),
            ("s3://id:secret@media", "AWS_ACCESS_KEY_ID"),
            ("s3://media?endpoint=http://minio:9000", "AWS_ENDPOINT_URL"),
        ] {
            let error = MediaLocation::parse(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
