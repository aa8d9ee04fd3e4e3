//! Defaults, limits and error messages of image requests.

use super::*;

fn minimal() -> pb::ImageRequest {
    pb::ImageRequest { prompt: "a cat".to_owned(), ..pb::ImageRequest::default() }
}

fn rejected(image: pb::ImageRequest) -> (String, String) {
    match super::validate_request(image, 0) {
        Err(Error::InvalidField { field, message }) => (field, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_prompt_alone_gets_the_defaults() {
    let validated = super::validate_request(minimal(), 0).unwrap();
    assert_eq!(validated.delivery, Delivery::Link);
    assert_eq!(
        (validated.parameters.n, validated.parameters.size, validated.parameters.format),
        (1, None, Encoding::Png)
    );
    assert_eq!((validated.parameters.quality, validated.parameters.background), (Quality::Auto, Background::Auto));
}

#[test]
fn invalid_values_are_rejected_with_their_field() {
    let text = |text: &str| text.to_owned();
    let picture = pb::MediaInput::default;
    let cases = [
        ("prompt", pb::ImageRequest::default()),
        ("prompt", pb::ImageRequest { prompt: text(" \n\u{3000}"), ..minimal() }),
        ("prompt", pb::ImageRequest { prompt: "汉".repeat(32_001), ..minimal() }),
        ("n", pb::ImageRequest { n: Some(0), ..minimal() }),
        ("n", pb::ImageRequest { n: Some(11), ..minimal() }),
        ("size", pb::ImageRequest { size: text("15x16"), ..minimal() }),
        ("size", pb::ImageRequest { size: text("16x12289"), ..minimal() }),
        ("size", pb::ImageRequest { size: text("1024"), ..minimal() }),
        ("size", pb::ImageRequest { size: text("1024 x 1024"), ..minimal() }),
        ("size", pb::ImageRequest { size: text("99999999999x16"), ..minimal() }),
        ("quality", pb::ImageRequest { quality: text("HD"), ..minimal() }),
        ("style", pb::ImageRequest { style: text("baroque"), ..minimal() }),
        ("background", pb::ImageRequest { background: text("pink"), ..minimal() }),
        ("background", pb::ImageRequest { background: text("transparent"), output_format: text("jpeg"), ..minimal() }),
        ("output_format", pb::ImageRequest { output_format: text("gif"), ..minimal() }),
        ("output_compression", pb::ImageRequest { output_compression: Some(50), ..minimal() }),
        (
            "output_compression",
            pb::ImageRequest { output_compression: Some(101), output_format: text("jpeg"), ..minimal() },
        ),
        ("pictures", pb::ImageRequest { pictures: vec![picture(); 17], ..minimal() }),
        ("mask", pb::ImageRequest { mask: Some(picture()), ..minimal() }),
        ("delivery", pb::ImageRequest { delivery: 7, ..minimal() }),
        ("extra_json", pb::ImageRequest { extra_json: text("[]"), ..minimal() }),
        ("extra_json", pb::ImageRequest { extra_json: text("{\"a\":"), ..minimal() }),
        ("extra_json", pb::ImageRequest { extra_json: text("{\"size\":\"1x1\"}"), ..minimal() }),
    ];
    for (field, image) in cases {
        let debug = format!("{image:.80?}");
        assert_eq!(rejected(image).0, field, "{debug}");
    }
    let result = super::validate_request(minimal(), 4);
    assert!(matches!(&result, Err(Error::InvalidField { field, .. }) if field == "partial_images"), "{result:?}");
}

#[test]
fn size_errors_state_value_and_rule() {
    for (size, parts) in [
        ("large", ["16", "12288", "auto", "1024x1024"]),
        ("15x1024", ["16", "12288", "sides", "not 15"]),
        ("16x12289", ["16", "12288", "sides", "not 12289"]),
        ("4097x4608", ["4096x4096", "18874368", "in all", "not 18878976"]),
        ("4294967295x4294967295", ["16", "12288", "sides", "not 4294967295"]),
    ] {
        let (field, message) = rejected(pb::ImageRequest { size: size.to_owned(), ..minimal() });
        assert_eq!(field, "size");
        assert!(parts.iter().all(|part| message.contains(part)), "{size}: {message}");
    }
}

#[test]
fn largest_native_sizes_of_all_providers_are_accepted() {
    for size in ["4096x4096", "5404x3040", "5504x3072", "3392x5056", "6336x2688", "12288x1536", "1536x12288"] {
        let image = pb::ImageRequest { size: size.to_owned(), ..minimal() };
        assert_eq!(super::validate_request(image, 0).unwrap().parameters.size, size.parse().ok(), "{size}");
    }
}

#[test]
fn request_with_every_field_is_accepted() {
    // `extra_json` may have the name of a field with a value that the field cannot represent: `"size":null`.
    let full = pb::ImageRequest {
        prompt: "汉".repeat(32_000),
        n: Some(10),
        size: "4096x16".to_owned(),
        quality: "xhigh".to_owned(),
        style: "natural".to_owned(),
        background: "transparent".to_owned(),
        output_format: "webp".to_owned(),
        output_compression: Some(0),
        extra_json: "{\"moderation\":\"low\",\"scale\":1E400,\"size\":null}".to_owned(),
        delivery: pb::ImageDelivery::Bytes.into(),
        keep_original: true,
        pictures: vec![pb::MediaInput::default(); 16],
        mask: Some(pb::MediaInput::default()),
        model: "m".to_owned(),
        seed: Some(i64::MIN),
        user: "u".to_owned(),
    };
    let Validated { parameters, pictures, mask, delivery, keep_original } = super::validate_request(full, 3).unwrap();
    assert_eq!(
        (parameters.size, parameters.quality, parameters.background),
        (Some(Size::new(4096, 16)), Quality::Xhigh, Background::Transparent)
    );
    assert_eq!((pictures.len(), mask.is_some(), delivery, keep_original), (16, true, Delivery::Bytes, true));
    assert_eq!((parameters.style, parameters.format), (Some(Style::Natural), Encoding::Webp { quality: 0 }));
    let jpeg = pb::ImageRequest { output_format: "jpeg".to_owned(), output_compression: Some(0), ..minimal() };
    assert_eq!(super::validate_request(jpeg, 0).unwrap().parameters.format, Encoding::Jpeg { quality: 0 });
}

#[test]
fn rejected_values_are_quoted_and_truncated() {
    let (_, message) = rejected(pb::ImageRequest { quality: "HD".to_owned(), ..minimal() });
    assert!(message.ends_with(", not \"HD\""), "{message}");
    let (_, message) = rejected(pb::ImageRequest { quality: "汉".repeat(1000), ..minimal() });
    assert!(message.len() < 300, "{message}");
}
