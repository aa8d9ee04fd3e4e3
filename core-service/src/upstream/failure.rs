//! What an upstream's refusal means, whichever of the many shapes it comes in.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, value::RawValue};

use crate::error::ProviderError;

/// The longest wait that is believed: who asks for more is asked again after this.
const MAX_WAIT: Duration = Duration::from_mins(10);

/// What the body of a failure says, as far as it says anything.
#[derive(Debug, Default)]
struct Words {
    message: String,
    kind: String,
    code: String,
    param: Option<String>,
    wait: Option<Duration>,
}

/// The failure that an answer with an error status stands for. `quota_is_a_pace`: what others say of an empty account,
/// this upstream says of one that is too fast.
pub(crate) fn failure_of(status: StatusCode, headers: &HeaderMap, body: &[u8], quota_is_a_pace: bool) -> ProviderError {
    let mut words = read(body);
    if quota_is_a_pace && status == StatusCode::TOO_MANY_REQUESTS {
        words.kind.clear();
        words.code.clear();
    }
    let message = if words.message.is_empty() {
        format!("the upstream answered with status {}", status.as_u16())
    } else {
        words.message.clone()
    };
    let wait = retry_after(headers).or(words.wait).map(|wait| wait.min(MAX_WAIT));
    classify(status.as_u16(), message, words, wait)
}

/// The failure that an `error` member within a successful answer, or within a stream, stands for.
pub(crate) fn failure_in_reply(error: &str) -> ProviderError {
    // Old llama.cpp servers put anything behind `error:`, JSON or not.
    let words = match serde_json::from_str::<&RawValue>(error) {
        Ok(error) => read(format!("{{\"error\":{error}}}").as_bytes()),
        Err(_) => read(error.as_bytes()),
    };
    let message =
        if words.message.is_empty() { "the upstream failed while answering".to_owned() } else { words.message.clone() };
    // Many upstreams repeat the status here; where there is none, it broke.
    let status = words.code.parse().unwrap_or(500);
    let wait = words.wait.map(|wait| wait.min(MAX_WAIT));
    classify(status, message, words, wait)
}

fn classify(status: u16, message: String, words: Words, retry_after: Option<Duration>) -> ProviderError {
    let Words { kind, code, param, .. } = words;
    let says = |word: &str| code.eq_ignore_ascii_case(word) || kind.eq_ignore_ascii_case(word);
    if ["content_policy_violation", "content_filter", "data_inspection_failed", "moderation_blocked"]
        .into_iter()
        .any(says)
    {
        return ProviderError::ContentPolicy(message);
    }
    // An empty account cannot be waited out, though it comes with status 429.
    if ["insufficient_quota", "billing_hard_limit_reached", "Arrearage"].into_iter().any(says) {
        return ProviderError::Credentials(message);
    }
    match status {
        // OpenRouter's pace; without a wait it is an empty account.
        402 if retry_after.is_some() => ProviderError::RateLimited { message, retry_after },
        401..=403 => ProviderError::Credentials(message),
        // The operator chose the model and the address: nothing the caller could mend.
        404 | 405 => ProviderError::unavailable(message),
        // It has begun nothing.
        503 => ProviderError::Unavailable { message, retry_after },
        408 | 504 => ProviderError::Timeout(message),
        429 => ProviderError::RateLimited { message, retry_after },
        501 => ProviderError::NotSupported(message),
        400..=499 => ProviderError::Refused { message, field: param },
        500.. => ProviderError::Broken(message),
        _ => ProviderError::Unreadable(message),
    }
}

fn read(body: &[u8]) -> Words {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        // A page of some proxy is not for the caller.
        let message = if text.starts_with('<') { "" } else { text };
        return Words { message: message.to_owned(), ..Words::default() };
    };
    // Gemini puts it into a list, and so do some gateways.
    let value = value.get(0).unwrap_or(&value);
    match value.get("error") {
        Some(Value::String(message)) => Words { message: message.clone(), ..Words::default() },
        Some(error @ Value::Object(_)) => words(error),
        _ => words(value),
    }
}

fn words(error: &Value) -> Words {
    // A `detail`, FastAPI's, within or without an `error`.
    if let Some(detail) = error.get("detail") {
        let first = detail.get(0).and_then(|item| item.get("msg")).and_then(Value::as_str);
        return Words { message: detail.as_str().or(first).unwrap_or_default().to_owned(), ..Words::default() };
    }
    let text = |name: &str| match &error[name] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    };
    let either =
        |name: &str, other: &str| Some(text(name)).filter(|text| !text.is_empty()).unwrap_or_else(|| text(other));
    Words {
        message: either("message", "error_message"),
        // OpenRouter's refusal by a moderation says why, and nothing else tells it from a bad key.
        kind: if error["metadata"]["reasons"].is_array() {
            "moderation_blocked".to_owned()
        } else {
            either("type", "error_type")
        },
        code: text("code"),
        param: Some(text("param")).filter(|param| !param.is_empty()),
        wait: retry_delay(&error["details"]),
    }
}

