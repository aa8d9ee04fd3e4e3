//! The files of a job stay for as long as the job does: its own retention removes them, never the sweeper of the media.

use async_trait::async_trait;

use super::{files, jobs::Jobs};
use crate::{
    error::Error,
    media::{MediaKey, sweeper::MediaReferences},
};

#[async_trait]
impl MediaReferences for Jobs {
    /// Whether the key is one of a job that is still there, in whatever state: `video_1.mp4`, `video_1-reference.png`.
    async fn is_referenced(&self, key: &MediaKey) -> Result<bool, Error> {
        match files::job_id(key) {
            Some(id) => Ok(self.store.get(&id).await?.is_some()),
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
        media::{
            MediaKey,
            sweeper::{RetentionPolicy, Sweeper},
        },
        video::{
            job::{JobId, Order},
            scripted::{Scripted, Stage, order},
        },
    };

    const HOUR: Duration = Duration::from_hours(1);

    async fn put(stage: &Stage, key: &str) {
        stage.jobs.media_store.put(&MediaKey::parse(key).unwrap(), Bytes::from_static(b"bytes")).await.unwrap();
    }

    #[tokio::test]
    async fn a_jobs_files_outlive_every_sweep_and_an_orphans_do_not() {
        let stage = Stage::new(Scripted::default());
        let (waiting, never_taken) = (JobId::new(), JobId::new());
        for id in [&waiting, &never_taken] {
            put(&stage, &format!("{id}-reference.png")).await;
            put(&stage, &format!("{id}.mp4")).await;
        }
        put(&stage, "picture.png").await;
        let order = Order { reference: Some(format!("{waiting}-reference.png")), ..order() };
        stage.jobs.create(waiting.clone(), order, None).await.unwrap();

        let keeping = RetentionPolicy { retention: Some(HOUR), quota_bytes: Some(1) };
        let sweeper = Sweeper::new(stage.jobs.media_store.clone(), keeping, Arc::new(stage.jobs.clone()));
        // A create that is under way has stored its picture and not yet its job.
        assert_eq!(sweeper.sweep(SystemTime::now()).await.unwrap().removed, 0);
        let swept = sweeper.sweep(SystemTime::now() + 2 * HOUR).await.unwrap();
        assert_eq!(swept.removed, 3);
        assert_eq!(stage.files(), [format!("{waiting}-reference.png"), format!("{waiting}.mp4")]);

        stage.jobs.delete(waiting.as_str()).await.unwrap();
        assert_eq!(stage.files(), Vec::<String>::new());
    }
}
