//! Tests of the mapping through the statuses that clients receive.

use triptych_proto::v1::Modality;

use super::*;
use crate::served_models::ServedModels;

fn pushback(error: impl Into<Error>) -> Option<String> {
    let status = Status::from(error.into());
    status.metadata().get(RETRY_PUSHBACK).map(|value| value.to_str().unwrap().to_owned())
}

#[test]
fn pushback_equals_the_retry_delay_in_milliseconds() {
    let overloaded = Error::Overloaded { retry_after: Duration::from_millis(1500) };
    assert_eq!(pushback(overloaded).as_deref(), Some("1500"));
    let rate_limited = ProviderError::RateLimited { message: String::new(), retry_after: None };
    assert_eq!(pushback(rate_limited).as_deref(), Some("1000"));
    assert_eq!(pushback(Error::ShuttingDown).as_deref(), Some("1000"));
    let full = Error::QueueFull { what: "videos", setting: "jobs.max_queued", limit: 5 };
    assert!(Status::from(full.clone()).message().contains("jobs.max_queued"));
    assert_eq!(pushback(full).as_deref(), Some("10000"));
}

#[test]
fn pushback_forbids_retries_of_calls_that_may_have_executed() {
    for error in [ProviderError::Timeout(String::new()), ProviderError::Broken(String::new())] {
        assert_eq!(pushback(error).as_deref(), Some("-1"));
    }
}

#[test]
fn errors_without_a_retry_delay_have_no_pushback() {
    let unreachable = ProviderError::Unreachable(String::new());
    for error in [Error::Storage(String::new()), Error::invalid("n", "must be 1"), unreachable.into()] {
        assert_eq!(pushback(error), None);
    }
}

#[test]
fn encoded_status_is_at_most_6_kib() {
    let words = "请求的内容过长".repeat(1000);
    let details = UpstreamDetails {
        code: words.clone(),
        kind: words.clone(),
        param: words.clone(),
        members_json: format!("{{\"a\":\"{words}\"}}"),
        status: Some(400),
    };
    let refused = ProviderError::Refused { message: words.clone(), field: Some(words.clone()) };
    for error in [
        Error::invalid(words.clone(), words.clone()),
        Error::ModelNotFound {
            model: words.clone(),
            served: Box::new(ServedModels::nearest("请", [(&*words, std::iter::once(&*words))].into_iter(), "")),
            modality: Modality::Unspecified,
        },
        refused.with_upstream_details(details).into(),
    ] {
        let status = Status::from(error);
        assert!(encoded_length(&status) <= MAX_ENCODED, "{}", encoded_length(&status));
        assert!(status.message().len() > 90);
        assert!(status.get_error_details().error_info().is_some());
    }
    let model = "名".repeat(3000);
    let served = Box::new(ServedModels::nearest("", std::iter::empty::<(&str, std::iter::Empty<&str>)>(), ""));
    let status = Status::from(Error::ModelNotFound { model, served, modality: Modality::Chat });
    assert!(status.message().starts_with(&format!("model `{}…`", "名".repeat(100))), "{}", status.message());
}

#[test]
fn members_of_an_upstream_error_are_metadata() {
    let details = UpstreamDetails {
        code: "context_length_exceeded".to_owned(),
        param: "messages".to_owned(),
        members_json: r#"{"n_ctx":8192}"#.to_owned(),
        ..UpstreamDetails::default()
    };
    let refused = ProviderError::Refused { message: "too long".to_owned(), field: None };
    let status = Status::from(Error::from(refused.with_upstream_details(details)));
    let info = status.get_error_details().error_info().cloned().unwrap();
    assert_eq!(info.reason, "UPSTREAM_REFUSED");
    let expected = [
        (UPSTREAM_CODE, "context_length_exceeded"),
        (UPSTREAM_PARAM, "messages"),
        (UPSTREAM_MEMBERS, r#"{"n_ctx":8192}"#),
    ];
    assert_eq!(info.metadata, expected.map(|(key, text)| (key.to_owned(), text.to_owned())).into());
}

#[test]
fn internal_errors_name_the_request_and_not_the_cause() {
    let error = Error::Internal("secret".to_owned());
    assert_eq!(error.clone().into_status("req_1").message(), "Internal server error (request id req_1)");
    assert_eq!(Status::from(error).message(), "Internal server error");
}
