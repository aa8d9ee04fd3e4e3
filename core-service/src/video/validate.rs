//! What a request for a clip must look like before it becomes a job, whichever door it came through.

use sha2::{Digest, Sha256};
use triptych_proto::v1 as pb;

use super::{
    Variant,
    job::{IdempotencyKey, JobId},
    store::Page,
};
use crate::{check, context, error::Error, keys::Caller, size::Size};

/// The least of either side of a frame, in pixels.
const LEAST_SIDE: u32 = 64;
/// The most of the longer side of a frame, in pixels: beyond 4K no H.264 level that browsers play goes.
const LONG_SIDE: u32 = 3840;
/// The most of the shorter side of a frame, in pixels.
const SHORT_SIDE: u32 = 2160;
/// The size of a clip nobody chose one for.
const DEFAULT_SIZE: Size = Size::new(1920, 1080);
/// Lengths of a clip, in seconds.
const SECONDS: std::ops::RangeInclusive<u32> = 1..=60;
/// The length of a clip nobody chose one for, in seconds.
const DEFAULT_SECONDS: u32 = 5;
/// Clips of a page, at most and if nobody says how many.
const PAGE: (u32, u32) = (100, 20);
/// Members that have a field of their own, in the spellings of both APIs.
const MEMBERS: &[&str] = &["model", "prompt", "input_reference", "size", "seconds", "duration_seconds", "seed", "user"];

/// A request whose every field makes sense, its picture still to be got hold of.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) prompt: String,
    pub(super) size: Size,
    pub(super) seconds: u32,
    pub(super) seed: Option<i64>,
    pub(super) user: String,
    pub(super) extra_json: String,
    pub(super) input_reference: Option<pb::MediaInput>,
}

/// Checks all of a request but its model and its key.
pub(super) fn create(request: pb::CreateVideoRequest) -> Result<Checked, Error> {
    let pb::CreateVideoRequest {
        model: _,
        prompt: text,
        input_reference,
        size: spelled,
        duration_seconds,
        seed,
        user,
        idempotency_key: _,
        extra_json,
    } = request;
    check::prompt(&text)?;
    check::extra("extra_json", &extra_json, MEMBERS)?;
    Ok(Checked {
        size: size(&spelled)?,
        seconds: seconds(duration_seconds)?,
        prompt: text,
        seed,
        user,
        extra_json,
        input_reference,
    })
}

fn size(text: &str) -> Result<Size, Error> {
    if text.is_empty() {
        return Ok(DEFAULT_SIZE);
    }
    let sound = |size: &Size| {
        let Size { width, height } = *size;
        let even = width.is_multiple_of(2) && height.is_multiple_of(2);
        even && width.min(height) >= LEAST_SIDE && width.max(height) <= LONG_SIDE && width.min(height) <= SHORT_SIDE
    };
    text.parse().ok().filter(sound).ok_or_else(|| {
        Error::invalid(
            "size",
            format!(
                "must be WIDTHxHEIGHT in pixels, both sides even, none below {LEAST_SIDE}, the longer one at most \
                 {LONG_SIDE} and the shorter one at most {SHORT_SIDE}, for instance 1280x720"
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

/// The key with the digest of what it stands for; `None` without one. `request` is the encoded request without the key,
/// `call` keeps equal bytes of different calls apart. Callers known by name have keys of their own.
pub(super) fn key(caller: &Caller, text: String, call: &str, request: &[u8]) -> Result<Option<IdempotencyKey>, Error> {
    context::check_idempotency_key(&text)?;
    if text.is_empty() {
        return Ok(None);
    }
    // No name has a slash.
    let text = match caller.name() {
        Some(name) => format!("{name}/{text}"),
        None => text,
    };
    let digest = Sha256::new().chain_update(call).chain_update([0]).chain_update(request).finalize();
    let nibble = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('?');
    let fingerprint = digest.iter().flat_map(|byte| [nibble(byte >> 4), nibble(byte & 15)]).collect();
    Ok(Some(IdempotencyKey { text, fingerprint }))
}

pub(super) fn page(request: &pb::ListVideosRequest) -> Result<Page, Error> {
    let pb::ListVideosRequest { page_size, page_token, order } = request;
    let (most, usual) = PAGE;
    let limit = page_size.unwrap_or(usual);
    if limit > most {
        return Err(Error::invalid("page_size", format!("must be from 0 to {most}, not {limit}")));
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
    Ok(Page { limit, after, oldest_first })
}

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

    fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
        match answer {
            Err(Error::InvalidField { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let checked = create(request()).unwrap();
        assert_eq!((checked.size, checked.seconds), (DEFAULT_SIZE, 5));
    }

    #[test]
    fn each_wrong_field_is_named() {
        let wrong = |change: fn(&mut pb::CreateVideoRequest)| {
            let mut request = request();
            change(&mut request);
            refused(create(request))
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
            assert_eq!(refused(size(wrong)), "size", "{wrong}");
        }
    }

    #[test]
    fn a_key_is_printable_and_stands_for_one_request_of_one_call() {
        let made = |text: &str, call, request| key(&Caller::default(), text.to_owned(), call, request);
        assert_eq!(made("", "create", b"a").unwrap(), None);
        assert_eq!(made("k", "create", b"a").unwrap(), made("k", "create", b"a").unwrap());
        assert_ne!(made("k", "create", b"a").unwrap(), made("k", "create", b"b").unwrap());
        assert_ne!(made("k", "create", b"a").unwrap(), made("k", "remix", b"a").unwrap());
        for wrong in ["ü", "a\n", &"k".repeat(256)] {
            assert_eq!(refused(made(wrong, "create", b"a")), "idempotency_key");
        }
    }

    #[test]
    fn pages_have_bounds_and_a_known_order() {
        let page = |limit, after: &str, order| {
            page(&pb::ListVideosRequest { page_size: limit, page_token: after.to_owned(), order })
        };
        assert_eq!(page(None, "", 0).unwrap(), Page { limit: 20, after: None, oldest_first: false });
        assert_eq!(page(Some(0), "", 2).unwrap(), Page { limit: 0, after: None, oldest_first: true });
        assert_eq!(refused(page(Some(101), "", 0)), "page_size");
        assert_eq!(refused(page(None, "video_1", 0)), "page_token");
        assert_eq!(refused(page(None, "", 3)), "order");
    }
}
