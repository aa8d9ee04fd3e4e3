//! Validation of video requests, the same for both APIs.

use triptych_proto::v1 as pb;

use super::{job::JobId, parameters::VideoParameters, provider::Variant, store::Page};
use crate::{check, error::Error, size::Size};

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
    check::extra("extra_json", &extra_json, MEMBERS)?;
    let Size { width, height } = size(&size_text)?;
    let seconds = seconds(duration_seconds)?;
    Ok((VideoParameters { prompt, width, height, seconds, seed, reference: None, user, extra_json }, input_reference))
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
pub(super) fn page(request: &pb::ListVideosRequest) -> Result<Page, Error> {
    let pb::ListVideosRequest { page_size, page_token, order } = request;
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
    Ok(Page { limit, after, oldest_first, owner: None })
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
            page(&pb::ListVideosRequest { page_size: limit, page_token: after.to_owned(), order })
        };
        assert_eq!(page(None, "", 0).unwrap(), Page { limit: 20, ..Page::default() });
        assert_eq!(page(Some(0), "", 2).unwrap(), Page { oldest_first: true, ..Page::default() });
        assert_eq!(refused_field(page(Some(101), "", 0)), "page_size");
        assert_eq!(refused_field(page(None, "video_1", 0)), "page_token");
        assert_eq!(refused_field(page(None, "", 3)), "order");
    }
}
