//! The encoding of requests to DashScope, the parsing of its responses, and the search for lost submissions.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    super::common::{exchange::Response, testing},
    PROVIDER_ID, entries, request,
    response::{self, TaskList, parse_poll, parse_submission},
    search::{Candidate, query, search},
};
use crate::{
    config::Wan,
    error::ProviderError,
    media::MediaType,
    model_facts::FactsTable,
    video::{
        Clip, LostSubmission, Operation, Progress, RenderRequest, RenderUsage, Search, Slot, UpstreamTask,
        inputs::{InputContent, InputRole, InputSource, RenderInput, StoredInput},
        parameters::VideoParameters,
        testing::request as job_request,
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

/// Returns a request for 5 seconds in 720P 16:9, after `change`.
fn request(inputs: Vec<RenderInput>, change: impl FnOnce(&mut VideoParameters)) -> RenderRequest {
    let mut parameters = VideoParameters {
        width: 1280,
        height: 720,
        seconds: 5,
        resolution: "720P".to_owned(),
        aspect_ratio: "16:9".to_owned(),
        // Of the stored inputs, the encoding reads the roles only.
        inputs: inputs
            .iter()
            .map(|input| StoredInput { role: input.role, source: InputSource::Link(String::new()) })
            .collect(),
        ..job_request().parameters
    };
    change(&mut parameters);
    RenderRequest { parameters, inputs, slot: Slot::default() }
}

fn encoded(model: &str, inputs: Vec<RenderInput>, change: impl FnOnce(&mut VideoParameters)) -> Value {
    let facts = FactsTable::default().find(PROVIDER_ID, model);
    serde_json::from_str(&request::encode(model, &facts, &request(inputs, change)).unwrap()).unwrap()
}

#[test]
fn video_to_edit_or_extend_decides_ratio_and_the_model_of_the_family() {
    let encoded = |model, operation| {
        let source = vec![link(InputRole::Source, "https://a.test/v")];
        encoded(model, source, |parameters| (parameters.operation, parameters.seconds) = (operation, 12))
    };
    let media = |kind: &str| json!([{"type": kind, "url": "https://a.test/v"}]);
    let parameters = json!({"resolution": "720P", "watermark": false});
    let expected = json!({"model": "wan2.7-videoedit", "input": {"prompt": "a boat", "media": media("video")},
        "parameters": parameters});
    assert_eq!(encoded("wan2.7", Operation::Edit), expected);
    assert_eq!(encoded("wan2.7-videoedit", Operation::Edit), expected);
    let expected = json!({"model": "wan2.7-i2v", "input": {"prompt": "a boat", "media": media("first_clip")},
        "parameters": {"resolution": "720P", "duration": 12, "watermark": false}});
    assert_eq!(encoded("wan2.7", Operation::Extend), expected);
    let kling = encoded("kling/kling-v3-omni-video-generation", Operation::Edit);
    assert_eq!((&kling["input"]["media"], &kling["parameters"]["aspect_ratio"]), (&media("base"), &Value::Null));
}

#[test]
fn newer_models_get_all_inputs_in_one_list() {
    let body = encoded("wan3.0-video", vec![image(InputRole::FirstFrame), image(InputRole::LastFrame)], |parameters| {
        parameters.generate_audio = Some(false);
        parameters.negative_prompt = "rain".to_owned();
    });
    let expected = json!({
        "model": "wan3.0-video",
        "input": {"prompt": "a boat", "negative_prompt": "rain", "media": [
            {"type": "first_frame", "url": "data:image/png;base64,YQ=="},
            {"type": "last_frame", "url": "data:image/png;base64,YQ=="}]},
        "parameters": {"resolution": "720P", "ratio": "adaptive", "duration": 5, "audio": false, "watermark": false},
    });
    assert_eq!(body, expected);
    let references = vec![
        link(InputRole::Image, "oss://a"),
        link(InputRole::Video, "https://a.test/v"),
        link(InputRole::Sound, "https://a.test/s"),
    ];
    let body = encoded("wan3.0-video", references, |_| {});
    let kinds: Vec<_> = body["input"]["media"].as_array().unwrap().iter().map(|entry| &entry["type"]).collect();
    assert_eq!(kinds, ["reference_image", "reference_video", "reference_audio"]);
    assert_eq!(body["parameters"]["ratio"], "16:9");
}

#[test]
fn family_name_stands_for_the_model_of_each_kind_of_input() {
    let name = |model, inputs| encoded(model, inputs, |_| {})["model"].clone();
    let frame = || vec![image(InputRole::FirstFrame)];
    for (model, inputs, expected) in [
        ("wan2.7", vec![], "wan2.7-t2v"),
        ("wan2.7", frame(), "wan2.7-i2v"),
        ("wan2.6", frame(), "wan2.6-i2v"),
        ("wan2.5", vec![], "wan2.5-t2v-preview"),
        ("happyhorse-1.1", vec![image(InputRole::Image)], "happyhorse-1.1-r2v"),
        ("wan2.6-t2v", vec![], "wan2.6-t2v"),
        ("something-new", frame(), "something-new"),
    ] {
        assert_eq!(name(model, inputs), expected, "{model}");
    }
}

#[test]
fn older_models_get_a_size_in_pixels_unless_there_is_an_image() {
    let body = encoded("wan2.6", vec![], |_| {});
    assert_eq!(body["parameters"], json!({"size": "1280*720", "duration": 5, "watermark": false}));
    let body = encoded("wan2.6", vec![image(InputRole::FirstFrame)], |_| {});
    assert_eq!(body["input"], json!({"prompt": "a boat", "img_url": "data:image/png;base64,YQ=="}));
    assert_eq!(body["parameters"], json!({"resolution": "720P", "duration": 5, "watermark": false}));
    let body = encoded("wan2.6-t2v", vec![link(InputRole::Sound, "https://a.test/s")], |_| {});
    assert_eq!(body["input"]["audio_url"], "https://a.test/s");
    let references = vec![image(InputRole::Image), link(InputRole::Video, "https://a.test/v")];
    let body = encoded("wan2.6-r2v", references, |_| {});
    assert_eq!(body["input"]["reference_urls"], json!(["data:image/png;base64,YQ==", "https://a.test/v"]));
}

#[test]
fn first_and_last_frame_have_members_and_a_path_of_their_own() {
    let model = "wan2.2-kf2v-flash";
    let body = encoded(model, vec![image(InputRole::FirstFrame), image(InputRole::LastFrame)], |_| {});
    let url = "data:image/png;base64,YQ==";
    assert_eq!(body["input"], json!({"prompt": "a boat", "first_frame_url": url, "last_frame_url": url}));
    let path = |model| request::path(&FactsTable::default().find(PROVIDER_ID, model));
    assert_eq!(path(model), "image2video/video-synthesis");
    assert_eq!(path("wan2.6"), "video-generation/video-synthesis");
}

#[test]
fn kling_models_get_the_members_of_kling_and_shots_in_the_input() {
    let model = "kling/kling-v3-omni-video-generation";
    let inputs = vec![link(InputRole::Image, "https://a.test/i"), link(InputRole::Video, "https://a.test/v")];
    let body = encoded(model, inputs, |parameters| {
        parameters.generate_audio = Some(true);
        parameters.extra_json = r#"{"multi_shot":true,"shot_type":"customize","mode":"pro"}"#.to_owned();
    });
    let expected = json!({
        "model": model,
        "input": {"prompt": "a boat", "multi_shot": true, "shot_type": "customize", "media": [
            {"type": "refer", "url": "https://a.test/i"}, {"type": "feature", "url": "https://a.test/v"}]},
        "parameters": {"mode": "std", "aspect_ratio": "16:9", "duration": 5, "audio": true, "watermark": false},
    });
    assert_eq!(body, expected);
}

#[test]
fn members_of_the_client_do_not_replace_those_of_the_request() {
    let body = encoded("wan2.6", vec![], |parameters| {
        parameters.seed = Some(-1);
        parameters.extra_json = r#"{"n":4,"media":[],"size":"1*1","shot_type":"multi","prompt_extend":false,
            "watermark":true,"audio_url":"https://a.test/s"}"#
            .to_owned();
    });
    let expected = json!({"size": "1280*720", "duration": 5, "seed": 2_147_483_647, "shot_type": "multi",
        "prompt_extend": false, "watermark": true});
    assert_eq!(body["parameters"], expected);
    assert_eq!(body["input"], json!({"prompt": "a boat", "audio_url": "https://a.test/s"}));
}

#[test]
fn videos_and_sounds_must_be_urls_and_oss_urls_are_recognized() {
    let facts = FactsTable::default().find(PROVIDER_ID, "wan3.0-video");
    for role in [InputRole::Video, InputRole::Sound] {
        let result = request::encode("wan3.0-video", &facts, &request(vec![image(role)], |_| {}));
        assert!(matches!(result, Err(ProviderError::NotSupported(_))), "{role:?}");
    }
    assert!(request::has_oss_input(&request(vec![link(InputRole::Image, "oss://a")], |_| {})));
    assert!(!request::has_oss_input(&request(vec![link(InputRole::Image, "https://a")], |_| {})));
}

fn reply(status: u16, body: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    Response { status, headers: HeaderMap::new(), body: body.to_owned().into() }
}

#[test]
fn new_states_are_work_in_progress_and_the_state_unknown_is_a_missing_task() {
    let interval = Duration::from_secs(5);
    let poll =
        |status: &str| parse_poll(&reply(200, &format!(r#"{{"output":{{"task_status":"{status}"}}}}"#)), interval);
    for status in ["PENDING", "RUNNING", "SUSPENDED", "WARMING"] {
        assert_eq!(poll(status), Ok(Progress::Working { percent: None, poll_after: interval }), "{status}");
    }
    assert_eq!(poll("UNKNOWN"), Ok(Progress::Missing));
    assert_eq!(poll("CANCELED"), Ok(Progress::Cancelled));
    assert_eq!(poll("SUCCEEDED"), Ok(Progress::Ready(Clip::new([]))));
    assert!(matches!(poll("FAILED"), Ok(Progress::Failed(ProviderError::Broken(_)))));
}

#[test]
fn billed_seconds_are_those_of_inputs_and_result_and_odd_ones_count_as_not_reported() {
    let usage_of = |usage: &str| {
        let task = format!(r#"{{"output":{{"task_status":"SUCCEEDED"}},"usage":{usage}}}"#);
        match parse_poll(&reply(200, &task), Duration::from_secs(5)) {
            Ok(Progress::Ready(clip)) => clip.usage,
            other => panic!("{other:?}"),
        }
    };
    let seconds = |millis| RenderUsage { video_millis: Some(millis), cost: None };
    let billed = r#"{"duration":8.5,"input_video_duration":3.5,"output_video_duration":5,"SR":720}"#;
    assert_eq!(usage_of(billed), seconds(8_500));
    assert_eq!(usage_of(r#"{"duration":"5"}"#), seconds(5_000));
    for odd in ["null", "7", "{}", r#"{"duration":0}"#, r#"{"duration":-1}"#, r#"{"duration":[5]}"#] {
        assert_eq!(usage_of(odd), RenderUsage::default(), "{odd}");
    }
}

#[test]
fn submission_to_an_unknown_model_fails_the_job_whatever_the_status() {
    for (status, body) in [
        (404, r#"{"code":"ModelNotFound","message":"no model"}"#),
        (200, r#"{"code":"ModelNotFound","message":"no model"}"#),
        (200, r#"{"output":{"code":"InvalidParameter","message":"no model"}}"#),
    ] {
        let error = parse_submission(&reply(status, body)).unwrap_err();
        assert!(matches!(error.failure(), ProviderError::Refused { .. }), "{status}: {error:?}");
    }
}

fn lost() -> LostSubmission {
    let parameters = VideoParameters { prompt: "a boat".to_owned(), ..VideoParameters::default() };
    // 2026-11-22 10:30:00 UTC.
    LostSubmission {
        job_id: "video_1".to_owned(),
        model: "wan3.0-video".to_owned(),
        parameters,
        submitted_at: 1_795_343_400,
    }
}

#[test]
fn search_covers_the_time_of_the_submission_in_beijing() {
    let expected =
        "model_name=kling%2Fkling-v3&start_time=20261122182930&end_time=20261122183230&page_no=1&page_size=50";
    assert_eq!(query("kling/kling-v3", lost().submitted_at), expected);
}

#[test]
fn only_task_with_the_prompt_is_found_once_all_have_ended() {
    let task = |id: &str, prompt: Option<&str>| Candidate {
        id: id.to_owned(),
        prompt: prompt.map(str::to_owned),
        has_ended: true,
    };
    // `failed` has no prompt: it may be the task of the submission.
    let (mine, other, failed) = (task("1", Some("a boat")), task("2", Some("a ship")), task("3", None));
    let found = Search::Found(UpstreamTask("1".to_owned()));
    assert_eq!(search(&lost(), vec![other.clone(), mine.clone()]), Ok(found));
    for tasks in
        [vec![], vec![other], vec![mine.clone(), mine.clone()], vec![mine.clone(), failed.clone()], vec![failed]]
    {
        assert_eq!(search(&lost(), tasks.clone()), Ok(Search::Inconclusive), "{tasks:?}");
    }
    let running = Candidate { has_ended: false, ..task("3", None) };
    assert!(matches!(search(&lost(), vec![mine, running]), Err(error) if error.is_safe_to_retry()));
}

#[test]
fn list_and_prompt_of_tasks_are_read() {
    let list = reply(200, r#"{"total":2,"total_page":1,"data":[{"task_id":"1"},{"task_id":"2"}]}"#);
    assert_eq!(
        response::parse_list(&list),
        Ok(TaskList { ids: vec!["1".to_owned(), "2".to_owned()], has_more: false })
    );
    assert_eq!(
        response::parse_list(&reply(200, r#"{"data":[],"total_page":2}"#)),
        Ok(TaskList { ids: Vec::new(), has_more: true })
    );
    assert!(response::parse_list(&reply(401, r#"{"code":"InvalidApiKey","message":"m"}"#)).is_err());
    assert_eq!(
        response::parse_prompt(&reply(200, r#"{"output":{"orig_prompt":"a boat"}}"#)).as_deref(),
        Some("a boat")
    );
}

async fn find(bodies: &[&str]) -> (Result<Search, ProviderError>, Vec<String>) {
    let entries = |address, context: &_| {
        let settings = Wan { base_url: Some(address), api_key: Some("key".into()), ..Wan::default() };
        entries(&settings, context)
    };
    testing::search("wan2.6", bodies, entries).await
}

#[tokio::test]
async fn lost_submission_is_found_by_the_prompt_of_a_listed_task() {
    let list = r#"{"total_page":1,"data":[{"task_id":"1"},{"task_id":"2"}]}"#;
    let task = |prompt: &str| json!({"output": {"task_status": "SUCCEEDED", "orig_prompt": prompt}}).to_string();
    let (found, paths) = find(&[list, &task("a ship"), &task("a boat")]).await;
    assert_eq!(found, Ok(Search::Found(UpstreamTask("2".to_owned()))));
    assert!(paths[0].starts_with("/api/v1/tasks?model_name=wan2.6-t2v&start_time=20261122182930&"), "{paths:?}");
    assert_eq!(paths[1..], ["/api/v1/tasks/1", "/api/v1/tasks/2"]);
}

#[tokio::test]
async fn failed_poll_of_a_listed_task_is_the_error_of_the_search() {
    let list = r#"{"total_page":1,"data":[{"task_id":"1"}]}"#;
    let (found, _) = find(&[list, r#"{"code":"Throttling.RateQuota","message":"too many requests"}"#]).await;
    assert!(matches!(&found, Err(error) if error.is_transient()), "{found:?}");
}
