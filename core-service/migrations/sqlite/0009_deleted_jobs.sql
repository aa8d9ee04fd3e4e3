-- The final events of jobs that were deleted before their webhooks were created, with what the jobs had for them. The webhook
-- dispatcher removes a row when it has created the deliveries.
CREATE TABLE deleted_job_events (
    sequence BIGINT NOT NULL PRIMARY KEY,
    job_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    revision BIGINT NOT NULL,
    kind TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    callback_url TEXT
);

-- BEFORE: the events of the job are removed with it.
CREATE TRIGGER deleted_job_events_keep BEFORE DELETE ON video_jobs
BEGIN
    INSERT INTO deleted_job_events (sequence, job_id, owner, revision, kind, created_at, callback_url)
    SELECT sequence, job_id, owner, revision, kind, created_at,
        CASE WHEN json_valid(OLD.request) THEN json_extract(OLD.request, '$.callback_url') END
    FROM job_events
    WHERE job_id = OLD.id AND sequence > (SELECT sequence FROM webhook_outbox) AND kind IN ('succeeded', 'failed');
END;
