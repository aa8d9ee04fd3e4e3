//! Families, native sizes, request bodies, responses, task states and error codes of Qwen-Image and Wan.

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    super::common::{
        image_list::{ImageSource, UpstreamImage},
        tasks::{Progress, TaskStatus},
        testing::parameters as default_parameters,
    },
    family::{ApiMode, Family},
    request::{self, NativeParams},
    response::{Output, failure, parse, task_id},
};
use crate::{
    config::DashscopeImages,
    error::ProviderError,
    image::parameters::{Background, ImageParameters, Quality, Style},
    media::{InputPicture, MediaType},
    size::Size,
};

fn parameters() -> ImageParameters {
    ImageParameters { size: Some(Size::new(1024, 1024)), user: "me".to_owned(), ..default_parameters() }
}

fn body_in_mode(family: Family, mode: ApiMode, parameters: &ImageParameters, first: u32, n: u32) -> Value {
    let native = NativeParams::new(family, mode, parameters).unwrap();
    serde_json::from_slice(&request::body("m", parameters, native, first, n)).unwrap()
}

fn body(family: Family, parameters: &ImageParameters, first: u32, n: u32) -> Value {
    body_in_mode(family, ApiMode::Sync, parameters, first, n)
}

#[test]
fn family_follows_the_model_name() {
    for (model, family) in [
        ("qwen-image", Family::Qwen1),
        ("qwen-image-plus-2026-01-09", Family::Qwen1),
        ("qwen-image-edit-plus", Family::QwenEdit),
        ("qwen-image-2.0-pro", Family::Qwen2),
        ("qwen-image-3.0", Family::Qwen2),
        ("wan2.6-t2i", Family::Wan),
        ("wan2.5-t2i-preview", Family::Wan25),
        ("wan2.5-i2i-preview", Family::Wan25Edit),
        ("wan2.2-t2i-flash", Family::Wan2),
        ("wanx2.1-t2i-turbo", Family::Wan2),
        ("wanx-v1", Family::Wanx1),
        ("something-new", Family::Qwen2),
    ] {
        assert_eq!(Family::of(model), family, "{model}");
    }
}

#[test]
fn native_size_is_valid_for_the_family_and_covers_the_requested_one() {
    let table = [
        (Family::Qwen1, ["1328x1328", "1328x1328", "1664x928", "1328x1328"]),
        (Family::Qwen2, ["512x512", "1024x1024", "1792x1024", "2048x2048"]),
        (Family::Wan, ["1280x1280", "1280x1280", "1792x1024", "1440x1440"]),
        (Family::Wan25Edit, ["768x768", "1024x1024", "1693x967", "1280x1280"]),
        (Family::Wan2, ["512x512", "1024x1024", "1440x823", "1440x1440"]),
        (Family::Wanx1, ["1024x1024", "1024x1024", "1280x720", "1024x1024"]),
    ];
    for (family, expected) in table {
        for (requested, expected) in ["256x256", "1024x1024", "1792x1024", "4096x4096"].into_iter().zip(expected) {
            let native = family.native(requested.parse().unwrap()).unwrap();
            assert_eq!(native.to_string(), expected, "{requested} from {family:?}");
        }
    }
}

