//! Error bodies in the shapes of different upstreams, and the failures that they mean.

use super::*;

fn failure_of(status: u16, headers: &HeaderMap, body: &str, quota: QuotaMeaning) -> ProviderError {
    let status = StatusCode::from_u16(status).unwrap();
    parse_error_response(status, headers, body.as_bytes(), quota).failure().clone()
}

fn failure(status: u16, body: &str) -> ProviderError {
    failure_of(status, &HeaderMap::new(), body, QuotaMeaning::EmptyAccount)
}

/// Returns the failure of an `error` member in a response with status 200.
fn failure_of_member(error: &str) -> ProviderError {
    parse_error_member(error).failure().clone()
}

#[test]
fn message_and_field_are_read_from_every_known_error_body() {
    let shapes = [
        r#"{"error":{"message":"too long","type":"x","param":"messages","code":400}}"#,
        r#"{"object":"error","message":"too long","type":"BadRequestError","param":"messages","code":400}"#,
        r#"{"error":{"message":"too long","param":"messages","code":"invalid"},"request_id":"1"}"#,
    ];
    for shape in shapes {
        let expected = ProviderError::Refused { message: "too long".into(), field: Some("messages".into()) };
        assert_eq!(failure(400, shape), expected, "{shape}");
    }
    for shape in [
        r#"{"error":"too long"}"#,
        r#"{"detail":"too long"}"#,
        r#"{"detail":[{"msg":"too long"}]}"#,
        r#"{"message":{"detail":"too long"}}"#,
        "too long",
    ] {
        assert_eq!(failure(400, shape), ProviderError::Refused { message: "too long".into(), field: None }, "{shape}");
    }
}

#[test]
fn html_error_page_is_replaced_by_the_status() {
    let expected = ProviderError::Broken("the upstream responded with status 502".into());
    assert_eq!(failure(502, "<html>Bad Gateway</html>"), expected);
}

#[test]
fn insufficient_quota_is_a_credentials_failure_unless_it_means_a_rate_limit() {
    let body = r#"{"error":{"message":"pay","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
    assert_eq!(failure(429, body), ProviderError::Credentials("pay".into()));
    // As for upstreams whose quota is the number of tokens per minute.
    let limited = failure_of(429, &HeaderMap::new(), body, QuotaMeaning::RateLimit);
    assert_eq!(limited, ProviderError::RateLimited { message: "pay".into(), retry_after: None });
}

#[test]
fn retry_after_is_read_from_milliseconds_seconds_and_dates() {
    let wait = |name: &'static str, value: &str| {
        let headers = HeaderMap::from_iter([(header::HeaderName::from_static(name), value.parse().unwrap())]);
        retry_after(&headers)
    };
    assert_eq!(wait("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
    assert_eq!(wait("retry-after", "2.5"), Some(Duration::from_millis(2500)));
    for invalid in ["-1", "soon", "", "NaN", "1e30"] {
        assert_eq!(wait("retry-after", invalid), None, "{invalid}");
    }
    let both = [("retry-after-ms", "-1"), ("retry-after", "3")];
    let both = both.map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()));
    assert_eq!(retry_after(&HeaderMap::from_iter(both)), Some(Duration::from_secs(3)));
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
    assert!(wait("retry-after", &date).is_some_and(|wait| (25..=30).contains(&wait.as_secs())));
}

