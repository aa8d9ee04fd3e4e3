//! Who calls: the callers' keys, and the one question behind both doors.
//!
//! The gateway hands on what a request shows and judges nothing, so that only the core has to know the keys, wherever
//! it runs. Nothing is asked of those who look at health or the contract itself, nor of readers of media: the key of
//! a medium cannot be guessed, and links to it are followed by browsers and players that show nothing.

use std::{collections::HashMap, fmt, sync::Arc};

use sha2::{Digest, Sha256};
use tonic::{Request, metadata::MetadataMap};
use tracing::Span;

use crate::{
    chat::on_disconnect::OnDisconnect,
    config::{self, Invalid},
    error::Error,
};

/// SHA-256 of a secret.
pub(crate) type SecretDigest = [u8; 32];

/// The longest secret; what is longer is not even hashed.
pub(crate) const LONGEST_SECRET: usize = 512;

/// All keys that callers may show. Cheap to clone.
///
/// Secrets are kept and found by their digests, so that neither the memory nor the time of a look-up tells them.
#[derive(Clone, Default)]
pub struct Keys(Option<Arc<HashMap<SecretDigest, Caller>>>);

/// Who makes a call, as far as anybody is asked. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller(Option<Arc<Known>>);

#[derive(Debug, PartialEq, Eq)]
struct Known {
    name: String,
    on_disconnect: Option<OnDisconnect>,
}

/// The owner of jobs, media and idempotency keys: the name of the caller's API key, or the empty name where no key is
/// required.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// Returns the owner with this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Returns the name; empty for the anonymous owner.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Keys {
    /// The keys of these settings; none: nobody is asked.
    ///
    /// # Errors
    /// A key without a secret, or with that of another.
    pub fn new(settings: &[config::Key]) -> Result<Self, Invalid> {
        let mut callers = HashMap::with_capacity(settings.len());
        for key in settings {
            let caller = Known { name: key.name.clone(), on_disconnect: key.on_disconnect };
            if callers.insert(key.digest()?, Caller(Some(Arc::new(caller)))).is_some() {
                return Err(key.wrong("has the secret of another key"));
            }
        }
        Ok(Self((!callers.is_empty()).then(|| Arc::new(callers))))
    }

    /// Who makes this call. Its span gets to know the name.
    ///
    /// # Errors
    /// [`Error::InvalidApiKey`], where keys are asked for and the call shows none of them.
    pub fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Error> {
        // The server has asked before it read the message.
        let asked = request.extensions().get::<Caller>();
        asked.map_or_else(|| self.shown(request.metadata()), |caller| Ok(caller.clone()))
    }

    /// Who shows the key in this metadata.
    pub(crate) fn shown(&self, metadata: &MetadataMap) -> Result<Caller, Error> {
        let Some(callers) = &self.0 else { return Ok(Caller::default()) };
        let secret = metadata.get("authorization").and_then(|value| bearer(value.as_bytes()));
        let secret = secret.ok_or(Error::InvalidApiKey { shown: false })?;
        let known = (secret.len() <= LONGEST_SECRET).then(|| callers.get(&digest(secret))).flatten();
        let caller = known.ok_or(Error::InvalidApiKey { shown: true })?;
        Span::current().record("caller", caller.name());
        Ok(caller.clone())
    }
}

impl Caller {
    /// Returns a caller with this name and no settings of its own; the empty name is the anonymous caller.
    pub(crate) fn named(name: &str) -> Self {
        let known = Known { name: name.to_owned(), on_disconnect: None };
        Self((!name.is_empty()).then(|| Arc::new(known)))
    }

    /// The name of the caller's key; `None` where nobody is asked.
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|known| known.name.as_str())
    }

    /// Returns the owner of what this caller creates.
    pub fn owner(&self) -> Owner {
        self.name().map(Owner::new).unwrap_or_default()
    }

    /// What becomes of the caller's answers when the caller hangs up, unless a call says otherwise.
    pub fn on_disconnect(&self) -> Option<OnDisconnect> {
        self.0.as_ref()?.on_disconnect
    }

    /// Lets a request whose metadata was looked at already tell so.
    pub(crate) fn accompany(self, request: &mut http::Extensions) {
        if self.0.is_some() {
            request.insert(self);
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().flat_map(|callers| callers.values().filter_map(Caller::name))).finish()
    }
}

/// The credentials of the scheme `Bearer`, which is written in any case.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, secret) = value.split_at_checked(7)?;
    let secret = secret.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !secret.is_empty()).then_some(secret)
}

pub(crate) fn digest(secret: &[u8]) -> SecretDigest {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests;
