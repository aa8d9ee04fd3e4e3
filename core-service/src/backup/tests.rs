//! Backups of data directories in use, and what a process does with a restored one.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tempfile::TempDir;

use super::{
    layout::{DATABASE_FILE, MEDIA},
    *,
};
use crate::{
    Core, OpenError,
    config::Settings,
    database::Database,
    keys::Owner,
    media::{MediaKey, MediaStore},
    video::{
        job::{Job, JobId},
        provider::UpstreamTask,
        state::{Event, JobState, Phase},
        store::{JobLimits, JobQueue as _, JobStore as _, sql::SqlStore},
        testing::{FakeProvider, Harness, request},
        time::Timestamp,
    },
};

const DEADLINE: std::time::Duration = std::time::Duration::from_mins(30);

/// A data directory in use.
struct DataDir {
    root: TempDir,
    database: Database,
    media: MediaStore,
    jobs: SqlStore,
}

impl DataDir {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("data")).unwrap();
        Self::open(root).await
    }

    async fn open(root: TempDir) -> Self {
        let data = root.path().join("data");
        let database = Database::open(&data.join(DATABASE_FILE)).await.unwrap();
        let media = MediaStore::local(&data.join(MEDIA), database.clone()).await.unwrap();
        let jobs = SqlStore::new(database.clone());
        Self { root, database, media, jobs }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    async fn backup(&self, name: &str) -> Result<Manifest, BackupError> {
        let stop = tokio_util::sync::CancellationToken::new();
        create(&self.path("data"), &self.path(name), Method::Link, &stop, |_, _| ()).await
    }

    async fn restore(&self, backup: &str, name: &str, queued: QueuedJobs) -> Result<Restored, BackupError> {
        let stop = tokio_util::sync::CancellationToken::new();
        super::restore(&self.path(backup), &self.path(name), queued, DEADLINE, &stop, |_, _| ()).await
    }

    /// Inserts a queued job that was created `age` ago.
    async fn queue(&self, age: std::time::Duration) -> Job {
        let at = self.jobs.now().before(age);
        let job = Job::new(JobId::new(), Owner::default(), request(), at, DEADLINE);
        self.jobs.insert(&job, None, &JobLimits::default()).await.unwrap();
        let query = sqlx::query("UPDATE job_events SET created_at = $1 WHERE job_id = $2");
        query.bind(at.0).bind(job.id.as_str()).execute(self.database.writer()).await.unwrap();
        job
    }

    async fn store(&self, name: &str, content: &'static str) -> MediaKey {
        let key = MediaKey::parse(name).unwrap();
        self.media.put(&key, Bytes::from_static(content.as_bytes())).await.unwrap();
        key
    }

    /// Returns the names in the root, sorted.
    fn entries(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

async fn read(data_dir: PathBuf, id: &JobId) -> Job {
    let database = Database::open(&data_dir.join(DATABASE_FILE)).await.unwrap();
    let job = SqlStore::new(database.clone()).read(id).await.unwrap().unwrap();
    database.close().await;
    job
}

#[tokio::test]
async fn queued_response_of_a_backup_fails_when_a_process_starts_and_is_not_generated() {
    let data = DataDir::new().await;
    // `used_at` is far in the future, so that the response is not removed after its retention.
    let insert = "INSERT INTO responses (id, owner, status, background, created_at, used_at, request_id, request, response, \
                  input_items, output_items, size_bytes) VALUES ('resp_1', '', 'queued', 1, 0, 9000000000000, 'req_1', \
                  '{\"input\":\"Hi\",\"background\":true}', '{\"model\":\"m\"}', '[]', '[]', 0)";
    sqlx::query(insert).execute(data.database.writer()).await.unwrap();
    data.backup("backup").await.unwrap();
    for (name, queued, expected) in
        [("new", QueuedJobs::MayBeSubmitted, "failed"), ("resumed", QueuedJobs::Resume, "completed")]
    {
        data.restore("backup", name, queued).await.unwrap();
        let core = Core::open(&Settings { data_dir: data.path(name), ..Settings::default() }).await.unwrap();
        let request = triptych_proto::v1::ResumeResponseRequest { id: "resp_1".to_owned(), starting_after: None };
        let events = triptych_proto::v1::response_service_server::ResponseService::resume_response(
            &*core.services().response,
            tonic::Request::new(request),
        );
        let events: Vec<_> = events.await.unwrap().into_inner().collect().await;
        let last = events.into_iter().next_back().unwrap().unwrap().event.unwrap();
        assert_eq!(last.r#type, format!("response.{expected}"), "{}", last.data_json);
        core.close().await;
    }
}

#[tokio::test]
async fn backup_of_an_open_data_directory_is_restored_with_jobs_and_files() {
    let data = DataDir::new().await;
    let job = data.queue(std::time::Duration::ZERO).await;
    data.store("a.png", "picture").await;
    // The staging file of an upload in progress.
    std::fs::write(data.path("data/media/b.png#1"), "half").unwrap();
    let manifest = data.backup("backup").await.unwrap();
    assert_eq!((manifest.jobs, manifest.media.files, manifest.media.bytes, manifest.media.linked), (1, 1, 7, 1));
    assert_eq!(Manifest::read(&data.path("backup")).unwrap(), manifest);

    // Changes after the backup are not in it.
    let later = data.queue(std::time::Duration::ZERO).await;
    data.store("a.png", "another").await;
    let restored = data.restore("backup", "new", QueuedJobs::Resume).await.unwrap();
    assert_eq!(restored.unsent, Unsent { resumed: 1, ..Unsent::default() });
    assert_eq!(std::fs::read(data.path("new/media/a.png")).unwrap(), b"picture");
    assert_eq!(data.entries(), ["backup", "data", "new"]);
    assert!(!manifest_path(&data.path("new")).exists() && !data.path("new/media/b.png#1").exists());
    assert_eq!(read(data.path("new"), &job.id).await.state, JobState::Queued);
    let database = Database::open(&data.path("new").join(DATABASE_FILE)).await.unwrap();
    assert_eq!(SqlStore::new(database).read(&later.id).await.unwrap(), None);
}

#[tokio::test]
async fn file_removed_meanwhile_is_counted_and_a_lost_one_is_reported() {
    let data = DataDir::new().await;
    for name in ["kept.png", "expired.png", "lost.png"] {
        data.store(name, "picture").await;
    }
    // As if the removal had happened between the copy of the database and that of the files.
    let copy = data.path("copy.sqlite");
    let mut live = crate::database::open_read_only(&data.path("data").join(DATABASE_FILE)).await.unwrap();
    crate::database::copy_into(&mut live, &copy).await.unwrap();
    let mut copied = crate::database::open_read_only(&copy).await.unwrap();
    let keys = media_index::stored_keys(&mut copied, &data.path("data")).await.unwrap();
    assert_eq!(keys.len(), 3);
    data.media.remove(&MediaKey::parse("expired.png").unwrap()).await.unwrap();
    std::fs::remove_file(data.path("data/media/lost.png")).unwrap();
    std::fs::create_dir(data.path("target")).unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let transferred =
        files::transfer(&data.path("data"), &data.path("target"), &keys, Method::Copy, &stop, &|_, _| ()).unwrap();
    assert_eq!((transferred.media.files, transferred.absent.len()), (1, 2));
    assert_eq!(media_index::still_stored(&mut live, &transferred.absent).await.unwrap(), ["lost.png"]);

    // A backup in which a file is missing can be restored.
    let manifest = data.backup("backup").await.unwrap();
    assert_eq!((manifest.media.removed_meanwhile, &manifest.media.missing[..]), (0, &["lost.png".to_owned()][..]));
    data.restore("backup", "new", QueuedJobs::Resume).await.unwrap();
}

#[tokio::test]
async fn failed_or_interrupted_backup_leaves_nothing_and_existing_directories_are_refused() {
    let data = DataDir::new().await;
    data.store("a.png", "picture").await;
    let stop = tokio_util::sync::CancellationToken::new();
    stop.cancel();
    let (source, target) = (data.path("data"), data.path("backup/"));
    let interrupted = create(&source, &target, Method::Link, &stop, |_, _| ()).await;
    assert!(matches!(interrupted, Err(BackupError::Interrupted)), "{interrupted:?}");
    std::fs::remove_dir_all(data.path("data/media")).unwrap();
    std::fs::write(data.path("data/media"), "no directory").unwrap();
    let failed = data.backup("backup").await;
    assert!(matches!(failed, Err(BackupError::Io { .. })), "{failed:?}");
    assert_eq!(data.entries(), ["data"]);

    for existing in ["backup", "other.partial"] {
        std::fs::create_dir(data.path(existing)).unwrap();
        let refused = data.backup(existing.trim_end_matches(".partial")).await;
        assert!(matches!(&refused, Err(BackupError::Exists(path)) if *path == data.path(existing)), "{refused:?}");
    }
    let nothing = create(&data.path("backup"), &data.path("b"), Method::Link, &stop, |_, _| ()).await;
    assert!(matches!(nothing, Err(BackupError::NoDatabase(_))), "{nothing:?}");
}

#[tokio::test]
async fn damaged_backup_and_used_directory_are_refused_and_leave_the_directory_empty() {
    let data = DataDir::new().await;
    data.store("a.png", "picture").await;
    data.backup("backup").await.unwrap();
    let refusal = async |backup: &str, name: &str| {
        let refused = data.restore(backup, name, QueuedJobs::MayBeSubmitted).await.unwrap_err();
        let left = std::fs::read_dir(data.path(name)).map(|entries| entries.map(|entry| entry.unwrap().file_name()));
        let left: Vec<_> = left.into_iter().flatten().filter(|name| name != "lock").collect();
        (refused.to_string(), left)
    };
    let (used, left) = refusal("backup", "data").await;
    assert!(used.contains("empty directory only") && left.len() > 1, "{used}");
    let (unknown, _) = refusal("missing", "new").await;
    assert!(unknown.contains("not a backup"), "{unknown}");

    std::fs::remove_file(data.path("backup/media/a.png")).unwrap();
    let (incomplete, left) = refusal("backup", "new").await;
    assert!(incomplete.contains("`a.png` for example is missing") && left.is_empty(), "{incomplete} {left:?}");
    std::fs::OpenOptions::new()
        .append(true)
        .open(data.path("backup").join(DATABASE_FILE))
        .unwrap()
        .set_len(8192)
        .unwrap();
    let (damaged, left) = refusal("backup", "new").await;
    assert!(damaged.contains("SHA-256") && left.is_empty(), "{damaged} {left:?}");

    let manifest = std::fs::read_to_string(data.path("backup/backup.json")).unwrap();
    let later = manifest.replace("\"format\": 1", "\"format\": 2");
    std::fs::write(data.path("backup/backup.json"), later).unwrap();
    let (later, _) = refusal("backup", "new").await;
    assert!(later.contains("format 2") && later.contains("use a later one"), "{later}");
}

#[tokio::test]
async fn core_does_not_open_a_backup() {
    let data = DataDir::new().await;
    data.backup("backup").await.unwrap();
    let settings = Settings { data_dir: data.path("backup"), ..Settings::default() };
    let refused = Core::open(&settings).await.map(drop);
    assert!(matches!(refused, Err(OpenError::IsBackup { .. })), "{refused:?}");
}

#[tokio::test]
async fn queued_job_of_a_backup_is_searched_for_and_not_submitted_again() {
    let data = DataDir::new().await;
    let job = data.queue(std::time::Duration::from_hours(1)).await;
    data.backup("backup").await.unwrap();
    let restored = data.restore("backup", "new", QueuedJobs::MayBeSubmitted).await.unwrap();
    assert_eq!(restored.unsent, Unsent { searched: 1, ..Unsent::default() });
    let prepared = read(data.path("new"), &job.id).await;
    // A search for renders since the last change in the backup.
    let since = Some(job.created_at);
    assert_eq!(prepared.state, JobState::Submitting { since, searches: 0 });
    assert_eq!((prepared.revision, prepared.submissions), (2, 1));
    assert!(prepared.deadline_at > data.jobs.now(), "the time since the backup does not count");

    // The provider cannot search: the job fails, and no request is sent.
    let database = Database::open(&data.path("new").join(DATABASE_FILE)).await.unwrap();
    let store = Arc::new(SqlStore::new(database));
    let harness = Harness::with_store(store, FakeProvider::default(), crate::video::jobs::JobSettings::default());
    let _runner = harness.start();
    let ended = harness.outcome(&job.id).await;
    assert!(matches!(&ended.state, JobState::Failed { code, .. } if code == "outcome_unknown"), "{:?}", ended.state);
    assert_eq!(harness.provider.call_count("submit"), 0);
}

#[tokio::test]
async fn queued_job_of_an_old_backup_fails_and_its_render_in_progress_gets_a_new_deadline() {
    let data = DataDir::new().await;
    let old = std::time::Duration::from_hours(25);
    let (queued, rendering) = (data.queue(old).await, data.queue(old).await);
    let at = rendering.created_at;
    let task = UpstreamTask("task".to_owned());
    let submitting = rendering.after(Event::SubmissionStarted(at), at).unwrap();
    data.jobs.amend(&rendering, &submitting).await.unwrap();
    data.jobs.amend(&submitting, &submitting.after(Event::Accepted(task, at), at).unwrap()).await.unwrap();
    sqlx::query("UPDATE job_events SET created_at = $1").bind(at.0).execute(data.database.writer()).await.unwrap();
    data.backup("backup").await.unwrap();
    let restored = data.restore("backup", "new", QueuedJobs::MayBeSubmitted).await.unwrap();
    assert_eq!(restored.unsent, Unsent { failed: 1, ..Unsent::default() });
    let ended = read(data.path("new"), &queued.id).await;
    let JobState::Failed { code, message, .. } = &ended.state else { panic!("{:?}", ended.state) };
    assert!(code == "outcome_unknown" && message.contains("restored from a backup"), "{code}: {message}");
    let rendering = read(data.path("new"), &rendering.id).await;
    assert_eq!(rendering.state.phase(), Phase::Rendering);
    let since_1970 = SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(rendering.deadline_at > Timestamp(0).after(since_1970));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_that_is_completed_in_a_backup_has_its_file_however_many_are_stored_meanwhile() {
    let data = Arc::new(DataDir::new().await);
    let stop = tokio_util::sync::CancellationToken::new();
    let writer = tokio::spawn({
        let (data, stop) = (data.clone(), stop.clone());
        async move {
            let mut jobs = 0;
            while !stop.is_cancelled() {
                let job = data.queue(std::time::Duration::ZERO).await;
                data.store(&format!("{}.mp4", job.id.as_str().to_ascii_lowercase()), "clip").await;
                // Stands for any end of the job: it is recorded once the file is stored.
                let failed = Event::Failed { code: "stored".to_owned(), message: String::new() };
                data.jobs.amend(&job, &job.after(failed, job.created_at).unwrap()).await.unwrap();
                jobs += 1;
            }
            jobs
        }
    });
    for round in 0..5 {
        let backup = format!("backup{round}");
        data.backup(&backup).await.unwrap();
        let mut copied = crate::database::open_read_only(&data.path(&backup).join(DATABASE_FILE)).await.unwrap();
        let ended = sqlx::query_scalar("SELECT id FROM video_jobs WHERE phase = 'failed'");
        let ended: Vec<String> = ended.fetch_all(&mut copied).await.unwrap();
        for id in &ended {
            assert!(data.path(&backup).join(MEDIA).join(format!("{id}.mp4")).exists(), "{id} of {}", ended.len());
        }
    }
    stop.cancel();
    assert!(writer.await.unwrap() > 0);
}
