//! The encoding of Kling's requests, the parsing of its responses, and the search for lost submissions.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    super::common::{exchange::Response, testing::search},
    MAX_PAGES, PROVIDER_ID,
    endpoint::{Endpoint, task_path},
    entries, request,
    response::{Page, parse_list, parse_poll, parse_submission},
};
use crate::{
    config::Kling,
    error::ProviderError,
    media::MediaType,
    model_facts::FactsTable,
    video::{
        Clip, Operation, Progress, RenderRequest, Search, Slot, UpstreamTask,
        inputs::{InputContent, InputRole, InputSource, RenderInput, StoredInput},
        parameters::VideoParameters,
        testing,
    },
};

fn link(role: InputRole, url: &str) -> RenderInput {
    RenderInput { role, content: InputContent::Link(url.to_owned()) }
}

/// Returns an uploaded PNG file whose content is `a`, `YQ==` in base64.
fn image(role: InputRole) -> RenderInput {
    let (media_type, bytes) = (MediaType::Png, Bytes::from_static(b"a"));
    RenderInput { role, content: InputContent::File { media_type, bytes, link: None } }
}

/// Encodes a request for 5 seconds in 1080p 16:9, after `change`. The id of its job is `video_1`, which Kling stores with the
/// task as `external_task_id`. Returns also the endpoint, which model and inputs decide.
fn encode(
    model: &str,
    inputs: Vec<RenderInput>,
    change: impl FnOnce(&mut VideoParameters),
) -> (Endpoint, Result<String, ProviderError>) {
    let mut parameters = VideoParameters {
        seconds: 5,
        resolution: "1080p".to_owned(),
        aspect_ratio: "16:9".to_owned(),
        // Of the stored inputs, the encoding reads the roles only.
        inputs: inputs
            .iter()
            .map(|input| StoredInput { role: input.role, source: InputSource::Link(String::new()) })
            .collect(),
        ..testing::request().parameters
    };
    change(&mut parameters);
    let request = RenderRequest { parameters, inputs, slot: Slot::default() };
    let endpoint = Endpoint::of(&FactsTable::default().find(PROVIDER_ID, model), &request.parameters);
    (endpoint, request::encode(model, endpoint, &request, "video_1"))
}

fn encoded(model: &str, inputs: Vec<RenderInput>, change: impl FnOnce(&mut VideoParameters)) -> (Endpoint, Value) {
    let (endpoint, body) = encode(model, inputs, change);
    (endpoint, serde_json::from_str(&body.unwrap()).unwrap())
}

#[test]
fn video_to_edit_is_the_base_and_keeps_duration_and_ratio() {
    let source = vec![link(InputRole::Source, "https://a.test/v")];
    let body = encoded("kling-video-o1", source, |parameters| parameters.operation = Operation::Edit);
    let expected = json!({"model_name": "kling-video-o1", "prompt": "a boat", "mode": "pro",
        "video_list": [{"video_url": "https://a.test/v", "refer_type": "base"}], "external_task_id": "video_1"});
    assert_eq!(body, (Endpoint::Omni, expected));
}

#[test]
fn prompt_alone_is_sent_with_the_aspect_ratio_and_extra_members_replace_nothing() {
    let body = encoded("kling-v3", vec![], |parameters| {
        parameters.generate_audio = Some(true);
        parameters.negative_prompt = "rain".to_owned();
        parameters.extra_json =
            r#"{"mode":"4k","duration":"15","model_name":"x","external_task_id":"x","cfg_scale":0.7}"#.to_owned();
    });
    let expected = json!({"model_name": "kling-v3", "prompt": "a boat", "negative_prompt": "rain", "mode": "pro",
        "duration": "5", "aspect_ratio": "16:9", "sound": "on", "external_task_id": "video_1", "cfg_scale": 0.7});
    assert_eq!(body, (Endpoint::Text, expected));
}

#[test]
fn frames_are_sent_as_base64_without_a_prefix() {
    let frames = vec![image(InputRole::FirstFrame), link(InputRole::LastFrame, "asset://b")];
    let expected = json!({"model_name": "kling-v2-6", "prompt": "a boat", "mode": "pro", "duration": "5", "image": "YQ==",
        "image_tail": "asset://b", "external_task_id": "video_1"});
    assert_eq!(encoded("kling-v2-6", frames, |_| {}), (Endpoint::Image, expected));
}