/// Gemini's wait is in no header but among the details, as `google.rpc.RetryInfo` in JSON: `34.4s`.
fn retry_delay(details: &Value) -> Option<Duration> {
    let text = details.as_array()?.iter().find_map(|detail| detail["retryDelay"].as_str())?;
    Duration::try_from_secs_f64(text.strip_suffix('s')?.parse().ok()?).ok()
}

/// When the upstream wants us back: `retry-after-ms`, else `retry-after` in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str| text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let exact = text("retry-after-ms").and_then(seconds).map(|thousandfold| thousandfold / 1000);
    exact.or_else(|| {
        let text = text(header::RETRY_AFTER.as_str())?;
        seconds(text).or_else(|| httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, body: &str) -> ProviderError {
        failure_of(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes(), false)
    }

    #[test]
    fn every_known_shape_of_an_error_body_gives_its_words() {
        let shapes = [
            r#"{"error":{"message":"too long","type":"x","param":"messages","code":400}}"#,
            r#"{"object":"error","message":"too long","type":"BadRequestError","param":"messages","code":400}"#,
            r#"{"error":{"message":"too long","param":"messages","code":"invalid"},"request_id":"1"}"#,
        ];
        for shape in shapes {
            let expected = ProviderError::Refused { message: "too long".into(), field: Some("messages".into()) };
            assert_eq!(failure(400, shape), expected, "{shape}");
        }
        for shape in
            [r#"{"error":"too long"}"#, r#"{"detail":"too long"}"#, r#"{"detail":[{"msg":"too long"}]}"#, "too long"]
        {
            assert_eq!(
                failure(400, shape),
                ProviderError::Refused { message: "too long".into(), field: None },
                "{shape}"
            );
        }
    }

    #[test]
    fn a_proxys_page_is_never_passed_on() {
        let expected = ProviderError::Broken("the upstream answered with status 502".into());
        assert_eq!(failure(502, "<html>Bad Gateway</html>"), expected);
    }

    #[test]
    fn an_empty_account_is_not_a_rate_limit() {
        let body =
            r#"{"error":{"message":"pay","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
        assert_eq!(failure(429, body), ProviderError::Credentials("pay".into()));
        // But where it speaks of the minute's tokens.
        let paced = failure_of(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body.as_bytes(), true);
        assert_eq!(paced, ProviderError::RateLimited { message: "pay".into(), retry_after: None });
    }

    #[test]
    fn the_wait_is_read_in_all_its_spellings() {
        let wait = |name: &'static str, value: &str| {
            let headers = HeaderMap::from_iter([(header::HeaderName::from_static(name), value.parse().unwrap())]);
            retry_after(&headers)
        };
        assert_eq!(wait("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
        assert_eq!(wait("retry-after", "2.5"), Some(Duration::from_millis(2500)));
        for nonsense in ["-1", "soon", "", "NaN", "1e30"] {
            assert_eq!(wait("retry-after", nonsense), None, "{nonsense}");
        }
        let both = [("retry-after-ms", "-1"), ("retry-after", "3")];
        let both = both.map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()));
        assert_eq!(retry_after(&HeaderMap::from_iter(both)), Some(Duration::from_secs(3)));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        assert!(wait("retry-after", &date).is_some_and(|wait| (25..=30).contains(&wait.as_secs())));
    }

    #[test]
    fn a_wait_belongs_to_a_pace_and_to_an_absence_and_ends_some_time() {
        let after = |status: u16, seconds: &str, body: &str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, seconds.parse().unwrap())]);
            failure_of(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), false)
        };
        let message = || "m".to_owned();
        let limited = |seconds| ProviderError::RateLimited {
            message: message(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(after(429, "30", "m"), limited(30));
        assert_eq!(after(402, "30", "m"), limited(30));
        assert_eq!(failure(402, "m"), ProviderError::Credentials(message()));
        // A time of day, and what would overflow every clock.
        for seconds in ["1795350000", "1e19"] {
            assert_eq!(after(429, seconds, "m"), limited(600), "{seconds}");
        }
        let away = ProviderError::Unavailable { message: message(), retry_after: Some(Duration::from_secs(30)) };
        assert_eq!(after(503, "30", "m"), away);
        assert_eq!(after(404, "30", "m"), ProviderError::unavailable("m"));
        let hidden = r#"{"error":{"code":429,"message":"m","details":[{"@type":"x"},{"retryDelay":"34s"}]}}"#;
        assert_eq!(failure(429, hidden), limited(34));
        assert_eq!(failure(429, &format!("[{hidden}]")), limited(34));
        let error = hidden.strip_prefix(r#"{"error":"#).unwrap().strip_suffix('}').unwrap();
        assert_eq!(failure_in_reply(error), limited(34));
    }

    #[test]
    fn an_error_within_an_answer_is_classed_by_its_code() {
        assert!(matches!(failure_in_reply(r#"{"message":"slow down","code":429}"#), ProviderError::RateLimited { .. }));
        assert_eq!(failure_in_reply("\"gone\""), ProviderError::Broken("gone".into()));
        assert_eq!(failure_in_reply("out of memory"), ProviderError::Broken("out of memory".into()));
        let bare = r#"{"error_type":"x","error_message":"gone"}"#;
        assert_eq!(failure_in_reply(bare), ProviderError::Broken("gone".into()));
    }
}
