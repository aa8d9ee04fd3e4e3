//! Idempotent calls: one scope and one fingerprint for all three services.
//!
//! A call is repeatable if it carries an idempotency key or comes from an official OpenAI SDK, which retries silently and
//! counts its retries in a header. The services respond to a repeated call differently: chat passes the key on to the
//! upstream, images share the first call's response in memory ([`single_flight`]) and among nodes (`across_nodes`), videos find the first
//! call's job in the database.

pub(crate) mod across_nodes;
pub mod single_flight;

use std::time::Duration;

use prost::Message;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    context::RequestContext,
    digest::{self, Hex, parse_hex},
    keys::Owner,
};

/// How long a call of an SDK without a key can be repeated: an SDK retries within seconds or not at all.
pub const SDK_WINDOW: Duration = Duration::from_mins(1);

/// Messages longer than this are hashed on a blocking thread.
const HASHED_INLINE: usize = 1 << 20;

/// The identity of a repeatable call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The namespace and name of the call.
    pub scope: Scope,
    /// Identifies the content: a key that is reused for a different request is an error.
    pub fingerprint: Fingerprint,
    /// Whether the call may be a repetition. `false` only for the first attempt of an SDK call without a key: it starts new
    /// work even if an equal request was sent before.
    pub may_be_repetition: bool,
}

/// The namespace and name under which a call is looked up. Equal keys of different owners are different scopes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The owner of the key.
    pub owner: Owner,
    /// The caller's key, or the content of a call without one.
    pub key: Key,
}

/// The name of a repeatable call within its owner's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// The caller's idempotency key.
    Explicit(String),
    /// A call of an SDK without a key is identified by its content.
    Content(Fingerprint),
}

/// SHA-256 over the name of the method and the encoded request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Idempotency {
    /// Returns the identity of a call of `method`, or `None` if it is not repeatable. Large requests are hashed on a blocking
    /// thread.
    pub async fn from_request<R>(context: &RequestContext, method: &'static str, request: &R) -> Option<Self>
    where
        R: Message + Clone + 'static,
    {
        let explicit = !context.idempotency_key.is_empty();
        let may_be_repetition = match context.sdk_retries {
            _ if explicit => true,
            Some(retries) => retries > 0,
            None => return None,
        };
        let fingerprint = Fingerprint::from_request(method, request).await;
        let key = if explicit { Key::Explicit(context.idempotency_key.clone()) } else { Key::Content(fingerprint) };
        Some(Self { scope: Scope { owner: context.caller.owner(), key }, fingerprint, may_be_repetition })
    }
}

impl Scope {
    /// Returns the key as the caller sent it; empty for a call without one.
    pub fn explicit_key(&self) -> &str {
        match &self.key {
            Key::Explicit(key) => key,
            Key::Content(_) => "",
        }
    }
}

impl Key {
    /// Returns the key as text for a database column.
    pub fn to_column(&self) -> String {
        match self {
            Self::Explicit(key) => format!("key:{key}"),
            Self::Content(fingerprint) => format!("content:{}", fingerprint.to_hex()),
        }
    }

    /// Parses the text of [`to_column`](Self::to_column).
    pub fn from_column(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("key", key) => Some(Self::Explicit(key.to_owned())),
            ("content", hex) => Fingerprint::from_hex(hex).map(Self::Content),
            _ => None,
        }
    }
}

impl Fingerprint {
    async fn from_request<R: Message + Clone + 'static>(method: &'static str, request: &R) -> Self {
        if request.encoded_len() <= HASHED_INLINE {
            return Self::hash(method, request);
        }
        let request = request.clone();
        let hashed = digest::LIMITER.run(move || Self::hash(method, &request)).await;
        // The runtime is shutting down: a random fingerprint equals no other.
        hashed.unwrap_or_else(|_| Self(Sha256::digest(Uuid::new_v4()).into()))
    }

    fn hash(method: &str, request: &impl Message) -> Self {
        Self(
            Sha256::new()
                .chain_update(method)
                .chain_update([0])
                .chain_update(request.encode_to_vec())
                .finalize()
                .into(),
        )
    }

    /// Parses 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }

    /// Returns the 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        Hex(&self.0).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Caller;

    fn context(key: &str, sdk_retries: Option<u32>) -> RequestContext {
        let idempotency_key = key.to_owned();
        RequestContext { caller: Caller::named("a"), idempotency_key, sdk_retries, ..RequestContext::default() }
    }

    #[tokio::test]
    async fn fingerprints_differ_by_method_and_content_at_any_length() {
        for length in [10, 2 * HASHED_INLINE] {
            let text = "x".repeat(length);
            let one = Fingerprint::from_request("a", &text).await;
            assert_eq!(Fingerprint::from_request("a", &text).await, one);
            assert_ne!(Fingerprint::from_request("b", &text).await, one);
            assert_ne!(Fingerprint::from_request("a", &(text + "y")).await, one);
        }
    }

    #[tokio::test]
    async fn only_keyed_calls_and_sdk_calls_are_repeatable() {
        let identity =
            async |key, retries| Idempotency::from_request(&context(key, retries), "a", &String::new()).await;
        assert_eq!(identity("", None).await, None);
        assert!(identity("k", None).await.unwrap().may_be_repetition);
        assert!(!identity("", Some(0)).await.unwrap().may_be_repetition);
        assert!(identity("", Some(1)).await.unwrap().may_be_repetition);
    }

    #[tokio::test]
    async fn equal_keys_of_different_owners_have_different_scopes_and_the_same_fingerprint() {
        let one = Idempotency::from_request(&context("k", None), "a", &String::new()).await.unwrap();
        let other = RequestContext { caller: Caller::named("b"), ..context("k", None) };
        let other = Idempotency::from_request(&other, "a", &String::new()).await.unwrap();
        assert_ne!(one.scope, other.scope);
        assert_eq!(one.fingerprint, other.fingerprint);
        assert_eq!(one.fingerprint.to_hex().len(), 64);
    }
}
