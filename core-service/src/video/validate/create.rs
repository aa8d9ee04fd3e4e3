//! Validation of the parameters of a new video, except for what depends on its model.

use std::collections::HashSet;

use openai_dialect::extra_members;
use triptych_proto::v1 as pb;
use url::Url;

use super::inputs::{self, RequestedInput};
use crate::{
    check,
    error::Error,
    model_facts::fit::{FitPolicy, Wanted},
    size::Size,
    video::inputs::InputRole,
};

/// The minimum of either side, in pixels.
const MIN_SIDE: u32 = 64;
/// The maximum of the longer side, in pixels: browsers play no H.264 level beyond 4K.
const MAX_SIDE: u32 = 3840;
/// The accepted durations in seconds, whatever the model accepts.
const SECONDS: std::ops::RangeInclusive<u32> = 1..=60;
/// The maximum length of each text that is stored with a job and has no other limit, in bytes.
const MAX_STORED_BYTES: usize = 64 << 10;
/// The request members with a field of their own, as both APIs spell them: not accepted in `extra_json`.
const MEMBERS: [&str; 17] = [
    "model",
    "prompt",
    "input_reference",
    "frame_images",
    "input_references",
    "size",
    "resolution",
    "aspect_ratio",
    "seconds",
    "duration",
    "duration_seconds",
    "generate_audio",
    "negative_prompt",
    "seed",
    "user",
    "callback_url",
    "fit_policy",
];
/// The maximum length of a callback URL, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// A create request, validated as far as that does not depend on the model.
#[derive(Debug)]
pub(in crate::video) struct NewVideo {
    pub(in crate::video) prompt: String,
    pub(in crate::video) user: String,
    pub(in crate::video) extra_json: String,
    pub(in crate::video) callback_url: Option<String>,
    /// The parameters that are fitted to the model; without the size of its frames, which are yet to be read.
    pub(in crate::video) wanted: Wanted,
    /// `None`: the policy of the operator.
    pub(in crate::video) fit_policy: Option<FitPolicy>,
    pub(in crate::video) inputs: Vec<RequestedInput>,
}

/// Validates a create request, except for its model and its idempotency key.
pub(in crate::video) fn validate_create(request: pb::CreateVideoRequest) -> Result<NewVideo, Error> {
    let pb::CreateVideoRequest {
        model: _,
        prompt,
        input_reference,
        size: size_text,
        duration_seconds,
        seed,
        user,
        idempotency_key: _,
        frame_images,
        input_references,
        aspect_ratio,
        resolution,
        generate_audio,
        negative_prompt,
        callback_url,
        fit_policy: policy,
        extra_json,
    } = request;
    check::prompt(&prompt)?;
    check_extra(&extra_json)?;
    check_stored_text("user", "has", &user)?;
    check_stored_text("negative_prompt", "has", &negative_prompt)?;
    let size = parse_size(&size_text)?;
    let text = |text: String| (!text.is_empty()).then_some(text);
    let (aspect_ratio, resolution) = (text(aspect_ratio), text(resolution));
    if size.is_some() && (aspect_ratio.is_some() || resolution.is_some()) {
        let message = "cannot be combined with resolution and aspect_ratio; leave out one or the other";
        return Err(Error::invalid("size", message));
    }
    let inputs = inputs::read(input_reference, frame_images, input_references)?;
    let has = |roles: &[InputRole]| inputs.iter().any(|input| roles.contains(&input.role));
    let sounds = inputs.iter().filter(|input| input.role == InputRole::Sound).map(|input| input.field.clone());
    let wanted = Wanted {
        sounds: sounds.collect(),
        size,
        aspect_ratio,
        resolution,
        seconds: duration_seconds.map(check_seconds).transpose()?,
        generate_audio,
        seed,
        negative_prompt,
        frame: None,
        has_frames: has(&[InputRole::FirstFrame, InputRole::LastFrame]),
        has_last_frame: has(&[InputRole::LastFrame]),
        has_references: has(&[InputRole::Image, InputRole::Video, InputRole::Sound]),
    };
    let (callback_url, fit_policy) = (parse_callback_url(callback_url)?, parse_fit_policy(policy)?);
    Ok(NewVideo { prompt, user, extra_json, callback_url, wanted, fit_policy, inputs })
}

