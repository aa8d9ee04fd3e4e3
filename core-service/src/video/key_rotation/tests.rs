//! Which API key each call has: one scripted provider for each key.

use std::sync::Mutex;

use futures_util::{StreamExt, stream};
use secrecy::ExposeSecret;

use super::*;
use crate::video::{Clip, Variant, testing::request};

/// The calls of all accounts, as `KEY CALL TEXT`.
type Log = Arc<Mutex<Vec<String>>>;

/// One account of a provider. Keys that start with `revoked` are rejected.
#[derive(Debug)]
struct Scripted {
    key: String,
    search: Search,
    log: Log,
}

impl Scripted {
    fn called(&self, call: &str, text: &str) -> Result<(), ProviderError> {
        self.log.lock().unwrap().push(format!("{} {call} {text}", self.key));
        if self.key.starts_with("revoked") {
            return Err(ProviderError::Credentials("unknown key".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl VideoProvider for Scripted {
    fn submits_idempotently(&self) -> bool {
        false
    }

    async fn submit(&self, call: Call<RenderRequest>) -> Result<UpstreamTask, ProviderError> {
        let source = call.request.parameters.source.map(|task| task.0);
        self.called("submit", source.as_deref().unwrap_or("new"))?;
        Ok(UpstreamTask("task".to_owned()))
    }

    async fn poll(&self, task: &UpstreamTask, _: &RequestContext) -> Result<Progress, ProviderError> {
        self.called("poll", &task.0)?;
        let location = "location".to_owned();
        let file = ClipFile { variant: Variant::Video, media_type: "video/mp4".to_owned(), location };
        Ok(Progress::Ready(Clip::new([file])))
    }

    async fn fetch(&self, file: &ClipFile, _: &RequestContext) -> Result<Chunks<Bytes>, ProviderError> {
        self.called("fetch", &file.location)?;
        Ok(stream::empty().boxed())
    }

    async fn cancel(&self, task: &UpstreamTask, _: &RequestContext) -> Result<Cancellation, ProviderError> {
        self.called("cancel", &task.0)?;
        Ok(Cancellation::Stopped)
    }

    async fn find(&self, _: &LostSubmission, _: &RequestContext) -> Result<Search, ProviderError> {
        self.called("find", "")?;
        Ok(self.search.clone())
    }
}

fn rotation(current: &str, previous: &[&str]) -> (KeyRotation, Log) {
    let log = Log::default();
    let build = |key: &SecretString| {
        let key = key.expose_secret().to_owned();
        let search = match key.as_str() {
            "finder" => Search::Found(UpstreamTask("found".to_owned())),
            "blind" => Search::Inconclusive,
            _ => Search::Absent,
        };
        Ok(Scripted { key, search, log: Arc::clone(&log) })
    };
    let previous: Vec<_> = previous.iter().map(|&key| SecretString::from(key)).collect();
    (KeyRotation::new(&current.into(), &previous, build).unwrap(), log)
}

fn call(source: Option<UpstreamTask>) -> Call<RenderRequest> {
    let mut parameters = request().parameters;
    parameters.source = source;
    let request = RenderRequest { parameters, inputs: Vec::new(), slot: Slot::default() };
    Call { model: "m".to_owned(), request, context: RequestContext::default() }
}

/// Starts a render with the key `first`, then polls, fetches, cancels and edits it with the keys `then`, which are the current key
/// and the previous ones, and starts a new render. Returns the calls after the replacement.
async fn continued_after_rotation(first: &str, then: (&str, &[&str])) -> Vec<String> {
    let (before, _) = rotation(first, &[]);
    let task = before.submit(call(None)).await.unwrap();
    let (after, log) = rotation(then.0, then.1);
    let context = RequestContext::default();
    let Progress::Ready(clip) = after.poll(&task, &context).await.unwrap() else { panic!("not ready") };
    let _bytes = after.fetch(&clip.files[0], &context).await.unwrap();
    after.cancel(&task, &context).await.unwrap();
    after.submit(call(Some(task))).await.unwrap();
    after.submit(call(None)).await.unwrap();
    std::mem::take(&mut *log.lock().unwrap())
}

#[tokio::test]
async fn render_stays_with_the_key_that_started_it() {
    let of_previous = ["one poll task", "one fetch location", "one cancel task", "one submit task", "two submit new"];
    assert_eq!(continued_after_rotation("one", ("two", &["zero", "one"])).await, of_previous);
    let of_current = of_previous.map(|line| line.replace("one", "two"));
    assert_eq!(continued_after_rotation("one", ("two", &["zero"])).await, of_current, "the key is not configured");
    let unchanged = of_previous.map(|line| line.replace("two", "one"));
    assert_eq!(continued_after_rotation("one", ("one", &["one"])).await, unchanged);
}

#[tokio::test]
async fn current_key_replaces_one_that_the_provider_rejects() {
    let (current, _) = rotation("two", &[]);
    let task = current.submit(call(None)).await.unwrap();
    let revoked = KeyId::of(&"revoked".into()).join(KeyId::split(&task.0).1);
    let (after, log) = rotation("two", &["revoked"]);
    let Progress::Ready(clip) = after.poll(&UpstreamTask(revoked), &RequestContext::default()).await.unwrap() else {
        panic!("not ready")
    };
    assert_eq!(*log.lock().unwrap(), ["revoked poll task", "two poll task"]);
    assert_eq!(KeyId::split(&clip.files[0].location).0, Some(KeyId::of(&"two".into())));
}

#[tokio::test]
async fn tasks_stored_without_a_key_id_belong_to_the_current_key() {
    let (after, log) = rotation("two", &["one"]);
    after.poll(&UpstreamTask("cgt-1".to_owned()), &RequestContext::default()).await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["two poll cgt-1"]);
}

#[tokio::test]
async fn lost_submission_is_searched_with_every_key() {
    let lost = LostSubmission {
        job_id: "video_1".to_owned(),
        model: "m".to_owned(),
        parameters: request().parameters,
        submitted_at: 0,
    };
    let found = |key: &str| Search::Found(UpstreamTask(KeyId::of(&key.into()).join("found")));
    for (current, previous, expected) in [
        ("finder", &["revoked"][..], found("finder")),
        ("absent", &["revoked", "finder"], found("finder")),
        ("absent", &["absent 2"], Search::Absent),
        ("absent", &["revoked"], Search::Inconclusive),
        ("absent", &["blind"], Search::Inconclusive),
        ("blind", &["absent"], Search::Inconclusive),
    ] {
        let (provider, _) = rotation(current, previous);
        let result = provider.find(&lost, &RequestContext::default()).await.unwrap();
        assert_eq!(result, expected, "{current}, {previous:?}");
    }
}