#[test]
fn request_fields_become_parameters() {
    let mut seeded = parameters();
    (seeded.seed, seeded.style) = (Some(i64::MAX), Some(Style::Vivid));
    seeded.extra_json = r#"{"negative_prompt":"fog","prompt_extend":false,"size":"1*1"}"#.to_owned();
    let expected = json!({
        "model": "m",
        "input": {"messages": [{"role": "user", "content": [{"text": "a boat\n\nStyle: vivid"}]}]},
        "parameters": {"size": "1024*1024", "n": 2, "seed": 0, "watermark": false, "negative_prompt": "fog", "prompt_extend": false},
    });
    // Two images, of which the first has the index 1: its seed, the largest plus one, becomes 0 in 31 bits.
    assert_eq!(body(Family::Qwen2, &seeded, 1, 2), expected);
    let first =
        body(Family::Qwen1, &ImageParameters { extra_json: r#"{"watermark":true}"#.to_owned(), ..parameters() }, 0, 1);
    assert_eq!(first["parameters"], json!({"size": "1328*1328", "watermark": true}));
    let high = body(Family::Qwen2, &ImageParameters { quality: Quality::Hd, ..parameters() }, 0, 1);
    assert_eq!(high["parameters"]["size"], "2048*2048");
}

#[test]
fn input_images_precede_the_prompt() {
    let picture =
        InputPicture { bytes: vec![1, 2, 3].into(), format: MediaType::Webp, size: Size::new(8, 8), has_alpha: true };
    let edit = body(Family::QwenEdit, &ImageParameters { pictures: vec![picture], ..parameters() }, 0, 1);
    let expected = json!([{"image": "data:image/webp;base64,AQID"}, {"text": "a boat"}]);
    assert_eq!((&edit["input"]["messages"][0]["content"], edit["parameters"].get("size")), (&expected, None));
    for family in [Family::QwenEdit, Family::Wan25Edit] {
        assert!(matches!(
            NativeParams::new(family, ApiMode::Async, &parameters()),
            Err(ProviderError::NotSupported(_))
        ));
    }
    let transparent = NativeParams::new(
        Family::Qwen2,
        ApiMode::Sync,
        &ImageParameters { background: Background::Transparent, ..parameters() },
    );
    assert!(matches!(transparent, Err(ProviderError::Refused { field: Some(field), .. }) if field == "background"));
}

#[test]
fn error_codes_map_to_provider_errors() {
    type Kind = fn(&ProviderError) -> bool;
    let table: [(u16, &str, Kind); 14] = [
        (400, "InvalidParameter", |e| matches!(e, ProviderError::Refused { .. })),
        (400, "InvalidParameter.DataInspection", |e| matches!(e, ProviderError::Refused { .. })),
        (400, "DataInspectionFailed", |e| matches!(e, ProviderError::ContentPolicy(_))),
        (400, "Arrearage", |e| matches!(e, ProviderError::Credentials(_))),
        (400, "SomethingNew", |e| matches!(e, ProviderError::Refused { .. })),
        (401, "InvalidApiKey", |e| matches!(e, ProviderError::Credentials(_))),
        (403, "AccessDenied.Unpurchased", |e| matches!(e, ProviderError::Credentials(_))),
        (403, "AllocationQuota.FreeTierOnly", |e| matches!(e, ProviderError::Credentials(_))),
        (404, "ModelNotFound", |e| matches!(e, ProviderError::Unavailable { .. })),
        (408, "RequestTimeOut", |e| matches!(e, ProviderError::Timeout(_))),
        (413, "BadRequest.TooLarge", |e| matches!(e, ProviderError::Refused { .. })),
        (429, "Throttling.RateQuota", |e| matches!(e, ProviderError::RateLimited { .. })),
        (500, "InternalError.Algo", |e| matches!(e, ProviderError::Broken(_))),
        (503, "ModelUnavailable", |e| matches!(e, ProviderError::Unavailable { .. })),
    ];
    for (status, code, expected) in table {
        let body = json!({"code": code, "message": "words", "request_id": "1"}).to_string();
        let error = failure(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes());
        assert!(expected(error.failure()) && error.to_string().contains("words"), "{status} {code}: {error:?}");
    }
}

#[test]
fn task_patterns_select_the_api_mode() {
    let tasks = DashscopeImages::default().tasks;
    for model in ["wan2.5-t2i-preview", "wan2.2-t2i-plus", "wan2.1-t2i-turbo", "wanx2.0-t2i-turbo", "wanx-v1"] {
        assert_eq!(ApiMode::of(model, &tasks), ApiMode::Async, "{model}");
    }
    for model in ["wan2.6-t2i", "qwen-image", "qwen-image-2.0"] {
        assert_eq!(ApiMode::of(model, &tasks), ApiMode::Sync, "{model}");
    }
    let one = ["qwen-image".to_owned()];
    assert_eq!(
        (ApiMode::of("qwen-image", &one), ApiMode::of("qwen-image-plus", &one)),
        (ApiMode::Async, ApiMode::Sync)
    );
}

#[test]
fn older_models_have_a_prompt_instead_of_messages() {
    let picture =
        InputPicture { bytes: vec![1, 2, 3].into(), format: MediaType::Webp, size: Size::new(8, 8), has_alpha: true };
    let extra_json = r#"{"negative_prompt":"fog","prompt_extend":false}"#.to_owned();
    let edit_parameters = ImageParameters { pictures: vec![picture], extra_json, ..parameters() };
    let edit = body_in_mode(Family::Wan25Edit, ApiMode::Async, &edit_parameters, 0, 2);
    let expected = json!({
        "model": "m",
        "input": {"prompt": "a boat", "images": ["data:image/webp;base64,AQID"], "negative_prompt": "fog"},
        "parameters": {"size": "1024*1024", "n": 2, "watermark": false, "prompt_extend": false},
    });
    assert_eq!(edit, expected);
    let first = body_in_mode(Family::Wanx1, ApiMode::Async, &parameters(), 0, 1);
    assert_eq!(first["parameters"], json!({"size": "1024*1024", "n": 1}), "without watermark");
    let newer = body_in_mode(Family::Wan, ApiMode::Async, &parameters(), 0, 1);
    assert_eq!(newer["input"]["messages"][0]["content"], json!([{"text": "a boat"}]));
    let path =
        |family, parameters: &ImageParameters| NativeParams::new(family, ApiMode::Async, parameters).unwrap().path();
    assert_eq!(path(Family::Wan, &parameters()), "image-generation/generation");
    assert_eq!(path(Family::Qwen1, &parameters()), "text2image/image-synthesis");
    assert_eq!(path(Family::Wan25Edit, &edit_parameters), "image2image/image-synthesis");
}

/// Returns the error without the members of the upstream's error.
fn failure_of<T>(result: Result<T, ProviderError>) -> ProviderError {
    result.map(drop).unwrap_err().failure().clone()
}

fn linked(link: &str, revised: &str) -> UpstreamImage {
    UpstreamImage { source: Ok(ImageSource::Link(link.to_owned())), revised_prompt: revised.to_owned() }
}

#[test]
fn response_has_links_or_an_error() {
    let response = |content: &Value| {
        json!({"request_id": "1", "output": {"choices": [
            {"finish_reason": "stop", "message": {"role": "assistant", "content": content}}]}})
    };
    let parse = |response: &Value| parse(response.to_string().as_bytes());
    let two = response(&json!([{"image": "https://x.example/1"}, {"image": "https://x.example/2"}]));
    assert_eq!(parse(&two).unwrap(), [linked("https://x.example/1", ""), linked("https://x.example/2", "")]);
    let refused = ProviderError::Refused { message: "no".into(), field: None };
    assert_eq!(parse(&response(&json!([{"text": "no"}]))), Err(refused));
    assert!(matches!(parse(&response(&json!([]))), Err(ProviderError::Unreadable(_))));
    let blocked = parse(&json!({"code": "DataInspectionFailed", "message": "no", "request_id": "1"}));
    assert_eq!(blocked.as_ref().unwrap_err().details().unwrap().code, "DataInspectionFailed");
    assert_eq!(failure_of(blocked), ProviderError::ContentPolicy("no".into()));
    let unknown = parse(&json!({"code": "SomethingNew", "message": "no"}));
    assert_eq!(failure_of(unknown), ProviderError::Broken("no".into()));
}

#[test]
fn submission_returns_the_task_id_or_an_error() {
    let task_id_of = |response: &Value| task_id(response.to_string().as_bytes());
    assert_eq!(
        task_id_of(&json!({"output": {"task_id": "t-1", "task_status": "PENDING"}, "code": ""})).unwrap(),
        "t-1"
    );
    let limited = ProviderError::RateLimited { message: "slower".into(), retry_after: None };
    assert_eq!(failure_of(task_id_of(&json!({"code": "Throttling.RateQuota", "message": "slower"}))), limited);
    assert!(matches!(task_id_of(&json!({"request_id": "1"})), Err(ProviderError::Unreadable(_))));
    assert!(matches!(task_id(b"<html>"), Err(ProviderError::Unreadable(_))));
}

fn poll(status: u16, body: &Value) -> Result<Option<Output>, ProviderError> {
    Output::parse(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.to_string().as_bytes())
}

#[test]
fn unknown_task_states_count_as_running() {
    let progress = |output: &Value| poll(200, &json!({"output": output})).unwrap().unwrap().progress();
    for state in ["PENDING", "RUNNING", "SUSPENDED", "SOMETHING_NEW"] {
        assert_eq!(progress(&json!({"task_id": "1", "task_status": state})), Progress::Running, "{state}");
    }
    assert_eq!(progress(&json!({"task_status": "SUCCEEDED"})), Progress::Succeeded);
    let failed = json!({"task_status": "FAILED", "code": "DataInspectionFailed", "message": "no"});
    let Progress::Failed(error) = progress(&failed) else { panic!() };
    assert_eq!(*error.failure(), ProviderError::ContentPolicy("no".into()));
    for over in [json!({"task_status": "FAILED"}), json!({"task_status": "CANCELED"})] {
        assert!(matches!(progress(&over), Progress::Failed(ProviderError::Broken(_))), "{over}");
    }
    // Expired, of another region, or submitted just now: polled again a few times.
    assert!(poll(200, &json!({"output": {"task_id": "1", "task_status": "UNKNOWN"}})).unwrap().is_none());
    let limited = poll(429, &json!({"code": "Throttling", "message": "slower"}));
    assert!(matches!(failure_of(limited), ProviderError::RateLimited { .. }));
}

#[test]
fn each_image_of_a_task_has_a_link_or_an_error() {
    let output = json!({"output": {"task_status": "SUCCEEDED", "results": [
        {"url": "https://x.example/1", "orig_prompt": "a boat", "actual_prompt": "a small boat"},
        {"url": "https://x.example/2", "orig_prompt": "a boat", "actual_prompt": "a boat"},
        {"code": "InternalError.Timeout", "message": "late"},
        {},
    ]}});
    let mut images = poll(200, &output).unwrap().unwrap().images().unwrap();
    assert!(matches!(images.pop().unwrap().source, Err(ProviderError::Unreadable(_))));
    assert_eq!(failure_of(images.pop().unwrap().source), ProviderError::Timeout("late".into()));
    assert_eq!(images, [linked("https://x.example/1", "a small boat"), linked("https://x.example/2", "")]);
}

#[test]
fn unexpected_values_beside_an_image_do_not_fail_it() {
    let link = "https://x.example/1";
    let parts = json!([{"image": 7, "text": [1]}, 7, null, {"image": link, "text": {}}]);
    for output in [
        json!({"choices": [{"message": {"content": parts, "role": 7}, "finish_reason": {}}, 7, null], "results": "x"}),
        json!({"choices": {"message": {"content": {"image": link}}}, "task_id": 7, "task_status": []}),
        json!({"choices": null, "results": [{"url": link, "actual_prompt": {}, "code": null}]}),
    ] {
        let response = json!({"output": output, "usage": "none", "code": {}, "message": 7});
        let images = parse(response.to_string().as_bytes()).unwrap();
        assert_eq!(images[0], linked(link, ""), "{response}");
    }
    let task =
        json!({"output": {"task_status": "Succeeded", "task_id": 17, "progress": "45%", "results": [{"url": link}]}});
    let task = poll(200, &task).unwrap().unwrap();
    assert_eq!((task.progress(), task.images().unwrap()), (Progress::Succeeded, vec![linked(link, "")]));
    assert_eq!(task_id(br#"{"output":{"task_id":17}}"#).as_deref(), Ok("17"));
}