pub(super) fn parse_callback_url(url: String) -> Result<Option<String>, Error> {
    if url.is_empty() {
        return Ok(None);
    }
    let is_http = Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.len() > MAX_URL_BYTES || !is_http {
        let message = format!("must be an http or https URL of at most {MAX_URL_BYTES} bytes");
        return Err(Error::invalid("callback_url", message));
    }
    Ok(Some(url))
}

pub(super) fn parse_fit_policy(value: i32) -> Result<Option<FitPolicy>, Error> {
    match pb::FitPolicy::try_from(value) {
        Ok(pb::FitPolicy::Unspecified) => Ok(None),
        Ok(pb::FitPolicy::Nearest) => Ok(Some(FitPolicy::Nearest)),
        Ok(pb::FitPolicy::Strict) => Ok(Some(FitPolicy::Strict)),
        Err(_) => Err(Error::invalid("fit_policy", "must be NEAREST or STRICT")),
    }
}

/// Validates the members without a field of their own.
pub(super) fn check_extra(extra_json: &str) -> Result<(), Error> {
    check_stored_text("extra_json", "the members without a field of their own have", extra_json)?;
    check::extra("extra_json", extra_json, &MEMBERS)
}

/// Checks the length of a text that is stored with a job. `subject` is the beginning of the message.
pub(super) fn check_stored_text(field: &str, subject: &str, text: &str) -> Result<(), Error> {
    if text.len() <= MAX_STORED_BYTES {
        return Ok(());
    }
    Err(Error::invalid(field, format!("{subject} {} bytes; at most {MAX_STORED_BYTES} are accepted", text.len())))
}

/// Validates the `extra_json` of a remix and returns it with those members of the source that it does not replace.
pub(in crate::video) fn remix_extra(source: &str, extra_json: &str) -> Result<String, Error> {
    check_extra(extra_json)?;
    let (Some(inherited), Some(own)) = (extra_members(source), extra_members(extra_json)) else {
        return Ok(if extra_json.is_empty() { source } else { extra_json }.to_owned());
    };
    let replaced: HashSet<&str> = own.iter().map(|(name, _)| name.as_str()).collect();
    let kept = inherited.iter().filter(|(name, _)| !replaced.contains(name.as_str()));
    let members: Vec<_> =
        kept.chain(&own).map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name.as_str()))).collect();
    let merged = format!("{{{}}}", members.join(","));
    check_extra(&merged)?;
    Ok(merged)
}

/// Parses a size; `None` for the empty text.
pub(in crate::video) fn parse_size(text: &str) -> Result<Option<Size>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let supported = |size: &Size| {
        let Size { width, height } = *size;
        let even = width.is_multiple_of(2) && height.is_multiple_of(2);
        even && width.min(height) >= MIN_SIDE && width.max(height) <= MAX_SIDE
    };
    text.parse().ok().filter(supported).map(Some).ok_or_else(|| {
        Error::invalid(
            "size",
            format!(
                "must be WIDTHxHEIGHT in pixels, both sides even and from {MIN_SIDE} to {MAX_SIDE}, for example \"1280x720\""
            ),
        )
    })
}

