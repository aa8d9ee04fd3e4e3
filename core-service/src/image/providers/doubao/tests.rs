//! Families, native sizes, request bodies, responses, events and error codes of Seedream.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    super::common::{
        image_list::{ImageSource, UpstreamImage},
        testing::parameters as default_parameters,
    },
    family::Family,
    request::{self, NativeParams},
    response::{SeriesEvent, failure, parse, parse_event},
};
use crate::{
    config::SeedreamFamily,
    error::ProviderError,
    image::{
        Usage,
        parameters::{Background, Encoding, ImageParameters, Quality, Style},
    },
    media::{InputPicture, MediaType},
    size::Size,
};

fn parameters() -> ImageParameters {
    ImageParameters { size: Some(Size::new(1024, 1024)), user: "me".to_owned(), ..default_parameters() }
}

/// Returns an input image of 1600x900 pixels, whose bytes are `AQID` in base64.
fn input(format: MediaType) -> InputPicture {
    InputPicture { bytes: vec![1, 2, 3].into(), format, size: Size::new(1600, 900), has_alpha: false }
}

fn body(family: Family, parameters: &ImageParameters, index: u32) -> Value {
    let native = NativeParams::new(family, parameters).unwrap();
    let watermark = false;
    serde_json::from_slice(&request::body("m", parameters, &native, index, watermark)).unwrap()
}

#[test]
fn family_follows_the_setting_and_otherwise_the_model_name() {
    for (model, family) in [
        ("doubao-seedream-3-0-t2i-250415", Family::Seedream3),
        ("doubao-seededit-3-0-i2i-250628", Family::Seededit3),
        ("seedream-4-0-250828", Family::Seedream4),
        ("doubao-seedream-4-5-251128", Family::Seedream45),
        ("doubao-seedream-4.5", Family::Seedream45),
        ("doubao-seedream-5-0-lite-260128", Family::Seedream5),
        ("dola-seedream-5-0-pro-260628", Family::Seedream5Pro),
        ("ep-20260101-abcde", Family::Unknown),
        ("seedream-next", Family::Unknown),
    ] {
        assert_eq!(Family::of(model, SeedreamFamily::Auto), family, "{model}");
        assert_eq!(Family::of(model, SeedreamFamily::Seedream4), Family::Seedream4);
    }
}

#[test]
fn native_size_is_valid_for_the_family_and_covers_the_requested_one() {
    let table = [
        (Family::Seedream3, ["512x512", "1024x1024", "1792x1024", "2048x2048"]),
        (Family::Seedream4, ["1024x1024", "1024x1024", "1792x1024", "4096x4096"]),
        (Family::Seedream45, ["1920x1920", "1920x1920", "2688x1536", "4096x4096"]),
        (Family::Seedream5, ["1920x1920", "1920x1920", "2688x1536", "3225x3225"]),
        (Family::Seedream5Pro, ["1024x1024", "1024x1024", "2848x1600", "2048x2048"]),
        (Family::Unknown, ["1920x1920", "1920x1920", "2688x1536", "3225x3225"]),
    ];
    for (family, expected) in table {
        for (requested, expected) in ["256x256", "1024x1024", "1792x1024", "4096x4096"].into_iter().zip(expected) {
            let native = family.native(requested.parse().unwrap()).unwrap();
            assert_eq!(native.to_string(), expected, "{requested} from {family:?}");
        }
    }
}

#[test]
fn parameters_become_the_members_of_the_family() {
    let mut parameters = parameters();
    (parameters.seed, parameters.style) = (Some(i64::MAX), Some(Style::Natural));
    parameters.extra_json = r#"{"guidance_scale":3.5,"watermark":true,"stream":true,"model":"other"}"#.to_owned();
    // The second image: its seed, the largest plus one, becomes 0 in 31 bits.
    let generation_3 = body(Family::Seedream3, &parameters, 1);
    let expected = json!({
        "model": "m", "prompt": "a boat\n\nStyle: natural", "size": "1024x1024", "seed": 0, "watermark": false,
        "response_format": "b64_json", "guidance_scale": 3.5,
    });
    assert_eq!(generation_3, expected);

    parameters.extra_json = r#"{"tools":[{"type":"web_search"}]}"#.to_owned();
    (parameters.format, parameters.size, parameters.style) =
        (Encoding::Jpeg { quality: 90 }, Some(Size::new(2048, 2048)), None);
    let expected = json!({
        "model": "m", "prompt": "a boat", "size": "2048x2048", "output_format": "jpeg", "watermark": false,
        "sequential_image_generation": "disabled", "response_format": "b64_json", "tools": [{"type": "web_search"}],
    });
    assert_eq!(body(Family::Seedream5, &parameters, 0), expected);

    (parameters.quality, parameters.size) = (Quality::Low, None);
    let low = body(Family::Seedream4, &parameters, 0);
    assert_eq!((low.get("size"), &low["optimize_prompt_options"]), (None, &json!({"mode": "fast"})));
    (parameters.quality, parameters.size) = (Quality::Hd, Some(Size::new(1024, 1024)));
    assert_eq!(body(Family::Seedream4, &parameters, 0)["size"], "2048x2048");
}

