//! The encoding of Vidu requests, and the parsing of its responses.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    super::common::exchange::Response,
    PROVIDER_ID, request,
    response::{parse_list, parse_poll, parse_submission},
};
use crate::{
    error::ProviderError,
    media::MediaType,
    model_facts::FactsTable,
    video::{
        Clip, Progress, RenderRequest, Slot,
        inputs::{InputContent, InputRole, InputSource, RenderInput, StoredInput},
        parameters::VideoParameters,
        testing,
    },
};

const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The id of the job, by which its task is found in the list.
const JOB_ID: &str = "video_1";

fn url_input(role: InputRole, url: &str) -> RenderInput {
    RenderInput { role, content: InputContent::Link(url.to_owned()) }
}

/// Returns an uploaded PNG file whose content is `a`, `YQ==` in base64.
fn file_input(role: InputRole) -> RenderInput {
    let (media_type, bytes) = (MediaType::Png, Bytes::from_static(b"a"));
    RenderInput { role, content: InputContent::File { media_type, bytes, link: None } }
}

/// Returns a request with a negative seed, and with extra members that clients cannot set.
fn render_request(inputs: Vec<RenderInput>) -> RenderRequest {
    let parameters = VideoParameters {
        seconds: 5,
        resolution: "720p".to_owned(),
        aspect_ratio: "9:16".to_owned(),
        seed: Some(-1),
        generate_audio: Some(false),
        // Of the stored inputs, the encoding reads the roles only.
        inputs: inputs
            .iter()
            .map(|input| StoredInput { role: input.role, source: InputSource::Link(String::new()) })
            .collect(),
        extra_json: r#"{"movement_amplitude":"small","payload":"x","images":[],"model":"x"}"#.to_owned(),
        ..testing::request().parameters
    };
    RenderRequest { parameters, inputs, slot: Slot::default() }
}

fn encode(model: &str, request: &RenderRequest) -> Result<String, ProviderError> {
    request::encode(model, &FactsTable::default().find(PROVIDER_ID, model), request, JOB_ID)
}

/// Returns the path and the body of the submission.
fn submission(model: &str, inputs: Vec<RenderInput>) -> (&'static str, Value) {
    let request = render_request(inputs);
    let body = encode(model, &request).unwrap();
    (request::path(&request.parameters), serde_json::from_str(&body).unwrap())
}

#[test]
fn text_to_video_body_has_all_parameters_and_ignores_reserved_extra_members() {
    let (path, body) = submission("viduq3-pro", vec![]);
    assert_eq!(path, "ent/v2/text2video");
    // The seed is -1 modulo 2^31.
    let expected = json!({"model": "viduq3-pro", "prompt": "a boat", "duration": 5, "resolution": "720p",
        "aspect_ratio": "9:16", "audio": false, "seed": 2_147_483_647, "payload": JOB_ID, "movement_amplitude": "small"});
    assert_eq!(body, expected);
}

#[test]
fn first_frame_is_sent_as_data_url_without_aspect_ratio() {
    let (path, body) = submission("viduq3-pro", vec![file_input(InputRole::FirstFrame)]);
    assert_eq!(path, "ent/v2/img2video");
    assert_eq!(body["images"], json!(["data:image/png;base64,YQ=="]));
    assert_eq!(body.get("aspect_ratio"), None);
}

#[test]
fn first_frame_precedes_last_frame_and_frames_select_the_pro_model() {
    let last_then_first =
        vec![url_input(InputRole::LastFrame, "asset://last"), url_input(InputRole::FirstFrame, "asset://first")];
    let (path, body) = submission("viduq2", last_then_first);
    assert_eq!(path, "ent/v2/start-end2video");
    assert_eq!(body["images"], json!(["asset://first", "asset://last"]));
    assert_eq!(body["model"], "viduq2-pro");
}

#[test]
fn reference_images_select_the_model_for_references() {
    let (path, body) = submission("viduq3-pro", vec![file_input(InputRole::Image)]);
    assert_eq!(path, "ent/v2/reference2video");
    assert_eq!((&body["model"], &body["aspect_ratio"]), (&json!("viduq3"), &json!("9:16")));
}

#[test]
fn reference_video_is_not_supported() {
    let request = render_request(vec![url_input(InputRole::Video, "https://a.test/v")]);
    assert!(matches!(encode("viduq3-pro", &request), Err(ProviderError::NotSupported(_))));
}

fn reply(status: u16, body: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    Response { status, headers: HeaderMap::new(), body: body.to_owned().into() }
}

