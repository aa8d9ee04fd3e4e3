-- The column counted submissions until the provider accepted the job, and failures of the current step afterwards.
ALTER TABLE video_jobs RENAME COLUMN attempt TO failures;
ALTER TABLE video_jobs ADD COLUMN submissions BIGINT NOT NULL DEFAULT 0;

UPDATE video_jobs SET submissions = failures, failures = 0 WHERE phase IN ('queued', 'submitting');

-- Jobs in progress are claimed only while their provider has a free worker.
DROP INDEX video_jobs_due;
CREATE INDEX video_jobs_due ON video_jobs (due_at, id, lease_until, provider_id, phase)
    WHERE due_at IS NOT NULL AND phase <> 'queued';
