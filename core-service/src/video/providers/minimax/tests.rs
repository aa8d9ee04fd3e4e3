//! The encoding of MiniMax's requests and the parsing of its responses, in both versions of the API.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    super::common::exchange::Response,
    PROVIDER_ID,
    api::Api,
    request,
    response::{file_id, parse_cancellation, parse_link, parse_poll, parse_submission},
};
use crate::{
    error::ProviderError,
    media::MediaType,
    model_facts::FactsTable,
    video::{
        Cancellation, Clip, Progress, RenderRequest, RenderUsage, Slot,
        inputs::{InputContent, InputRole, InputSource, RenderInput, StoredInput},
        parameters::VideoParameters,
        testing,
    },
};

const INTERVAL: Duration = Duration::from_secs(5);

fn link(role: InputRole, url: &str) -> RenderInput {
    RenderInput { role, content: InputContent::Link(url.to_owned()) }
}

/// Returns an uploaded PNG file whose content is `a`, `YQ==` in base64.
fn image(role: InputRole) -> RenderInput {
    let (media_type, bytes) = (MediaType::Png, Bytes::from_static(b"a"));
    RenderInput { role, content: InputContent::File { media_type, bytes, link: None } }
}

/// Encodes a request for 6 seconds in 768P 16:9, with extra members of which only `prompt_optimizer` may be sent.
fn encode(model: &str, inputs: Vec<RenderInput>) -> Result<String, ProviderError> {
    let parameters = VideoParameters {
        seconds: 6,
        resolution: "768P".to_owned(),
        aspect_ratio: "16:9".to_owned(),
        // Of the stored inputs, the encoding reads the roles only.
        inputs: inputs
            .iter()
            .map(|input| StoredInput { role: input.role, source: InputSource::Link(String::new()) })
            .collect(),
        extra_json: r#"{"prompt_optimizer":false,"resolution":"2K","content":[],"subject_reference":[]}"#.to_owned(),
        ..testing::request().parameters
    };
    let request = RenderRequest { parameters, inputs, slot: Slot::default() };
    request::encode(model, Api::of(&FactsTable::default().find(PROVIDER_ID, model)), &request)
}

fn encoded(model: &str, inputs: Vec<RenderInput>) -> Value {
    serde_json::from_str(&encode(model, inputs).unwrap()).unwrap()
}

#[test]
fn version_2_gets_prompt_and_inputs_in_one_list() {
    let text = json!({"type": "text", "text": "a boat"});
    let expected = json!({"model": "MiniMax-H3", "content": [text], "resolution": "768P", "duration": 6, "ratio": "16:9",
        "prompt_optimizer": false});
    assert_eq!(encoded("MiniMax-H3", vec![]), expected);
    let body = encoded("MiniMax-H3", vec![image(InputRole::FirstFrame), image(InputRole::LastFrame)]);
    let url = "data:image/png;base64,YQ==";
    let expected = json!([text, {"type": "image_url", "image_url": {"url": url}, "role": "first_frame"},
        {"type": "image_url", "image_url": {"url": url}, "role": "last_frame"}]);
    assert_eq!((&body["content"], body.get("ratio")), (&expected, None));
    let references = vec![
        image(InputRole::Image),
        link(InputRole::Video, "https://a.test/v"),
        link(InputRole::Sound, "https://a.test/s"),
    ];
    let body = encoded("MiniMax-H3", references);
    let roles: Vec<_> = body["content"].as_array().unwrap().iter().skip(1).map(|part| &part["role"]).collect();
    assert_eq!(roles, ["reference_image", "reference_video", "reference_audio"]);
    assert_eq!(body["ratio"], "16:9");
    assert!(matches!(encode("MiniMax-H3", vec![image(InputRole::Video)]), Err(ProviderError::NotSupported(_))));
}

#[test]
fn version_1_gets_a_member_for_each_image() {
    let body = encoded("MiniMax-Hailuo-02", vec![image(InputRole::FirstFrame), image(InputRole::LastFrame)]);
    let url = "data:image/png;base64,YQ==";
    let expected = json!({"model": "MiniMax-Hailuo-02", "prompt": "a boat", "first_frame_image": url,
        "last_frame_image": url, "resolution": "768P", "duration": 6, "prompt_optimizer": false});
    assert_eq!(body, expected);
    let body = encoded("S2V-01", vec![link(InputRole::Image, "asset://face")]);
    assert_eq!(body["subject_reference"], json!([{"type": "character", "image": ["asset://face"]}]));
}

fn reply(status: u16, body: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    Response { status, headers: HeaderMap::new(), body: body.to_owned().into() }
}

