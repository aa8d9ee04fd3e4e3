-- One row is a job and its place in the queue: one truth, one transaction. Times are milliseconds since 1970, documents
-- are JSON text, flags are 0 or 1; nothing here that PostgreSQL spells differently.
CREATE TABLE IF NOT EXISTS video_jobs (
    id TEXT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    phase TEXT NOT NULL,
    state TEXT NOT NULL,
    asked TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    completed_at BIGINT,
    expires_at BIGINT,
    deadline_at BIGINT NOT NULL,
    due_at BIGINT,
    attempt BIGINT NOT NULL,
    abandoned TEXT,
    deleted BIGINT NOT NULL,
    idempotency_key TEXT UNIQUE,
    fingerprint TEXT,
    lease_owner TEXT NOT NULL DEFAULT '',
    lease_until BIGINT NOT NULL DEFAULT 0,
    fence BIGINT NOT NULL DEFAULT 0
);

-- Jobs at rest are most of the table and never in the way of a claim.
CREATE INDEX IF NOT EXISTS video_jobs_due ON video_jobs (due_at, id, lease_until) WHERE due_at IS NOT NULL;

CREATE INDEX IF NOT EXISTS video_jobs_queued ON video_jobs (id) WHERE phase = 'queued';
