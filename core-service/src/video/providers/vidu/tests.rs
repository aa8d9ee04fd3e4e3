use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    super::common::exchange::Response,
    PROVIDER_ID, request,
    response::{listed, polled, submitted},
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

const INTERVAL: Duration = Duration::from_secs(5);

fn link(role: InputRole, url: &str) -> RenderInput {
    RenderInput { role, content: InputContent::Link(url.to_owned()) }
}

fn image(role: InputRole) -> RenderInput {
    let (media_type, bytes) = (MediaType::Png, Bytes::from_static(b"a"));
    RenderInput { role, content: InputContent::File { media_type, bytes, link: None } }
}

fn encode(model: &str, inputs: Vec<RenderInput>) -> (&'static str, Result<String, ProviderError>) {
    let parameters = VideoParameters {
        seconds: 5,
        resolution: "720p".to_owned(),
        aspect_ratio: "9:16".to_owned(),
        seed: Some(-1),
        generate_audio: Some(false),
        inputs: inputs
            .iter()
            .map(|input| StoredInput { role: input.role, source: InputSource::Link(String::new()) })
            .collect(),
        extra_json: r#"{"movement_amplitude":"small","payload":"x","images":[],"model":"x"}"#.to_owned(),
        ..testing::request().parameters
    };
    let request = RenderRequest { parameters, inputs, slot: Slot::default() };
    let facts = FactsTable::default().find(PROVIDER_ID, model);
    (request::path(&request.parameters), request::encode(model, &facts, &request, "video_1"))
}

fn encoded(model: &str, inputs: Vec<RenderInput>) -> (&'static str, Value) {
    let (path, body) = encode(model, inputs);
    (path, serde_json::from_str(&body.unwrap()).unwrap())
}

#[test]
fn inputs_decide_the_path_and_the_model() {
    let expected = json!({"model": "viduq3-pro", "prompt": "a boat", "duration": 5, "resolution": "720p",
        "aspect_ratio": "9:16", "audio": false, "seed": 2_147_483_647, "payload": "video_1", "movement_amplitude": "small"});
    assert_eq!(encoded("viduq3-pro", vec![]), ("ent/v2/text2video", expected));
    let (path, body) = encoded("viduq3-pro", vec![image(InputRole::FirstFrame)]);
    assert_eq!((path, &body["images"]), ("ent/v2/img2video", &json!(["data:image/png;base64,YQ=="])));
    assert_eq!(body.get("aspect_ratio"), None);
    let frames = vec![link(InputRole::LastFrame, "asset://last"), link(InputRole::FirstFrame, "asset://first")];
    let (path, body) = encoded("viduq2", frames);
    assert_eq!((path, &body["images"]), ("ent/v2/start-end2video", &json!(["asset://first", "asset://last"])));
    assert_eq!(body["model"], "viduq2-pro");
    let (path, body) = encoded("viduq3-pro", vec![image(InputRole::Image)]);
    assert_eq!(
        (path, &body["model"], &body["aspect_ratio"]),
        ("ent/v2/reference2video", &json!("viduq3"), &json!("9:16"))
    );
    let (_, body) = encode("viduq3-pro", vec![link(InputRole::Video, "https://a.test/v")]);
    assert!(matches!(body, Err(ProviderError::NotSupported(_))));
}

fn reply(status: u16, body: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    Response { status, headers: HeaderMap::new(), body: body.to_owned().into() }
}

#[test]
fn reason_decides_what_a_failure_is() {
    type Kind = fn(&ProviderError) -> bool;
    let table: [(u16, &str, Kind); 13] = [
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
    for (status, reason, expected) in table {
        let body = json!({"code": status, "reason": reason, "message": "words", "metadata": {}}).to_string();
        let error = submitted(&reply(status, &body)).unwrap_err();
        assert!(expected(error.failure()) && error.to_string().contains("words"), "{status} {reason}: {error:?}");
        let failed = json!({"state": "failed", "err_code": reason}).to_string();
        let Ok(Progress::Failed(error)) = polled(&reply(200, &failed), INTERVAL) else { panic!("{reason}") };
        assert!(expected(error.failure()), "{reason}: {error:?}");
    }
    assert!(submitted(&reply(200, r#"{"task_id":"1","state":"failed"}"#)).is_err());
    assert_eq!(submitted(&reply(200, r#"{"task_id":"1","state":"created"}"#)), Ok("1".to_owned()));
}

#[test]
fn states_that_do_not_end_the_task_are_work_in_progress() {
    let poll = |body: &str| polled(&reply(200, body), INTERVAL);
    for state in ["created", "queueing", "scheduling", "processing"] {
        let expected = Ok(Progress::Working { percent: None, poll_after: INTERVAL });
        assert_eq!(poll(&format!(r#"{{"state":"{state}","err_code":""}}"#)), expected, "{state}");
    }
    assert_eq!(poll(r#"{"state":"failed","err_code":"UserCancelled"}"#), Ok(Progress::Cancelled));
    assert_eq!(poll(r#"{"state":"success","creations":[]}"#), Ok(Progress::Ready(Clip { files: Vec::new() })));
    assert!(matches!(poll("{}"), Err(ProviderError::Unreadable(_))));
    assert_eq!(polled(&reply(404, r#"{"code":404,"reason":"TaskNotFound"}"#), INTERVAL), Ok(Progress::Missing));
}

#[test]
fn task_with_the_mark_is_found_in_a_list() {
    let list = r#"{"tasks":[{"id":"1","payload":"video_0"},{"id":"2","payload":"video_1"},{"id":"3"}]}"#;
    assert_eq!(listed(&reply(200, list), "video_1"), Ok(Some("2".to_owned())));
    assert_eq!(listed(&reply(200, list), "video_2"), Ok(None));
    assert!(listed(&reply(401, r#"{"reason":"Unauthorized"}"#), "video_1").is_err());
}