#[test]
fn reason_of_a_refusal_or_failed_task_decides_the_error() {
    type IsExpected = fn(&ProviderError) -> bool;
    let table: [(u16, &str, IsExpected); 13] = [
        (400, "AuditSubmitIllegal", |e| matches!(e, ProviderError::ContentPolicy(_))),
        (400, "TaskPromptPolicyViolation", |e| matches!(e, ProviderError::ContentPolicy(_))),
        (400, "CreationPolicyViolation", |e| matches!(e, ProviderError::ContentPolicy(_))),
        (400, "CreditInsufficient", |e| matches!(e, ProviderError::Credentials(_))),
        (401, "Unauthorized", |e| matches!(e, ProviderError::Credentials(_))),
        (429, "QuotaExceeded", |e| matches!(e, ProviderError::RateLimited { .. })),
        (429, "SystemThrottling", |e| matches!(e, ProviderError::RateLimited { .. })),
        (400, "OperationInProcess", |e| matches!(e, ProviderError::RateLimited { .. })),
        (400, "FieldInvalid", |e| matches!(e, ProviderError::Refused { .. })),
        (400, "ImageDownloadFailure", |e| matches!(e, ProviderError::Refused { .. })),
        (400, "ModelUnavailable", |e| matches!(e, ProviderError::Refused { .. })),
        (500, "InternalServiceFailure", |e| matches!(e, ProviderError::Broken(_))),
        (500, "SomethingNew", |e| matches!(e, ProviderError::Broken(_))),
    ];
    for (status, reason, is_expected) in table {
        let body = json!({"code": status, "reason": reason, "message": "the message", "metadata": {}}).to_string();
        let error = parse_submission(&reply(status, &body)).unwrap_err();
        assert!(
            is_expected(error.failure()) && error.to_string().contains("the message"),
            "{status} {reason}: {error:?}"
        );
        let failed_task = json!({"state": "failed", "err_code": reason}).to_string();
        let Ok(Progress::Failed(error)) = parse_poll(&reply(200, &failed_task), POLL_INTERVAL) else {
            panic!("{reason}")
        };
        assert!(is_expected(error.failure()), "{reason}: {error:?}");
    }
}

#[test]
fn submission_returns_the_task_id_unless_the_task_has_failed() {
    assert!(parse_submission(&reply(200, r#"{"task_id":"1","state":"failed"}"#)).is_err());
    assert_eq!(parse_submission(&reply(200, r#"{"task_id":"1","state":"created"}"#)), Ok("1".to_owned()));
}

#[test]
fn states_before_the_final_ones_are_progress_without_percentage() {
    for state in ["created", "queueing", "scheduling", "processing", "a-new-state"] {
        let expected = Ok(Progress::Working { percent: None, poll_after: POLL_INTERVAL });
        let task = format!(r#"{{"state":"{state}","err_code":""}}"#);
        assert_eq!(parse_poll(&reply(200, &task), POLL_INTERVAL), expected, "{state}");
    }
}

#[test]
fn final_states_and_missing_tasks_end_the_polling() {
    let poll = |status: u16, body: &str| parse_poll(&reply(status, body), POLL_INTERVAL);
    let without_files = Progress::Ready(Clip::new([]));
    assert_eq!(poll(200, r#"{"state":"success","creations":[]}"#), Ok(without_files));
    assert_eq!(poll(200, r#"{"state":"failed","err_code":"UserCancelled"}"#), Ok(Progress::Cancelled));
    assert_eq!(poll(404, r#"{"code":404,"reason":"TaskNotFound"}"#), Ok(Progress::Missing));
}

#[test]
fn poll_response_without_a_state_is_unreadable() {
    assert!(matches!(parse_poll(&reply(200, "{}"), POLL_INTERVAL), Err(ProviderError::Unreadable(_))));
}

#[test]
fn task_with_the_job_id_is_found_in_the_list() {
    let list = r#"{"tasks":[{"id":"1","payload":"video_0"},{"id":"2","payload":"video_1"},{"id":"3"}]}"#;
    assert_eq!(parse_list(&reply(200, list), JOB_ID), Ok(Some("2".to_owned())));
    assert_eq!(parse_list(&reply(200, list), "video_2"), Ok(None));
}

#[test]
fn refused_list_is_an_error() {
    assert!(parse_list(&reply(401, r#"{"reason":"Unauthorized"}"#), JOB_ID).is_err());
}
