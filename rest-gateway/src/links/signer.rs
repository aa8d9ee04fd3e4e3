//! Signatures that let a link be followed without a key, by anybody, for a while.
//!
//! Signed are the medium and the end of the link's life, not the host: a proxy may serve it under another name.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How many bytes of the HMAC a link carries: beyond guessing, and short.
const TAG: usize = 16;

/// What is signed begins with this, so that the key can never be made to sign something of another kind.
const PURPOSE: &[u8] = b"triptych media link\0";

/// Signs links with HMAC-SHA256. Every gateway that serves the same media needs the same key.
#[derive(Clone)]
pub struct LinkSigner {
    mac: Hmac<Sha256>,
    ttl: Duration,
}

/// Why a link is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It carries no signature.
    Unsigned,
    /// Its signature is not ours, or is for something else.
    Forged,
    /// It was good once.
    Expired,
}

impl Refused {
    /// Why, in words that follow "the link".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Unsigned => "lacks its signature",
            Self::Forged => "has a signature that does not fit it",
            Self::Expired => "has expired",
        }
    }
}

impl LinkSigner {
    /// Signs with this key; a link works for `ttl` at least, and a tenth longer at most.
    pub fn new(key: &[u8], ttl: Duration) -> Self {
        #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "HMAC takes keys of every length")]
        let mac = Hmac::new_from_slice(key).expect("a key of any length");
        Self { mac, ttl }
    }

    /// The query of a link to this medium: when it ends, in seconds since 1970, and the signature.
    pub fn sign_at(&self, key: &str, now: SystemTime) -> String {
        let ttl = self.ttl.as_secs().max(1);
        // Rounded up, so that answers repeat a link for a while, and caches know it again.
        let step = (ttl / 10).clamp(1, 3600);
        let end = seconds(now).saturating_add(ttl).div_ceil(step).saturating_mul(step);
        let whole = self.signed(key, end).finalize().into_bytes();
        format!("e={end}&s={}", URL_SAFE_NO_PAD.encode(&whole[..TAG]))
    }

    /// How much longer the link to this medium works that came with this query.
    pub(crate) fn check(&self, key: &str, query: &str, now: SystemTime) -> Result<Duration, Refused> {
        let member = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        let (Some(end), Some(tag)) = (member("e"), member("s")) else { return Err(Refused::Unsigned) };
        let (Ok(end), Ok(tag)) = (end.parse(), URL_SAFE_NO_PAD.decode(tag)) else { return Err(Refused::Forged) };
        // The comparison of a shortened tag takes any length, down to one byte that can be guessed.
        if tag.len() != TAG || self.signed(key, end).verify_truncated_left(&tag).is_err() {
            return Err(Refused::Forged);
        }
        match end.checked_sub(seconds(now)) {
            Some(left @ 1..) => Ok(Duration::from_secs(left)),
            Some(0) | None => Err(Refused::Expired),
        }
    }

    fn signed(&self, key: &str, end: u64) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(PURPOSE);
        mac.update(&end.to_be_bytes());
        mac.update(key.as_bytes());
        mac
    }
}

impl fmt::Debug for LinkSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkSigner").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn signer() -> LinkSigner {
        LinkSigner::new(b"a key of the operator's", HOUR)
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_001)
    }

    #[test]
    fn a_link_works_for_as_long_as_it_says_and_no_longer() {
        let query = signer().sign_at("k.png", now());
        assert!(query.len() < 40, "{query}");
        let left = signer().check("k.png", &query, now()).unwrap();
        assert!((HOUR..=HOUR + HOUR / 10).contains(&left), "{left:?}");
        let just_before = now() + left - Duration::from_secs(1);
        assert_eq!(signer().check("k.png", &query, just_before), Ok(Duration::from_secs(1)));
        for late in [left, left + HOUR] {
            assert_eq!(signer().check("k.png", &query, now() + late), Err(Refused::Expired));
        }
    }

    #[test]
    fn answers_repeat_a_link_for_a_while() {
        let at = |seconds| signer().sign_at("k.png", now() + Duration::from_secs(seconds));
        assert_eq!(at(0), at(300));
        assert_ne!(at(0), at(400));
    }

    #[test]
    fn whatever_was_changed_the_signature_tells() {
        let signer = signer();
        let query = signer.sign_at("k.png", now());
        let (end, tag) = query.strip_prefix("e=").unwrap().split_once("&s=").unwrap();
        let later = end.parse::<u64>().unwrap() + 1;
        let other = LinkSigner::new(b"a key of the operator's.", HOUR).sign_at("k.png", now());
        let mut wrong = tag.to_owned().into_bytes();
        wrong[0] = if wrong[0] == b'A' { b'B' } else { b'A' };
        let wrong = String::from_utf8(wrong).unwrap();
        for forged in [
            format!("e={later}&s={tag}"),
            format!("e={end}&s={wrong}"),
            format!("e={end}&s={}", &tag[..2]),
            format!("e={end}&s="),
            format!("e={end}&s={tag}A"),
            format!("e=&s={tag}"),
            format!("e=-1&s={tag}"),
            other,
        ] {
            assert_eq!(signer.check("k.png", &forged, now()), Err(Refused::Forged), "{forged}");
        }
        assert_eq!(signer.check("l.png", &query, now()), Err(Refused::Forged), "for another medium");
        for unsigned in [String::new(), format!("e={end}"), format!("s={tag}"), "a=b".to_owned()] {
            assert_eq!(signer.check("k.png", &unsigned, now()), Err(Refused::Unsigned), "{unsigned}");
        }
    }

    #[test]
    fn the_key_is_not_printed() {
        assert!(!format!("{:?}", signer()).contains("operator"));
    }
}
