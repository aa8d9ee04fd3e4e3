//! Links by which a provider fetches an input of a video job: without an API key, for that file alone, for a limited time.
//!
//! The core signs and verifies them with a key in its database, so gateways need no key, and links stay valid after a restart.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use url::{Host, Url};

use super::{address_policy::AddressPolicy, key::MediaKey};
use crate::live::Live;

/// The path of the links at the gateway.
const PATH: &str = "media/inputs";
/// The length of the truncated HMAC in a token, in bytes: 128 bits cannot be guessed.
const TAG_BYTES: usize = 16;
/// The length of the expiry time in a token, in bytes.
const EXPIRY_BYTES: usize = 8;
/// Domain separation: a signature for another purpose under the same key never verifies here.
const PURPOSE: &[u8] = b"triptych provider link\0";
/// The ends of names that no public resolver knows.
const PRIVATE_NAMES: [&str; 6] = ["localhost", ".localhost", ".local", ".internal", ".lan", ".home.arpa"];

/// Creates and verifies the links. Clones share the base URL.
#[derive(Clone)]
pub struct ProviderLinks {
    mac: Hmac<Sha256>,
    base: Live<Option<Url>>,
    policy: AddressPolicy,
    ttl: Duration,
}

impl ProviderLinks {
    /// Returns the source of links that are signed with this key and valid for `ttl`. `base` is the public base URL of the gateway;
    /// without one, and for one that the policy does not permit, there are no links.
    pub fn new(key: &[u8], base: Option<&str>, policy: AddressPolicy, ttl: Duration) -> Self {
        #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "HMAC accepts keys of every length")]
        let mac = Hmac::new_from_slice(key).expect("HMAC accepts keys of every length");
        let links = Self { mac, base: Live::new(None), policy, ttl };
        links.set_base(base);
        links
    }

    /// Replaces the public base URL.
    pub fn set_base(&self, base: Option<&str>) {
        let base = base.and_then(|base| Url::parse(base).ok());
        self.base.store(base.filter(|base| self.policy.check(base).is_ok() && self.is_public_name(base)));
    }

    /// Returns a link to the file that is valid from `now` on; `None` without a public base URL.
    pub fn link(&self, key: &MediaKey, now: SystemTime) -> Option<String> {
        let base = self.base.load();
        let base = base.as_ref().as_ref()?;
        let token = self.token(key, now + self.ttl);
        // Several providers read the type of a file from the end of its URL.
        let extension = key.media_type().extension();
        Some(format!("{}/{PATH}/{token}.{extension}", base.as_str().trim_end_matches('/')))
    }

    /// Returns the key of the file that a token stands for; `None` if it is altered or has expired.
    pub fn verify(&self, token: &str, now: SystemTime) -> Option<MediaKey> {
        let (token, _extension) = token.split_once('.').unwrap_or((token, ""));
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (tag, signed) = bytes.split_at_checked(TAG_BYTES)?;
        self.mac(signed).verify_truncated_left(tag).ok()?;
        let (expiry, key) = signed.split_at_checked(EXPIRY_BYTES)?;
        let expiry = u64::from_be_bytes(expiry.try_into().ok()?);
        let is_valid = unix_seconds(now) < expiry;
        MediaKey::parse(std::str::from_utf8(key).ok()?).filter(|_| is_valid)
    }

    /// Returns the truncated HMAC, the expiry time and the key, in base64.
    fn token(&self, key: &MediaKey, expires: SystemTime) -> String {
        let signed = [unix_seconds(expires).to_be_bytes().as_slice(), key.as_str().as_bytes()].concat();
        let tag = self.mac(&signed).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([&tag[..TAG_BYTES], &signed].concat())
    }

    fn mac(&self, signed: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(PURPOSE);
        mac.update(signed);
        mac
    }

    /// Returns whether the host may be a name of the public internet, where the policy requires one.
    fn is_public_name(&self, base: &Url) -> bool {
        let permits_private = self.policy.permits([127, 0, 0, 1].into());
        match base.host() {
            Some(Host::Domain(name)) if !permits_private => {
                name.contains('.') && !PRIVATE_NAMES.iter().any(|end| name.trim_end_matches('.').ends_with(end))
            }
            Some(_) => true,
            None => false,
        }
    }
}

/// Leaves out the key.
impl std::fmt::Debug for ProviderLinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderLinks").field("base", &self.base).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const BASE: &str = "https://ai.example.org/gateway/";

    fn links(key: &[u8]) -> ProviderLinks {
        ProviderLinks::new(key, Some(BASE), AddressPolicy::PUBLIC_ANY_PORT, HOUR)
    }

    fn key() -> MediaKey {
        MediaKey::parse("video_1-input-0.mp4").unwrap()
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_hours(500_000)
    }

    #[test]
    fn link_is_valid_until_it_expires_also_after_a_restart() {
        let link = links(b"key").link(&key(), now()).unwrap();
        let token = link.strip_prefix("https://ai.example.org/gateway/media/inputs/").unwrap();
        assert_eq!(token.rsplit_once('.').unwrap().1, "mp4", "{token}");
        let restarted = links(b"key");
        assert_eq!(restarted.verify(token, now()), Some(key()));
        assert_eq!(restarted.verify(token, now() + HOUR - Duration::from_secs(1)), Some(key()));
        assert_eq!(restarted.verify(token, now() + HOUR), None);
        assert_eq!(links(b"another").verify(token, now()), None);
    }

    #[test]
    fn altered_token_is_refused() {
        let links = links(b"key");
        let token = links.token(&key(), now() + HOUR);
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for index in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[index] ^= 1;
            assert_eq!(links.verify(&URL_SAFE_NO_PAD.encode(&altered), now()), None, "byte {index}");
        }
        for wrong in ["", ".mp4", "AAAA", &token[..token.len() - 2], "../video_1.mp4"] {
            assert_eq!(links.verify(wrong, now()), None, "{wrong}");
        }
    }

    #[test]
    fn base_url_must_be_public_unless_private_addresses_are_permitted() {
        let link = |base: &str, policy| ProviderLinks::new(b"key", Some(base), policy, HOUR).link(&key(), now());
        for public in ["https://ai.example.org", "http://93.184.216.34:8000", "http://[2606:4700::1111]/"] {
            assert!(link(public, AddressPolicy::PUBLIC_ANY_PORT).is_some(), "{public}");
        }
        for private in [
            "http://127.0.0.1:8000",
            "http://localhost:8000",
            "http://a.localhost",
            "http://gateway:8000",
            "http://gateway.internal",
            "http://10.0.0.7",
            "http://[::1]:8000",
        ] {
            assert_eq!(link(private, AddressPolicy::PUBLIC_ANY_PORT), None, "{private}");
            assert!(link(private, AddressPolicy::OPEN).is_some(), "{private}");
        }
        let none = links(b"key");
        none.set_base(None);
        assert_eq!(none.link(&key(), now()), None);
    }
}