/// Checks a duration.
pub(in crate::video) fn check_seconds(seconds: u32) -> Result<u32, Error> {
    if SECONDS.contains(&seconds) {
        return Ok(seconds);
    }
    let message = format!("must be from {} to {}, not {seconds}", SECONDS.start(), SECONDS.end());
    Err(Error::invalid("duration_seconds", message))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::refused_field, *};

    fn request() -> pb::CreateVideoRequest {
        pb::CreateVideoRequest { prompt: "a boat".to_owned(), ..pb::CreateVideoRequest::default() }
    }

    #[test]
    fn absent_fields_have_defaults() {
        let NewVideo { wanted, inputs, callback_url, fit_policy, .. } = validate_create(request()).unwrap();
        assert_eq!(wanted, Wanted::default());
        assert!(inputs.is_empty() && callback_url.is_none() && fit_policy.is_none());
    }

    #[test]
    fn an_invalid_field_is_named() {
        let wrong = |change: fn(&mut pb::CreateVideoRequest)| {
            let mut request = request();
            change(&mut request);
            refused_field(validate_create(request))
        };
        assert_eq!(wrong(|r| r.prompt = " \n".to_owned()), "prompt");
        assert_eq!(wrong(|r| r.prompt = "字".repeat(32_001)), "prompt");
        assert_eq!(wrong(|r| r.duration_seconds = Some(0)), "duration_seconds");
        assert_eq!(wrong(|r| r.duration_seconds = Some(61)), "duration_seconds");
        assert_eq!(wrong(|r| r.extra_json = "[]".to_owned()), "extra_json");
        assert_eq!(wrong(|r| r.extra_json = "{\"a\":1".to_owned()), "extra_json");
        assert_eq!(wrong(|r| r.extra_json = r#"{"seconds":9}"#.to_owned()), "extra_json");
        let mut longest = request();
        longest.prompt = "字".repeat(32_000);
        assert!(validate_create(longest).is_ok());
    }

    #[test]
    fn size_excludes_resolution_and_aspect_ratio() {
        let with = |resolution: &str, aspect_ratio: &str| {
            let (size, resolution) = ("1280x720".to_owned(), resolution.to_owned());
            validate_create(pb::CreateVideoRequest {
                size,
                resolution,
                aspect_ratio: aspect_ratio.to_owned(),
                ..request()
            })
        };
        assert!(with("", "").is_ok());
        assert_eq!(refused_field(with("720p", "")), "size");
        assert_eq!(refused_field(with("", "16:9")), "size");
    }

    #[test]
    fn callback_is_an_http_url() {
        let with = |url: &str| validate_create(pb::CreateVideoRequest { callback_url: url.to_owned(), ..request() });
        assert_eq!(with("https://a.test/hook").unwrap().callback_url.as_deref(), Some("https://a.test/hook"));
        for wrong in ["a.test", "ftp://a.test", "http://", &format!("https://a.test/{}", "x".repeat(2048))] {
            assert_eq!(refused_field(with(wrong)), "callback_url", "{wrong}");
        }
    }

    #[test]
    fn texts_that_are_stored_with_a_job_are_bounded() {
        // Returns a text of `length` bytes, 8 of which are not the value.
        let extra = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
        let create_with = |extra_json: String, user: String| {
            validate_create(pb::CreateVideoRequest { extra_json, user, ..request() })
        };
        assert!(create_with(extra(MAX_STORED_BYTES), "x".repeat(MAX_STORED_BYTES)).is_ok());
        let error = create_with(extra(MAX_STORED_BYTES + 1), String::new()).unwrap_err();
        assert!(error.to_string().contains("65537 bytes; at most 65536"), "{error}");
        assert_eq!(refused_field(Err::<(), _>(error)), "extra_json");
        assert_eq!(refused_field(create_with(String::new(), "x".repeat(MAX_STORED_BYTES + 1))), "user");
        // The limit of a remix includes the inherited members.
        let half = |name: &str| format!(r#"{{"{name}":"{}"}}"#, "x".repeat(MAX_STORED_BYTES / 2));
        assert_eq!(refused_field(remix_extra(&half("a"), &half("b"))), "extra_json");
        assert!(remix_extra(&half("a"), &half("a")).is_ok());
    }

    #[test]
    fn remix_inherits_the_members_that_it_does_not_replace() {
        for (source, own, merged) in [
            ("", "", ""),
            (r#"{"a":1}"#, "", r#"{"a":1}"#),
            ("", r#"{"b":2}"#, r#"{"b":2}"#),
            (
                r#"{"a":1E400,"b":[1, 2],"a\"":3}"#,
                r#"{"b":{"c" : 0},"d":null}"#,
                r#"{"a":1E400,"a\"":3,"b":{"c" : 0},"d":null}"#,
            ),
        ] {
            assert_eq!(remix_extra(source, own).unwrap(), merged, "{source} {own}");
        }
        assert_eq!(refused_field(remix_extra("", "[]")), "extra_json");
        assert_eq!(refused_field(remix_extra("", r#"{"seconds":3}"#)), "extra_json");
    }

    #[test]
    fn sizes_are_even_within_bounds_and_at_most_4k() {
        for fine in ["64x64", "1280x720", "720x1280", "1792x1024", "3840x2160", "2160x3840", "3840x3840"] {
            assert_eq!(parse_size(fine).unwrap().unwrap().to_string(), fine);
        }
        for wrong in ["1280x721", "62x64", "3842x64", "64x3842", "0x0", "1280", "1280X720", "-2x4", "auto", "1e3x64"] {
            assert_eq!(refused_field(parse_size(wrong)), "size", "{wrong}");
        }
    }
}