#[test]
fn input_images_become_data_urls_and_determine_the_default_size() {
    let mut parameters = parameters();
    (parameters.size, parameters.pictures) = (None, vec![input(MediaType::Jpeg)]);
    // 1600x900, scaled up to the minimum area in steps of an eighth.
    let one = body(Family::Seedream45, &parameters, 0);
    assert_eq!((&one["image"], &one["size"]), (&json!("data:image/jpeg;base64,AQID"), &json!("2600x1463")));
    assert_eq!(body(Family::Seededit3, &parameters, 0)["size"], "adaptive");
    parameters.pictures.push(input(MediaType::Webp));
    let two = body(Family::Seedream4, &parameters, 0);
    assert_eq!(two["image"], json!(["data:image/jpeg;base64,AQID", "data:image/webp;base64,AQID"]));
}

#[test]
fn unsupported_parameters_are_rejected_with_their_field() {
    let refused = |family, parameters: &ImageParameters| match NativeParams::new(family, parameters) {
        Err(ProviderError::Refused { field, .. }) => field.unwrap_or_default(),
        Err(ProviderError::NotSupported(_)) => "not supported".to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(Family::Seedream4, &ImageParameters { background: Background::Transparent, ..parameters() }),
        "background"
    );
    assert_eq!(refused(Family::Seededit3, &parameters()), "not supported");
    assert_eq!(
        refused(Family::Seededit3, &ImageParameters { pictures: vec![input(MediaType::Webp)], ..parameters() }),
        "image"
    );
}

#[test]
fn series_is_one_streamed_call_with_the_number_in_the_prompt() {
    let extra_json = r#"{"sequential_image_generation":"auto","sequential_image_generation_options":{"max_images":9}}"#;
    let parameters = ImageParameters { n: 3, extra_json: extra_json.to_owned(), ..parameters() };
    let series = body(Family::Seedream45, &parameters, 0);
    let expected = json!({
        "model": "m", "prompt": "a boat\n\nA series of 3 pictures", "size": "1920x1920", "watermark": false,
        "sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 3},
        "stream": true, "response_format": "url",
    });
    assert_eq!(series, expected);
    assert!(!NativeParams::new(Family::Seedream3, &parameters).unwrap().series);
}

#[test]
fn error_codes_map_to_provider_errors() {
    type Kind = fn(&ProviderError) -> bool;
    let table: [(u16, &str, Kind); 17] = [
        (400, "InvalidParameter", |e| matches!(e, ProviderError::Refused { field: None, .. })),
        (400, "InvalidParameter.OversizedImage", |e| matches!(e, ProviderError::Refused { field: None, .. })),
        (
            400,
            "MissingParameter.prompt",
            |e| matches!(e, ProviderError::Refused { field: Some(f), .. } if f == "prompt"),
        ),
        (400, "InputImageSensitiveContentDetected.PrivacyInformation", |e| {
            matches!(e, ProviderError::ContentPolicy(_))
        }),
        (400, "OutputImageRiskDetection", |e| matches!(e, ProviderError::ContentPolicy(_))),
        (400, "ContentSecurityDetectionError", |e| matches!(e, ProviderError::Broken(_))),
        (400, "InvalidEndpoint.ClosedEndpoint", |e| matches!(e, ProviderError::Unavailable { .. })),
        (400, "SomethingNew", |e| matches!(e, ProviderError::Refused { .. })),
        (401, "AuthenticationError", |e| matches!(e, ProviderError::Credentials(_))),
        (403, "AccountOverdueError", |e| matches!(e, ProviderError::Credentials(_))),
        (404, "InvalidEndpointOrModel.NotFound", |e| matches!(e, ProviderError::Unavailable { .. })),
        (404, "ModelNotOpen", |e| matches!(e, ProviderError::Unavailable { .. })),
        (429, "ModelAccountRpmRateLimitExceeded", |e| matches!(e, ProviderError::RateLimited { .. })),
        (429, "SetLimitExceeded", |e| matches!(e, ProviderError::Credentials(_))),
        (429, "ServerOverloaded", |e| matches!(e, ProviderError::RateLimited { .. })),
        (500, "InternalServiceError", |e| matches!(e, ProviderError::Broken(_))),
        (503, "SomethingNew", |e| matches!(e, ProviderError::Unavailable { .. })),
    ];
    for (status, code, expected) in table {
        let body = json!({"error": {"code": code, "message": "words"}}).to_string();
        let error = failure(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes());
        assert!(expected(error.failure()) && error.to_string().contains("words"), "{status} {code}: {error:?}");
    }
    let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, "9".parse().unwrap())]);
    let body =
        br#"{"error":{"code":"RateLimitExceeded.EndpointRPMExceeded","message":"slow","type":"TooManyRequests"}}"#;
    let limited = failure(StatusCode::TOO_MANY_REQUESTS, &headers, body);
    let expected = ProviderError::RateLimited { message: "slow".into(), retry_after: Some(Duration::from_secs(9)) };
    assert_eq!(failure_of(Err::<(), _>(limited)), expected);
}