#[test]
fn omni_models_get_lists_of_images_and_videos() {
    let (endpoint, body) =
        encoded("kling-v3-omni", vec![image(InputRole::FirstFrame), image(InputRole::LastFrame)], |_| {});
    let frames = json!([{"image_url": "YQ==", "type": "first_frame"}, {"image_url": "YQ==", "type": "end_frame"}]);
    assert_eq!((endpoint, &body["image_list"], body.get("aspect_ratio")), (Endpoint::Omni, &frames, None));
    let references = vec![image(InputRole::Image), link(InputRole::Video, "https://a.test/v")];
    let (endpoint, body) =
        encoded("kling-video-o1", references, |parameters| parameters.resolution = "720p".to_owned());
    let expected = json!({"model_name": "kling-video-o1", "prompt": "a boat", "mode": "std", "duration": "5",
        "aspect_ratio": "16:9", "image_list": [{"image_url": "YQ=="}],
        "video_list": [{"video_url": "https://a.test/v", "refer_type": "feature"}], "external_task_id": "video_1"});
    assert_eq!((endpoint, body), (Endpoint::Omni, expected));
    let (_, body) = encode("kling-video-o1", vec![image(InputRole::Video)], |_| {});
    assert!(matches!(body, Err(ProviderError::NotSupported(_))));
}

#[test]
fn stored_task_has_the_path_of_its_endpoint() {
    for (endpoint, path) in [
        (Endpoint::Text, "v1/videos/text2video/7%2F8"),
        (Endpoint::Image, "v1/videos/image2video/7%2F8"),
        (Endpoint::Omni, "v1/videos/omni-video/7%2F8"),
    ] {
        assert_eq!(task_path(&endpoint.task("7/8")).unwrap(), path);
    }
    // Without an endpoint, and of an endpoint that this provider does not use.
    for wrong in ["7", "lip-sync/7", ""] {
        assert!(task_path(&UpstreamTask(wrong.to_owned())).is_err(), "{wrong}");
    }
}

fn reply(status: u16, body: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    Response { status, headers: HeaderMap::new(), body: body.to_owned().into() }
}

