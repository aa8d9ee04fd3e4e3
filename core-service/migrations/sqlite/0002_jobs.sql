-- Jobs and their idempotency keys belong to an owner; jobs from before belong to the anonymous owner ''. SQLite cannot
-- drop the old constraint on the key, so the table is rebuilt.
CREATE TABLE video_jobs_new (
    id TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    revision BIGINT NOT NULL,
    phase TEXT NOT NULL,
    state TEXT NOT NULL,
    request TEXT NOT NULL,
    origin TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    completed_at BIGINT,
    expires_at BIGINT,
    deadline_at BIGINT NOT NULL,
    due_at BIGINT,
    attempt BIGINT NOT NULL,
    abandoned TEXT,
    deleted BIGINT NOT NULL,
    idempotency_key TEXT,
    fingerprint TEXT,
    key_expires_at BIGINT,
    lease_owner TEXT NOT NULL DEFAULT '',
    lease_until BIGINT NOT NULL DEFAULT 0,
    fence BIGINT NOT NULL DEFAULT 0,
    UNIQUE (owner, idempotency_key)
);

INSERT INTO video_jobs_new (id, owner, revision, phase, state, request, origin, created_at, completed_at, expires_at,
    deadline_at, due_at, attempt, abandoned, deleted, idempotency_key, fingerprint, lease_owner, lease_until, fence)
SELECT id, '', revision, phase, state, asked, '{}', created_at, completed_at, expires_at,
    deadline_at, due_at, attempt, abandoned, deleted, 'key:' || idempotency_key, fingerprint, lease_owner, lease_until, fence
FROM video_jobs;

DROP TABLE video_jobs;
ALTER TABLE video_jobs_new RENAME TO video_jobs;

-- Jobs without a next step are most of the table and never in the way of a claim.
CREATE INDEX video_jobs_due ON video_jobs (due_at, id, lease_until) WHERE due_at IS NOT NULL;
CREATE INDEX video_jobs_queued ON video_jobs (id) WHERE phase = 'queued';
CREATE INDEX video_jobs_owner ON video_jobs (owner, id);

-- The outbox: one row per change of state, written in the transaction of the change.
CREATE TABLE job_events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL REFERENCES video_jobs (id) ON DELETE CASCADE,
    owner TEXT NOT NULL,
    revision BIGINT NOT NULL,
    kind TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX job_events_job ON job_events (job_id, sequence);