/// Returns the error without the members of the upstream's error.
fn failure_of<T>(result: Result<T, ProviderError>) -> ProviderError {
    result.map(drop).unwrap_err().failure().clone()
}

fn image(source: Result<ImageSource, ProviderError>) -> UpstreamImage {
    UpstreamImage { source, revised_prompt: String::new() }
}

#[test]
fn response_has_images_failures_and_usage() {
    let response = br#"{"model":"m","created":1,"data":[{"b64_json":"AQID","size":"1x1"},{"url":"https://x.example/1"},
        {"error":{"code":"OutputImageSensitiveContentDetected","message":"withheld"}},{"size":"1x1"}],
        "usage":{"generated_images":2,"output_tokens":10,"total_tokens":12}}"#;
    let mut list = parse(response).unwrap();
    assert_eq!(list.images[0], image(Ok(ImageSource::Bytes(vec![1, 2, 3].into()))));
    assert_eq!(list.images[1], image(Ok(ImageSource::Link("https://x.example/1".into()))));
    assert!(matches!(list.images.pop().unwrap().source, Err(ProviderError::Unreadable(_))));
    let withheld = list.images.pop().unwrap().source.unwrap_err();
    assert_eq!(withheld.details().unwrap().code, "OutputImageSensitiveContentDetected");
    assert_eq!(*withheld.failure(), ProviderError::ContentPolicy("withheld".into()));
    assert_eq!(list.usage, Some(Usage { input: 2, input_images: 0, output: 10, total: 12 }));
    let failed = parse(br#"{"error":{"code":"InternalServiceError","message":"oops"}}"#);
    assert_eq!(failure_of(failed), ProviderError::Broken("oops".into()));
    assert!(matches!(parse(b"<html>"), Err(ProviderError::Unreadable(_))));
}

#[test]
fn stream_event_has_an_image_an_error_or_the_usage() {
    let event = |text: &str| parse_event(text.as_bytes());
    let finished = event(r#"{"type":"image_generation.partial_succeeded","image_index":2,"b64_json":"AQID"}"#);
    assert_eq!(
        finished,
        Ok(SeriesEvent::Image { index: Some(2), image: image(Ok(ImageSource::Bytes(vec![1, 2, 3].into()))) })
    );
    let failed = event(
        r#"{"type":"image_generation.partial_failed","image_index":1,"error":{"code":"InternalServiceError","message":"o"}}"#,
    );
    let Ok(SeriesEvent::Image { index: Some(1), image: UpstreamImage { source, .. } }) = failed else { panic!() };
    assert_eq!(failure_of(source), ProviderError::Broken("o".into()));
    let odd = event(
        r#"{"type":"image_generation.partial_succeeded","image_index":"x","url":"https://x.example/1","size":{}}"#,
    );
    assert!(matches!(odd, Ok(SeriesEvent::Image { index: None, image }) if image.source.is_ok()));
    let usage = Some(Usage { input: 0, input_images: 0, output: 4, total: 4 });
    assert_eq!(
        event(r#"{"type":"image_generation.completed","usage":{"total_tokens":4}}"#),
        Ok(SeriesEvent::Completed { usage })
    );
    assert_eq!(event(r#"{"type":"image_generation.started"}"#), Ok(SeriesEvent::Unknown));
    let policy = event(r#"{"error":{"code":"InputTextSensitiveContentDetected","message":"no"}}"#);
    assert_eq!(failure_of(policy), ProviderError::ContentPolicy("no".into()));
}
