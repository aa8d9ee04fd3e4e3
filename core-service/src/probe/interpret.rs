//! Interprets the responses to probes.

use http::StatusCode;
use serde_json::Value;
use url::Url;

use super::{result::ProbeResult, target::Target};

/// How many models are named in one line at most.
const MAX_NAMES: usize = 3;

/// Interprets the response to a request for the list of models.
pub(super) fn models(target: &Target, body: &[u8]) -> ProbeResult {
    let Some(served) = model_names(body) else {
        return ProbeResult::Failed(format!("the response is not a list of models; {}", check_base(&target.base)));
    };
    let is_served = |model: &String| served.iter().any(|served| served == model);
    let missing: Vec<_> = target.models.iter().filter(|model| !is_served(model)).collect();
    let count = match served.len() {
        1 => "1 model".to_owned(),
        count => format!("{count} models"),
    };
    if missing.is_empty() {
        return ProbeResult::Ok(count);
    }
    let names: Vec<_> = missing.iter().take(MAX_NAMES).map(|model| format!("`{model}`")).collect();
    let more = if missing.len() > MAX_NAMES { ", ..." } else { "" };
    ProbeResult::Ok(format!("{count}; not among them: {}{more}", names.join(", ")))
}

/// Returns the names in a list of models, in the form of OpenAI or of Google; `None` if it is neither.
fn model_names(body: &[u8]) -> Option<Vec<String>> {
    let list: Value = serde_json::from_slice(body).ok()?;
    let models = [&list["data"], &list["models"], &list].into_iter().find_map(Value::as_array)?;
    let name = |model: &Value| {
        let name = model["id"].as_str().or_else(|| model["name"].as_str())?;
        Some(name.strip_prefix("models/").unwrap_or(name).to_owned())
    };
    Some(models.iter().filter_map(name).collect())
}

/// Returns what a status other than success means; `message` is that of the response.
pub(super) fn refusal(target: &Target, status: StatusCode, message: &str) -> String {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if target.has_key => {
            format!("{status}: the API key is refused: {message}")
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => format!("{status}: an API key is required: {message}"),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => format!("{status}: {}", check_base(&target.base)),
        status if status.is_redirection() => format!("{status}: redirects are not followed; set the final base URL"),
        status => format!("{status}: {message}"),
    }
}

/// Returns the advice for a base URL whose paths do not exist.
fn check_base(base: &Url) -> String {
    let path = base.path().trim_end_matches('/');
    if path.is_empty() {
        return format!("the base URL has no path, and most APIs have one: try {}", with_v1(base));
    }
    let has_version =
        path.split('/').any(|part| part.starts_with('v') && part[1..].starts_with(|c: char| c.is_ascii_digit()));
    if has_version {
        "check the base URL; an upstream without a list of models is only checked by a call".to_owned()
    } else {
        format!("the base URL has no version: try {}", with_v1(base))
    }
}

fn with_v1(base: &Url) -> String {
    format!("{}/v1", base.as_str().trim_end_matches('/'))
}
