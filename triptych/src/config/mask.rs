//! Masking of secrets in values that are displayed.

use toml::Value;

/// Settings with these names are secret, in every section. `sha256`, the digest of a client's key, is among them because a short
/// secret can be found from its digest.
const SECRET_NAMES: [&str; 16] = [
    "access_key",
    "api_key",
    "api_secret",
    "callback_secret",
    "credentials",
    "database_events_url",
    "database_url",
    "headers",
    "keys",
    "previous_api_keys",
    "previous_api_secrets",
    "previous_secret",
    "secret",
    "secret_key",
    "sha256",
    "signing_key",
];

const MASK: &str = "(hidden)";

/// Returns the value of a setting as text, without secrets. Texts with `@` are masked as well: a URL may contain a password.
/// The query of a URL may contain a key, and is hidden.
pub(super) fn mask(key: &str, value: &Value) -> String {
    match value {
        // In a secret list, texts are hidden as a whole; of sections, such as `[[keys]]`, only the secret members.
        Value::Array(list) if is_secret(key) => {
            let masked = |item: &Value| if item.is_str() { hidden() } else { masked(item) };
            Value::Array(list.iter().map(masked).collect()).to_string()
        }
        Value::Array(_) | Value::Table(_) => masked(value).to_string(),
        Value::String(text) if !text.is_empty() && (is_secret(key) || text.contains('@')) => MASK.to_owned(),
        Value::String(text) if text.contains("://") => Value::String(hide_query(text)).to_string(),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            value.to_string()
        }
    }
}

/// How much of a value can be displayed.
pub(super) enum Shown {
    /// All of it.
    Whole,
    /// This URL, whose query is omitted.
    WithoutQuery(String),
    /// Nothing, since the value is secret or contains a secret.
    Hidden,
}

/// Returns how much of a setting can be written into a configuration file that is to be loaded again. [`mask`] is for people.
pub(super) fn shown(key: &str, value: &Value) -> Shown {
    let is_url = |text: &str| text.contains("://") && !text.contains('@') && !is_secret(key);
    match value.as_str().filter(|text| is_url(text)).and_then(|text| text.split_once('?')) {
        Some((url, _)) => Shown::WithoutQuery(url.to_owned()),
        None if is_secret(key) && value.is_table() => Shown::Hidden,
        None if mask(key, value) == value.to_string() => Shown::Whole,
        None => Shown::Hidden,
    }
}

/// Returns the value with the secrets masked at every depth.
fn masked(value: &Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.iter().map(masked).collect()),
        Value::Table(section) => {
            let member = |(name, value): (&String, &Value)| {
                let is_masked = is_secret(name) && value.as_str().is_none_or(|text| !text.is_empty());
                (name.clone(), if is_masked { hidden() } else { masked(value) })
            };
            Value::Table(section.iter().map(member).collect())
        }
        Value::String(text) if text.contains('@') => hidden(),
        Value::String(text) if text.contains("://") => Value::String(hide_query(text)),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            value.clone()
        }
    }
}

/// Replaces the query of a URL by `(hidden)`.
pub(crate) fn hide_query(url: &str) -> String {
    url.split_once('?').map_or_else(|| url.to_owned(), |(url, _)| format!("{url}?{MASK}"))
}

fn is_secret(key: &str) -> bool {
    SECRET_NAMES.contains(&key.rsplit('.').next().unwrap_or_default())
}

fn hidden() -> Value {
    Value::String(MASK.to_owned())
}
