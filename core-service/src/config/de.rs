//! Deserializers that several sections share.

use http_server::ListenAddress;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

/// Deserializes an address to listen on: `IP:PORT`, `localhost:PORT` or `unix:PATH`.
///
/// # Errors
/// Any other text.
pub fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ListenAddress, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// Deserializes the base URL of an upstream; the empty text is `None`.
pub(super) fn base_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let not_http = || D::Error::custom("must be an http or https URL, for example https://api.example.com/v1");
    let url = Url::parse(&text).map_err(|_| not_http())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(not_http());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(D::Error::custom("must not contain a user name or password; set the key in api_key"));
    }
    if url.fragment().is_some() {
        return Err(D::Error::custom("must not contain a fragment (`#`), which is never sent"));
    }
    Ok(Some(url))
}

/// Deserializes the base URL of a chat upstream. Also accepts the URL of its endpoint `/chat/completions`, which examples of vendors
/// show.
pub(super) fn chat_base_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let mut url = base_url(deserializer)?;
    if let Some(url) = &mut url
        && let Some(base) = url.path().trim_end_matches('/').strip_suffix("/chat/completions")
    {
        let base = base.to_owned();
        url.set_path(&base);
    }
    Ok(url)
}

/// Deserializes a secret; the empty text is `None`.
pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let text = String::deserialize(deserializer)?;
    printable(&text)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

/// Deserializes a list of secrets.
pub(super) fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretString>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().try_for_each(|text| printable(text))?;
    Ok(texts.into_iter().filter(|text| !text.is_empty()).map(SecretString::from).collect())
}

/// Checks that a secret can be sent in a header. Otherwise a line break would fail the first call instead of the start.
fn printable<E: serde::de::Error>(secret: &str) -> Result<(), E> {
    if secret.bytes().any(|b| !(b' '..=b'~').contains(&b)) {
        return Err(E::custom("must consist of printable ASCII characters"));
    }
    Ok(())
}
