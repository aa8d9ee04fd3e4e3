//! Validation of video requests, the same for both APIs.

use std::collections::HashSet;

use openai_dialect::extra_members;
use triptych_proto::v1 as pb;

use super::{job::JobId, parameters::VideoParameters, provider::Variant, store::Page};
use crate::{
    check,
    error::Error,
    keys::{Caller, Owner, Owners},
    size::Size,
};

/// The minimum of either side, in pixels.
const MIN_SIDE: u32 = 64;
/// The maximum of the longer side, in pixels: browsers play no H.264 level beyond 4K.
const MAX_LONG_SIDE: u32 = 3840;
/// The maximum of the shorter side, in pixels.
const MAX_SHORT_SIDE: u32 = 2160;
/// The default size.
const DEFAULT_SIZE: Size = Size::new(1920, 1080);
/// The accepted durations, in seconds.
const SECONDS: std::ops::RangeInclusive<u32> = 1..=60;
/// The default duration, in seconds.
const DEFAULT_SECONDS: u32 = 5;
/// The maximum and the default page size.
const PAGE: (u32, u32) = (100, 20);
/// The maximum length of each text that is stored with a job and has no other limit, in bytes.
const MAX_STORED_BYTES: usize = 64 << 10;
/// Members with a field of their own, as both APIs spell them.
const MEMBERS: &[&str] = &["model", "prompt", "input_reference", "size", "seconds", "duration_seconds", "seed", "user"];

/// Validates a create request, except for its model and its idempotency key. Returns the parameters and the reference image,
/// which is yet to be fetched.
pub(super) fn create(request: pb::CreateVideoRequest) -> Result<(VideoParameters, Option<pb::MediaInput>), Error> {
    let pb::CreateVideoRequest {
        model: _,
        prompt,
        input_reference,
        size: size_text,
        duration_seconds,
        seed,
        user,
        idempotency_key: _,
        extra_json,
    } = request;
    check::prompt(&prompt)?;
    extra(&extra_json)?;
    stored("user", "has", &user)?;
    let Size { width, height } = size(&size_text)?;
    let seconds = seconds(duration_seconds)?;
    Ok((VideoParameters { prompt, width, height, seconds, seed, reference: None, user, extra_json }, input_reference))
}

/// Validates the members without a field of their own.
fn extra(extra_json: &str) -> Result<(), Error> {
    stored("extra_json", "the members without a field of their own have", extra_json)?;
    check::extra("extra_json", extra_json, MEMBERS)
}

fn stored(field: &str, subject: &str, text: &str) -> Result<(), Error> {
    if text.len() <= MAX_STORED_BYTES {
        return Ok(());
    }
    Err(Error::invalid(field, format!("{subject} {} bytes; at most {MAX_STORED_BYTES} are accepted", text.len())))
}

/// Validates the `extra_json` of a remix and returns it with those members of the source that it does not replace.
pub(super) fn remix_extra(source: &str, extra_json: &str) -> Result<String, Error> {
    extra(extra_json)?;
    let (Some(inherited), Some(own)) = (extra_members(source), extra_members(extra_json)) else {
        return Ok(if extra_json.is_empty() { source } else { extra_json }.to_owned());
    };
    let replaced: HashSet<&str> = own.iter().map(|(name, _)| name.as_str()).collect();
    let kept = inherited.iter().filter(|(name, _)| !replaced.contains(name.as_str()));
    let members: Vec<_> =
        kept.chain(&own).map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name.as_str()))).collect();
    let merged = format!("{{{}}}", members.join(","));
    extra(&merged)?;
    Ok(merged)
}

/// Returns the owners whose jobs a list contains.
///
/// # Errors
/// [`Error::PermissionDenied`] for an owner whose jobs the caller may not see.
pub(super) fn owners(requested: Option<&str>, caller: &Caller) -> Result<Owners, Error> {
    let Some(requested) = requested.map(Owner::new) else { return Ok(caller.owners()) };
    if !caller.owners().include(&requested) {
        let message =
            "owner: an API key sees its own videos only; leave the owner out, or use the key of an administrator";
        return Err(Error::PermissionDenied(message.to_owned()));
    }
    Ok(Owners::Only(requested))
}

fn size(text: &str) -> Result<Size, Error> {
    if text.is_empty() {
        return Ok(DEFAULT_SIZE);
    }
    let supported = |size: &Size| {
        let Size { width, height } = *size;
        let even = width.is_multiple_of(2) && height.is_multiple_of(2);
        even && width.min(height) >= MIN_SIDE
            && width.max(height) <= MAX_LONG_SIDE
            && width.min(height) <= MAX_SHORT_SIDE
    };
    text.parse().ok().filter(supported).ok_or_else(|| {
        Error::invalid(
            "size",
            format!(
                "must be WIDTHxHEIGHT in pixels, both sides even and at least {MIN_SIDE}, the longer one at most \
                 {MAX_LONG_SIDE}, the shorter one at most {MAX_SHORT_SIDE}, for example \"1280x720\""
            ),
        )
    })
}

fn seconds(seconds: Option<u32>) -> Result<u32, Error> {
    let seconds = seconds.unwrap_or(DEFAULT_SECONDS);
    if SECONDS.contains(&seconds) {
        return Ok(seconds);
    }
    let message = format!("must be from {} to {}, not {seconds}", SECONDS.start(), SECONDS.end());
    Err(Error::invalid("duration_seconds", message))
}

