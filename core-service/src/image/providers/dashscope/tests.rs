use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    answer::{read, refusal},
    family::Family,
    request::{Plan, write},
};
use crate::{
    error::ProviderError,
    image::{Background, Encoding, ImageSpec, Quality, Style},
    media::{InputPicture, MediaType},
    size::Size,
};

fn spec() -> ImageSpec {
    ImageSpec {
        prompt: "a boat".to_owned(),
        n: 1,
        size: Some(Size::new(1024, 1024)),
        quality: Quality::Auto,
        style: None,
        background: Background::Auto,
        seed: None,
        user: "me".to_owned(),
        pictures: Vec::new(),
        mask: None,
        partial_images: 0,
        format: Encoding::Png,
        extra_json: String::new(),
    }
}

fn body(family: Family, spec: &ImageSpec, first: u32, n: u32) -> Value {
    serde_json::from_slice(&write("m", spec, Plan::of(family, spec).unwrap(), first, n)).unwrap()
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
    let picture = InputPicture { bytes: vec![1, 2, 3].into(), format: MediaType::Webp, size: Size::new(8, 8) };
    let edit = body(Family::QwenEdit, &ImageSpec { pictures: vec![picture], ..spec() }, 0, 1);
    let expected = json!([{"image": "data:image/webp;base64,AQID"}, {"text": "a boat"}]);
    assert_eq!((&edit["input"]["messages"][0]["content"], edit["parameters"].get("size")), (&expected, None));
    assert!(matches!(Plan::of(Family::QwenEdit, &spec()), Err(ProviderError::NotSupported(_))));
    let clear = Plan::of(Family::Qwen2, &ImageSpec { background: Background::Transparent, ..spec() });
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
        (404, "ModelNotFound", |e| matches!(e, ProviderError::Unavailable(_))),
        (408, "RequestTimeOut", |e| matches!(e, ProviderError::Timeout(_))),
        (413, "BadRequest.TooLarge", |e| matches!(e, ProviderError::Refused { .. })),
        (429, "Throttling.RateQuota", |e| matches!(e, ProviderError::RateLimited { .. })),
        (500, "InternalError.Algo", |e| matches!(e, ProviderError::Broken(_))),
        (503, "ModelUnavailable", |e| matches!(e, ProviderError::Unavailable(_))),
    ];
    for (status, code, expected) in table {
        let body = json!({"code": code, "message": "words", "request_id": "1"}).to_string();
        let error = refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes());
        assert!(expected(&error) && error.to_string().contains("words"), "{status} {code}: {error:?}");
    }
}

#[test]
fn an_answer_gives_links_or_why_there_are_none() {
    let answer = |content: &Value| {
        json!({"request_id": "1", "output": {"choices": [
            {"finish_reason": "stop", "message": {"role": "assistant", "content": content}}]}})
    };
    let read = |answer: &Value| read(answer.to_string().as_bytes());
    let two = answer(&json!([{"image": "https://x.example/1"}, {"image": "https://x.example/2"}]));
    assert_eq!(read(&two).unwrap(), ["https://x.example/1", "https://x.example/2"]);
    let words = ProviderError::Refused { message: "no".into(), field: None };
    assert_eq!(read(&answer(&json!([{"text": "no"}]))), Err(words));
    assert!(matches!(read(&answer(&json!([]))), Err(ProviderError::Unreadable(_))));
    let blocked = read(&json!({"code": "DataInspectionFailed", "message": "no", "request_id": "1"}));
    assert_eq!(blocked, Err(ProviderError::ContentPolicy("no".into())));
    let unknown = read(&json!({"code": "SomethingNew", "message": "no"}));
    assert_eq!(unknown, Err(ProviderError::Broken("no".into())));
}
