//! Where the core keeps jobs and files.

use std::fmt::{self, Formatter};

use core_service::config::Settings;
use secrecy::ExposeSecret as _;
use url::Url;

/// Writes the data directory, or the database and the place of the files if they are elsewhere.
pub(super) fn write_stores(f: &mut Formatter<'_>, settings: &Settings) -> fmt::Result {
    let Settings { data_dir, database_url, media, .. } = settings;
    let dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.clone());
    match database_url.as_ref().map(|url| server(url.expose_secret())) {
        Some(server) => writeln!(f, "  data   {server}")?,
        None => writeln!(f, "  data   {}", dir.display())?,
    }
    match (media.url.as_str(), database_url) {
        ("", None) => Ok(()),
        ("", Some(_)) => writeln!(f, "         files in {}, of this node alone", dir.join("media").display()),
        (url, _) => writeln!(f, "         files in {url}"),
    }
}

/// Returns the URL of a database without its user, password and parameters.
fn server(url: &str) -> String {
    Url::parse(url).map_or_else(
        |_| "PostgreSQL".to_owned(),
        |url| {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stores(Settings);

    impl fmt::Display for Stores {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            write_stores(f, &self.0)
        }
    }

    #[test]
    fn database_is_shown_without_its_password_and_files_with_their_place() {
        let mut settings = Settings { data_dir: "/data".into(), ..Settings::default() };
        assert_eq!(Stores(settings.clone()).to_string(), "  data   /data\n");
        settings.database_url = Some("postgres://user:secret@db:5432/triptych?password=secret".into());
        let expected = "  data   postgres://db:5432/triptych\n         files in /data/media, of this node alone\n";
        assert_eq!(Stores(settings.clone()).to_string(), expected);
        settings.media.url = "s3://bucket/path".to_owned();
        let expected = "  data   postgres://db:5432/triptych\n         files in s3://bucket/path\n";
        assert_eq!(Stores(settings).to_string(), expected);
    }
}