#[test]
fn error_code_decides_the_failure_whatever_the_status() {
    type Kind = fn(&ProviderError) -> bool;
    // Kling's error codes; `response.rs` explains them.
    let table: [(u64, Kind); 17] = [
        (1000, |e| matches!(e, ProviderError::Credentials(_))),
        (1004, |e| matches!(e, ProviderError::Credentials(_))),
        (1100, |e| matches!(e, ProviderError::Credentials(_))),
        (1101, |e| matches!(e, ProviderError::Credentials(_))),
        (1102, |e| matches!(e, ProviderError::Credentials(_))),
        (1103, |e| matches!(e, ProviderError::Credentials(_))),
        (1304, |e| matches!(e, ProviderError::Credentials(_))),
        (1200, |e| matches!(e, ProviderError::Refused { .. })),
        (1201, |e| matches!(e, ProviderError::Refused { .. })),
        (1203, |e| matches!(e, ProviderError::Refused { .. })),
        (1300, |e| matches!(e, ProviderError::ContentPolicy(_))),
        (1301, |e| matches!(e, ProviderError::ContentPolicy(_))),
        (1302, |e| matches!(e, ProviderError::RateLimited { .. })),
        (1303, |e| matches!(e, ProviderError::RateLimited { .. })),
        (5000, |e| matches!(e, ProviderError::Broken(_))),
        (5001, |e| matches!(e, ProviderError::Unavailable { .. })),
        (5002, |e| matches!(e, ProviderError::Timeout(_))),
    ];
    for (code, expected) in table {
        let body = json!({"code": code, "message": "words", "request_id": "r"}).to_string();
        for status in [200, 400, 429, 500] {
            let error = parse_submission(&reply(status, &body)).unwrap_err();
            assert!(expected(error.failure()) && error.to_string().contains("words"), "{status} {code}: {error:?}");
        }
    }
    // With an unknown code, the status decides.
    assert!(
        matches!(parse_submission(&reply(429, r#"{"code":9,"message":"m"}"#)), Err(error) if error.is_safe_to_retry())
    );
    assert!(
        matches!(parse_submission(&reply(200, r#"{"code":9,"message":"m"}"#)), Err(error) if error.may_have_executed())
    );
}

#[test]
fn final_states_end_the_task_and_all_others_are_work_in_progress() {
    let interval = Duration::from_secs(5);
    let poll = |task: &str| parse_poll(&reply(200, &format!(r#"{{"code":0,"data":{task}}}"#)), interval);
    for status in ["submitted", "processing", "rewriting"] {
        let expected = Ok(Progress::Working { percent: None, poll_after: interval });
        assert_eq!(poll(&format!(r#"{{"task_status":"{status}"}}"#)), expected, "{status}");
    }
    assert_eq!(poll(r#"{"task_status":"succeed"}"#), Ok(Progress::Ready(Clip::new([]))));
    let failed = |message: &str| poll(&json!({"task_status": "failed", "task_status_msg": message}).to_string());
    let refused = "Failure to pass the risk control system";
    assert_eq!(failed(refused), Ok(Progress::Failed(ProviderError::ContentPolicy(refused.to_owned()))));
    assert!(matches!(failed("render error"), Ok(Progress::Failed(ProviderError::Broken(_)))));
    assert_eq!(parse_poll(&reply(400, r#"{"code":1203,"message":"no task"}"#), interval), Ok(Progress::Missing));
}

#[test]
fn task_with_the_job_id_is_found_in_a_list() {
    let task = |id: &str, job_id: &str| json!({"task_id": id, "task_info": {"external_task_id": job_id}});
    let list = |tasks: &[Value]| reply(200, &json!({"code": 0, "data": tasks}).to_string());
    let tasks = [task("1", "video_0"), task("2", "video_1"), json!({"task_id": "3"})];
    let found = Page { found: Some("2".to_owned()), length: 3 };
    assert_eq!(parse_list(&list(&tasks), "video_1"), Ok(found));
    assert_eq!(parse_list(&list(&tasks[..1]), "video_1"), Ok(Page { found: None, length: 1 }));
    assert_eq!(parse_list(&list(&[]), "video_1"), Ok(Page { found: None, length: 0 }));
    for other in [r#"{"code":1002,"message":"m"}"#, "{}"] {
        assert!(parse_list(&reply(200, other), "video_1").is_err(), "{other}");
    }
}

/// Searches for the lost submission of `video_1`; see [`search`].
async fn searched(bodies: &[&str]) -> (Result<Search, ProviderError>, Vec<String>) {
    let entries = |address, context: &_| {
        let settings = Kling { base_url: Some(address), api_key: Some("key".into()), ..Kling::default() };
        entries(&settings, context)
    };
    search("kling-v3", bodies, entries).await
}

#[tokio::test]
async fn lost_submission_is_searched_to_the_end_of_the_list_or_the_page_limit() {
    let other = r#"{"code":0,"data":[{"task_id":"1","task_info":{"external_task_id":"video_0"}}]}"#;
    let mine = r#"{"code":0,"data":[{"task_id":"2","task_info":{"external_task_id":"video_1"}}]}"#;
    let page = |number: u32| format!("/v1/videos/text2video?pageNum={number}&pageSize=500");
    let found = Search::Found(UpstreamTask("text2video/2".to_owned()));
    assert_eq!(searched(&[other, mine]).await, (Ok(found), vec![page(1), page(2)]));
    // An empty page is the end of the list.
    let empty = r#"{"code":0,"data":[]}"#;
    assert_eq!(searched(&[other, empty]).await, (Ok(Search::Absent), vec![page(1), page(2)]));
    // As many pages as are searched, without the end of the list, prove nothing.
    assert_eq!(searched(&[other; MAX_PAGES]).await.0, Ok(Search::Inconclusive));
    let (failed, _) = searched(&[r#"{"code":1302,"message":"too fast"}"#]).await;
    assert!(matches!(failed, Err(error) if error.is_safe_to_retry()));
}
