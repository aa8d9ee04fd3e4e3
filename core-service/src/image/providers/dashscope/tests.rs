use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    super::{
        picture::{Item, Picture},
        tasks::{Look, Stage},
        tests::spec as bare,
    },
    answer::{Output, read, refusal, submitted},
    family::{Family, Way},
    request::{Plan, write},
};
use crate::{
    config::DashscopeImages,
    error::ProviderError,
    image::{Background, ImageSpec, Quality, Style},
    media::{InputPicture, MediaType},
    size::Size,
};

fn spec() -> ImageSpec {
    ImageSpec { size: Some(Size::new(1024, 1024)), user: "me".to_owned(), ..bare() }
}

fn asked(family: Family, way: Way, spec: &ImageSpec, first: u32, n: u32) -> Value {
    serde_json::from_slice(&write("m", spec, Plan::of(family, way, spec).unwrap(), first, n)).unwrap()
}

fn body(family: Family, spec: &ImageSpec, first: u32, n: u32) -> Value {
    asked(family, Way::Call, spec, first, n)
}

#[test]
fn a_family_is_told_by_the_name() {
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
fn each_family_is_asked_for_a_size_that_it_takes_and_that_covers_the_one_wanted() {
    let table = [
        (Family::Qwen1, ["1328x1328", "1328x1328", "1664x928", "1328x1328"]),
        (Family::Qwen2, ["512x512", "1024x1024", "1792x1024", "2048x2048"]),
        (Family::Wan, ["1280x1280", "1280x1280", "1792x1024", "1440x1440"]),
        (Family::Wan25Edit, ["768x768", "1024x1024", "1693x967", "1280x1280"]),
        (Family::Wan2, ["512x512", "1024x1024", "1440x823", "1440x1440"]),
        (Family::Wanx1, ["1024x1024", "1024x1024", "1280x720", "1024x1024"]),
    ];
    for (family, expected) in table {
        for (asked, expected) in ["256x256", "1024x1024", "1792x1024", "4096x4096"].into_iter().zip(expected) {
            let native = family.native(asked.parse().unwrap()).unwrap();
            assert_eq!(native.to_string(), expected, "{asked} from {family:?}");
        }
    }
}

#[test]
fn what_is_said_about_a_picture_goes_into_the_parameters() {
    let mut asked = spec();
    (asked.seed, asked.style) = (Some(i64::MAX), Some(Style::Vivid));
    asked.extra_json = r#"{"negative_prompt":"fog","prompt_extend":false,"size":"1*1"}"#.to_owned();
    let expected = json!({
        "model": "m",
        "input": {"messages": [{"role": "user", "content": [{"text": "a boat\n\nStyle: vivid"}]}]},
        "parameters": {"size": "1024*1024", "n": 2, "seed": 0, "watermark": false, "negative_prompt": "fog", "prompt_extend": false},
    });
    assert_eq!(body(Family::Qwen2, &asked, 1, 2), expected);
    let first = body(Family::Qwen1, &ImageSpec { extra_json: r#"{"watermark":true}"#.to_owned(), ..spec() }, 0, 1);
    assert_eq!(first["parameters"], json!({"size": "1328*1328", "watermark": true}));
    let finer = body(Family::Qwen2, &ImageSpec { quality: Quality::Hd, ..spec() }, 0, 1);
    assert_eq!(finer["parameters"]["size"], "2048*2048");
}

#[test]
fn pictures_to_start_from_stand_before_the_words() {
    let picture =
        InputPicture { bytes: vec![1, 2, 3].into(), format: MediaType::Webp, size: Size::new(8, 8), has_alpha: true };
    let edit = body(Family::QwenEdit, &ImageSpec { pictures: vec![picture], ..spec() }, 0, 1);
    let expected = json!([{"image": "data:image/webp;base64,AQID"}, {"text": "a boat"}]);
    assert_eq!((&edit["input"]["messages"][0]["content"], edit["parameters"].get("size")), (&expected, None));
    for family in [Family::QwenEdit, Family::Wan25Edit] {
        assert!(matches!(Plan::of(family, Way::Task, &spec()), Err(ProviderError::NotSupported(_))));
    }
    let clear = Plan::of(Family::Qwen2, Way::Call, &ImageSpec { background: Background::Transparent, ..spec() });
    assert!(matches!(clear, Err(ProviderError::Refused { field: Some(field), .. }) if field == "background"));
}

#[test]
fn every_code_becomes_what_a_caller_can_act_on() {
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
        let error = refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes());
        assert!(expected(&error) && error.to_string().contains("words"), "{status} {code}: {error:?}");
    }
}

#[test]
fn names_with_a_star_say_which_models_are_asked_by_tasks() {
    let tasks = DashscopeImages::default().tasks;
    for model in ["wan2.5-t2i-preview", "wan2.2-t2i-plus", "wan2.1-t2i-turbo", "wanx2.0-t2i-turbo", "wanx-v1"] {
        assert_eq!(Way::of(model, &tasks), Way::Task, "{model}");
    }
    for model in ["wan2.6-t2i", "qwen-image", "qwen-image-2.0"] {
        assert_eq!(Way::of(model, &tasks), Way::Call, "{model}");
    }
    let one = ["qwen-image".to_owned()];
    assert_eq!((Way::of("qwen-image", &one), Way::of("qwen-image-plus", &one)), (Way::Task, Way::Call));
}

#[test]
fn tasks_of_older_models_have_a_prompt_where_others_have_messages() {
    let picture =
        InputPicture { bytes: vec![1, 2, 3].into(), format: MediaType::Webp, size: Size::new(8, 8), has_alpha: true };
    let extra_json = r#"{"negative_prompt":"fog","prompt_extend":false}"#.to_owned();
    let with = ImageSpec { pictures: vec![picture], extra_json, ..spec() };
    let edit = asked(Family::Wan25Edit, Way::Task, &with, 0, 2);
    let expected = json!({
        "model": "m",
        "input": {"prompt": "a boat", "images": ["data:image/webp;base64,AQID"], "negative_prompt": "fog"},
        "parameters": {"size": "1024*1024", "n": 2, "watermark": false, "prompt_extend": false},
    });
    assert_eq!(edit, expected);
    let first = asked(Family::Wanx1, Way::Task, &spec(), 0, 1);
    assert_eq!(first["parameters"], json!({"size": "1024*1024", "n": 1}), "it knows no watermark");
    let newer = asked(Family::Wan, Way::Task, &spec(), 0, 1);
    assert_eq!(newer["input"]["messages"][0]["content"], json!([{"text": "a boat"}]));
    let path = |family, spec: &ImageSpec| Plan::of(family, Way::Task, spec).unwrap().path();
    assert_eq!(path(Family::Wan, &spec()), "image-generation/generation");
    assert_eq!(path(Family::Qwen1, &spec()), "text2image/image-synthesis");
    assert_eq!(path(Family::Wan25Edit, &with), "image2image/image-synthesis");
}

fn made(link: &str, revised: &str) -> Item {
    Item { picture: Ok(Picture::Link(link.to_owned())), revised_prompt: revised.to_owned() }
}

#[test]
fn an_answer_gives_links_or_why_there_are_none() {
    let answer = |content: &Value| {
        json!({"request_id": "1", "output": {"choices": [
            {"finish_reason": "stop", "message": {"role": "assistant", "content": content}}]}})
    };
    let read = |answer: &Value| read(answer.to_string().as_bytes());
    let two = answer(&json!([{"image": "https://x.example/1"}, {"image": "https://x.example/2"}]));
    assert_eq!(read(&two).unwrap(), [made("https://x.example/1", ""), made("https://x.example/2", "")]);
    let words = ProviderError::Refused { message: "no".into(), field: None };
    assert_eq!(read(&answer(&json!([{"text": "no"}]))), Err(words));
    assert!(matches!(read(&answer(&json!([]))), Err(ProviderError::Unreadable(_))));
    let blocked = read(&json!({"code": "DataInspectionFailed", "message": "no", "request_id": "1"}));
    assert_eq!(blocked, Err(ProviderError::ContentPolicy("no".into())));
    let unknown = read(&json!({"code": "SomethingNew", "message": "no"}));
    assert_eq!(unknown, Err(ProviderError::Broken("no".into())));
}

#[test]
fn a_submission_names_its_task_or_says_why_there_is_none() {
    let read = |answer: &Value| submitted(answer.to_string().as_bytes());
    assert_eq!(read(&json!({"output": {"task_id": "t-1", "task_status": "PENDING"}, "code": ""})).unwrap(), "t-1");
    let limited = ProviderError::RateLimited { message: "slower".into(), retry_after: None };
    assert_eq!(read(&json!({"code": "Throttling.RateQuota", "message": "slower"})), Err(limited));
    assert!(matches!(read(&json!({"request_id": "1"})), Err(ProviderError::Unreadable(_))));
    assert!(matches!(submitted(b"<html>"), Err(ProviderError::Unreadable(_))));
}

fn look(status: u16, body: &Value) -> Result<Option<Output>, ProviderError> {
    Output::read(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.to_string().as_bytes())
}

#[test]
fn a_task_is_running_until_it_says_otherwise() {
    let stage = |output: &Value| look(200, &json!({"output": output})).unwrap().unwrap().stage();
    for state in ["PENDING", "RUNNING", "SUSPENDED", "SOMETHING_NEW"] {
        assert_eq!(stage(&json!({"task_id": "1", "task_status": state})), Stage::Running, "{state}");
    }
    assert_eq!(stage(&json!({"task_status": "SUCCEEDED"})), Stage::Done);
    let failed = json!({"task_status": "FAILED", "code": "DataInspectionFailed", "message": "no"});
    assert_eq!(stage(&failed), Stage::Failed(ProviderError::ContentPolicy("no".into())));
    for over in [json!({"task_status": "FAILED"}), json!({"task_status": "CANCELED"})] {
        assert!(matches!(stage(&over), Stage::Failed(ProviderError::Broken(_))), "{over}");
    }
    // Too old, of another region, or too new: whoever looks asks again for a while.
    assert!(look(200, &json!({"output": {"task_id": "1", "task_status": "UNKNOWN"}})).unwrap().is_none());
    let limited = look(429, &json!({"code": "Throttling", "message": "slower"}));
    assert!(matches!(limited, Err(ProviderError::RateLimited { .. })));
}

#[test]
fn each_picture_of_a_task_has_its_own_link_or_failure() {
    let output = json!({"output": {"task_status": "SUCCEEDED", "results": [
        {"url": "https://x.example/1", "orig_prompt": "a boat", "actual_prompt": "a small boat"},
        {"url": "https://x.example/2", "orig_prompt": "a boat", "actual_prompt": "a boat"},
        {"code": "InternalError.Timeout", "message": "late"},
        {},
    ]}});
    let mut pictures = look(200, &output).unwrap().unwrap().pictures().unwrap();
    assert!(matches!(pictures.pop().unwrap().picture, Err(ProviderError::Unreadable(_))));
    let expected = [
        made("https://x.example/1", "a small boat"),
        made("https://x.example/2", ""),
        Item { picture: Err(ProviderError::Timeout("late".into())), revised_prompt: String::new() },
    ];
    assert_eq!(pictures, expected);
}