/// Parses a page request.
pub(super) fn page(request: &pb::ListVideosRequest, caller: &Caller) -> Result<Page, Error> {
    let pb::ListVideosRequest { page_size, page_token, order, owner } = request;
    let owners = owners(owner.as_deref(), caller)?;
    let (max, default) = PAGE;
    let limit = page_size.unwrap_or(default);
    if limit > max {
        return Err(Error::invalid("page_size", format!("must be from 0 to {max}, not {limit}")));
    }
    let after = match page_token.as_str() {
        "" => None,
        id => Some(JobId::parse(id).ok_or_else(|| {
            Error::invalid("page_token", "must be the `next_page_token` of the previous page, or the id of a video")
        })?),
    };
    let oldest_first = match pb::VideoOrder::try_from(*order) {
        Ok(pb::VideoOrder::Unspecified | pb::VideoOrder::NewestFirst) => false,
        Ok(pb::VideoOrder::OldestFirst) => true,
        Err(_) => return Err(Error::invalid("order", "must be NEWEST_FIRST or OLDEST_FIRST")),
    };
    Ok(Page { limit, after, oldest_first, owners })
}

/// Parses the variant of a download.
pub(super) fn variant(value: i32) -> Result<Variant, Error> {
    match pb::VideoVariant::try_from(value) {
        Ok(pb::VideoVariant::Unspecified | pb::VideoVariant::Video) => Ok(Variant::Video),
        Ok(pb::VideoVariant::Thumbnail) => Ok(Variant::Thumbnail),
        Ok(pb::VideoVariant::Spritesheet) => Ok(Variant::Spritesheet),
        Err(_) => Err(Error::invalid("variant", "must be VIDEO, THUMBNAIL or SPRITESHEET")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> pb::CreateVideoRequest {
        pb::CreateVideoRequest { prompt: "a boat".to_owned(), ..pb::CreateVideoRequest::default() }
    }

    fn refused_field<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        match result {
            Err(Error::InvalidField { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn absent_fields_have_defaults() {
        let (parameters, reference) = create(request()).unwrap();
        assert_eq!((parameters.size(), parameters.seconds), (DEFAULT_SIZE, 5));
        assert!(reference.is_none());
    }

    #[test]
    fn an_invalid_field_is_named() {
        let wrong = |change: fn(&mut pb::CreateVideoRequest)| {
            let mut request = request();
            change(&mut request);
            refused_field(create(request))
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
        assert!(create(longest).is_ok());
    }

    #[test]
    fn texts_that_are_stored_with_a_job_are_bounded() {
        let extra = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
        let create =
            |extra_json: String, user: String| create(pb::CreateVideoRequest { extra_json, user, ..request() });
        assert!(create(extra(MAX_STORED_BYTES), "x".repeat(MAX_STORED_BYTES)).is_ok());
        let error = create(extra(MAX_STORED_BYTES + 1), String::new()).unwrap_err();
        assert!(error.to_string().contains("65537 bytes; at most 65536"), "{error}");
        assert_eq!(refused_field(Err::<(), _>(error)), "extra_json");
        assert_eq!(refused_field(create(String::new(), "x".repeat(MAX_STORED_BYTES + 1))), "user");
        // Of a remix, together with the inherited ones.
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
    fn only_administrators_and_the_anonymous_caller_choose_an_owner() {
        let one = Caller::named("one");
        let only = |name: &str| Ok(Owners::Only(Owner::new(name)));
        assert_eq!(owners(None, &one), only("one"));
        assert_eq!(owners(Some("one"), &one), only("one"));
        for other in ["two", ""] {
            assert!(matches!(owners(Some(other), &one), Err(Error::PermissionDenied(_))), "{other}");
        }
        assert_eq!(owners(None, &Caller::default()), Ok(Owners::All));
        assert_eq!(owners(Some("two"), &Caller::default()), only("two"));
    }

    #[test]
    fn sizes_are_even_within_bounds_and_at_most_4k() {
        for fine in ["64x64", "1280x720", "720x1280", "1792x1024", "3840x2160", "2160x3840"] {
            assert_eq!(size(fine).unwrap().to_string(), fine);
        }
        for wrong in ["1280x721", "62x64", "3842x64", "2400x2400", "0x0", "1280", "1280X720", "-2x4", "auto", "1e3x64"]
        {
            assert_eq!(refused_field(size(wrong)), "size", "{wrong}");
        }
    }

    #[test]
    fn page_size_token_and_order_are_validated() {
        let page = |limit, after: &str, order| {
            let request = pb::ListVideosRequest { page_size: limit, page_token: after.to_owned(), order, owner: None };
            page(&request, &Caller::default())
        };
        assert_eq!(page(None, "", 0).unwrap(), Page { limit: 20, ..Page::default() });
        assert_eq!(page(Some(0), "", 2).unwrap(), Page { oldest_first: true, ..Page::default() });
        assert_eq!(refused_field(page(Some(101), "", 0)), "page_size");
        assert_eq!(refused_field(page(None, "video_1", 0)), "page_token");
        assert_eq!(refused_field(page(None, "", 3)), "order");
    }
}