#[test]
fn retry_after_applies_to_429_402_and_503_and_is_capped() {
    let after = |status: u16, seconds: &str, body: &str| {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, seconds.parse().unwrap())]);
        failure_of(status, &headers, body, QuotaMeaning::EmptyAccount)
    };
    let message = || "m".to_owned();
    let limited =
        |seconds| ProviderError::RateLimited { message: message(), retry_after: Some(Duration::from_secs(seconds)) };
    assert_eq!(after(429, "30", "m"), limited(30));
    assert_eq!(after(402, "30", "m"), limited(30));
    assert_eq!(failure(402, "m"), ProviderError::Credentials(message()));
    // A Unix time instead of a delay, and a delay beyond the range of the clock.
    for seconds in ["1795350000", "1e19"] {
        assert_eq!(after(429, seconds, "m"), limited(MAX_RETRY_AFTER.as_secs()), "{seconds}");
    }
    let unavailable = ProviderError::Unavailable { message: message(), retry_after: Some(Duration::from_secs(30)) };
    assert_eq!(after(503, "30", "m"), unavailable);
    assert_eq!(after(404, "30", "m"), ProviderError::unavailable("m"));
    // Gemini sends the delay in the body.
    let in_details = r#"{"error":{"code":429,"message":"m","details":[{"@type":"x"},{"retryDelay":"34s"}]}}"#;
    assert_eq!(failure(429, in_details), limited(34));
    assert_eq!(failure(429, &format!("[{in_details}]")), limited(34));
    let error = in_details.strip_prefix(r#"{"error":"#).unwrap().strip_suffix('}').unwrap();
    assert_eq!(failure_of_member(error), limited(34));
}

#[test]
fn error_in_a_successful_response_is_classified_by_its_code() {
    assert!(matches!(failure_of_member(r#"{"message":"slow down","code":429}"#), ProviderError::RateLimited { .. }));
    assert_eq!(failure_of_member("\"gone\""), ProviderError::Broken("gone".into()));
    assert_eq!(failure_of_member("out of memory"), ProviderError::Broken("out of memory".into()));
    let bare = r#"{"error_type":"x","error_message":"gone"}"#;
    assert_eq!(failure_of_member(bare), ProviderError::Broken("gone".into()));
}

/// Returns the details of a content policy refusal.
fn details(body: &str) -> UpstreamDetails {
    let reported =
        parse_error_response(StatusCode::FORBIDDEN, &HeaderMap::new(), body.as_bytes(), QuotaMeaning::EmptyAccount);
    assert!(matches!(reported.failure(), ProviderError::ContentPolicy(_)), "{reported:?}");
    reported.details().cloned().unwrap_or_default()
}

#[test]
fn moderation_refusal_keeps_the_type_of_the_upstream() {
    // OpenRouter's form, which is recognised by its `reasons`.
    let body = r#"{"error":{"message":"no","type":"x","metadata":{"reasons":["violence"]}}}"#;
    assert_eq!(details(body).kind, "x");
    assert_eq!(details(&body.replace(r#""type":"x","#, "")).kind, "");
}

#[test]
fn member_that_is_too_long_does_not_drop_the_members_after_it() {
    let long = "x".repeat(MAX_MEMBERS_BYTES);
    let body = format!(r#"{{"error":{{"message":"no","code":"content_filter","a":"{long}","b":1}}}}"#);
    assert_eq!(details(&body).members_json, r#"{"b":1}"#);
}

#[test]
fn refined_failure_keeps_the_members_and_the_delay() {
    let refine = |error: &Value, failure: ProviderError| match error["code"].as_str() {
        Some("Slow.Down") => ProviderError::RateLimited { message: "slow".into(), retry_after: None },
        Some("Bad.Words") => ProviderError::ContentPolicy("words".into()),
        _ => failure,
    };
    let headers = HeaderMap::from_iter([(header::RETRY_AFTER, "7".parse().unwrap())]);
    let refined = |code: &str| {
        let body = format!(r#"{{"code":"{code}","message":"m","request_id":"1"}}"#);
        parse_error_response_with(StatusCode::FORBIDDEN, &headers, body.as_bytes(), refine)
    };
    assert_eq!(refined("Slow.Down").retry_after(), Some(Duration::from_secs(7)));
    let details = refined("Bad.Words").details().cloned().unwrap();
    assert_eq!((&*details.code, &*details.members_json), ("Bad.Words", r#"{"request_id":"1"}"#));
    assert_eq!(refined("Other"), ProviderError::Credentials("m".into()));
}
