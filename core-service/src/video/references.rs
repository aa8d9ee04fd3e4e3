//! The media that jobs refer to. Their files are kept as long as the job: the job's own retention removes them, never the
//! sweeper of the media store.

use async_trait::async_trait;

use super::{files, jobs::Jobs};
use crate::{
    error::Error,
    media::{MediaKey, sweeper::MediaReferences},
};

#[async_trait]
impl MediaReferences for Jobs {
    /// Returns whether the key belongs to a job that exists, in whatever state: `video_1.mp4`, `video_1-input-0.png`.
    async fn is_referenced(&self, key: &MediaKey) -> Result<bool, Error> {
        match files::job_id(key) {
            Some(id) => Ok(self.store.contains(&id).await?),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, SystemTime},
    };

    use bytes::Bytes;

    use crate::{
        context::RequestContext,
        keys::Owners,
        media::{
            MediaKey,
            sweeper::{RetentionPolicy, Sweeper},
        },
        video::{
            inputs::{InputRole, InputSource, StoredInput},
            job::JobId,
            testing::{FakeProvider, Harness, request},
        },
    };

    const HOUR: Duration = Duration::from_hours(1);

    async fn put(harness: &Harness, key: &str) {
        harness.jobs.media_store.put(&MediaKey::parse(key).unwrap(), Bytes::from_static(b"bytes")).await.unwrap();
    }

    #[tokio::test]
    async fn files_of_existing_jobs_survive_sweeps_and_orphans_are_removed() {
        let harness = Harness::new(FakeProvider::default());
        let (queued, never_created) = (JobId::new(), JobId::new());
        for id in [&queued, &never_created] {
            put(&harness, &format!("{id}-input-0.png")).await;
            put(&harness, &format!("{id}.mp4")).await;
        }
        put(&harness, "picture.png").await;
        let mut request = request();
        let source = InputSource::Stored(format!("{queued}-input-0.png"));
        request.parameters.inputs = vec![StoredInput { role: InputRole::FirstFrame, source }];
        harness.jobs.create(queued.clone(), request, &RequestContext::default(), None).await.unwrap();

        let policy = RetentionPolicy { retention: Some(HOUR), quota_bytes: Some(1) };
        let sweeper = Sweeper::new(harness.jobs.media_store.clone(), policy, Arc::new(harness.jobs.clone()));
        // The quota of one byte is exceeded from the start. New files stay nevertheless: a create in progress may have stored them, but not
        // its job yet.
        assert_eq!(sweeper.sweep(SystemTime::now()).await.unwrap().removed, 0);
        let swept = sweeper.sweep(SystemTime::now() + 2 * HOUR).await.unwrap();
        assert_eq!(swept.removed, 3);
        assert_eq!(harness.files(), [format!("{queued}-input-0.png"), format!("{queued}.mp4")]);

        harness.jobs.delete(queued.as_str(), &Owners::All).await.unwrap();
        assert_eq!(harness.files(), Vec::<String>::new());
    }
}