#[test]
fn final_states_end_the_task_and_all_others_are_work_in_progress() {
    let working = Ok(Progress::Working { percent: None, poll_after: INTERVAL });
    for status in ["queued", "running", "warming"] {
        let task = format!(r#"{{"task":{{"id":"1","status":"{status}"}}}}"#);
        assert_eq!(parse_poll(Api::V2, &reply(200, &task), INTERVAL), working, "{status}");
    }
    for status in ["Preparing", "Queueing", "Processing", "Warming"] {
        let task = format!(r#"{{"task_id":"1","status":"{status}","base_resp":{{"status_code":0}}}}"#);
        assert_eq!(parse_poll(Api::V1, &reply(200, &task), INTERVAL), working, "{status}");
    }
    let poll_v2 = |task: &str| parse_poll(Api::V2, &reply(200, &format!(r#"{{"task":{task}}}"#)), INTERVAL);
    assert_eq!(poll_v2(r#"{"status":"cancelled"}"#), Ok(Progress::Cancelled));
    assert_eq!(poll_v2(r#"{"status":"succeeded"}"#), Ok(Progress::Ready(Clip::new([]))));
    assert!(matches!(poll_v2(r#"{"status":"expired"}"#), Ok(Progress::Failed(ProviderError::Timeout(_)))));
    assert!(matches!(poll_v2("{}"), Err(ProviderError::Unreadable(_))));
}

#[test]
fn billed_seconds_of_version_2_are_in_the_result() {
    let usage_of = |usage: &str| {
        let task = format!(r#"{{"task":{{"status":"succeeded","usage":{usage}}}}}"#);
        match parse_poll(Api::V2, &reply(200, &task), INTERVAL) {
            Ok(Progress::Ready(clip)) => clip.usage,
            other => panic!("{other:?}"),
        }
    };
    let seconds = |millis| RenderUsage { video_millis: Some(millis), cost: None };
    assert_eq!(usage_of(r#"{"total_seconds":10,"input_seconds":6,"output_seconds":4}"#), seconds(10_000));
    assert_eq!(usage_of(r#"{"total_seconds":null,"output_seconds":4}"#), seconds(4_000));
    for odd in ["null", "[]", r#"{"total_seconds":0,"output_seconds":"x"}"#] {
        assert_eq!(usage_of(odd), RenderUsage::default(), "{odd}");
    }
}

#[test]
fn task_without_a_record_is_missing_whatever_the_status() {
    let body = r#"{"type":"error","error":{"type":"server_error","message":"record not found","http_code":"500"}}"#;
    for status in [500, 404] {
        assert_eq!(parse_poll(Api::V2, &reply(status, body), INTERVAL), Ok(Progress::Missing));
    }
    let other = r#"{"type":"error","error":{"type":"server_error","message":"unknown error","http_code":"500"}}"#;
    assert!(matches!(parse_poll(Api::V2, &reply(500, other), INTERVAL), Err(error) if error.is_transient()));
}

#[test]
fn error_in_a_successful_response_is_no_task() {
    for body in [
        r#"{"task_id":"","base_resp":{"status_code":1026,"status_msg":"input sensitive"}}"#,
        r#"{"type":"error","error":{"type":"bad_request_error","message":"input sensitive (1026)"}}"#,
    ] {
        let error = parse_submission(&reply(200, body)).unwrap_err();
        assert!(matches!(error.failure(), ProviderError::ContentPolicy(_)), "{body}: {error:?}");
    }
    assert!(matches!(parse_submission(&reply(200, "{}")), Err(ProviderError::Unreadable(_))));
    assert_eq!(parse_submission(&reply(200, r#"{"task_id":7}"#)), Ok("7".to_owned()));
}

#[test]
fn render_that_runs_on_is_not_reported_as_stopped() {
    for (status, body, expected) in [
        (200, r#"{"task_id":"1","status":"cancelled"}"#, Cancellation::Stopped),
        (200, r#"{"task_id":"1","status":"running"}"#, Cancellation::StillRunning),
        (409, "{}", Cancellation::StillRunning),
        (400, "{}", Cancellation::StillRunning),
        (404, "{}", Cancellation::Stopped),
        (500, r#"{"error":{"message":"record not found"}}"#, Cancellation::Stopped),
    ] {
        assert_eq!(parse_cancellation(&reply(status, body)), Ok(expected), "{status} {body}");
    }
    assert!(parse_cancellation(&reply(503, "{}")).is_err());
}

#[test]
fn result_of_version_1_is_a_file_whose_link_is_read() {
    let found = r#"{"file":{"file_id":7,"download_url":"https://a.test/7"},"base_resp":{"status_code":0}}"#;
    assert_eq!(parse_link(&reply(200, found)), Ok("https://a.test/7".to_owned()));
    assert!(matches!(parse_link(&reply(200, "{}")), Err(ProviderError::Unreadable(_))));
    assert!(matches!(parse_link(&reply(404, "{}")), Err(ProviderError::LinkExpired(_))));
    let refused = parse_link(&reply(200, r#"{"base_resp":{"status_code":1004,"status_msg":"m"}}"#)).unwrap_err();
    assert!(matches!(refused, ProviderError::Credentials(_)));
    let task = r#"{"status":"Success","file_id":7,"base_resp":{"status_code":0}}"#;
    let Ok(Progress::Ready(clip)) = parse_poll(Api::V1, &reply(200, task), INTERVAL) else { panic!() };
    assert_eq!((file_id(&clip.files[0].location), file_id("https://a.test/7")), (Some("7"), None));
}
