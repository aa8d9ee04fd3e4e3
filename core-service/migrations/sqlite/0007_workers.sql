-- A worker has one lease for all of its jobs, so that a poll that finds nothing new writes nothing. A job is leased while
-- lease_owner is not ''. lease_until is the end of the worker's lease, in milliseconds since 1970.
CREATE TABLE video_workers (
    id TEXT NOT NULL PRIMARY KEY,
    lease_until BIGINT NOT NULL
);

UPDATE video_jobs SET lease_owner = '';

-- Claims look at one provider after the other, so that the jobs of a busy provider cost nothing.
DROP INDEX video_jobs_due;
DROP INDEX video_jobs_waiting;
ALTER TABLE video_jobs DROP COLUMN lease_until;
CREATE INDEX video_jobs_due ON video_jobs (provider_id, due_at, id, phase, lease_owner)
    WHERE due_at IS NOT NULL AND phase <> 'queued' AND lease_owner = '';
CREATE INDEX video_jobs_waiting ON video_jobs (provider_id, owner, due_at, id, phase, lease_owner)
    WHERE due_at IS NOT NULL AND phase = 'queued' AND lease_owner = '';
CREATE INDEX video_jobs_leased ON video_jobs (lease_owner, phase, deleted, id) WHERE lease_owner <> '';

-- The number of queued jobs of each owner, so that a create does not count them.
CREATE TABLE video_queue (
    owner TEXT NOT NULL PRIMARY KEY,
    jobs BIGINT NOT NULL
);

INSERT INTO video_queue (owner, jobs) SELECT owner, COUNT(*) FROM video_jobs WHERE phase = 'queued' GROUP BY owner;

CREATE TRIGGER video_queue_insert AFTER INSERT ON video_jobs WHEN NEW.phase = 'queued'
BEGIN
    INSERT INTO video_queue (owner, jobs) VALUES (NEW.owner, 1) ON CONFLICT (owner) DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER video_queue_enter AFTER UPDATE OF phase ON video_jobs WHEN NEW.phase = 'queued' AND OLD.phase <> 'queued'
BEGIN
    INSERT INTO video_queue (owner, jobs) VALUES (NEW.owner, 1) ON CONFLICT (owner) DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER video_queue_leave AFTER UPDATE OF phase ON video_jobs WHEN OLD.phase = 'queued' AND NEW.phase <> 'queued'
BEGIN
    UPDATE video_queue SET jobs = jobs - 1 WHERE owner = OLD.owner;
END;

CREATE TRIGGER video_queue_delete AFTER DELETE ON video_jobs WHEN OLD.phase = 'queued'
BEGIN
    UPDATE video_queue SET jobs = jobs - 1 WHERE owner = OLD.owner;
END;
