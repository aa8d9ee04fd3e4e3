//! Signed media links: anyone who has the link can read the stored file without an API key until the link expires.
//! Signing is off by default: the executable passes a signer if the operator has configured a key.
//!
//! The signature covers the media key and the expiry time, not the host, because a proxy may serve the gateway under
//! another name.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Length of the truncated HMAC in a link, in bytes: 128 bits cannot be guessed, and keep links short.
const TAG_BYTES: usize = 16;

/// Domain separation: a signature for another purpose under the same key never verifies here.
const PURPOSE: &[u8] = b"triptych media link\0";

/// Signs and verifies links with HMAC-SHA256 under the operator's signing key, which must be the same in all gateways
/// that serve the same media.
#[derive(Clone)]
pub struct LinkSigner {
    mac: Hmac<Sha256>,
    /// How long a link is valid.
    ttl: Duration,
}

/// Why a link is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidLink {
    /// The link has no signature.
    Unsigned,
    /// The signature was made with another key or for another link.
    WrongSignature,
    /// The signature is right, and its expiry time has passed.
    Expired,
}

impl InvalidLink {
    /// Describes the error, to follow the words "the link".
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Unsigned => "has no signature",
            Self::WrongSignature => "has a wrong signature",
            Self::Expired => "has expired",
        }
    }
}

impl LinkSigner {
    /// Creates a signer whose links are valid for `ttl` at least, and up to a tenth longer.
    pub fn new(key: &[u8], ttl: Duration) -> Self {
        #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "HMAC accepts keys of every length")]
        let mac = Hmac::new_from_slice(key).expect("HMAC accepts keys of every length");
        Self { mac, ttl }
    }

    /// Returns the query string of a link to this stored file: `e`, its expiry in seconds since 1970, and `s`, the
    /// signature in base64url.
    pub fn sign_at(&self, media_key: &str, now: SystemTime) -> String {
        let ttl = self.ttl.as_secs().max(1);
        // Expiry is rounded up, so that responses repeat the same link for a tenth of its lifetime, an hour at most,
        // and caches can reuse their copy.
        let step = (ttl / 10).clamp(1, 3600);
        let expiry = unix_seconds(now).saturating_add(ttl).div_ceil(step).saturating_mul(step);
        let tag = self.mac(media_key, expiry).finalize().into_bytes();
        format!("e={expiry}&s={}", URL_SAFE_NO_PAD.encode(&tag[..TAG_BYTES]))
    }

    /// Verifies the query string of a link to this file and returns how long the link remains valid.
    pub(crate) fn verify(&self, media_key: &str, query: &str, now: SystemTime) -> Result<Duration, InvalidLink> {
        let parameter = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        let (Some(expiry), Some(tag)) = (parameter("e"), parameter("s")) else { return Err(InvalidLink::Unsigned) };
        let (Ok(expiry), Ok(tag)) = (expiry.parse(), URL_SAFE_NO_PAD.decode(tag)) else {
            return Err(InvalidLink::WrongSignature);
        };
        // `verify_truncated_left` accepts tags of any length, down to a single byte, which can be guessed.
        if tag.len() != TAG_BYTES || self.mac(media_key, expiry).verify_truncated_left(&tag).is_err() {
            return Err(InvalidLink::WrongSignature);
        }
        match expiry.checked_sub(unix_seconds(now)) {
            Some(remaining @ 1..) => Ok(Duration::from_secs(remaining)),
            Some(0) | None => Err(InvalidLink::Expired),
        }
    }

    /// Returns the HMAC over purpose, expiry and media key.
    fn mac(&self, media_key: &str, expiry: u64) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(PURPOSE);
        mac.update(&expiry.to_be_bytes());
        mac.update(media_key.as_bytes());
        mac
    }
}

/// Leaves out the key.
impl fmt::Debug for LinkSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkSigner").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn signer() -> LinkSigner {
        LinkSigner::new(b"the operator's signing key", HOUR)
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_001)
    }

    #[test]
    fn link_is_valid_until_its_expiry() {
        let query = signer().sign_at("k.png", now());
        assert!(query.len() < 40, "{query}");
        let remaining = signer().verify("k.png", &query, now()).unwrap();
        assert!((HOUR..=HOUR + HOUR / 10).contains(&remaining), "{remaining:?}");
        let just_before = now() + remaining - Duration::from_secs(1);
        assert_eq!(signer().verify("k.png", &query, just_before), Ok(Duration::from_secs(1)));
        for late in [remaining, remaining + HOUR] {
            assert_eq!(signer().verify("k.png", &query, now() + late), Err(InvalidLink::Expired));
        }
    }

    #[test]
    fn links_made_within_a_tenth_of_the_lifetime_are_identical() {
        // The expiry is a multiple of 360 seconds.
        let at = |seconds| signer().sign_at("k.png", now() + Duration::from_secs(seconds));
        assert_eq!(at(0), at(300));
        assert_ne!(at(0), at(400));
    }

    #[test]
    fn modified_link_is_refused() {
        let signer = signer();
        let query = signer.sign_at("k.png", now());
        let (expiry, tag) = query.strip_prefix("e=").unwrap().split_once("&s=").unwrap();
        let later = expiry.parse::<u64>().unwrap() + 1;
        let other_key = LinkSigner::new(b"the operator's signing key.", HOUR).sign_at("k.png", now());
        let mut flipped = tag.to_owned().into_bytes();
        flipped[0] = if flipped[0] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();
        for modified in [
            format!("e={later}&s={tag}"),
            format!("e={expiry}&s={flipped}"),
            format!("e={expiry}&s={}", &tag[..2]),
            format!("e={expiry}&s="),
            format!("e={expiry}&s={tag}A"),
            format!("e=&s={tag}"),
            format!("e=-1&s={tag}"),
            other_key,
        ] {
            assert_eq!(signer.verify("k.png", &modified, now()), Err(InvalidLink::WrongSignature), "{modified}");
        }
        assert_eq!(signer.verify("l.png", &query, now()), Err(InvalidLink::WrongSignature), "for another file");
        for unsigned in [String::new(), format!("e={expiry}"), format!("s={tag}"), "a=b".to_owned()] {
            assert_eq!(signer.verify("k.png", &unsigned, now()), Err(InvalidLink::Unsigned), "{unsigned}");
        }
    }

    #[test]
    fn debug_output_hides_the_key() {
        assert!(!format!("{:?}", signer()).contains("operator"));
    }
}
