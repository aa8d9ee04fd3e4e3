//! Renders stay with the API key that started them while the keys of a provider are replaced.

mod key_id;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;

use self::key_id::KeyId;
use super::provider::{
    Cancellation, ClipFile, LostSubmission, Progress, RenderRequest, Search, Slot, UpstreamTask, VideoProvider,
};
use crate::{
    call::{Call, Chunks},
    context::RequestContext,
    error::ProviderError,
    upstream::SetupError,
};

/// A provider with its current API key and those that it replaced.
///
/// Only the current key starts renders. Their tasks and locations are stored with an id of the key, so that they are polled,
/// fetched and cancelled with the same key: the key of another account finds none of them. The current key is used for the
/// renders of a key that is no longer configured or that the provider rejects.
#[derive(Debug)]
pub struct KeyRotation {
    current: Account,
    previous: Vec<Account>,
}

/// The provider with one API key.
#[derive(Debug)]
struct Account {
    /// `None` without a key, and for credentials that are not one key.
    key_id: Option<KeyId>,
    provider: Arc<dyn VideoProvider>,
}

impl KeyRotation {
    /// Builds a provider for the current key and for each of the previous keys.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn new<P: VideoProvider + 'static>(
        current: &SecretString,
        previous: &[SecretString],
        build: impl Fn(&SecretString) -> Result<P, SetupError>,
    ) -> Result<Self, SetupError> {
        let current = Account { key_id: Some(KeyId::of(current)), provider: Arc::new(build(current)?) };
        Self::with_current(current, previous, build)
    }

    /// Takes a provider without a key, or with credentials other than one key, and builds one for each of the previous keys.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn without_key<P: VideoProvider + 'static>(
        current: P,
        previous: &[SecretString],
        build: impl Fn(&SecretString) -> Result<P, SetupError>,
    ) -> Result<Self, SetupError> {
        Self::with_current(Account { key_id: None, provider: Arc::new(current) }, previous, build)
    }

    fn with_current<P: VideoProvider + 'static>(
        current: Account,
        previous: &[SecretString],
        build: impl Fn(&SecretString) -> Result<P, SetupError>,
    ) -> Result<Self, SetupError> {
        let account = |key: &SecretString| {
            let provider: Arc<dyn VideoProvider> = Arc::new(build(key)?);
            Ok(Account { key_id: Some(KeyId::of(key)), provider })
        };
        Ok(Self { current, previous: previous.iter().map(account).collect::<Result<_, SetupError>>()? })
    }

    /// Returns the account of a previous key that `stored` belongs to, if any, and the provider's text without the key id.
    fn previous_of<'a>(&self, stored: &'a str) -> (Option<&Account>, &'a str) {
        let (key_id, text) = KeyId::split(stored);
        let is_current = key_id.is_none() || key_id == self.current.key_id;
        let previous = self.previous.iter().find(|account| !is_current && account.key_id == key_id);
        (previous, text)
    }

    fn previous_of_task(&self, task: &UpstreamTask) -> (Option<&Account>, UpstreamTask) {
        let (previous, text) = self.previous_of(&task.0);
        (previous, UpstreamTask(text.to_owned()))
    }
}

impl Account {
    /// Returns the provider's text with the key id.
    fn stored(&self, text: String) -> String {
        match &self.key_id {
            Some(key_id) => key_id.join(&text),
            None => text,
        }
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        self.provider.submit(call).await.map(|task| UpstreamTask(self.stored(task.0)))
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let mut progress = self.provider.poll(task, context).await?;
        if let Progress::Ready(clip) = &mut progress {
            for file in &mut clip.files {
                file.location = self.stored(std::mem::take(&mut file.location));
            }
        }
        Ok(progress)
    }

    async fn find(&self, lost: &LostSubmission, context: &RequestContext) -> Result<Search, ProviderError> {
        Ok(match self.provider.find(lost, context).await? {
            Search::Found(task) => Search::Found(UpstreamTask(self.stored(task.0))),
            other @ (Search::Absent | Search::Inconclusive) => other,
        })
    }
}

/// Returns whether the provider rejected the key, and so has executed nothing.
fn is_key_rejected<T>(result: &Result<T, ProviderError>) -> bool {
    matches!(result, Err(error) if matches!(error.failure(), ProviderError::Credentials(_)))
}

#[async_trait]
impl VideoProvider for KeyRotation {
    fn address(&self) -> Option<&str> {
        self.current.provider.address()
    }

    fn submits_idempotently(&self) -> bool {
        self.current.provider.submits_idempotently()
    }

    fn free_slots(&self) -> usize {
        self.current.provider.free_slots()
    }

    fn reserve(&self) -> Option<Slot> {
        self.current.provider.reserve()
    }

    /// Submits with the current key, an operation on an earlier render with the key of that render.
    async fn submit(&self, mut call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        if let Some(source) = call.request.parameters.source.take() {
            let (previous, source) = self.previous_of_task(&source);
            call.request.parameters.source = Some(source);
            if let Some(account) = previous {
                let result = account.submit(call.clone()).await;
                if !is_key_rejected(&result) {
                    return result;
                }
            }
        }
        self.current.submit(call).await
    }

    async fn poll(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Progress, ProviderError> {
        let (previous, task) = self.previous_of_task(task);
        if let Some(account) = previous {
            let result = account.poll(&task, context).await;
            if !is_key_rejected(&result) {
                return result;
            }
        }
        self.current.poll(&task, context).await
    }

    async fn fetch(&self, file: &ClipFile, context: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        let (previous, location) = self.previous_of(&file.location);
        let file = ClipFile { location: location.to_owned(), ..file.clone() };
        if let Some(account) = previous {
            let result = account.provider.fetch(&file, context).await;
            if !is_key_rejected(&result) {
                return result;
            }
        }
        self.current.provider.fetch(&file, context).await
    }

    async fn cancel(&self, task: &UpstreamTask, context: &RequestContext) -> Result<Cancellation, ProviderError> {
        let (previous, task) = self.previous_of_task(task);
        if let Some(account) = previous {
            let result = account.provider.cancel(&task, context).await;
            if !is_key_rejected(&result) {
                return result;
            }
        }
        self.current.provider.cancel(&task, context).await
    }

    /// Searches with every key, because it is unknown which one the submission had.
    async fn find(&self, lost: &LostSubmission, context: &RequestContext) -> Result<Search, ProviderError> {
        let mut result = self.current.find(lost, context).await?;
        for account in &self.previous {
            if matches!(result, Search::Found(_)) {
                break;
            }
            let search = account.find(lost, context).await;
            result = match (result, search) {
                // What a rejected key has started cannot be seen.
                (_, search) if is_key_rejected(&search) => Search::Inconclusive,
                (_, Ok(Search::Found(task))) => Search::Found(task),
                (Search::Absent, Ok(Search::Absent)) => Search::Absent,
                (_, Ok(_)) => Search::Inconclusive,
                (_, Err(error)) => return Err(error),
            };
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests;
