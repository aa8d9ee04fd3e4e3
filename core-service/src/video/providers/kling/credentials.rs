//! The access key and secret key of a Kling account. They are not sent: each request has a token that is signed with them.
//! Accounts with an API key do not need this.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::Sha256;

use crate::{error::ProviderError, video::time::Clock};

/// How long a token is valid.
const VALIDITY: Duration = Duration::from_mins(30);
/// How far the beginning of a token's validity lies in the past: otherwise Kling would reject it if Kling's clock is slow.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// An access key and its secret key.
#[derive(Debug)]
pub(super) struct KeyPair {
    access_key: SecretString,
    secret_key: SecretString,
    clock: Clock,
}

/// A JSON Web Token (RFC 7519), signed with HMAC SHA-256.
pub(super) struct Token(String);

impl KeyPair {
    pub(super) fn new(access_key: SecretString, secret_key: SecretString, clock: Clock) -> Self {
        Self { access_key, secret_key, clock }
    }

    /// Returns a token for one request: the access key with its validity, signed with the secret key.
    pub(super) fn token(&self) -> Result<Token, ProviderError> {
        // In milliseconds since 1970; the token has seconds.
        let now = self.clock.now();
        let seconds = |millis: i64| millis.div_euclid(1000);
        let claims = json!({
            "iss": self.access_key.expose_secret(),
            "exp": seconds(now.after(VALIDITY).0),
            "nbf": seconds(now.0).saturating_sub_unsigned(CLOCK_SKEW.as_secs()),
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let content = format!("{}.{}", encode(&json!({"alg": "HS256", "typ": "JWT"})), encode(&claims));
        // HMAC accepts keys of every length.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret_key.expose_secret().as_bytes())
            .map_err(|error| ProviderError::Credentials(format!("the secret key cannot sign a token: {error}")))?;
        mac.update(content.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        Ok(Token(format!("{content}.{signature}")))
    }
}

impl Token {
    /// Returns the `authorization` header with the token.
    pub(super) fn headers(&self) -> Result<HeaderMap, ProviderError> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0))
            .map_err(|_| ProviderError::Credentials("the token cannot be sent in an HTTP header".to_owned()))?;
        value.set_sensitive(true);
        Ok(HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
    }

    /// Returns `text` with the token replaced by `***`, if an upstream quotes it; `None` if it does not.
    pub(super) fn removed_from(&self, text: &[u8]) -> Option<String> {
        let text = str::from_utf8(text).ok().filter(|text| text.contains(&self.0))?;
        Some(text.replace(&self.0, "***"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::time::Timestamp;

    #[test]
    fn token_is_signed_with_the_secret_key_and_removed_from_texts() {
        // 1795343400 s and 999 ms: valid from 5 s before to 30 min after.
        let (clock, _) = Clock::manual(Timestamp(1_795_343_400_999));
        let token = KeyPair::new("access".into(), "secret".into(), clock).token().unwrap();
        let parts: Vec<_> = token.0.split('.').collect();
        let [header, claims, signature] = parts.as_slice() else { panic!("{parts:?}") };
        let decoded =
            |part: &str| serde_json::from_slice::<serde_json::Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(decoded(header), json!({"alg": "HS256", "typ": "JWT"}));
        assert_eq!(decoded(claims), json!({"iss": "access", "exp": 1_795_345_200, "nbf": 1_795_343_395}));
        assert_eq!(*signature, "yfepTwfTkdimdRpEaC0XnxgMgtoDGYcd2O39pDfODNA");
        assert_eq!(token.headers().unwrap()["authorization"], format!("Bearer {}", token.0));
        let quoted = format!("invalid token {}", token.0);
        assert_eq!(token.removed_from(quoted.as_bytes()).as_deref(), Some("invalid token ***"));
        assert_eq!(token.removed_from(b"other"), None);
    }
}
